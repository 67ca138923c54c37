"""The benchmark's measuring process, with extra work after every batch.

``python -m tests.performance.injected_child FOLDER`` is ``python -m benchmark.child FOLDER`` but
that each batch takes longer by a share of its own measured time. The share follows from the block
in the folder's name and the shares in the environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SHARES_VARIABLE = "GPUBENCH_TEST_EXTRA_WORK"
"""A JSON list: the share of extra work of each block, from the first."""


class Slowed:
    """An engine whose batches take longer by a share of their own time."""

    def __init__(self, engine: Any, share: float) -> None:
        self._engine = engine
        self._share = share
        self.depth = engine.depth

    def submit(self, indices: Sequence[int]) -> int:
        """Compute the batch, then work on for the share of what it took. On a CPU ``submit``
        computes, so its time is the batch's.
        """
        started = time.perf_counter_ns()
        ticket: int = self._engine.submit(indices)
        ended = time.perf_counter_ns()
        until = ended + self._share * (ended - started)
        while time.perf_counter_ns() < until:
            pass
        return ticket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def first_in_line() -> None:
    """Let no other work of this machine go before this process, where this user may: what is to be
    seen is the slowdown. Linux weighs sessions against each other (sched(7), autogroup), and each
    measuring process has one of its own.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("-20")
    with contextlib.suppress(PermissionError):
        os.nice(-20)


def main(arguments: list[str]) -> int:
    first_in_line()
    # Only now: under load the imports alone would take longer than the measurement.
    from benchmark import child, measure

    shares = json.loads(os.environ[SHARES_VARIABLE])
    block = int(arguments[0].rpartition("-block")[2])
    make_engine = measure.make_engine

    def make_slowed(*values: Any, **options: Any) -> Slowed:
        return Slowed(make_engine(*values, **options), shares[block - 1])

    measure.make_engine = make_slowed  # type: ignore[assignment]
    return child.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
