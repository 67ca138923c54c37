"""A node with a Tesla T4 that was never there: what a result says of the machine it ran on."""

from __future__ import annotations

from functools import cache
from typing import Any

from benchmark.attestation import Attestation, classify
from benchmark.attestation.model import Evidence, Hypervisor
from benchmark.configuration import Configuration
from benchmark.environment import CpuInfo, Environment
from benchmark.plan import Allocator, Execution, MemoryFormat, Precision
from benchmark.telemetry.model import GpuIdentity, Statistics, TelemetrySummary
from tests.benchmark.attestation.constructed import (
    BIT_CLEAR,
    BIT_SET,
    VENDOR,
    hvm_guest,
    pv_guest,
    said,
    spelled,
)

BOOT = "5b0d1a9e-7c1f-4f6b-9a51-1f1f7a0c9d11"
_OF_A_LAYER = "00000000-0000-4000-8000-00000000000"
DURATION_S = 20.0
"""LoadGen's timed part of a measurement."""


def boot_of(hypervisor: Hypervisor) -> str:
    """Return the boot of the kernel that runs under this layer: another one under each."""
    if hypervisor is Hypervisor.BARE_METAL:
        return BOOT
    return f"{_OF_A_LAYER}{list(Hypervisor).index(hypervisor)}"


@cache
def attested(hypervisor: Hypervisor) -> Attestation:
    """Return what is concluded from evidence of a machine of this kind."""
    return classify(evidence_of(hypervisor))


def evidence_of(hypervisor: Hypervisor) -> list[Evidence]:
    """Return made-up evidence of a machine of this kind."""
    known: dict[Hypervisor, list[Evidence]] = {
        Hypervisor.BARE_METAL: [said("cpuid 0x00000001", BIT_CLEAR), said(VENDOR, "Dell Inc.\n")],
        Hypervisor.KVM: [
            said("cpuid 0x00000001", BIT_SET),
            spelled("KVMKVMKVM"),
            said(VENDOR, "QEMU\n"),
        ],
        Hypervisor.OTHER: [said("cpuid 0x00000001", BIT_SET), spelled("VMwareVMware")],
        Hypervisor.XEN_PV: pv_guest(),
        Hypervisor.XEN_HVM: hvm_guest(),
        Hypervisor.UNKNOWN: [],
    }
    return known[hypervisor]


def identity(**changes: Any) -> GpuIdentity:
    """Return a T4 as NVML describes it, every hard key known."""
    values: dict[str, Any] = {
        "index": 0,
        "name": "Tesla T4",
        "uuid": "GPU-8f6b1c1e-0000-4000-8000-000000000001",
        "compute_capability": "7.5",
        "vbios_version": "90.04.A7.00.01",
        "driver_version": "550.90.07",
        "cuda_driver_version": "12.4",
        "ecc_mode": True,
        "mig_mode": False,
        "persistence_mode": True,
        "compute_mode": "DEFAULT",
        "enforced_power_limit_watts": 70.0,
        "default_power_limit_watts": 70.0,
        "application_graphics_clock_mhz": 585,
        "application_memory_clock_mhz": 5001,
        # Idle, and therefore slow: what counts is the telemetry's.
        "pcie_generation": 1,
        "pcie_generation_maximum": 3,
        "pcie_width": 16,
        "pcie_width_maximum": 16,
        "total_memory_bytes": 15 * 2**30,
    }
    return GpuIdentity(**{**values, **changes})


def environment(**changes: Any) -> Environment:
    """Return a node with a T4. ``cpu`` takes changes of the CPU's fields."""
    cpu: dict[str, Any] = {
        "model": "Intel(R) Xeon(R) CPU @ 2.00GHz",
        "architecture": "x86_64",
        "count": 4,
        "usable": 4,
        "governor": "performance",
        "microcode": "0xffffffff",
        "mitigations": {"spectre_v2": "Mitigation: Retpolines"},
        "smt": "on",
    }
    values: dict[str, Any] = {
        "hostname": "node",
        "kernel": "Linux 6.1.0",
        "operating_system": "Container-Optimized OS",
        "boot_id": BOOT,
        "python": "3.11.7",
        "torch": "2.10.0+cu128",
        "torch_build": "built with care",
        "torchvision": "0.25.0",
        "loadgen": "6.0.17",
        "cuda": "12.8",
        "cudnn": "91002",
        "gpu": "Tesla T4",
        "compute_capability": "7.5",
        "gpu_memory_bytes": 15 * 2**30,
        "memory_bytes": 15 * 2**30,
        "container_image": "registry.example/benchmark@sha256:" + "a" * 64,
        "cpu_library": "AVX512",
    }
    values["cpu"] = CpuInfo(**{**cpu, **changes.pop("cpu", {})})
    return Environment(**{**values, **changes})


def configuration(**changes: Any) -> Configuration:
    """Return what the reference profile means on a T4."""
    values: dict[str, Any] = {
        "device": "cuda:0",
        "precision": Precision.FP16,
        "memory_format": MemoryFormat.CHANNELS_LAST,
        "execution": Execution.GRAPH,
        "allocator": Allocator.SYSTEM,
        "threads": 4,
    }
    return Configuration(**{**values, **changes})


def telemetry(**changes: Any) -> TelemetrySummary:
    """Return a quiet recording of a GPU under load."""
    values: dict[str, Any] = {
        "duration_s": DURATION_S,
        "gpu_sample_count": 100,
        "host_sample_count": 100,
        "pcie_generation": steady(3),
        "pcie_width": steady(16),
        "sm_clock_mhz": steady(1590),
        "ecc_uncorrected": 0,
        "throttle_reason_samples": {},
    }
    return TelemetrySummary(**{**values, **changes})


def steady(value: float) -> Statistics:
    """Return the statistics of readings that were all the same."""
    return Statistics(count=100, minimum=value, median=value, mean=value, maximum=value, last=value)
