"""Resolves a plan's ``auto`` settings to what this machine really runs, once per session."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Annotated

from pydantic import Field

from benchmark.errors import PlanError
from benchmark.plan import Allocator, Execution, MemoryFormat, Plan, Precision
from benchmark.validation import Record


class Hardware(Record):
    """What decides the configuration: the device's and the CPU's abilities."""

    cuda_devices: tuple[tuple[int, int], ...] = ()
    """Compute capability (major, minor) of each CUDA device that torch can use."""
    cpu_flags: frozenset[str] = frozenset()
    usable_cpus: Annotated[int, Field(ge=1)] = 1
    cxx_compiler: str | None = None
    """Path of a C++ compiler, which Inductor needs for a CPU."""
    glibc: bool = True
    python_runs_torchscript: bool = True
    openmp_wait_policy: str | None = None


class Configuration(Record):
    """One honest configuration: every field is a hard key of a comparison (DESIGN.md section 6)."""

    device: str
    """``cpu`` or ``cuda:N``."""
    precision: Precision
    memory_format: MemoryFormat
    execution: Execution
    """The plan's own path; a measurement may name another."""
    allocator: Allocator
    threads: int
    flush_denormal: bool = True
    openmp_wait_policy: str | None = None
    """``OMP_WAIT_POLICY`` as the measuring processes have it; it decides the CPU's batch 1."""

    @property
    def on_gpu(self) -> bool:
        return self.device.startswith("cuda")


# Zen 3 and older x86 emulate bf16 and are seven times slower with it than with fp32 (seen:
# EPYC 7003, ResNet-50 batch 8, 1.7 against 13.6 samples/s), so only native units count.
_NATIVE_BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})


def detect_hardware() -> Hardware:
    """Look at this machine. Imports torch."""
    import torch

    capabilities: tuple[tuple[int, int], ...] = ()
    if torch.cuda.is_available():
        capabilities = tuple(
            torch.cuda.get_device_capability(index) for index in range(torch.cuda.device_count())
        )
    return Hardware(
        cuda_devices=capabilities,
        cpu_flags=cpu_flags(Path("/proc/cpuinfo")),
        usable_cpus=usable_cpu_count(),
        cxx_compiler=os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++"),
        glibc=platform.libc_ver()[0] == "glibc",
        # torch says that TorchScript is not supported from Python 3.14 on.
        python_runs_torchscript=sys.version_info < (3, 14),
        openmp_wait_policy=os.environ.get("OMP_WAIT_POLICY"),
    )


def usable_cpu_count() -> int:
    """Return how many CPUs this process may run on (affinity, not the machine's total)."""
    return len(os.sched_getaffinity(0))


def cpu_flags(cpuinfo: Path) -> frozenset[str]:
    """Return the first CPU's feature flags; empty where the kernel does not tell."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def resolve(plan: Plan, hardware: Hardware) -> Configuration:
    """Return what ``plan`` means on ``hardware``.

    Raises:
        PlanError: the plan asks for what this machine cannot do.
    """
    device = _device(plan.device, hardware)
    on_gpu = device != "cpu"
    precision = _precision(plan.precision, device, hardware)
    for execution in {plan.execution, *(m.execution for m in plan.measurements())}:
        resolve_execution(execution, on_gpu, hardware)
    if not on_gpu and not all(m.host_to_device for m in plan.measurements()):
        raise PlanError(
            "The plan measures without host-to-device copies, which a CPU does not have.",
            "Remove host_to_device = [false] or run on a GPU.",
        )
    memory_format = plan.memory_format
    if memory_format is MemoryFormat.AUTO:
        memory_format = MemoryFormat.CHANNELS_LAST
    allocator = plan.allocator
    if allocator is Allocator.AUTO:
        allocator = Allocator.RETAIN if hardware.glibc and not on_gpu else Allocator.SYSTEM
    return Configuration(
        device=device,
        precision=precision,
        memory_format=memory_format,
        execution=resolve_execution(plan.execution, on_gpu, hardware),
        allocator=allocator,
        threads=plan.threads or hardware.usable_cpus,
        openmp_wait_policy=hardware.openmp_wait_policy,
    )


def resolve_execution(execution: Execution, on_gpu: bool, hardware: Hardware) -> Execution:
    """Return the execution path that ``execution`` means here.

    Raises:
        PlanError: the path does not exist on this device or lacks its compiler.
    """
    if execution is Execution.AUTO:
        if on_gpu:
            return Execution.GRAPH
        if hardware.cxx_compiler:
            return Execution.COMPILE
        return Execution.JIT if hardware.python_runs_torchscript else Execution.EAGER
    if execution is Execution.GRAPH and not on_gpu:
        raise PlanError(
            "Execution path 'graph' needs a CUDA device.", "Use eager, jit, compile or auto."
        )
    if execution is Execution.JIT and on_gpu:
        raise PlanError("Execution path 'jit' is for a CPU.", "Use eager, graph, compile or auto.")
    if execution is Execution.JIT and not hardware.python_runs_torchscript:
        raise PlanError(
            "Execution path 'jit' needs TorchScript, which torch does not support on this Python.",
            "Use Python 3.13 or older, or eager, compile or auto.",
        )
    if execution is Execution.COMPILE and not on_gpu and not hardware.cxx_compiler:
        raise PlanError(
            "Execution path 'compile' needs a C++ compiler, and none was found.",
            "Install g++ or clang++, or use execution 'jit'.",
        )
    return execution


def _device(wanted: str, hardware: Hardware) -> str:
    if wanted == "auto":
        return "cuda:0" if hardware.cuda_devices else "cpu"
    if wanted == "cpu":
        return wanted
    index = int(wanted.partition(":")[2] or 0)
    if index >= len(hardware.cuda_devices):
        raise PlanError(
            f"Device {wanted} was asked for, and torch sees {len(hardware.cuda_devices)} "
            "CUDA device(s).",
            "Check nvidia-smi and that torch is a CUDA build, or use device 'cpu'.",
        )
    return f"cuda:{index}"


def _precision(wanted: Precision, device: str, hardware: Hardware) -> Precision:
    native_bf16 = bool(_NATIVE_BF16_FLAGS & hardware.cpu_flags)
    if device == "cpu":
        if wanted is Precision.AUTO:
            return Precision.BF16 if native_bf16 else Precision.FP32
        if wanted in (Precision.TF32, Precision.FP16):
            raise PlanError(f"Precision {wanted} needs a GPU.", "Use fp32, bf16 or auto.")
        return wanted
    capability = hardware.cuda_devices[int(device.partition(":")[2])]
    if wanted is Precision.AUTO:
        return Precision.FP16 if capability >= (7, 0) else Precision.FP32
    if wanted in (Precision.TF32, Precision.BF16) and capability < (8, 0):
        raise PlanError(
            f"Precision {wanted} needs compute capability 8.0, and {device} has "
            f"{capability[0]}.{capability[1]}.",
            "Use fp16, fp32 or auto.",
        )
    return wanted
