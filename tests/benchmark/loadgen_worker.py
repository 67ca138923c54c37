"""A process that runs the real LoadGen with an engine that computes nothing.

LoadGen cannot be unwound from an exception and aborts on a signal, so it runs in a process of its
own, as it does in the product. One JSON object a line: a request in, what happened out.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.loadgen import Load, run_load

if TYPE_CHECKING:
    import torch


class RecordingEngine:
    """Computes nothing, and remembers what it was asked."""

    def __init__(self, depth: int, fail_at: int | None) -> None:
        self.depth = depth
        self.batches: list[list[int]] = []
        self.most_on_the_way = 0
        self._fail_at = fail_at
        self._on_the_way: list[int] = []

    def submit(self, indices: Sequence[int]) -> int:
        if len(self.batches) == self._fail_at:
            raise RuntimeError("the device caught fire")
        self.batches.append(list(indices))
        self._on_the_way.append(len(self.batches))
        self.most_on_the_way = max(self.most_on_the_way, len(self._on_the_way))
        return len(self.batches)

    def finish(self, ticket: int) -> None:
        # The oldest first, and each only once: anything else would reuse a buffer in use.
        if self._on_the_way.pop(0) != ticket:
            raise RuntimeError("tickets were finished out of order")

    def logits(self, indices: Sequence[int]) -> torch.Tensor:
        raise NotImplementedError

    def describe(self) -> dict[str, object]:
        return {}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Run one load and tell what the engine saw."""
    load = Load.model_validate(request["load"])
    engine = RecordingEngine(request["depth"], request["fail_at"])
    counted: list[int] = []
    batches = run_load(
        load, engine, Path(request["folder"]), lambda samples, _nanoseconds: counted.append(samples)
    )
    return {
        "batches": engine.batches,
        "most_on_the_way": engine.most_on_the_way,
        "counted": counted,
        "rows": batches.rows,
    }


def main() -> None:
    """Answer requests until there are no more."""
    line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for request in sys.stdin:
        line.write(json.dumps(answer(json.loads(request))) + "\n")
        line.flush()


if __name__ == "__main__":
    main()
