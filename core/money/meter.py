"""What has been spent: things that are billed by the second, each from when to when.

Pure: no clock is read, every figure is asked for a time. A thing can be reported as often as one
likes and in any order; what is said of it twice counts once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime

from core.money.table import PriceItem, usd_per_hour

MACHINE_MINIMUM_S = 60.0
"""vCPUs, memory and GPUs are billed for a minute at least, then by the second
(https://cloud.google.com/compute/vm-instance-pricing#billingmodel). Disks and the cluster fee have
no minimum.
"""


@dataclass(frozen=True, slots=True)
class BilledThing:
    """One thing, from when to when, at which prices."""

    key: str
    """The same thing has the same; a later one of the same name may have it too."""
    kind: str
    name: str
    items: tuple[PriceItem, ...]
    """Empty: no price is known, and what it costs is not counted."""
    started: datetime
    ended: datetime | None = None
    minimum_s: float = MACHINE_MINIMUM_S

    @property
    def usd_per_hour(self) -> float:
        """Return what it costs while it is there."""
        return usd_per_hour(self.items)

    def is_billed(self, now: datetime) -> bool:
        """Return whether it is there at that time."""
        return self.started <= now and (self.ended is None or now < self.ended)

    def seconds(self, now: datetime) -> float:
        """Return for how long it was billed by then, its minimum included."""
        if now < self.started:
            return 0.0
        end = now if self.ended is None else min(now, self.ended)
        return max((end - self.started).total_seconds(), self.minimum_s)

    def usd(self, now: datetime) -> float:
        """Return what it had cost by then."""
        return self.usd_per_hour * self.seconds(now) / 3600

    def overlap_s(self, start: datetime, end: datetime) -> float:
        """Return for how many seconds of a span it was there."""
        last = end if self.ended is None else min(end, self.ended)
        return max(0.0, (last - max(start, self.started)).total_seconds())


class Meter:
    """All that is or was billed."""

    def __init__(self) -> None:
        self._starts: dict[str, dict[datetime, BilledThing]] = {}
        self._ends: dict[str, set[datetime]] = {}

    def started(self, thing: BilledThing) -> None:
        """Take note that a thing is billed. While it is, a second start of it says nothing new."""
        starts = self._starts.setdefault(thing.key, {})
        known = starts.get(thing.started)
        opened = replace(thing, ended=None)
        if known is None or _rank(opened) > _rank(known):
            starts[thing.started] = opened
        if thing.ended is not None:
            self.ended(thing.key, thing.ended)

    def ended(self, key: str, when: datetime) -> None:
        """Take note that a thing is billed no longer. Of several ends of it the first counts."""
        self._ends.setdefault(key, set()).add(when)

    def things(self) -> tuple[BilledThing, ...]:
        """Return every thing with its end, in the order in which they started."""
        found = [thing for key in self._starts for thing in self._of(key)]
        return tuple(sorted(found, key=lambda thing: (thing.started, thing.key)))

    def rate(self, now: datetime) -> float:
        """Return dollars an hour at that time."""
        return math.fsum(thing.usd_per_hour for thing in self.things() if thing.is_billed(now))

    def spent(self, now: datetime) -> float:
        """Return the dollars of all things by that time."""
        return math.fsum(thing.usd(now) for thing in self.things())

    def average_rate(self, start: datetime, end: datetime) -> float:
        """Return the mean of dollars an hour over a span; at an instant, the rate there."""
        length = (end - start).total_seconds()
        if length <= 0:
            return self.rate(start)
        return math.fsum(
            thing.usd_per_hour * thing.overlap_s(start, end) / length for thing in self.things()
        )

    def unpriced(self) -> tuple[BilledThing, ...]:
        """Return the things whose price is not known: what they cost is in no figure."""
        return tuple(thing for thing in self.things() if not thing.items)

    def _of(self, key: str) -> list[BilledThing]:
        starts, ends = self._starts[key], self._ends.get(key, set())
        found: list[BilledThing] = []
        current: BilledThing | None = None
        for time in sorted({*starts, *ends}):
            if current is not None and time in ends:
                found.append(replace(current, ended=time))
                current = starts.get(time)
            elif current is None and time in starts:
                current = starts[time]
                if time in ends:
                    found.append(replace(current, ended=time))
                    current = None
        return found if current is None else [*found, current]


def _rank(thing: BilledThing) -> tuple[float, float, str]:
    # Of two accounts of one start the dearer counts, whichever came first.
    return thing.usd_per_hour, thing.minimum_s, repr(thing)
