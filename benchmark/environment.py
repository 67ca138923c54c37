"""The machine and the software a measurement ran on; null where it cannot be known."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import Field

from benchmark.configuration import Configuration
from benchmark.validation import Record


class CpuInfo(Record):
    """The processor as the kernel shows it."""

    model: str | None
    architecture: str
    count: int
    """CPUs of the machine."""
    usable: int
    """CPUs this process may run on."""
    governor: str | None
    microcode: str | None
    mitigations: dict[str, str] = Field(default_factory=dict)
    smt: str | None = None


class GpuInfo(Record):
    """The seed's ``gpu_info``. Without a GPU ``name`` says that it is the CPU."""

    name: str
    cuda_version: str | None
    total_memory_gb: float | None


class Environment(Record):
    """Software versions and the machine, beside the device."""

    hostname: str
    kernel: str
    operating_system: str | None
    boot_id: str | None
    python: str
    torch: str
    torch_build: str
    """torch's own description of how it was built."""
    torchvision: str
    loadgen: str
    cuda: str | None
    cudnn: str | None
    gpu: str | None
    compute_capability: str | None
    gpu_memory_bytes: int | None
    cpu: CpuInfo
    memory_bytes: int | None
    container_image: str | None
    """``GPUBENCH_IMAGE``, which the job sets to the image's digest; null outside a container."""
    cpu_library: str | None = None
    """The instruction set that torch's CPU kernels chose."""


def collect_environment(configuration: Configuration) -> Environment:
    """Gather the environment. Imports torch."""
    import torch

    properties = (
        torch.cuda.get_device_properties(configuration.device) if configuration.on_gpu else None
    )
    cudnn = torch.backends.cudnn.version() if configuration.on_gpu else None
    return Environment(
        hostname=platform.node(),
        kernel=f"{platform.system()} {platform.release()} {platform.version()}",
        operating_system=_operating_system(),
        boot_id=_first_line(Path("/proc/sys/kernel/random/boot_id")),
        python=platform.python_version(),
        torch=torch.__version__,
        torch_build=torch.__config__.show().strip(),
        torchvision=_version("torchvision") or "unknown",
        loadgen=_version("mlcommons-loadgen") or "unknown",
        cuda=torch.version.cuda,
        cudnn=str(cudnn) if cudnn else None,
        gpu=properties.name if properties else None,
        compute_capability=f"{properties.major}.{properties.minor}" if properties else None,
        gpu_memory_bytes=properties.total_memory if properties else None,
        cpu=collect_cpu(),
        memory_bytes=_memory_bytes(),
        container_image=os.environ.get("GPUBENCH_IMAGE") or None,
        cpu_library=torch.backends.cpu.get_cpu_capability(),
    )


def gpu_info(environment: Environment) -> GpuInfo:
    """Return the seed's three fields."""
    if environment.gpu is None:
        return GpuInfo(
            name=f"no GPU: measured on the CPU, {environment.cpu.model or 'model unknown'}",
            cuda_version=None,
            total_memory_gb=None,
        )
    memory = environment.gpu_memory_bytes
    return GpuInfo(
        name=environment.gpu,
        cuda_version=environment.cuda,
        total_memory_gb=round(memory / 2**30, 2) if memory else None,
    )


def collect_cpu(root: Path = Path("/")) -> CpuInfo:
    """Read the processor's identity from /proc and /sys under ``root``."""
    cpuinfo = _cpuinfo(root / "proc/cpuinfo")
    system = root / "sys/devices/system/cpu"
    vulnerabilities = system / "vulnerabilities"
    mitigations = {}
    if vulnerabilities.is_dir():
        for entry in sorted(vulnerabilities.iterdir()):
            if line := _first_line(entry):
                mitigations[entry.name] = line
    return CpuInfo(
        model=cpuinfo.get("model name") or cpuinfo.get("Model") or cpuinfo.get("CPU part"),
        architecture=platform.machine(),
        count=os.cpu_count() or 1,
        usable=len(os.sched_getaffinity(0)),
        governor=_first_line(system / "cpu0/cpufreq/scaling_governor"),
        microcode=cpuinfo.get("microcode"),
        mitigations=mitigations,
        smt=_first_line(system / "smt/control"),
    )


def _cpuinfo(path: Path) -> dict[str, str]:
    """Return the first CPU's block of /proc/cpuinfo."""
    block: dict[str, str] = {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return block
    for line in text.splitlines():
        name, separator, value = line.partition(":")
        if separator:
            block.setdefault(name.strip(), value.strip())
    return block


def _first_line(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    return text.splitlines()[0] if text else None


def _operating_system() -> str | None:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
