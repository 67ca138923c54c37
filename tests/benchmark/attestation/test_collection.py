"""Collecting on real and on hostile machines."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmark.attestation import Evidence, Hypervisor, collect
from benchmark.attestation.cpuid import (
    CpuidLeaf,
    CpuidNotApplicableError,
    CpuidTrappedError,
    read_cpuid,
)
from benchmark.attestation.model import TEXT_LIMIT, Attestation, EvidenceStatus

REPOSITORY = Path(__file__).parents[3]
x86_only = pytest.mark.skipif(platform.machine() != "x86_64", reason="needs CPUID")


def no_command(command: Sequence[str]) -> bytes:
    raise FileNotFoundError(command[0])


def no_cpuid(*, forced: bool) -> tuple[CpuidLeaf, ...]:
    raise CpuidNotApplicableError("not applicable: the processor is made up")


def attest(root: Path, **environment: str) -> Attestation:
    return collect(root=root, run=no_command, cpuid=no_cpuid, environment=environment)


def put(root: Path, path: str, content: bytes) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def piece(attestation: Attestation, source: str) -> Evidence:
    (found,) = (piece for piece in attestation.evidence if piece.source == source)
    return found


def test_collecting_on_this_machine_works_within_five_seconds() -> None:
    seconds = []
    # This machine is shared: the best of some times counts.
    while len(seconds) < 3 and (not seconds or min(seconds) >= 5):
        started = time.monotonic()
        attestation = collect()
        seconds.append(time.monotonic() - started)

    assert min(seconds) < 5
    assert attestation.explanation
    assert Attestation.model_validate_json(attestation.model_dump_json()) == attestation


@x86_only
def test_the_processor_answers_on_this_machine() -> None:
    leaves = {leaf.leaf: leaf for leaf in read_cpuid(forced=False)}

    assert {1, 0x40000000, 0x40000001} <= set(leaves)
    assert leaves[1].eax != 0


@x86_only
def test_a_refused_instruction_kills_only_a_child_process() -> None:
    before = signal.getsignal(signal.SIGILL)
    threads = threading.active_count()

    try:
        leaves = read_cpuid(forced=True)
    except CpuidTrappedError:
        assert not Path("/proc/xen").exists() or collect().hypervisor is not Hypervisor.XEN_PV
    else:
        assert any(leaf.signature == "XenVMMXenVMM" for leaf in leaves)

    assert signal.getsignal(signal.SIGILL) == before
    assert threading.active_count() == threads
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@x86_only
def test_the_child_leaves_no_core_dump_behind(tmp_path: Path) -> None:
    child = REPOSITORY / "benchmark" / "attestation" / "cpuid_child.py"

    subprocess.run(
        ["sh", "-c", f'ulimit -c unlimited; "{sys.executable}" -I -S "{child}" forced'],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )

    assert list(tmp_path.iterdir()) == []


def test_an_empty_machine_is_unknown_and_every_source_absent(tmp_path: Path) -> None:
    attestation = attest(tmp_path)

    assert attestation.hypervisor is Hypervisor.UNKNOWN
    assert {piece.status for piece in attestation.evidence} == {EvidenceStatus.ABSENT}


def test_whatever_a_probe_raises_becomes_evidence(tmp_path: Path) -> None:
    def failing_run(command: Sequence[str]) -> bytes:
        if command[0] == "lscpu":
            raise PermissionError(13, "Permission denied")
        raise RuntimeError("out of order")

    def failing_cpuid(*, forced: bool) -> tuple[CpuidLeaf, ...]:
        raise ZeroDivisionError("a surprise")

    (tmp_path / "sys" / "hypervisor" / "type").mkdir(parents=True)
    put(tmp_path, "/proc/xen", b"a file where a directory belongs")

    attestation = collect(root=tmp_path, run=failing_run, cpuid=failing_cpuid, environment={})

    assert piece(attestation, "lscpu").status is EvidenceStatus.UNREADABLE
    assert piece(attestation, "systemd-detect-virt --vm").status is EvidenceStatus.FAILED
    assert piece(attestation, "systemd-detect-virt --vm").text == "RuntimeError: out of order"
    assert piece(attestation, "cpuid").status is EvidenceStatus.FAILED
    assert piece(attestation, "/sys/hypervisor/type").status is EvidenceStatus.FAILED
    assert piece(attestation, "/proc/xen/capabilities").status is EvidenceStatus.ABSENT


def test_a_file_without_permission_is_unreadable_and_not_absent() -> None:
    # The superuser may read everything, so a child process gives its rights up first.
    code = (
        "import os, sys; from pathlib import Path\n"
        "from benchmark.attestation.probes import probe_files\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "pieces = {p.source: p for p in probe_files(Path(sys.argv[1]))}\n"
        "print(pieces['/proc/xen/capabilities'].status.value)"
    )
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        root.chmod(0o755)
        put(root, "/proc/xen/capabilities", b"control_d\n")
        (root / "proc/xen/capabilities").chmod(0)
        ended = subprocess.run(
            [sys.executable, "-c", code, directory],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )

    assert ended.stdout == "unreadable\n"


def test_undecodable_bytes_are_escaped_and_long_text_is_cut_and_marked(tmp_path: Path) -> None:
    put(tmp_path, "/sys/class/dmi/id/sys_vendor", b"caf\xe9 \xff\n")
    put(tmp_path, "/sys/class/dmi/id/product_name", b"x" * 1_000_000)

    attestation = attest(tmp_path)

    assert piece(attestation, "/sys/class/dmi/id/sys_vendor").text == "caf\\xe9 \\xff\n"
    cut = piece(attestation, "/sys/class/dmi/id/product_name")
    assert (len(cut.text), cut.truncated) == (TEXT_LIMIT, True)


def test_only_the_first_processor_is_kept(tmp_path: Path) -> None:
    block = b"processor\t: %d\nflags\t\t: fpu hypervisor\n\n"
    put(tmp_path, "/proc/cpuinfo", b"".join(block % number for number in range(256)))

    kept = piece(attest(tmp_path), "/proc/cpuinfo")

    assert kept.text == "processor\t: 0\nflags\t\t: fpu hypervisor\n"
    assert not kept.truncated


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("root=UUID=56f398e0-1e25-4fda-aa9f-611dece4b333 ro quiet", None),
        ("xen_nopv iommu=pt mitigations=auto,nosmt console=hvc0", None),
        ("token=abc ro", "token=[redacted] ro"),
        ('wifi.psk="two words" ro', "wifi.psk=[redacted] ro"),
        ("Root_Password=hunter2", "Root_Password=[redacted]"),
        ("init.opts=user=a,password=b", "init.opts=[redacted]"),
        ("ks=https://ann:pw@host/k.cfg?sig=1", "ks=https://[redacted]@host/k.cfg?[redacted]"),
        ("agent --token s3cret ro", "agent --token [redacted] ro"),
        ("ro -- --addr 0.0.0.0 --key k", "ro -- [redacted]\n"),
        ("boot.blob=QWxhZGRpbjpvcGVuIHNlc2FtZQ1234", "boot.blob=[redacted]"),
    ],
)
def test_secrets_on_the_kernel_command_line_are_redacted(
    tmp_path: Path, words: str, kept: str | None
) -> None:
    put(tmp_path, "/proc/cmdline", words.encode())

    assert piece(attest(tmp_path), "/proc/cmdline").text == (kept or words)


def test_values_that_may_be_secret_are_not_read_at_all(tmp_path: Path) -> None:
    put(tmp_path, "/var/run/secrets/kubernetes.io/serviceaccount/token", b"SECRET-TOKEN")
    put(tmp_path, "/.dockerenv", b"SECRET-FILE")

    attestation = attest(tmp_path, KUBERNETES_SERVICE_HOST="SECRET-ADDRESS")

    assert attestation.container == "kubernetes"
    assert "SECRET" not in attestation.model_dump_json()


def test_mounts_are_kept_without_the_hosts_directories(tmp_path: Path) -> None:
    put(
        tmp_path,
        "/proc/self/mountinfo",
        b"1 0 0:1 / / rw - overlay overlay rw,lowerdir=/var/lib/docker/SECRET\n"
        b"2 1 0:2 / /sys ro - sysfs sysfs ro\n"
        b"3 1 8:1 /home/ann /mnt/private rw - ext4 /dev/sda1 rw\n",
    )

    text = piece(attest(tmp_path), "/proc/self/mountinfo").text

    assert text == "1 0 0:1 / / rw - overlay\n2 1 0:2 / /sys ro - sysfs\n"


def test_the_module_prints_an_attestation_as_plain_ascii_json() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmark.attestation"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )

    assert ended.stdout.isascii()
    printed = Attestation.model_validate(json.loads(ended.stdout))
    assert printed.explanation


def test_importing_brings_neither_the_screen_nor_the_core_nor_subprocesses() -> None:
    code = "import sys, benchmark.attestation; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    modules = {name.partition(".")[0] for name in ended.stdout.split()}
    assert not modules & {"textual", "rich", "core", "tui", "torch", "subprocess"}
