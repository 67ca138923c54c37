"""What two runs cost beside each other: in all, and by a million inferences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.report.cost_views import NOT_METERED, PER_MILLION_NOTE
from core.report.costs import InferenceCost, RunCost, dollars

TITLE = "Cost"
HEADERS = ("measurement", "USD per million inferences", "difference (%)")


@dataclass(frozen=True, slots=True)
class LegCost:
    """What one of the two runs cost."""

    usd: float | None
    """None: no price is known."""
    at_least: bool
    """Something that it had has no known price."""
    growing: bool
    """Something of it is billed still."""
    source: str
    text: str
    """The total in words."""


@dataclass(frozen=True, slots=True)
class CostRow:
    """One measurement in both legs. A positive difference: the second's inferences are dearer."""

    measurement: str
    first_usd_per_million: float | None
    second_usd_per_million: float | None
    difference_percent: float | None


@dataclass(frozen=True, slots=True)
class CostPair:
    """Both runs' costs, of which at least one is known."""

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


class _Costed(Protocol):
    @property
    def cost(self) -> InferenceCost | None: ...


def cost_pair(
    costs: tuple[RunCost | None, RunCost | None],
    tables: Sequence[Mapping[str, _Costed]],
) -> CostPair | None:
    """Return two runs' costs beside each other; None where neither is known. ``tables`` are both
    results' rows by the names of their measurements.
    """
    if costs == (None, None):
        return None
    rows = []
    for name in dict.fromkeys((*tables[0], *tables[1])):
        found = [table[name].cost if name in table else None for table in tables]
        first, second = (cost.usd_per_million if cost else None for cost in found)
        if first is None and second is None:
            continue
        both = first is not None and second is not None
        difference = (second / first - 1) * 100 if both and first and second else None
        rows.append(CostRow(name, first, second, difference))
    return CostPair(_leg(costs[0]), _leg(costs[1]), tuple(rows))


def leg_text(cost: LegCost | None) -> str:
    """Return what a run cost, or that it is not known."""
    return cost.text if cost else "not known"


def per_million_text(usd: float | None) -> str:
    """Return dollars per million inferences as a table's cell shows them."""
    return "-" if usd is None else dollars(usd)


def _leg(cost: RunCost | None) -> LegCost | None:
    if cost is None:
        return None
    return LegCost(
        usd=cost.usd if cost.known else None,
        at_least=bool(cost.unpriced),
        growing=bool(cost.open),
        source=cost.source,
        text=cost.text,
    )
