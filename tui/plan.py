"""How far a run is in its plan: what is done, what is left, and when it ends by that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.run.cost_events import ForecastStep, RunPlanned
    from core.run.view import RunView

# Steps that meet do so to this many seconds: the plan's times are rounded.
_MEETS_S = 1.0
_UNDER_WAY = ("waiting", "running")


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step of the plan, in seconds after the run's start."""

    name: str
    state: str
    """``waiting``, ``running``, ``done``, ``failed``, ``stopped``, ``died``, or ``skipped``: it is
    not come to any more.
    """
    starts_s: float
    """When it began, or will by what is known now."""
    ends_s: float
    planned_s: float
    usd: float
    basis: str
    is_measured: bool = False
    """It is known from the run itself when it began and ended, or how long it has gone on."""

    @property
    def seconds(self) -> float:
        """Return how long it took, or takes."""
        return max(0.0, self.ends_s - self.starts_s)


@dataclass(frozen=True, slots=True)
class PlanProgress:
    """The whole plan."""

    steps: tuple[PlanStep, ...]
    now_s: float | None
    """None: it has not begun."""
    ends_s: float
    """When everything is over."""

    @property
    def left_s(self) -> float | None:
        """Return how long it goes on; None where nothing of it does."""
        going_on = any(step.state in _UNDER_WAY for step in self.steps)
        return self.ends_s - self.now_s if self.now_s is not None and going_on else None


def as_planned(plan: RunPlanned) -> PlanProgress:
    """Return a plan of which nothing is done yet."""
    steps = tuple(
        PlanStep(
            step.name,
            "waiting",
            step.starts_s,
            step.starts_s + step.seconds,
            step.seconds,
            step.usd,
            step.basis,
        )
        for step in plan.steps
    )
    return PlanProgress(steps, None, max((step.ends_s for step in steps), default=0.0))


def progress_of(
    plan: RunPlanned, view: RunView, now: datetime, *, died: bool = False
) -> PlanProgress:
    """Return a plan as far as the run's stages have come. A step that is late moves those that
    the plan has begin after its end. ``died``: nobody works on what is under way.
    """
    over = view.finished_at is not None and not view.tearing_down
    now_s = _after_start(view, view.finished_at if over and view.finished_at else now)
    ending = (
        view.stopping
        or view.state.ended
        or any(stage.state == "failed" for stage in view.stages.values())
    )
    found: list[PlanStep] = []
    ordered = sorted(plan.steps, key=lambda each: each.starts_s)
    for step in ordered:
        before = [
            other
            for other, planned in zip(found, ordered, strict=False)
            if planned.starts_s + planned.seconds <= step.starts_s + _MEETS_S
        ]
        found.append(_step(step, view, now_s, before, ending=ending))
    if died:
        found = [_dead(step, now_s) if step.state == "running" else step for step in found]
    last = max((step.ends_s for step in found if step.state != "skipped"), default=now_s)
    return PlanProgress(tuple(found), now_s, last)


def _dead(step: PlanStep, now_s: float) -> PlanStep:
    return replace(step, state="died", ends_s=max(step.starts_s, now_s))


def _after_start(view: RunView, time: datetime) -> float:
    return (time - view.created_at).total_seconds() if view.created_at is not None else 0.0


def _step(
    step: ForecastStep,
    view: RunView,
    now_s: float,
    before: Sequence[PlanStep],
    *,
    ending: bool,
) -> PlanStep:
    # The first one waits for nothing; of what was not come to nobody knows an end.
    ready_s = max((each.ends_s for each in before if each.state != "skipped"), default=0.0)
    stage = next((found for name, found in view.stages.items() if name == step.name), None)
    if stage is None:
        state = _state_by_things(view, before, ending=ending)
        starts_s = ready_s if state != "waiting" else max(now_s, ready_s)
        ends_s = starts_s + step.seconds
        if state == "running":
            ends_s = max(now_s, ends_s)
    elif stage.started_at is None:
        over = view.state.ended and not view.tearing_down
        state = "skipped" if over or (ending and step.name != "teardown") else "waiting"
        starts_s = max(now_s, ready_s)
        ends_s = starts_s + (step.seconds if state == "waiting" else 0.0)
    else:
        state = str(stage.state)
        starts_s = _after_start(view, stage.started_at)
        if stage.seconds is not None:
            ends_s = starts_s + stage.seconds
        else:
            ends_s = max(now_s, _expected_end(step, starts_s, view, now_s))
    measured = stage is not None and stage.started_at is not None
    return PlanStep(
        step.name, state, starts_s, ends_s, step.seconds, step.usd, step.basis, measured
    )


def _expected_end(step: ForecastStep, starts_s: float, view: RunView, now_s: float) -> float:
    # The benchmark knows its own plan.
    latest = view.latest
    if step.name == "job" and latest is not None and latest.remaining_s is not None:
        return now_s + latest.remaining_s
    return starts_s + step.seconds


def _state_by_things(view: RunView, before: Sequence[PlanStep], *, ending: bool) -> str:
    """Return the state of a step that is no stage: the GPU nodes' end, which their pool's tells."""
    pools = [found for (kind, _), found in view.resources.items() if kind == "node pool"]
    if pools and not any(pool.exists for pool in pools):
        return "done"
    if all(step.state == "done" for step in before):
        return "skipped" if view.state.ended and not view.tearing_down else "running"
    return "skipped" if ending else "waiting"
