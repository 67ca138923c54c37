"""One plan's runs over time: each metric's figure by run, and where it changed beyond the noise.

The unit is the run, whose figure is the geometric mean of its good blocks: blocks of one run share
the machine's boot, its clocks and its neighbours, so how much they differ says little of how much
runs do. With fewer than four runs nothing is pointed out. How a change is found:
core/verdict/levels.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal

from benchmark.results import MeasurementResult, Result
from core.verdict.descriptions import configuration_text, path_text
from core.verdict.gating import advisory
from core.verdict.legs import Leg, Source
from core.verdict.levels import (
    FEWEST_BEFORE,
    LevelChange,
    deviation,
    exponential,
    family_size,
    level_changes,
    mean_interval,
    prediction_interval,
)
from core.verdict.model import METRICS, Metric, MetricName, Span, Unit
from core.verdict.plans import deciding
from core.verdict.surroundings import Difference, differences, what_differs


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A result and where its run ran."""

    result: Result
    target: str
    """Empty where nothing tells."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run of the history."""

    id: str
    started_at: datetime
    blocks: int
    """The most good blocks that a measurement of it has."""
    void: int
    """Blocks that are void, over all measurements."""
    differences: tuple[Difference, ...]
    """What is another than in the run before it; the first run has none."""


@dataclass(frozen=True, slots=True)
class RunFigure:
    """One metric of one measurement in one run, in the metric's unit."""

    run: int
    """Index of the run in the history."""
    value: float
    """Geometric mean of the good blocks."""
    interval: Span | None
    """Its 90 % interval from how its blocks differ; None with one block."""
    blocks: int


@dataclass(frozen=True, slots=True)
class Change:
    """A metric went on at another level."""

    run: int
    """Index of the first run at the new level."""
    percent: float
    """How much larger the figure is than before; negative: smaller."""
    interval_percent: Span | None
    """Its 90 % interval; None where two runs are all that both levels have."""
    worse: bool
    p_value: float
    """Two-sided, of this place of this metric alone."""
    adjusted_p_value: float
    """Of all places of all metrics together (Holm)."""
    runs_before: int
    """At the level before."""
    runs_after: int
    """At the new level, until it changed again."""


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one measurement over the runs."""

    measurement: str
    scenario: str
    batch_size: int
    path: str
    latency_of: Literal["query", "batch"]
    metric: MetricName
    unit: Unit
    advisory: str
    """Why nothing is pointed out in it, as a clause; empty where it may be."""
    figures: tuple[RunFigure, ...]
    """Of the runs that have it, the oldest first."""
    changes: tuple[Change, ...]
    noise_percent: float | None
    """How much runs at one level differ: 100 times the standard deviation of their logarithms.
    None where no level has two runs, and of an advisory series, whose levels nobody looked for."""
    block_noise_percent: float | None
    """The same of blocks within a run; it lacks what changes from run to run."""
    next_run: Span | None
    """Where one more run falls with 90 % probability if nothing changes; None with fewer than three
    runs at the level, and of an advisory series."""


@dataclass(frozen=True, slots=True)
class History:
    """What is said of one plan's runs."""

    leg: str
    target: str
    device: str
    configuration: str
    profiles: tuple[str, ...]
    """What the plan was called."""
    runs: tuple[PastRun, ...]
    """The oldest first."""
    series: tuple[Series, ...]
    tests: int
    """How many places were looked at in all."""
    left_out: tuple[str, ...]
    """A sentence for each run of the same plan that is no part of it."""
    notice: str

    @property
    def changed_runs(self) -> tuple[int, ...]:
        """Indices of the runs with which something changed."""
        return tuple(sorted({change.run for each in self.series for change in each.changes}))

    def changes_with(self, run: int) -> tuple[tuple[Series, Change], ...]:
        """Return what changed with a run."""
        return tuple(
            (each, change) for each in self.series for change in each.changes if change.run == run
        )


def is_same_plan(one: StoredRun, other: StoredRun) -> bool:
    """Whether two runs are of the same plan, leg and target."""
    return (
        one.result.leg == other.result.leg
        and one.target == other.target
        and deciding(one.result.plan) == deciding(other.result.plan)
    )


def history_of(anchor: StoredRun, candidates: Sequence[StoredRun]) -> History:
    """Return the history that ``anchor`` belongs to, out of it and ``candidates``.

    Runs of another plan, leg or target are passed over. One of the same that did not finish, or was
    measured on another device or with another configuration, is left out and named. Another
    driver, kernel or host is no reason to leave a run out: it is told beside the run.
    """
    results, left_out = _chosen(anchor, candidates)
    runs = [Leg.of((Source(result),)) for result in results]
    names = dict.fromkeys(name for run in runs for name in run.measurements())
    drafts = [
        draft
        for name in names
        for metric in METRICS
        if (draft := _draft(runs, name, metric)) is not None
    ]
    rows = [[] if draft.advisory else draft.row for draft in drafts]
    changes = level_changes(rows)
    return History(
        leg=anchor.result.leg,
        target=anchor.target,
        device=anchor.result.gpu_info.name,
        configuration=configuration_text(anchor.result),
        profiles=tuple(dict.fromkeys(result.plan.profile for result in results)),
        runs=_past_runs(runs),
        series=tuple(_series(draft, found) for draft, found in zip(drafts, changes, strict=True)),
        tests=family_size(rows),
        left_out=left_out,
        notice=anchor.result.notice,
    )


