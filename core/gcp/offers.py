"""Which machine carries which GPU.

Sources: "GPU machine types" (cloud.google.com/compute/docs/gpus) and "Accelerator-optimized machine
family" (cloud.google.com/compute/docs/accelerator-optimized-machines), as of 2026-11.
Whether a zone has them is no matter of a table: core.gcp.compute asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from core.text import harmless


class Objection(NamedTuple):
    """Why something cannot be, and what could."""

    sentence: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Gpu:
    """A model of GPU, by the name of its accelerator type."""

    name: str
    words: str
    most_vcpus: Mapping[int, int] = field(default_factory=dict)
    """Attached to an N1 machine: how many vCPUs that may have, by the number of GPUs."""
    machines: Mapping[str, int] = field(default_factory=dict)
    """Machine types that have it built in, and how many."""
    spot_only: frozenset[str] = frozenset()
    """Of ``machines``: only as spot (or by Google's queues, which this program does not use)."""
    metric: str = ""
    """Its quota, as ``Quota.metric`` of the Compute Engine API names it; empty where only Cloud
    Quotas shows it."""
    spot_metric: str = ""

    @property
    def is_attached(self) -> bool:
        """Put into a machine type that has none by itself."""
        return bool(self.most_vcpus)

    def counts(self) -> tuple[int, ...]:
        """How many of it a node can have."""
        return tuple(sorted({*self.most_vcpus, *self.machines.values()}))

    def machines_with(self, gpus: int) -> tuple[str, ...]:
        """The smallest machine types first that can have so many."""
        if most := self.most_vcpus.get(gpus):
            return tuple(f"n1-standard-{size}" for size in _N1_SIZES if size <= most)
        return tuple(machine for machine, count in self.machines.items() if count == gpus)


_N1_SIZES = (1, 2, 4, 8, 16, 32, 64, 96)
_N1 = re.compile(r"n1-(?:standard|highmem|highcpu)-(\d{1,3})")
# A custom machine's name has no family where that is N1.
_CUSTOM = re.compile(r"(?:n1-)?custom-(\d{1,3})-\d{1,7}(?:-ext)?")


GPUS: Mapping[str, Gpu] = MappingProxyType(
    {
        gpu.name: gpu
        for gpu in (
            Gpu(
                "nvidia-tesla-t4",
                "T4",
                {1: 48, 2: 48, 4: 96},
                metric="NVIDIA_T4_GPUS",
                spot_metric="PREEMPTIBLE_NVIDIA_T4_GPUS",
            ),
            Gpu(
                "nvidia-tesla-p4",
                "P4",
                {1: 24, 2: 48, 4: 96},
                metric="NVIDIA_P4_GPUS",
                spot_metric="PREEMPTIBLE_NVIDIA_P4_GPUS",
            ),
            Gpu(
                "nvidia-tesla-v100",
                "V100",
                {1: 12, 2: 24, 4: 48, 8: 96},
                metric="NVIDIA_V100_GPUS",
                spot_metric="PREEMPTIBLE_NVIDIA_V100_GPUS",
            ),
            # 4 x P100: 64 vCPUs in a few zones and 96 elsewhere; the zone's own answer decides.
            Gpu(
                "nvidia-tesla-p100",
                "P100",
                {1: 16, 2: 32, 4: 96},
                metric="NVIDIA_P100_GPUS",
                spot_metric="PREEMPTIBLE_NVIDIA_P100_GPUS",
            ),
            Gpu(
                "nvidia-l4",
                "L4",
                machines={
                    "g2-standard-4": 1,
                    "g2-standard-8": 1,
                    "g2-standard-12": 1,
                    "g2-standard-16": 1,
                    "g2-standard-32": 1,
                    "g2-standard-24": 2,
                    "g2-standard-48": 4,
                    "g2-standard-96": 8,
                },
                metric="NVIDIA_L4_GPUS",
                spot_metric="PREEMPTIBLE_NVIDIA_L4_GPUS",
            ),
            Gpu(
                "nvidia-tesla-a100",
                "A100 40 GB",
                machines={
                    "a2-highgpu-1g": 1,
                    "a2-highgpu-2g": 2,
                    "a2-highgpu-4g": 4,
                    "a2-highgpu-8g": 8,
                    "a2-megagpu-16g": 16,
                },
                metric="NVIDIA_A100_GPUS",
                spot_metric="PREEMPTIBLE_NVIDIA_A100_GPUS",
            ),
            Gpu(
                "nvidia-a100-80gb",
                "A100 80 GB",
                machines={
                    "a2-ultragpu-1g": 1,
                    "a2-ultragpu-2g": 2,
                    "a2-ultragpu-4g": 4,
                    "a2-ultragpu-8g": 8,
                },
                metric="NVIDIA_A100_80GB_GPUS",
                spot_metric="PREEMPTIBLE_NVIDIA_A100_80GB_GPUS",
            ),
            Gpu(
                "nvidia-h100-80gb",
                "H100 80 GB",
                machines={
                    "a3-highgpu-1g": 1,
                    "a3-highgpu-2g": 2,
                    "a3-highgpu-4g": 4,
                    "a3-highgpu-8g": 8,
                    "a3-edgegpu-8g": 8,
                },
                spot_only=frozenset({"a3-highgpu-1g", "a3-highgpu-2g", "a3-highgpu-4g"}),
                # On demand: GPUS_PER_GPU_FAMILY with a dimension, which regions.get lacks.
                spot_metric="PREEMPTIBLE_NVIDIA_H100_GPUS",
            ),
            Gpu("nvidia-h100-mega-80gb", "H100 80 GB Mega", machines={"a3-megagpu-8g": 8}),
            Gpu("nvidia-h200-141gb", "H200", machines={"a3-ultragpu-8g": 8}),
            Gpu("nvidia-b200", "B200", machines={"a4-highgpu-8g": 8}),
        )
    }
)
"""Every GPU that this program knows how to ask for, by accelerator type."""

_BUILT_IN: Mapping[str, Gpu] = MappingProxyType(
    {machine: gpu for gpu in GPUS.values() for machine in gpu.machines}
)


def n1_vcpus(machine: str) -> int | None:
    """Return the vCPUs of an N1 machine type; None where it is none."""
    found = _N1.fullmatch(machine) or _CUSTOM.fullmatch(machine)
    return int(found[1]) if found else None


def misfit(machine: str, gpu: str, gpus: int, *, spot: bool = False) -> Objection | None:
    """Return why a machine type cannot have so many of a GPU; None where nothing is known against
    it. A machine type without any GPU (``gpu`` empty) fits unless it has one built in.
    """
    built_in = _BUILT_IN.get(machine)
    if not gpu:
        return None if built_in is None else _unasked(machine, built_in)
    known = GPUS.get(gpu)
    if known is None:
        return Objection(
            f"{harmless(gpu)} is no GPU that this program knows.", f"Choose one of {_names()}."
        )
    if gpus not in known.counts():
        return Objection(
            f"A node has {_either(known.counts())} {known.words}, never {gpus}.",
            "Ask for one of these numbers of GPUs.",
        )
    if (objection := _wrong_machine(machine, known, gpus)) is not None:
        return objection
    if machine in known.spot_only and not spot:
        return Objection(
            f"Google gives {machine} only as spot.",
            "Ask for spot, or for a3-highgpu-8g with 8 GPUs.",
        )
    return None


def _wrong_machine(machine: str, gpu: Gpu, gpus: int) -> Objection | None:
    shown = harmless(machine)
    most = gpu.most_vcpus.get(gpus)
    if most is None:
        if gpu.machines.get(machine) == gpus:
            return None
        built_in = f"{gpus} x {gpu.words} built in" if machine in gpu.machines else gpu.words
        return Objection(
            f"The machine type {shown} does not have {built_in}.",
            f"Take {_either(gpu.machines_with(gpus))}.",
        )
    vcpus = n1_vcpus(machine)
    if vcpus is None:
        return Objection(
            f"{gpu.words} can only be attached to N1 machine types, and {shown} is none.",
            f"Take one of n1-standard-1 to n1-standard-{_largest(most)}.",
        )
    if vcpus > most:
        return Objection(
            f"{gpus} x {gpu.words} can have at most {most} vCPUs, and {shown} has {vcpus}.",
            f"Take n1-standard-{_largest(most)} or smaller, or more GPUs.",
        )
    return None


def not_offered(
    zone: str, gpu: str, gpus: int, offered: Mapping[str, Mapping[str, int]]
) -> Objection | None:
    """Return why a zone cannot give so many of a GPU to one machine; None where it can.

    Args:
        offered: by zone, the accelerator types with the most of each that a machine can have
            (core.gcp.compute.accelerators).
    """
    most = offered.get(zone, {}).get(gpu)
    # The number is about cards that are attached: a built-in one's may be less than it has.
    is_attached = gpu in GPUS and GPUS[gpu].is_attached
    if most is not None and (most >= gpus or not is_attached):
        return None
    region = zone.rpartition("-")[0]
    others = sorted(other for other, has in offered.items() if gpu in has and other != zone)
    others.sort(key=lambda other: other.rpartition("-")[0] != region)
    remedy = (
        f"Take another zone, such as {_either(others[:4])}."
        if others
        else "Take another GPU: no zone offers this one to the project."
    )
    return Objection(f"The zone {harmless(zone)} has no {gpus} x {harmless(gpu)} to offer.", remedy)


def _unasked(machine: str, gpu: Gpu) -> Objection:
    return Objection(
        f"The machine type {machine} has {gpu.machines[machine]} x {gpu.words} built in.",
        f"Ask for {gpu.name} with it, or take a machine type without GPUs, such as e2-standard-2.",
    )


def _largest(most_vcpus: int) -> int:
    return max(size for size in _N1_SIZES if size <= most_vcpus)


def _names() -> str:
    return ", ".join(GPUS)


def _either(choices: tuple[object, ...] | list[str]) -> str:
    words = [str(choice) for choice in choices]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
