"""Two results beside each other: their figures and by how much the second leg's are worse.

This is no comparison in the sense of DESIGN.md section 6: there is no interval and no verdict in
it, and it refuses nothing. What speaks against comparing the two is said as a warning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmark.results import MeasurementResult, Result
from core.report.contrasts import contrasts
from core.report.costs import RunCost
from core.report.scenarios import (
    Figure,
    Row,
    configuration_text,
    figure_of,
    scenario_table,
)
from core.report.side_by_side_costs import CostPair, cost_pair

NOTE = "The two legs side by side; no interval and no verdict."

MetricName = Literal["throughput", "p50", "p90", "p99"]
Unit = Literal["samples/s", "ms"]

_LEAST_PAIRS = 2


@dataclass(frozen=True, slots=True)
class Metric:
    """What is compared of a measurement."""

    name: MetricName
    unit: Unit
    percentile: float | None
    """The latency's fraction; None for throughput."""

    def __str__(self) -> str:
        return f"{self.name} ({self.unit})"


METRICS = (
    Metric("throughput", "samples/s", None),
    Metric("p50", "ms", 0.5),
    Metric("p90", "ms", 0.9),
    Metric("p99", "ms", 0.99),
)


@dataclass(frozen=True, slots=True)
class Leg:
    """One of the two results."""

    name: str
    """Its leg's label."""
    label: str
    """What a column is called: the leg's label, with ``first`` or ``second`` where both are alike.
    """
    run_id: str
    device: str
    hypervisor: str
    configuration: str
    complete: bool


@dataclass(frozen=True, slots=True)
class Side:
    """One metric of one measurement in one leg."""

    figure: Figure | None
    """Over the good blocks; where all are void, over those, and not used. None: no block has it."""
    blocks: int
    void_blocks: int

    @property
    def usable(self) -> bool:
        """Whether a difference may be computed from the figure."""
        return self.figure is not None and self.void_blocks < self.blocks


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """One metric of one measurement in both legs. A positive difference: the second is worse."""

    measurement: str
    scenario: str
    batch_size: int
    path: str
    metric: MetricName
    unit: Unit
    first: Side | None
    """None: this leg has no such measurement."""
    second: Side | None
    difference_percent: float | None
    """Of the two figures. None where one of them is void or missing."""
    smallest_percent: float | None
    """Over the pairs, as is ``largest_percent``. None with fewer than two pairs."""
    largest_percent: float | None
    pairs: int
    """Blocks with the same number that are good in both legs."""
    marks: tuple[str, ...]
    """Whatever a reader must know of these figures: void, missing, advisory."""

    @property
    def advisory(self) -> bool:
        """Whether one of the figures has fewer queries than its percentile needs."""
        return any(side and side.figure and side.figure.advisory for side in self.sides)

    @property
    def sides(self) -> tuple[Side | None, Side | None]:
        """Both legs' figures."""
        return self.first, self.second


@dataclass(frozen=True, slots=True)
class SideBySide:
    """What is said of two results."""

    first: Leg
    second: Leg
    rows: tuple[DifferenceRow, ...]
    warnings: tuple[str, ...]
    """Sentences on why the two may not be comparable."""
    notice: str
    cost: CostPair | None = None
    """None: neither run's is known."""

    def notes(self) -> tuple[str, ...]:
        """Return the sentences that belong under the table."""
        notes = [
            NOTE,
            "difference: how much worse the second leg is: throughput 1 - second/first, latency "
            "second/first - 1. Negative: it is better.",
        ]
        if any(row.smallest_percent is not None for row in self.rows):
            notes.append(
                "over blocks: the smallest and the largest difference of blocks with the same "
                "number that are good in both legs."
            )
        if any(row.advisory for row in self.rows):
            notes.append("* advisory: fewer queries than early stopping asks for that percentile.")
        if any(side and side.figure and not side.usable for row in self.rows for side in row.sides):
            notes.append("(in brackets): void, shown and not used.")
        if any(row.scenario == "Offline" for row in self.rows):
            notes.append("Offline has one query; its latencies are those of a batch in the SUT.")
        return (*notes, self.notice)


