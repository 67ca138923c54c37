"""How long a run will take and what it will cost, before it is started."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from benchmark.estimate import planned_seconds
from benchmark.plan import Plan
from core.errors import JournalError
from core.run.journal import Journal
from core.settings import Settings

_EARLIER_RUNS = 5


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is to be expected, and from what that is concluded."""

    seconds: float
    source: str
    measurements: int
    """Measurement processes, all blocks together."""
    usd: float
    """0 where nothing is billed."""


def expect(settings: Settings, plan: Plan, journal: Journal | None) -> Expectation:
    """Return what a run with these settings and this plan takes, by the latest like it, else by the
    plan's own sizes.
    """
    count = len(plan.measurements()) * plan.repeats
    earlier = _earlier_seconds(settings, plan, journal) if journal is not None else []
    if earlier:
        runs = "the last run" if len(earlier) == 1 else f"the last {len(earlier)} runs"
        return Expectation(statistics.median(earlier), f"by {runs} like it", count, 0.0)
    return Expectation(planned_seconds(plan), "roughly, by the plan's sizes", count, 0.0)


def _earlier_seconds(settings: Settings, plan: Plan, journal: Journal) -> list[float]:
    """Return how long the latest runs of the same measurements on the same target took."""
    found: list[float] = []
    for run in journal.runs():
        if len(found) == _EARLIER_RUNS:
            break
        if run.state != "done" or run.target != settings.target or run.finished_at is None:
            continue
        if run.profile == plan.profile and _alike(journal, run.id, plan):
            found.append((run.finished_at - run.created_at).total_seconds())
    return found


def _alike(journal: Journal, run_id: str, plan: Plan) -> bool:
    try:
        other = journal.plan(run_id)
    except JournalError:
        return False
    rates = {"server": plan.server}
    return other.model_copy(update=rates) == plan
