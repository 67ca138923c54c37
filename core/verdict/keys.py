"""The hard keys: what must be the same in both legs, or else not the layer alone was changed.

The list is that of DESIGN.md section 6. Each value is one line of text, for it is compared as it is
shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from benchmark.results import Result
from benchmark.telemetry import GpuIdentity

Reader = Callable[[Result], object]


@dataclass(frozen=True, slots=True)
class HardKey:
    """One thing that must be the same."""

    name: str
    """What ``--allow`` takes."""
    what: str
    """What it is called in a sentence: ``The driver``."""
    read: Reader
    """Its value in a result; None: not known, or not set."""
    gpu_only: bool = False
    """Whether only a result of a GPU has it."""

    def value(self, result: Result) -> str | None:
        """Return the value as text; None: not known."""
        found = self.read(result)
        return None if found is None else str(found)


def _identity(read: Callable[[GpuIdentity], object]) -> Reader:
    return lambda result: read(result.gpu) if result.gpu is not None else None


def _clocks(gpu: GpuIdentity) -> str | None:
    graphics, memory = gpu.application_graphics_clock_mhz, gpu.application_memory_clock_mhz
    return _joined((graphics, "graphics {} MHz"), (memory, "memory {} MHz"))


def _power_limit(gpu: GpuIdentity) -> str | None:
    limit = gpu.enforced_power_limit_watts
    return None if limit is None else f"{limit:g} W"


def _switch(value: bool | None) -> str | None:
    return None if value is None else "on" if value else "off"


def _uuid(gpu: GpuIdentity) -> str | None:
    return _joined((gpu.uuid, "{}"), (gpu.mig_uuid, "{}"))


def _pcie(result: Result) -> str | None:
    """Return the link under load: an idle GPU slows it down, so the identity's says nothing."""
    summaries = [entry.telemetry for entry in result.benchmarks if entry.telemetry is not None]
    fastest = _largest(each.pcie_generation.maximum for each in summaries if each.pcie_generation)
    widest = _largest(each.pcie_width.maximum for each in summaries if each.pcie_width)
    return _joined((fastest, "generation {:g}"), (widest, "x{:g}"))


def _largest(values: Iterable[float]) -> float | None:
    return max(values, default=None)


def _joined(*parts: tuple[Any, str]) -> str | None:
    known = [form.format(value) for value, form in parts if value is not None]
    return ", ".join(known) or None


def _cpus(result: Result) -> str:
    cpu = result.environment.cpu
    return f"{cpu.count}" if cpu.usable == cpu.count else f"{cpu.usable} of {cpu.count}"


def _torch(result: Result) -> str:
    found = result.environment
    return f"torch {found.torch}, torchvision {found.torchvision}"


SETUP_KEYS: tuple[HardKey, ...] = (
    HardKey("device", "The device", lambda result: result.device),
    HardKey("gpu", "The GPU", lambda result: result.environment.gpu, True),
    HardKey("gpu_uuid", "The GPU's UUID", _identity(_uuid), True),
    HardKey("vbios", "The GPU's VBIOS", _identity(lambda gpu: gpu.vbios_version), True),
    HardKey("driver", "The GPU's driver", _identity(lambda gpu: gpu.driver_version), True),
    HardKey("cuda", "The CUDA version", lambda result: result.environment.cuda, True),
    HardKey("cudnn", "The cuDNN version", lambda result: result.environment.cudnn, True),
    HardKey("mig", "MIG", _identity(lambda gpu: _switch(gpu.mig_mode)), True),
    HardKey("ecc", "The GPU memory's ECC", _identity(lambda gpu: _switch(gpu.ecc_mode)), True),
    HardKey("power_limit", "The GPU's power limit", _identity(_power_limit), True),
    HardKey("clocks", "The GPU's application clocks", _identity(_clocks), True),
    HardKey("pcie", "The PCIe link under load", _pcie, True),
    HardKey("cpu", "The CPU", lambda result: result.environment.cpu.model),
    HardKey("cpus", "The number of CPUs", _cpus),
    HardKey("torch", "PyTorch", _torch),
    HardKey("image", "The container image", lambda result: result.environment.container_image),
    HardKey("precision", "The precision", lambda result: result.configuration.precision),
    HardKey(
        "memory_format", "The memory format", lambda result: result.configuration.memory_format
    ),
    HardKey("execution", "The execution path", lambda result: result.configuration.execution),
    HardKey("allocator", "The allocator", lambda result: result.configuration.allocator),
    HardKey("threads", "The number of threads", lambda result: result.configuration.threads),
    HardKey(
        "denormals",
        "Flushing of denormal numbers",
        lambda result: _switch(result.configuration.flush_denormal),
    ),
    HardKey(
        "wait_policy", "OMP_WAIT_POLICY", lambda result: result.configuration.openmp_wait_policy
    ),
    HardKey("weights", "The weights' hash", lambda result: result.weights.sha256),
)
"""What one value of a result decides."""

OTHER_KEYS = {
    "plan": "what is measured",
    "arrival_rates": "the load of Server",
    "leg": "runs of different legs pooled into one",
    "order": "the baseline given as the second leg",
    "same_run": "one run, or its raw latencies, in two places",
    "overlap": "both legs measured at the same time on the same device",
    "attestation": "which layer each leg ran under is not proved",
    "layer": "both legs under the same layer, or one leg under several",
    "raw": "raw latencies that contradict the result file",
    "void": "more than a fifth of a measurement's blocks are void",
    "blocks": "too few good blocks",
}
"""What takes more than one value to decide, with what is wrong."""

KEYS: tuple[str, ...] = (*(key.name for key in SETUP_KEYS), *OTHER_KEYS)
"""Every key that a refusal can have, and all that ``--allow`` takes."""
