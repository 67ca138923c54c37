"""Asking the processor itself, by CPUID, which hypervisor it runs under.

Text files can be covered by a mount or come with an image; what CPUID answers comes from the
hypervisor (or, in a Xen PV domain without CPUID faulting, from the hardware below it, which is
why Xen has a second form of the instruction).
"""

from __future__ import annotations

import os
import platform
import re
import signal
import sys
from pathlib import Path
from typing import Final, NamedTuple, Protocol

CHILD_TIMEOUT_SECONDS: Final = 20.0
"""An emulated processor needs seconds for what a real one does in 30 ms."""

_LEAF: Final = re.compile(
    r"0x([0-9a-f]{8}) 0x00: eax=0x([0-9a-f]{8}) ebx=0x([0-9a-f]{8})"
    r" ecx=0x([0-9a-f]{8}) edx=0x([0-9a-f]{8})"
)


class CpuidNotApplicableError(Exception):
    """This processor has no CPUID instruction."""


class CpuidTrappedError(Exception):
    """The instruction was refused with SIGILL: for the forced form the answer "not a Xen PV"."""


class CpuidFailedError(Exception):
    """The processor could not be asked."""


class CpuidLeaf(NamedTuple):
    """The four registers that CPUID returned for one leaf."""

    leaf: int
    eax: int
    ebx: int
    ecx: int
    edx: int

    @property
    def signature(self) -> str:
        """The name that ebx, ecx, edx spell, as "KVMKVMKVM", with what is not printable escaped."""
        spelled = b"".join(r.to_bytes(4, "little") for r in (self.ebx, self.ecx, self.edx))
        return spelled.rstrip(b"\0").decode("latin-1").encode("unicode_escape").decode("ascii")

    @property
    def registers(self) -> str:
        """The registers as text."""
        names = ("eax", "ebx", "ecx", "edx")
        return " ".join(f"{n}=0x{v:08x}" for n, v in zip(names, self[1:], strict=True))


class ReadCpuid(Protocol):
    """Executes CPUID and gives the leaves that say something of a hypervisor."""

    def __call__(self, *, forced: bool) -> tuple[CpuidLeaf, ...]:
        """Read plainly, or `forced` with the prefix that only Xen knows.

        Errors: CpuidNotApplicableError, CpuidTrappedError, CpuidFailedError.
        """
        ...


def parse_leaves(text: str) -> tuple[CpuidLeaf, ...]:
    """Read the leaves out of text in the format of `cpuid --raw`; other lines are passed over."""
    return tuple(
        CpuidLeaf(*(int(part, 16) for part in match.groups())) for match in _LEAF.finditer(text)
    )


def read_cpuid(*, forced: bool) -> tuple[CpuidLeaf, ...]:
    """Execute CPUID in a child process, which alone dies where the instruction is refused.

    Errors: CpuidNotApplicableError, CpuidTrappedError, CpuidFailedError.
    """
    import subprocess  # 15 ms that a reader of stored attestations need not pay

    machine = platform.machine()
    if machine not in ("x86_64", "AMD64"):
        raise CpuidNotApplicableError(f"not applicable: the processor is {machine or 'unknown'}")
    child = Path(__file__).with_name("cpuid_child.py")
    form = "forced" if forced else "plain"
    # Nothing of the environment but what an interpreter in an unusual place needs to start.
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    try:
        # Not fork: the caller has threads (CUDA, telemetry), and a forked copy of them can hang.
        ended = subprocess.run(
            [sys.executable, "-I", "-S", str(child), form],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            timeout=CHILD_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise CpuidFailedError(f"the child process could not run: {error}") from error
    if ended.returncode == -signal.SIGILL:
        raise CpuidTrappedError("the processor refused the instruction (SIGILL)")
    leaves = parse_leaves(ended.stdout.decode("ascii", "replace"))
    if ended.returncode != 0 or not leaves:
        last_words = ended.stderr.decode("utf-8", "backslashreplace").strip().rpartition("\n")[2]
        raise CpuidFailedError(f"the child process ended with {ended.returncode}: {last_words}")
    return leaves
