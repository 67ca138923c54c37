"""ResNet-50 has known weights: always the same without a file, and a wrong file says what it is."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.errors import WeightsError
from benchmark.model import build, find_weights, weights_sha256
from tests.benchmark.loadgen_client import REPOSITORY

pytestmark = pytest.mark.xdist_group("machine")
SEED = 4


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return build(None, SEED)


@pytest.fixture
def weights_file(model: torch.nn.Module, tmp_path: Path) -> Path:
    path = tmp_path / "weights.pth"
    torch.save(model.state_dict(), path)
    return path


def test_fixed_seed_weights_have_the_same_hash_in_another_process(model: torch.nn.Module) -> None:
    script = (
        "from benchmark.model import build, weights_sha256; "
        f"print(weights_sha256(build(None, {SEED})))"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert other.stdout.split() == [weights_sha256(model)]


def test_another_seed_gives_other_weights(model: torch.nn.Module) -> None:
    assert weights_sha256(build(None, SEED + 1)) != weights_sha256(model)


def test_the_hash_sees_every_change(model: torch.nn.Module) -> None:
    before = weights_sha256(model)
    parameter = next(model.parameters())
    with torch.no_grad():
        kept = parameter[0, 0, 0, 0].item()
        parameter[0, 0, 0, 0] = kept + 1
        assert weights_sha256(model) != before
        parameter[0, 0, 0, 0] = kept
    assert weights_sha256(model) == before


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_fixed_seed_weights_are_finite_and_slow_no_processor_down(
    model: torch.nn.Module, kind: torch.dtype
) -> None:
    smallest = torch.finfo(torch.float32).tiny
    for name, tensor in model.state_dict().items():
        converted = tensor.to(kind).float()
        assert torch.isfinite(converted).all(), name
        if kind is not torch.float16:
            # What fp16 cannot hold it rounds to subnormals of its own, which no GPU slows for.
            assert (converted[converted != 0].abs() >= smallest).all(), name


def test_the_model_is_resnet_50_in_evaluation_mode(model: torch.nn.Module) -> None:
    assert sum(parameter.numel() for parameter in model.parameters()) == 25_557_032
    assert not model.training
    # v1.5: the stride of a downsampling bottleneck is in its 3x3 convolution.
    layers = dict(model.named_modules())
    assert layers["layer2.0.conv2"].stride == (2, 2)
    assert layers["layer2.0.conv1"].stride == (1, 1)


def test_random_weights_are_recorded_as_random_and_untrained(model: torch.nn.Module) -> None:
    record, path = find_weights("random", SEED)
    assert path is None
    assert (record.origin, record.trained, record.path) == ("random", False, None)
    assert record.sha256 == weights_sha256(model)


def test_weights_given_by_path_are_loaded_and_recorded(
    model: torch.nn.Module, weights_file: Path
) -> None:
    record, path = find_weights(str(weights_file), SEED + 1)
    assert path == weights_file
    assert (record.origin, record.trained, record.path) == ("file", True, str(weights_file))
    assert record.sha256 == weights_sha256(model)


def test_a_checkpoint_with_the_state_inside_is_loaded_too(
    model: torch.nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save({"state_dict": model.state_dict(), "epoch": 90}, path)
    assert find_weights(str(path), SEED + 1)[0].sha256 == weights_sha256(model)


def refusal(wanted: Path | str) -> str:
    with pytest.raises(WeightsError) as caught:
        find_weights(str(wanted), SEED)
    assert str(wanted) in caught.value.sentence
    assert caught.value.exit_code == 2
    return caught.value.sentence


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a torch state_dict"),
        (b"just text\n", "is not a torch state_dict"),
        (b"\x80\x02", "is not a torch state_dict"),
        (b"PK\x03\x04", "is not a torch state_dict"),
        (b"cos\nsystem\n(S'true'\ntR.", "is not a torch state_dict"),
    ],
)
def test_a_file_that_torch_did_not_write_is_refused(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert said in refusal(path)


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "weights.pth"
    torch.save({"conv1.weight": Trap()}, path)
    assert "is not a torch state_dict" in refusal(path)
    assert not (tmp_path / "sprung").exists()


def test_a_zip_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert "is not a torch state_dict" in refusal(path)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"conv1.weight": torch.zeros(3)},
        {1: torch.zeros(3)},
        {"state_dict": {}},
        [torch.zeros(3)],
        torch.zeros(3),
        {"conv1.weight": "text"},
    ],
    ids=str,
)
def test_weights_of_another_model_are_refused(tmp_path: Path, state: Any) -> None:
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    assert "does not fit ResNet-50" in refusal(path)


def test_weights_with_another_number_of_classes_are_refused(
    model: torch.nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    torch.save({**model.state_dict(), "fc.bias": torch.zeros(10)}, path)
    assert "with 1000 classes" in refusal(path)


def test_weights_that_are_not_numbers_are_refused(model: torch.nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({**model.state_dict(), "fc.bias": torch.full((1000,), torch.nan)}, path)
    assert "NaN or infinity in fc.bias" in refusal(path)


def test_weights_cut_in_the_middle_are_refused(weights_file: Path) -> None:
    content = weights_file.read_bytes()
    weights_file.write_bytes(content[: len(content) // 2])
    assert "is not a torch state_dict" in refusal(weights_file)


def test_weights_that_are_not_there_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.pth")
    assert "Is a directory" in refusal(tmp_path)
    assert "unknown user" in refusal("~nobody-has-this-name/weights.pth")


def test_safetensors_are_refused_by_their_name(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\0" * 16)
    assert "safetensors" in refusal(path)
