"""Events of runs that cost something."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from core.run.cost_events import BilledItem, BillingEnded, BillingStarted, CostMetered
from core.run.events import AnyRecord, Event, ResourceDeleted
from tests.core.runs import NOON

SOURCE = "shipped prices as of 2026-11-22: a list"


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def started(
    kind: str,
    name: str,
    usd: float,
    since: float | datetime = 0,
    *,
    priced: bool = True,
    **values: Any,
) -> BillingStarted:
    """Billed from so many seconds after noon."""
    items = (BilledItem(what=f"a {kind}", usd_per_hour=usd, source=SOURCE),) if priced else ()
    time = since if isinstance(since, datetime) else after(since)
    fields = {"usd_per_hour": usd if priced else 0.0, "items": items, "since": time}
    return BillingStarted(kind=kind, name=name, **(fields | values))


def ended(kind: str, name: str, until: float) -> BillingEnded:
    return BillingEnded(kind=kind, name=name, until=after(until))


def deleted(kind: str, name: str) -> ResourceDeleted:
    return ResourceDeleted(kind=kind, name=name, proof="asked")


def metered(spent: float) -> CostMetered:
    return CostMetered(
        usd_per_hour=0.5, spent_usd=spent, projected_usd=None, budget_usd=1.0, source=SOURCE
    )


def event(record: AnyRecord, at: float = 0, sequence: int = 1) -> Event:
    return Event(sequence, "a-run", after(at), None, 0, record)


def session() -> list[Event]:
    """A cluster for an hour, and half of it a GPU node, whose end nobody said but its pool's."""
    return [
        event(started("cluster", "c", 0.10), 5, 1),
        event(started("node", "gpu-1", 0.54, 1200, parent="node pool gpu", minimum_s=60), 1210, 2),
        event(started("disk", "d", 0.01, 1200), 1210, 3),
        event(ended("disk", "d", 3000), 3005, 4),
        event(deleted("node pool", "gpu"), 3000, 5),
        event(ended("cluster", "c", 3600), 3610, 6),
        event(deleted("cluster", "c"), 3620, 7),
    ]
