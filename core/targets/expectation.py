"""How long a run will take and what it will cost, before it is started."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from benchmark.estimate import planned_seconds
from benchmark.plan import Plan
from core.errors import JournalError
from core.run.cost_events import RunPlanned
from core.run.events import Stage
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
    usd: float | None
    """0 where nothing is billed; None where no price is known."""
    planned: RunPlanned | None = None
    """The steps, where the target plans them."""


def expect(settings: Settings, plan: Plan, journal: Journal | None) -> Expectation:
    """Return what a run with these settings and this plan takes, by the latest like it, else by the
    plan's own sizes.
    """
    count = len(plan.measurements()) * plan.repeats
    if settings.target == "gke":
        return _on_gke(settings, plan, journal, count)
    earlier = _earlier_seconds(settings, plan, journal) if journal is not None else []
    if earlier:
        runs = "the last run" if len(earlier) == 1 else f"the last {len(earlier)} runs"
        return Expectation(statistics.median(earlier), f"by {runs} like it", count, 0.0)
    return Expectation(planned_seconds(plan), "roughly, by the plan's sizes", count, 0.0)


def _on_gke(settings: Settings, plan: Plan, journal: Journal | None, count: int) -> Expectation:
    """Return what the plan of the stages comes to, by shipped prices: nobody is asked."""
    # Only who runs on Google Cloud loads what is known of it.
    from core.gcp.access import GoogleAccess
    from core.targets.gke.deployment import GkeDeployment
    from core.targets.gke.forecasting import Prospect

    history = _stage_seconds(settings, plan, journal) if journal is not None else {}
    deployment = GkeDeployment(
        settings, "", lambda: datetime.now(UTC), GoogleAccess(settings.project or "")
    )
    prospect = Prospect(deployment, history, planned_seconds(plan))
    outlook = prospect.current()
    basis = "by the stages of earlier runs" if history else "typical"
    return Expectation(
        outlook.forecast.seconds,
        f"{basis}; {outlook.source}",
        count,
        outlook.forecast.usd,
        outlook.record(settings.budget, settings.deadline_minutes * 60.0),
    )


def _stage_seconds(settings: Settings, plan: Plan, journal: Journal) -> Mapping[Stage, list[float]]:
    latest = next(
        (
            run
            for run in journal.runs()
            if run.target == settings.target and run.profile == plan.profile
        ),
        None,
    )
    # Of all runs like it: none has an empty name.
    return journal.stage_seconds(replace(latest, id="")) if latest is not None else {}


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
