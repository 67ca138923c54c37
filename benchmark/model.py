"""ResNet-50 v1.5 from torchvision, with weights whose origin and hash are always known."""

from __future__ import annotations

import hashlib
import importlib
import socket
import urllib.error
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.configuration import Configuration
from benchmark.errors import WeightsError
from benchmark.plan import MemoryFormat, Precision
from benchmark.validation import Record

if TYPE_CHECKING:
    import torch

_DOWNLOAD_TIMEOUT_S = 10.0
_CLASS_COUNT = 1000


class WeightsRecord(Record):
    """Which weights were measured."""

    origin: Literal["random", "pretrained", "file"]
    trained: bool
    """Whether top-1 agreement means anything."""
    path: str | None
    sha256: str
    """Over names, types, shapes and bytes of all tensors, in the order of their names."""
    note: str = ""


def import_torchvision() -> Any:
    """Import torchvision, also when its C++ operators do not fit the installed torch.

    PyPI's torchvision is a CUDA build; beside a CPU build of torch its operator library does not
    load, and the import then fails on the missing schema of operators that ResNet-50 never calls.
    Declaring those schemas is enough.
    """
    import torch

    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    # The schemas live as long as the library object does.
    globals()["_schemas"] = library
    return importlib.import_module("torchvision")


def find_weights(wanted: str, seed: int) -> tuple[WeightsRecord, Path | None]:
    """Decide which weights are measured, downloading where asked and possible.

    Returns the record and the file to load, ``None`` for the fixed-seed initialisation.

    Raises:
        WeightsError: a file that cannot be read, or ``pretrained`` without a network.
    """
    note = ""
    path: Path | None = None
    if wanted in ("auto", "pretrained"):
        try:
            path = _download()
        except OSError as error:
            if wanted == "pretrained":
                raise WeightsError(
                    f"The pretrained weights could not be downloaded: {_reason(error)}.",
                    "Give a file with --weights PATH, or use --weights random.",
                ) from error
            note = f"pretrained weights could not be downloaded ({_reason(error)})"
    elif wanted != "random":
        path = _file_named(wanted)
    model = build(path, seed)
    origin: Literal["random", "pretrained", "file"] = "random"
    if path is not None:
        origin = "pretrained" if wanted in ("auto", "pretrained") else "file"
    record = WeightsRecord(
        origin=origin,
        trained=path is not None,
        path=str(path) if path else None,
        sha256=weights_sha256(model),
        note=note,
    )
    return record, path


def _file_named(wanted: str) -> Path:
    try:
        return Path(wanted).expanduser().resolve()
    except RuntimeError as error:
        raise WeightsError(f"Weights file {wanted} names an unknown user's home.") from error


def build(weights_file: Path | None, seed: int) -> torch.nn.Module:
    """Return fp32 ResNet-50 in evaluation mode.

    Without a file the weights are torchvision's own initialisation under a fixed seed, which gives
    neither NaN nor overflow in fp16 nor denormals (FACTS.md section 9).

    Raises:
        WeightsError: the file cannot be read or does not fit.
    """
    import torch

    torchvision = import_torchvision()
    torch.manual_seed(seed)
    model: torch.nn.Module = torchvision.models.resnet50(weights=None).eval()
    if weights_file is not None:
        _load(model, weights_file)
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(
                f"The weights {weights_file or 'from the fixed seed'} hold NaN or infinity "
                f"in {name}."
            )
    return model


def prepare(
    model: torch.nn.Module, configuration: Configuration, *, fold_batch_norm: bool
) -> torch.nn.Module:
    """Return a copy of ``model`` on the device in the configuration's format."""
    import copy

    import torch

    prepared = copy.deepcopy(model)
    if fold_batch_norm:
        from torch.fx.experimental.optimization import fuse

        prepared = fuse(prepared)
    prepared = prepared.to(device=configuration.device, dtype=dtype_of(configuration.precision))
    if configuration.memory_format is MemoryFormat.CHANNELS_LAST:
        prepared = prepared.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return prepared.eval()


def dtype_of(precision: Precision) -> torch.dtype:
    """Return torch's type of weights and activations; tf32 is a mode of fp32."""
    import torch

    return {Precision.FP16: torch.float16, Precision.BF16: torch.bfloat16}.get(
        precision, torch.float32
    )


def weights_sha256(model: torch.nn.Module) -> str:
    """Return the hash of all tensors: names, types, shapes and bytes, ordered by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _download() -> Path:
    """Return the cached or downloaded file of torchvision's ImageNet weights."""
    import torch

    torchvision = import_torchvision()
    url: str = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.url
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / url.rpartition("/")[2]
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    previous = socket.getdefaulttimeout()
    # torch.hub has no time limit of its own, and a filtered network answers nothing at all.
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_S)
    try:
        prefix = path.stem.rpartition("-")[2]
        torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
    except RuntimeError as error:
        raise OSError(str(error)) from error
    finally:
        socket.setdefaulttimeout(previous)
    return path


def _reason(error: OSError) -> str:
    if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
        return str(error.reason)
    return str(error)


def _load(model: torch.nn.Module, path: Path) -> None:
    import torch

    if path.suffix == ".safetensors":
        raise WeightsError(
            f"Weights file {path} is in safetensors format, which is not supported.",
            "Save a state_dict with torch.save.",
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(
            f"Weights file {path} cannot be read: {error.strerror or error}.",
            "Name a state_dict of torchvision's resnet50.",
        ) from error
    except Exception as error:  # torch's unpickler raises whatever it trips over
        raise WeightsError(
            f"Weights file {path} is not a torch state_dict.",
            "Save one with torch.save(model.state_dict(), PATH).",
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"Weights file {path} does not fit ResNet-50 with {_CLASS_COUNT} classes.",
            "It must hold the tensors of torchvision.models.resnet50.",
        ) from error
