"""What a plan will take and cost: steps that wait for each other, and prices that run meanwhile."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """One step to be done."""

    name: str
    seconds: float
    after: tuple[str, ...] = ()
    """Names of the steps that must have ended."""
    basis: str = ""
    """Where its length is from."""


@dataclass(frozen=True, slots=True)
class Charge:
    """Something that is billed from the start of one step to the end of another."""

    what: str
    usd_per_hour: float | None
    """None: no price is known."""
    first: str
    last: str
    minimum_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step in its place."""

    name: str
    starts_s: float
    """After the plan's start."""
    seconds: float
    usd: float
    """Its part of what is billed while it runs; steps beside each other share evenly."""
    beside: tuple[str, ...]
    """The steps that run during some of it."""
    critical: bool
    """The whole plan takes longer when it does."""
    basis: str

    @property
    def ends_s(self) -> float:
        """Return when it ends, after the plan's start."""
        return self.starts_s + self.seconds


@dataclass(frozen=True, slots=True)
class Forecast:
    """The whole plan."""

    steps: tuple[Step, ...]
    """In the order in which they start."""
    seconds: float
    usd: float | None
    """None: a price is not known."""


def expected_seconds(history: Sequence[float], typical: float) -> tuple[float, str]:
    """Return how long a step is expected to take, and where that is from: the median of what it
    took before, else what is typical.
    """
    if not history:
        return typical, "typical"
    runs = "1 run" if len(history) == 1 else f"{len(history)} runs"
    return statistics.median(history), f"median of {runs}"


def forecast(tasks: Sequence[Task], charges: Iterable[Charge]) -> Forecast:
    """Return when each step runs if each starts as soon as it can, and what it all costs.

    Raises:
        ValueError: a step or a charge names a step that there is not, or steps wait in a circle.
    """
    charges = tuple(charges)
    spans = _spans(tasks)
    for charge in charges:
        if unknown := {charge.first, charge.last} - spans.keys():
            raise ValueError(f"{charge.what} is billed by a step that there is not: {unknown}")
    latest = _latest_ends(tasks, spans)
    shares = _shares(charges, spans)
    steps = [
        Step(
            name=task.name,
            starts_s=spans[task.name][0],
            seconds=task.seconds,
            usd=math.fsum(shares[task.name]),
            beside=tuple(
                other.name
                for other in tasks
                if other is not task and _overlap_s(spans[task.name], spans[other.name]) > 0
            ),
            critical=math.isclose(latest[task.name], spans[task.name][1], abs_tol=1e-6),
            basis=task.basis,
        )
        for task in tasks
    ]
    known = all(charge.usd_per_hour is not None for charge in charges)
    return Forecast(
        steps=tuple(sorted(steps, key=lambda step: step.starts_s)),
        seconds=max((end for _start, end in spans.values()), default=0.0),
        usd=math.fsum(step.usd for step in steps) if known else None,
    )


Span = tuple[float, float]


def _spans(tasks: Sequence[Task]) -> dict[str, Span]:
    found: dict[str, Span] = {}
    waiting = list(tasks)
    while waiting:
        ready = [task for task in waiting if all(name in found for name in task.after)]
        if not ready:
            names = ", ".join(task.name for task in waiting)
            raise ValueError(f"steps wait for each other or for one that there is not: {names}")
        for task in ready:
            start = max((found[name][1] for name in task.after), default=0.0)
            found[task.name] = (start, start + task.seconds)
            waiting.remove(task)
    return found


def _latest_ends(tasks: Sequence[Task], spans: dict[str, Span]) -> dict[str, float]:
    """Return when each step may end at the latest for the plan to end no later."""
    end = max((span[1] for span in spans.values()), default=0.0)
    latest = dict.fromkeys(spans, end)
    by_name = {task.name: task for task in tasks}
    # Spans are in an order in which no step comes before one that it waits for.
    for name in reversed(spans):
        for before in by_name[name].after:
            latest[before] = min(latest[before], latest[name] - by_name[name].seconds)
    return latest


def _shares(charges: Iterable[Charge], spans: dict[str, Span]) -> dict[str, list[float]]:
    shares: dict[str, list[float]] = {name: [] for name in spans}
    times = sorted({time for span in spans.values() for time in span})
    for charge in charges:
        rate = (charge.usd_per_hour or 0.0) / 3600
        start, end = spans[charge.first][0], spans[charge.last][1]
        for left, right in itertools.pairwise(times):
            if left < start or right > end:
                continue
            running = [name for name, span in spans.items() if span[0] <= left < span[1]]
            for name in running:
                shares[name].append(rate * (right - left) / len(running))
        short = charge.minimum_s - max(0.0, end - start)
        if short > 0:
            shares[charge.last].append(rate * short)
    return shares


def _overlap_s(one: Span, other: Span) -> float:
    return min(one[1], other[1]) - max(one[0], other[0])
