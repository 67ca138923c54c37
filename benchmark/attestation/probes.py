"""The probes: each asks one kind of source and returns what it said as evidence.

None of them needs a privilege, and none raises: what went wrong is evidence too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from benchmark.attestation.cpuid import (
    CpuidLeaf,
    CpuidNotApplicableError,
    CpuidTrappedError,
    ReadCpuid,
)
from benchmark.attestation.model import Evidence, EvidenceStatus
from benchmark.attestation.redaction import redact_command_line

Run = Callable[[Sequence[str]], bytes]
"""Runs a command and gives its standard output. FileNotFoundError: there is no such command."""

READ_LIMIT: Final = 262_144
"""Bytes read of one file: enough for the first processor in /proc/cpuinfo and all mounts."""

COMMAND_TIMEOUT_SECONDS: Final = 15.0

FILES: Final = (
    "/sys/hypervisor/type",
    "/sys/hypervisor/version/major",
    "/sys/hypervisor/version/minor",
    "/sys/hypervisor/version/extra",
    "/sys/hypervisor/uuid",
    "/sys/hypervisor/guest_type",
    "/sys/hypervisor/properties/features",
    "/proc/xen/capabilities",
    "/sys/class/dmi/id/sys_vendor",
    "/sys/class/dmi/id/product_name",
    "/sys/class/dmi/id/product_version",
    "/sys/class/dmi/id/board_vendor",
    "/sys/class/dmi/id/bios_vendor",
    "/sys/class/dmi/id/bios_version",
    "/proc/device-tree/hypervisor/compatible",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    "/sys/devices/system/clocksource/clocksource0/available_clocksource",
    "/proc/self/cgroup",
)
"""Files whose whole text is evidence. DMI serial numbers and UUIDs are left alone on purpose."""

SIGNS_OF_A_CONTAINER: Final = (
    "/.dockerenv",
    "/run/.containerenv",
    "/var/run/secrets/kubernetes.io",
)
"""Paths whose existence says enough; their content may be secret and is not read."""

GUARDED: Final = (
    "/sys/hypervisor",
    "/sys/class/dmi",
    "/sys/devices/virtual/dmi",
    "/sys/devices/system/clocksource",
    "/proc/xen",
    "/proc/cpuinfo",
    "/proc/cmdline",
)
"""Where a mount could put somebody else's text in place of the kernel's."""

COMMANDS: Final = (
    ("systemd-detect-virt", "--vm"),
    ("systemd-detect-virt", "--container"),
    ("lscpu",),
)

KUBERNETES_VARIABLE: Final = "KUBERNETES_SERVICE_HOST"


def probe_files(root: Path) -> Iterator[Evidence]:
    """Read the files whose whole text is evidence."""
    for path in FILES:
        yield _read(root, path)


def probe_existence(root: Path) -> Iterator[Evidence]:
    """Look for what says enough by being there: container signs and /proc/xen."""
    for path in (*SIGNS_OF_A_CONTAINER, "/proc/xen"):
        yield _guarded(path, partial(_stat, root, path))


def probe_processor_flags(root: Path) -> Iterator[Evidence]:
    """Read the first processor's block of /proc/cpuinfo; the others repeat it."""

    def first_block(text: bytes) -> bytes:
        return text.partition(b"\n\n")[0] + b"\n"

    yield _read(root, "/proc/cpuinfo", first_block)


def probe_command_line(root: Path) -> Iterator[Evidence]:
    """Read the kernel command line, less what looks secret on it."""

    def without_secrets(text: bytes) -> bytes:
        return redact_command_line(text.decode("utf-8", "backslashreplace")).encode()

    yield _read(root, "/proc/cmdline", without_secrets)


def probe_mounts(root: Path) -> Iterator[Evidence]:
    """Read which filesystem lies under each path that the other probes trust.

    Of each line only the part up to the filesystem type is kept: what follows names the host's
    directories.
    """

    def relevant(text: bytes) -> bytes:
        kept = []
        for line in text.decode("utf-8", "backslashreplace").splitlines():
            before, separator, after = line.partition(" - ")
            columns = before.split(" ")
            if separator and len(columns) > 4 and _covers_guarded(columns[4]):
                kept.append(f"{before} - {after.partition(' ')[0]}\n")
        return "".join(kept).encode()

    yield _read(root, "/proc/self/mountinfo", relevant)


