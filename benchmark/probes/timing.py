"""How a probe turns an operation into figures: repeated, each value timed, summarised in order.

Time is injected, so that what is done with it can be tested without waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from benchmark.percentiles import order_statistic

Clock = Callable[[], int]
"""Nanoseconds, monotonic."""

Operation = Callable[[], object]


class CannotProbeError(Exception):
    """A probe cannot run here; its words say why, without a full stop."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one probe's values, in their unit."""

    count: int
    minimum: float
    median: float
    p90: float
    p99: float


def summarize(values: Sequence[float]) -> Figures:
    """Return the order statistics of at least one value, by LoadGen's rule (percentiles.py)."""
    import numpy

    ordered = numpy.sort(numpy.asarray(values, dtype=float))
    return Figures(
        count=len(ordered),
        minimum=float(ordered[0]),
        median=order_statistic(ordered, 0.5),
        p90=order_statistic(ordered, 0.9),
        p99=order_statistic(ordered, 0.99),
    )


@dataclass(frozen=True)
class Timer:
    """Repeats operations within a budget of time."""

    clock: Clock = time.perf_counter_ns
    sleep: Callable[[float], None] = field(default=time.sleep)
    budget_ns: int = 250_000_000
    """How long one probe may go on."""
    fewest: int = 5
    """Values, whatever the budget says."""

    def each(
        self,
        operation: Operation,
        *,
        most: int,
        before: Operation | None = None,
        after: Operation | None = None,
        budget_ns: int | None = None,
    ) -> list[float]:
        """Return nanoseconds of each repetition, ``most`` of them at most.

        ``before`` and ``after`` run outside of the timed part. The first repetition is thrown away:
        it pays for what is made on first use.
        """
        values: list[float] = []
        clock = self.clock
        deadline = clock() + (self.budget_ns if budget_ns is None else budget_ns)
        while len(values) <= most and (len(values) <= self.fewest or clock() < deadline):
            if before is not None:
                before()
            values.append(self._once(operation))
            if after is not None:
                after()
        return values[1:]

    def per_call(self, call: Operation, empty: Operation, *, calls: int, most: int) -> list[float]:
        """Return nanoseconds of one ``call``, each value the mean of ``calls`` in a row.

        The interpreter's share is taken away: as many turns of ``empty``, a function that takes and
        returns the same without doing the work, are timed before and after each value, for the
        CPU's speed changes with its neighbours. The quicker of the two counts, so that an
        interruption in one of them does not make the call look cheap.
        """
        loop = range(calls)

        def run_empty() -> None:
            for _ in loop:
                empty()

        def run() -> None:
            for _ in loop:
                call()

        empties: list[float] = []
        found = self.each(run, before=lambda: empties.append(self._once(run_empty)), most=most)
        empties.append(self._once(run_empty))
        # The repetition that was thrown away had one before it too.
        around = pairwise(empties[1:])
        # A call that costs no more than an empty one costs nothing that this can see.
        return [
            max(0.0, value - min(pair)) / calls for value, pair in zip(found, around, strict=True)
        ]

    def _once(self, operation: Operation) -> int:
        started = self.clock()
        operation()
        return self.clock() - started
