"""What a run costs and is expected to cost, as events of its stream."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from benchmark.validation import Tolerant


class CostMetered(Tolerant):
    """What the run has cost so far."""

    event: Literal["cost_metered"] = "cost_metered"
    usd_per_hour: float
    spent_usd: float
    projected_usd: float | None
    """At the end of the run, teardown included."""
    budget_usd: float | None
    source: str
    """Where the prices are from, with their date."""


class BilledItem(Tolerant):
    """One price that makes up what a thing costs."""

    what: str
    """``4 N1 cores``, ``1 NVIDIA T4``, ``cluster fee`` ..."""
    usd_per_hour: float
    source: str
    """Where the price is from, with its date."""


class BillingStarted(Tolerant):
    """Something is billed from here on, as its provider says."""

    event: Literal["billing_started"] = "billing_started"
    kind: str
    """``node``, ``disk``, ``cluster`` ..."""
    name: str
    """Unique among the run's billed things of that kind."""
    usd_per_hour: float
    items: tuple[BilledItem, ...]
    since: datetime
    """The provider's own word on when it began."""
    parent: str = ""
    """``kind name`` of the resource with which it ends at the latest."""
    minimum_s: int = 0
    """It is billed for so long at least."""


class BillingEnded(Tolerant):
    """It is billed no longer."""

    event: Literal["billing_ended"] = "billing_ended"
    kind: str
    name: str
    until: datetime


class CostWarned(Tolerant):
    """A share of the budget is spent."""

    event: Literal["cost_warned"] = "cost_warned"
    share: float
    """0.5, 0.8 or 0.95."""
    spent_usd: float
    budget_usd: float


class ForecastStep(Tolerant):
    """One step of what is planned."""

    name: str
    starts_s: float
    """After the run's start."""
    seconds: float
    usd: float
    basis: str
    """Where its length is from: ``median of 4 runs``, ``typical``, ``the plan`` ..."""


class RunPlanned(Tolerant):
    """What the run will do, what beside what, how long it takes and what it costs."""

    event: Literal["run_planned"] = "run_planned"
    steps: tuple[ForecastStep, ...]
    seconds: float
    usd: float | None
    """None: a price is not known."""
    budget_usd: float | None
    deadline_s: float | None
    source: str
    """Where the prices are from, with their date."""