def side_by_side(
    first: Result,
    second: Result,
    costs: tuple[RunCost | None, RunCost | None] = (None, None),
) -> SideBySide:
    """Return two results beside each other, the second's figures measured against the first's, and
    what both runs cost where that is known.
    """
    alike = first.leg == second.leg
    legs = (
        _leg(first, f"{first.leg} (first)" if alike else first.leg),
        _leg(second, f"{second.leg} (second)" if alike else second.leg),
    )
    tables = [
        {row.name: row for row in scenario_table(result, cost).rows}
        for result, cost in zip((first, second), costs, strict=True)
    ]
    rows: list[DifferenceRow] = []
    for name in dict.fromkeys((*tables[0], *tables[1])):
        measured = (tables[0].get(name), tables[1].get(name))
        blocks = (_good_blocks(first, name), _good_blocks(second, name))
        rows += [_difference_row(name, metric, legs, measured, blocks) for metric in METRICS]
    return SideBySide(
        first=legs[0],
        second=legs[1],
        rows=tuple(rows),
        warnings=contrasts(first, second),
        notice=first.notice,
        cost=cost_pair(costs, tables),
    )


def overhead_percent(metric: Metric, first: float, second: float) -> float | None:
    """Return by how many per cent the second figure is worse: positive is worse, for throughput
    and latency alike. None where it cannot be computed.
    """
    if first <= 0:
        return None
    ratio = second / first
    percent = 100 * (1 - ratio if metric.percentile is None else ratio - 1)
    return percent if math.isfinite(percent) else None


def _leg(result: Result, label: str) -> Leg:
    return Leg(
        name=result.leg,
        label=label,
        run_id=result.run_id,
        device=result.gpu_info.name,
        hypervisor=str(result.attestation.hypervisor),
        configuration=configuration_text(result),
        complete=result.complete,
    )


def _good_blocks(result: Result, name: str) -> dict[int, MeasurementResult]:
    return {
        entry.block: entry for entry in result.benchmarks if entry.name == name and not entry.void
    }


def _difference_row(
    name: str,
    metric: Metric,
    legs: tuple[Leg, Leg],
    measured: tuple[Row | None, Row | None],
    blocks: tuple[Mapping[int, MeasurementResult], Mapping[int, MeasurementResult]],
) -> DifferenceRow:
    known = [row for row in measured if row is not None]
    first, second = (_side(row, metric) for row in measured)
    same = len({(row.scenario, row.batch_size, row.latency_of) for row in known}) == 1
    marks = _marks(legs, (first, second))
    if not same:
        marks = ("not the same measurement in both", *marks)
    comparable = (
        same and first is not None and second is not None and first.usable and second.usable
    )
    pairs = _paired(metric, *blocks) if comparable else []
    spread = len(pairs) >= _LEAST_PAIRS
    return DifferenceRow(
        measurement=name,
        scenario=known[0].scenario,
        batch_size=known[0].batch_size,
        path=" / ".join(dict.fromkeys(row.path for row in known)),
        metric=metric.name,
        unit=metric.unit,
        first=first,
        second=second,
        difference_percent=_difference(metric, first, second) if comparable else None,
        smallest_percent=min(pairs) if spread else None,
        largest_percent=max(pairs) if spread else None,
        pairs=len(pairs),
        marks=marks,
    )


def _side(row: Row | None, metric: Metric) -> Side | None:
    if row is None:
        return None
    figure: Figure | None = getattr(row, metric.name)
    return Side(figure, row.blocks, row.void)


def _difference(metric: Metric, first: Side | None, second: Side | None) -> float | None:
    if first is None or second is None or first.figure is None or second.figure is None:
        return None
    return overhead_percent(metric, first.figure.median, second.figure.median)


def _paired(
    metric: Metric, first: Mapping[int, MeasurementResult], second: Mapping[int, MeasurementResult]
) -> list[float]:
    found = []
    for number in sorted(first.keys() & second.keys()):
        figures = [figure_of([blocks[number]], metric.percentile) for blocks in (first, second)]
        if figures[0] is not None and figures[1] is not None:
            percent = overhead_percent(metric, figures[0].median, figures[1].median)
            if percent is not None:
                found.append(percent)
    return found


def _marks(legs: tuple[Leg, Leg], sides: tuple[Side | None, Side | None]) -> tuple[str, ...]:
    marks = []
    for leg, side in zip(legs, sides, strict=True):
        if side is None:
            marks.append(f"missing in {leg.label}")
        elif side.void_blocks:
            marks.append(f"{side.void_blocks} of {side.blocks} void in {leg.label}")
        elif side.figure is None:
            marks.append(f"no figure in {leg.label}")
    if any(side and side.figure and side.figure.advisory for side in sides):
        marks.append("advisory")
    return tuple(marks)
