"""What the runs of a journal cost, by run, by leg and by a million inferences."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from benchmark.errors import ResultFileError
from benchmark.results import RESULT_FILE, read_result
from core.report.costs import CostLine, RunCost, run_cost
from core.report.scenarios import Row, scenario_table
from core.run.events import RunState
from core.run.journal import Journal, Run


@dataclass(frozen=True, slots=True)
class RunSpending:
    """One run and what it cost."""

    run: Run
    state: RunState
    cost: RunCost | None
    """None: nothing is known of it."""
    rows: tuple[Row, ...] = ()
    """Its measurements whose inferences have a known cost."""


@dataclass(frozen=True, slots=True)
class LegSpending:
    """All runs of one leg together."""

    leg: str
    runs: int
    usd: float
    unpriced_runs: int
    """Of them, those in which something has no known price: the sum is the least it can be."""


@dataclass(frozen=True, slots=True)
class PerMillion:
    """Dollars per million inferences of one measurement of one leg, over its runs."""

    leg: str
    measurement: str
    runs: int
    median: float
    minimum: float
    maximum: float


def spending_of(journal: Journal, run: Run, now: datetime) -> RunSpending:
    """Return what a run cost, with its measurements where it has a result.

    Raises:
        JournalError: what the journal says of its cost cannot be read.
    """
    state = journal.state_now(run, now)
    cost = run_cost(journal, run.id, now)
    return RunSpending(run, state, cost, _rows(run, cost) if cost else ())


def by_leg(found: Iterable[RunSpending]) -> list[LegSpending]:
    """Return each leg's total over the runs whose cost is known, by the leg's name."""
    legs: dict[str, list[RunCost]] = {}
    for entry in found:
        if entry.cost is not None:
            legs.setdefault(entry.run.leg, []).append(entry.cost)
    return [
        LegSpending(
            leg=leg,
            runs=len(costs),
            usd=math.fsum(cost.usd for cost in costs),
            unpriced_runs=sum(bool(cost.unpriced) for cost in costs),
        )
        for leg, costs in sorted(legs.items())
    ]


def per_million(found: Iterable[RunSpending]) -> list[PerMillion]:
    """Return dollars per million inferences by leg and measurement."""
    groups: dict[tuple[str, str], list[float]] = {}
    for entry in found:
        for row in entry.rows:
            if row.cost is not None:
                key = (entry.run.leg, row.name)
                groups.setdefault(key, []).append(row.cost.usd_per_million)
    return [
        PerMillion(leg, name, len(values), statistics.median(values), min(values), max(values))
        for (leg, name), values in sorted(groups.items())
    ]


def run_document(entry: RunSpending) -> dict[str, Any]:
    """Return one run for a program; its cost is null where nothing is known of it."""
    cost = entry.cost
    return {
        "id": entry.run.id,
        "state": str(entry.state),
        "target": entry.run.target,
        "leg": entry.run.leg,
        "created_at": entry.run.created_at.isoformat(),
        "cost": _cost_document(cost) if cost else None,
        "measurements": [
            {
                "name": row.name,
                "usd_per_hour": row.cost.usd_per_hour,
                "usd_per_million_inferences": row.cost.usd_per_million,
            }
            for row in entry.rows
            if row.cost
        ],
    }


def _cost_document(cost: RunCost) -> dict[str, Any]:
    return {
        "usd": cost.usd if cost.known else None,
        "at_least": bool(cost.unpriced),
        "usd_per_hour_now": cost.usd_per_hour,
        "as_of": cost.as_of.isoformat(),
        "source": cost.source,
        "by_kind": dict(cost.by_kind),
        "lines": [_line_document(line) for line in cost.lines],
        "notes": list(cost.notes()),
    }


def _line_document(line: CostLine) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "name": line.name,
        "since": line.since.isoformat(),
        "until": line.until.isoformat() if line.until else None,
        "billed_s": line.billed_s,
        "usd_per_hour": line.usd_per_hour if line.items else None,
        "usd": line.usd,
        "prices": [
            {"what": item.what, "usd_per_hour": item.usd_per_hour, "source": item.source}
            for item in line.items
        ],
    }


def _rows(run: Run, cost: RunCost) -> tuple[Row, ...]:
    try:
        result = read_result(run.folder / RESULT_FILE)
    except ResultFileError:
        # It has none, or none that can be used: what it cost is known all the same.
        return ()
    if result.run_id != run.id:
        return ()
    return tuple(row for row in scenario_table(result, cost).rows if row.cost)
