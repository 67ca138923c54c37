"""Which GPU is meant: CUDA's names and numbers turned into an NVML handle.

CUDA counts only what ``CUDA_VISIBLE_DEVICES`` lets it see, NVML counts everything in PCI bus order.
Watching another GPU than the one measured would be worse than watching none, so what is ambiguous
is refused.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmark.telemetry.errors import GpuNotFound
from benchmark.telemetry.nvml_library import (
    CallFailed,
    GpuLost,
    NotGiven,
    NvmlLibrary,
    as_text,
)

_OLD_MIG_NAME = re.compile(r"MIG-(GPU-[0-9a-fA-F-]+)/(\d+)/(\d+)\Z")


class Selection(NamedTuple):
    """A GPU: the physical device, and the MIG instance on it when one was meant."""

    device: Any
    instance: Any | None = None


def visible_devices(value: str | None) -> tuple[str, ...] | None:
    """The entries of ``CUDA_VISIBLE_DEVICES`` that CUDA takes: ``None`` means every GPU.

    As CUDA does, the list ends before the first entry that is no index, UUID or MIG name.
    """
    if value is None:
        return None
    entries = []
    for entry in (part.strip() for part in value.split(",")):
        if not (entry.isascii() and entry.isdigit()) and not entry.startswith(("GPU-", "MIG-")):
            break
        entries.append(entry)
    return tuple(entries)


def select(library: NvmlLibrary, device: int | str, environment: Mapping[str, str]) -> Selection:
    """Find a GPU by CUDA ordinal (``int``) or by UUID, UUID prefix or MIG name (``str``).

    Raises GpuNotFound, also when an ordinal could mean another GPU to CUDA than to NVML.
    """
    try:
        if isinstance(device, str):
            return _by_name(library, device)
        entries = visible_devices(environment.get("CUDA_VISIBLE_DEVICES"))
        if entries is None:
            return _by_index(library, device, environment)
        if not 0 <= device < len(entries):
            raise GpuNotFound(
                f"CUDA device {device} is hidden: CUDA_VISIBLE_DEVICES shows {len(entries)}.",
                "Unset CUDA_VISIBLE_DEVICES, or name the GPU that is meant in it.",
            )
        entry = entries[device]
        if entry.isdigit():
            return _by_index(library, int(entry), environment)
        return _by_name(library, entry)
    except (NotGiven, CallFailed, GpuLost) as error:
        raise GpuNotFound(
            f"GPU {device} was not opened: {error.__cause__ or error}",
            "nvidia-smi -L lists the GPUs that can be used here.",
        ) from error


def _by_index(library: NvmlLibrary, index: int, environment: Mapping[str, str]) -> Selection:
    count = int(library.call("nvmlDeviceGetCount"))
    if not 0 <= index < count:
        raise GpuNotFound(
            f"There is no GPU {index}: NVML sees {count}.",
            "nvidia-smi -L lists the GPUs that can be used here.",
        )
    if environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID" and not _all_alike(library, count):
        # CUDA's default order puts the fastest first; NVML's order is that of the PCI bus.
        raise GpuNotFound(
            f"GPU {index} is ambiguous: the GPUs differ, and CUDA orders them by speed.",
            "Set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name the GPU by its UUID.",
        )
    return Selection(library.call("nvmlDeviceGetHandleByIndex", index))


def _by_name(library: NvmlLibrary, name: str) -> Selection:
    old = _OLD_MIG_NAME.match(name)
    if old is not None:
        return _mig_instance(library, _physical(library, old[1]), int(old[2]), int(old[3]))
    if name.startswith("MIG-"):
        instance = library.call("nvmlDeviceGetHandleByUUID", name)
        return Selection(
            library.call("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", instance), instance
        )
    return Selection(_physical(library, name))


def _physical(library: NvmlLibrary, prefix: str) -> Any:
    matches = []
    for index in range(int(library.call("nvmlDeviceGetCount"))):
        try:
            handle = library.call("nvmlDeviceGetHandleByIndex", index)
            uuid = as_text(library.call("nvmlDeviceGetUUID", handle)) or ""
        except NotGiven:
            # A container may list a GPU that it may not open.
            continue
        if uuid.lower().startswith(prefix.lower()):
            matches.append(handle)
    if len(matches) != 1:
        raise GpuNotFound(
            f"{len(matches)} GPUs have a UUID that begins with {prefix}.",
            "nvidia-smi -L lists the UUIDs.",
        )
    return matches[0]


def _mig_instance(library: NvmlLibrary, device: Any, gpu_instance: int, compute: int) -> Selection:
    for index in range(int(library.call("nvmlDeviceGetMaxMigDeviceCount", device))):
        try:
            instance = library.call("nvmlDeviceGetMigDeviceHandleByIndex", device, index)
            found = (
                int(library.call("nvmlDeviceGetGpuInstanceId", instance)),
                int(library.call("nvmlDeviceGetComputeInstanceId", instance)),
            )
        except NotGiven:
            continue
        if found == (gpu_instance, compute):
            return Selection(device, instance)
    raise GpuNotFound(
        f"The GPU has no MIG instance {gpu_instance}/{compute}.",
        "nvidia-smi -L lists the instances.",
    )


def _all_alike(library: NvmlLibrary, count: int) -> bool:
    names = set()
    for index in range(count):
        try:
            handle = library.call("nvmlDeviceGetHandleByIndex", index)
            names.add(as_text(library.call("nvmlDeviceGetName", handle)))
        except NotGiven:
            continue
    return len(names) <= 1
