"""What is drawn anew from block to block, and which block is whose partner.

The unit is the block. Where both legs were measured in several boots, what changes from boot to
boot (memory layout, placement of interrupts, the device's own start) is shared by all blocks of a
boot, so they are no independent draws of it: then the boot is the unit, and its figure the
geometric mean of its blocks (Kalibera and Jones 2013, Rigorous benchmarking in reasonable time).

Whether units are paired is read from the times at which they were measured, never from a label:
partners are neighbours in time, one of each leg, and at most CLOSE apart. Of all ways to couple
neighbours, the one with the most pairs is taken, and of those the one whose partners are closest. A
unit whose partner was lost stays alone; where more than MOST_ALONE of all do, nothing is paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import geometric_mean
from typing import Literal

from core.verdict.legs import Block
from core.verdict.model import FEWEST_BLOCKS, Metric

CLOSE = timedelta(hours=6)
"""A run of one block takes up to an hour or two; what is further apart met another time of day."""
MOST_ALONE = 0.2
"""Greatest share of units without a partner; as great as that of void blocks may be."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A block, or all blocks of a boot."""

    blocks: tuple[Block, ...]
    """In time order, void ones too."""
    label: str

    @property
    def started_at(self) -> datetime:
        """When its first block started."""
        return self.blocks[0].started_at

    @property
    def good(self) -> bool:
        """Whether any of its blocks is used."""
        return any(block.good for block in self.blocks)

    def value(self, metric: Metric) -> float | None:
        """Return the geometric mean of its good blocks; None: none of them has the metric."""
        values = [block.value(metric) for block in self.blocks if block.good]
        known = [value for value in values if value is not None]
        # The mean of one is that one, to its last digit.
        return known[0] if len(known) == 1 else geometric_mean(known) if known else None


@dataclass(frozen=True, slots=True)
class Draws:
    """The units of one measurement in both legs."""

    unit: Literal["block", "boot"]
    paired: bool
    first: tuple[Unit, ...]
    """In time order; where paired, partners stand at the same place of both legs."""
    second: tuple[Unit, ...]
    alone: tuple[Unit, ...] = ()
    """Of paired legs those that have no partner, in time order; they are in neither."""

    def usable(self) -> tuple[int, int]:
        """Return how many units of each leg can be used; of paired ones the good pairs, twice."""
        if self.paired:
            pairs = sum(
                one.good and other.good for one, other in zip(self.first, self.second, strict=True)
            )
            return pairs, pairs
        return sum(unit.good for unit in self.first), sum(unit.good for unit in self.second)

    def values(self, metric: Metric) -> tuple[list[float], list[float]]:
        """Return the metric's values of both legs; of paired ones, only where both have one."""
        first = [unit.value(metric) for unit in self.first]
        second = [unit.value(metric) for unit in self.second]
        if self.paired:
            pairs = zip(first, second, strict=True)
            known = [(a, b) for a, b in pairs if a is not None and b is not None]
            return [a for a, _ in known], [b for _, b in known]
        return [a for a in first if a is not None], [b for b in second if b is not None]

    @property
    def one_order(self) -> bool:
        """Whether in every pair the same leg came first, which an effect of the order would look
        like.
        """
        ahead = [
            one.started_at < other.started_at
            for one, other in zip(self.first, self.second, strict=False)
        ]
        return self.paired and len(set(ahead)) == 1


def draws(first: Sequence[Block], second: Sequence[Block]) -> Draws:
    """Return the units of one measurement's blocks, in time order, and whether they are paired."""
    boots = min(_boots(first), _boots(second)) >= FEWEST_BLOCKS
    units = [_by_boot(blocks) if boots else _each(blocks) for blocks in (first, second)]
    partners = _partners(units[0], units[1])
    unit: Literal["block", "boot"] = "boot" if boots else "block"
    if partners is None:
        return Draws(unit, False, tuple(units[0]), tuple(units[1]))
    return Draws(unit, True, *partners)


def _boots(blocks: Sequence[Block]) -> int:
    """Return how many boots the good blocks were measured in; 0 where one does not tell."""
    boots = {block.boot for block in blocks if block.good}
    return 0 if None in boots else len(boots)


def _each(blocks: Sequence[Block]) -> list[Unit]:
    return [Unit((block,), block.label) for block in blocks]


def _by_boot(blocks: Sequence[Block]) -> list[Unit]:
    boots: dict[str | None, list[Block]] = {}
    for block in blocks:
        boots.setdefault(block.boot, []).append(block)
    return [Unit(tuple(found), f"boot {boot}"[:13]) for boot, found in boots.items()]


def _partners(
    first: Sequence[Unit], second: Sequence[Unit]
) -> tuple[tuple[Unit, ...], tuple[Unit, ...], tuple[Unit, ...]] | None:
    """Return partners at the same places, and the units that have none; None: not paired."""
    order = sorted(
        [
            (unit.started_at, leg, unit)
            for leg, units in enumerate((first, second))
            for unit in units
        ],
        key=lambda each: each[:2],
    )
    coupled = _coupled([(leg, unit) for _, leg, unit in order])
    ones: list[Unit] = []
    others: list[Unit] = []
    alone: list[Unit] = []
    place = 0
    while place < len(order):
        _, leg, unit = order[place]
        if coupled[place]:
            _, _, partner = order[place + 1]
            ones.append(partner if leg else unit)
            others.append(unit if leg else partner)
        else:
            alone.append(unit)
        place += 1 + coupled[place]
    if not ones or len(alone) > MOST_ALONE * len(order):
        return None
    return tuple(ones), tuple(others), tuple(alone)


def _coupled(order: Sequence[tuple[int, Unit]]) -> list[bool]:
    """Return for each place whether it is better coupled with the next than left alone, where no
    place before it is coupled with it. ``order``: the leg of each unit, in time order.
    """
    coupled = [False] * len(order)
    # Of all units from a place on: how many pairs, and minus the time between their partners.
    best = [(0, timedelta(0))] * (len(order) + 1)
    for place in reversed(range(len(order) - 1)):
        best[place] = best[place + 1]
        (leg, unit), (other_leg, other) = order[place : place + 2]
        apart = max(other.started_at - unit.blocks[-1].started_at, timedelta(0))
        if leg != other_leg and apart <= CLOSE:
            pairs, closeness = best[place + 2]
            # Among equals the earlier are coupled: a series that goes on lacks its last partner.
            coupled[place] = (pairs + 1, closeness - apart) >= best[place]
            best[place] = max(best[place], (pairs + 1, closeness - apart))
    return coupled
