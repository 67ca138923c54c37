"""A process that must not outlive the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal

ASKED_BY = "GPUBENCH_DIE_WITH_PARENT"
"""Environment variable by which a run process asks the benchmark to end with it."""

_PR_SET_PDEATHSIG = 1


def die_with_parent(number: signal.Signals) -> None:
    """Ask the kernel (prctl(2), Linux) for this signal when the parent is gone, however it went."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:
        os._exit(1)