def _chosen(
    anchor: StoredRun, candidates: Sequence[StoredRun]
) -> tuple[tuple[Result, ...], tuple[str, ...]]:
    """Return the history's results, the oldest first, and why others of the plan are none."""
    found: dict[str, Result] = {}
    left_out = {}
    for candidate in (anchor, *candidates):
        result = candidate.result
        if result.run_id in found or not is_same_plan(anchor, candidate):
            continue
        if reason := _why_left_out(anchor.result, result):
            left_out[result.run_id] = f"Run {result.run_id} is left out: {reason}."
        else:
            found[result.run_id] = result
    ordered = sorted(found.values(), key=lambda each: (each.started_at, each.run_id))
    return tuple(ordered), tuple(left_out.values())


@dataclass(frozen=True, slots=True)
class _Draft:
    """A series before anything was looked for in it."""

    entry: MeasurementResult
    """The newest good block of the measurement."""
    metric: Metric
    advisory: str
    figures: tuple[RunFigure, ...]
    blocks: tuple[tuple[float, ...], ...]
    """The logarithms of each figure's blocks."""

    @property
    def row(self) -> list[float]:
        """The runs' mean logarithms."""
        return [math.fsum(logarithms) / len(logarithms) for logarithms in self.blocks]


def _draft(runs: Sequence[Leg], name: str, metric: Metric) -> _Draft | None:
    """Return a measurement's metric over the runs; None where no good block has it."""
    entries: list[list[MeasurementResult]] = []
    figures, logarithms = [], []
    for number, run in enumerate(runs):
        values = []
        entries.append([])
        for block in run.blocks(name):
            value = block.value(metric)
            if block.good and value is not None:
                values.append(math.log(value))
                entries[-1].append(block.measurement)
        if values:
            figures.append(_run_figure(number, values))
            logarithms.append(tuple(values))
    if not figures:
        return None
    newest = next(group[-1] for group in reversed(entries) if group)
    return _Draft(newest, metric, advisory(metric, entries), tuple(figures), tuple(logarithms))


def _run_figure(run: int, logarithms: Sequence[float]) -> RunFigure:
    return RunFigure(
        run=run,
        value=exponential(math.fsum(logarithms) / len(logarithms)),
        interval=_exponentials(mean_interval(logarithms)),
        blocks=len(logarithms),
    )


def _series(draft: _Draft, changes: Sequence[LevelChange]) -> Series:
    entry, row = draft.entry, draft.row
    bounds = [0, *(change.place for change in changes), len(row)]
    levels = [] if draft.advisory else [row[start:stop] for start, stop in pairwise(bounds)]
    noise, block_noise = deviation(levels), deviation(draft.blocks)
    return Series(
        measurement=entry.name,
        scenario=str(entry.scenario),
        batch_size=entry.batch_size,
        path=path_text(entry),
        latency_of=entry.latency.of if entry.latency else "query",
        metric=draft.metric.name,
        unit=draft.metric.unit,
        advisory=draft.advisory,
        figures=draft.figures,
        changes=tuple(_change(draft, change) for change in changes),
        noise_percent=None if noise is None else 100 * noise,
        block_noise_percent=None if block_noise is None else 100 * block_noise,
        next_run=_exponentials(prediction_interval(levels[-1])) if levels else None,
    )


def _change(draft: _Draft, change: LevelChange) -> Change:
    interval = change.interval
    rises_are_worse = draft.metric.percentile is not None
    return Change(
        run=draft.figures[change.place].run,
        percent=_percent(change.change),
        interval_percent=(
            Span(_percent(interval.low), _percent(interval.high)) if interval else None
        ),
        worse=(change.change > 0) == rises_are_worse,
        p_value=change.p_value,
        adjusted_p_value=change.adjusted,
        runs_before=change.before,
        runs_after=change.after,
    )


def _past_runs(runs: Sequence[Leg]) -> tuple[PastRun, ...]:
    found = []
    for number, run in enumerate(runs):
        blocks = [block for name in run.measurements() for block in run.blocks(name)]
        good = [block.measurement.name for block in blocks if block.good]
        (result,) = run.results
        before = runs[number - 1].results[0] if number else None
        found.append(
            PastRun(
                id=result.run_id,
                started_at=result.started_at,
                blocks=max(map(good.count, good), default=0),
                void=len(blocks) - len(good),
                differences=differences(before, result) if before is not None else (),
            )
        )
    return tuple(found)


def _why_left_out(anchor: Result, other: Result) -> str:
    if not other.complete:
        return "it did not measure everything it had planned"
    found = what_differs(anchor, other)
    return "; ".join(f"{each.name} is {each.after}, not {each.before}" for each in found)


def _exponentials(interval: Span | None) -> Span | None:
    if interval is None:
        return None
    return Span(exponential(interval.low), exponential(interval.high))


def _percent(log_ratio: float) -> float:
    return 100 * (exponential(log_ratio) - 1)


def too_few(history: History) -> str:
    """Return why nothing can be pointed out in a history this short; empty where it can."""
    count = len(history.runs)
    if count > FEWEST_BEFORE:
        return ""
    runs = "1 run is" if count == 1 else f"{count} runs are"
    return (
        f"{runs} too few to know how much runs of this plan differ: a change is looked for from "
        f"the fourth run on. Intervals come from the blocks within a run and lack what changes "
        "from run to run."
    )
