"""What both legs of a comparison cost: in all, by a million inferences, and an hour.

A leg may be made of several runs; then its total is theirs together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from benchmark.results import MeasurementResult, Result
from core.errors import JournalError
from core.report.cost_views import NOT_METERED, PER_MILLION_NOTE
from core.report.costs import InferenceCost, RunCost, dollars, inference_cost, run_cost
from core.report.scenarios import figure_of
from core.run.journal import Journal
from core.verdict.legs import Leg, Source

HEADERS = ("measurement", "USD per million inferences", "difference (%)")

Costed = tuple[Result, RunCost | None]
"""A result, and what its run cost; None: not known."""


@dataclass(frozen=True, slots=True)
class LegCost:
    """What the runs of one leg cost."""

    usd: float | None
    """None: no price is known."""
    at_least: bool
    """Something that they had has no known price, or nothing is known of one of them."""
    growing: bool
    """Something of them is billed still."""
    source: str
    text: str
    """The total in words."""
    usd_per_hour: float | None
    """While it measured; the mean over the measurements. None: not known."""


@dataclass(frozen=True, slots=True)
class CostRow:
    """One measurement in both legs. A positive difference: the second's inferences are dearer."""

    measurement: str
    first_usd_per_million: float | None
    second_usd_per_million: float | None
    difference_percent: float | None


@dataclass(frozen=True, slots=True)
class CostPair:
    """Both legs' costs, of which at least one is known."""

    first: LegCost | None
    second: LegCost | None
    rows: tuple[CostRow, ...]

    def notes(self) -> tuple[str, ...]:
        """Return the sentences that belong under the section."""
        per_million = (PER_MILLION_NOTE,) if self.rows else ()
        sources = dict.fromkeys(leg.source for leg in (self.first, self.second) if leg)
        prices = "; ".join(source for source in sources if source)
        known = (f"Prices: {prices}; before discounts, credits and taxes.",) if prices else ()
        return (*per_million, *known, NOT_METERED)


def with_costs(results: Sequence[Result], journal: Journal, now: datetime) -> list[Costed]:
    """Return each result with what its run cost by ``now``, as far as this journal knows it."""
    return [(result, _known_cost(journal, result.run_id, now)) for result in results]


def cost_pair(first: Sequence[Costed], second: Sequence[Costed]) -> CostPair | None:
    """Return both legs' costs beside each other; None where nothing is known of either."""
    if all(cost is None for _result, cost in (*first, *second)):
        return None
    legs = (_inference_costs(first), _inference_costs(second))
    rows = []
    for name in dict.fromkeys((*legs[0], *legs[1])):
        each = [leg[name].usd_per_million if name in leg else None for leg in legs]
        difference = (each[1] / each[0] - 1) * 100 if each[0] and each[1] else None
        rows.append(CostRow(name, each[0], each[1], difference))
    return CostPair(_leg(first, legs[0]), _leg(second, legs[1]), tuple(rows))


def leg_text(cost: LegCost | None) -> str:
    """Return what a leg cost, or that it is not known."""
    return cost.text if cost else "not known"


def per_million_text(usd: float | None) -> str:
    """Return dollars per million inferences as a table's cell shows them."""
    return "-" if usd is None else dollars(usd)


def _known_cost(journal: Journal, run_id: str, now: datetime) -> RunCost | None:
    # A result stands without its cost: another machine's run is not in this journal, and what is
    # wrong with an entry of it, `cost` tells.
    try:
        return run_cost(journal, run_id, now)
    except JournalError:
        return None


def _inference_costs(leg: Sequence[Costed]) -> dict[str, InferenceCost]:
    """Return what the inferences of each measurement cost over all of the leg's good blocks."""
    names = dict.fromkeys(entry.name for result, _cost in leg for entry in result.benchmarks)
    found = {name: _inference_cost(leg, name) for name in names}
    return {name: cost for name, cost in found.items() if cost is not None}


def _inference_cost(leg: Sequence[Costed], name: str) -> InferenceCost | None:
    good = [(_good(result, name), cost) for result, cost in leg]
    throughput = figure_of([block for blocks, _cost in good for block in blocks], None)
    if throughput is None or throughput.median <= 0:
        return None
    rates: list[float] = []
    for blocks, cost in good:
        each = inference_cost(cost, blocks, throughput.median) if cost and blocks else None
        if each is not None:
            rates += [each.usd_per_hour] * len(blocks)
        elif blocks:
            return None
    rate = math.fsum(rates) / len(rates)
    return InferenceCost(rate, rate / 3600 / throughput.median * 1e6)


def _good(result: Result, name: str) -> list[MeasurementResult]:
    """Return a measurement's blocks that count for the verdict."""
    blocks = Leg.of((Source(result),)).blocks(name)
    return [block.measurement for block in blocks if block.good]


def _leg(leg: Sequence[Costed], inferences: dict[str, InferenceCost]) -> LegCost | None:
    runs = {result.run_id: cost for result, cost in leg}
    costs = [cost for cost in runs.values() if cost is not None]
    if not costs:
        return None
    known = [cost.usd for cost in costs if cost.known]
    usd = math.fsum(known) if known else None
    at_least = len(costs) < len(runs) or any(cost.unpriced for cost in costs)
    growing = any(cost.open for cost in costs)
    rates = [cost.usd_per_hour for cost in inferences.values()]
    return LegCost(
        usd=usd,
        at_least=at_least,
        growing=growing,
        source="; ".join(dict.fromkeys(cost.source for cost in costs if cost.source)),
        text=_total_text(usd, at_least, growing),
        usd_per_hour=math.fsum(rates) / len(rates) if rates else None,
    )


def _total_text(usd: float | None, at_least: bool, growing: bool) -> str:
    if usd is None:
        return "no price known"
    return f"{'at least ' if at_least else ''}{dollars(usd)}{' and growing' if growing else ''}"
