"""Is the process that a run lived in still the same process?"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process id and when it started, in clock ticks since boot: ids are used again."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Return whether this very process is there and no zombie."""
        return identify(self.pid) == self


def identify(pid: int | None = None) -> ProcessIdentity | None:
    """Return the identity of a process (default: this one), None when there is no such process."""
    number = os.getpid() if pid is None else pid
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # proc(5): the name in parentheses may hold spaces; state is field 3, starttime field 22.
    fields = text.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return None
    return ProcessIdentity(number, int(fields[19]))


@cache
def this_host() -> str:
    """Return a name for this boot of this machine; process ids mean nothing beyond it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        boot = "unknown"
    return f"{platform.node()}/{boot}"


def before_reboot(host: str) -> bool:
    """Return whether a name is that of an earlier boot of this machine: its processes are gone."""
    here, there = this_host(), host
    return there != here and there.rpartition("/")[0] == here.rpartition("/")[0]
