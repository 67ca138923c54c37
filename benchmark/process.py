"""What the benchmark's processes do to themselves: end with their parent, keep memory, be quiet."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
from pathlib import Path

from benchmark.configuration import Configuration
from benchmark.plan import Allocator

ASKED_BY = "GPUBENCH_DIE_WITH_PARENT"
"""Environment variable by which a run process asks the benchmark to end with it."""

_PR_SET_PDEATHSIG = 1

# malloc.h: without these two, eager batch 32 on a CPU takes about 700,000 page faults a forward
# pass and measures malloc rather than the model (seen; page faults cost more under a hypervisor).
_M_MMAP_MAX = -4
_M_TRIM_THRESHOLD = -1


def environment_of_child(**changes: str) -> dict[str, str]:
    """Return this process's environment for a child that runs this very code.

    Start it with ``python -P``: the user's working directory may hold packages of the same names.
    """
    here = str(Path(__file__).resolve().parents[1])
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join(part for part in (here, inherited) if part)
    return {**os.environ, "PYTHONPATH": path, **changes}


def die_with_parent(number: signal.Signals) -> None:
    """Ask the kernel (prctl(2), Linux) for this signal when the parent is gone, however it went."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:
        os._exit(1)


def settle_process(configuration: Configuration) -> None:
    """Set allocator and threads as the configuration says. Call before tensors are made."""
    import torch

    if configuration.allocator is Allocator.RETAIN:
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    torch.set_num_threads(configuration.threads)


def quiet_collector() -> None:
    """Keep Python's garbage collector out of the timed part."""
    gc.collect()
    gc.freeze()
    gc.disable()