def probe_environment(environment: Mapping[str, str]) -> Iterator[Evidence]:
    """Look whether Kubernetes' variable is set; its value is not kept."""
    is_set = KUBERNETES_VARIABLE in environment
    status = EvidenceStatus.PRESENT if is_set else EvidenceStatus.ABSENT
    yield Evidence.of(f"environment {KUBERNETES_VARIABLE}", status, "set" if is_set else "not set")


def probe_commands(run: Run) -> Iterator[Evidence]:
    """Ask the tools that come with most systems; they are derived evidence and decide nothing."""
    for command in COMMANDS:
        yield _guarded(" ".join(command), partial(run, command))


def probe_processor(cpuid: ReadCpuid) -> Iterator[Evidence]:
    """Ask the processor, plainly and in the form that only Xen answers."""
    for prefix, forced in (("cpuid", False), ("cpuid forced", True)):
        try:
            pieces = tuple(_leaf_evidence(prefix, leaf) for leaf in cpuid(forced=forced))
        except (CpuidNotApplicableError, CpuidTrappedError) as error:
            yield Evidence.of(prefix, EvidenceStatus.ABSENT, str(error))
        except Exception as error:  # whatever an injected reader raises is evidence
            yield _failure(prefix, error)
        else:
            yield from pieces


def probe_nvml(virtualization: str | None) -> Iterator[Evidence]:
    """Record the GPU's virtualization mode, which the caller asked NVML for."""
    if virtualization is None:
        yield Evidence.of("nvml virtualization mode", EvidenceStatus.ABSENT, "not given")
    else:
        yield Evidence.of("nvml virtualization mode", EvidenceStatus.PRESENT, virtualization)


def run_command(command: Sequence[str]) -> bytes:
    """Run a command with a fixed search path and the C locale, and give its standard output.

    The exit code is passed over where there is output: systemd-detect-virt exits with 1 when it
    prints "none". Errors: FileNotFoundError, PermissionError, OSError, subprocess.SubprocessError.
    """
    import subprocess

    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    ended = subprocess.run(
        list(command),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={"PATH": path, "LC_ALL": "C"},
        timeout=COMMAND_TIMEOUT_SECONDS,
        check=False,
    )
    if ended.returncode != 0 and not ended.stdout:
        raise subprocess.CalledProcessError(ended.returncode, list(command))
    return ended.stdout


def _read(root: Path, path: str, select: Callable[[bytes], bytes] = bytes) -> Evidence:
    def read() -> bytes:
        with _inside(root, path).open("rb") as file:
            return select(file.read(READ_LIMIT))

    return _guarded(path, read)


def _stat(root: Path, path: str) -> str:
    _inside(root, path).lstat()
    return "exists"


def _inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _guarded(source: str, ask: Callable[[], bytes | str]) -> Evidence:
    try:
        return Evidence.of(source, EvidenceStatus.PRESENT, ask())
    except (FileNotFoundError, NotADirectoryError):
        return Evidence.of(source, EvidenceStatus.ABSENT, "does not exist")
    except PermissionError as error:
        return Evidence.of(source, EvidenceStatus.UNREADABLE, error.strerror or "no permission")
    except Exception as error:  # a probe never raises: what went wrong is evidence
        return _failure(source, error)


def _failure(source: str, error: Exception) -> Evidence:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return Evidence.of(source, EvidenceStatus.FAILED, f"{type(error).__name__}: {reason}")


def _covers_guarded(mount_point: str) -> bool:
    point = mount_point.rstrip("/")
    return any(
        guarded == point or guarded.startswith(f"{point}/") or point.startswith(f"{guarded}/")
        for guarded in GUARDED
    )


def _leaf_evidence(prefix: str, leaf: CpuidLeaf) -> Evidence:
    text = leaf.registers
    if leaf.leaf >= 0x40000000 and leaf.leaf % 0x100 == 0:
        text += f' "{leaf.signature}"'
    return Evidence.of(f"{prefix} 0x{leaf.leaf:08x}", EvidenceStatus.PRESENT, text)
