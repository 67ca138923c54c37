"""The account of a run: what is billed since when, as events of its stream, and what that comes to.
It reads no clock and asks nobody, and is rebuilt from the stream when a run is taken up again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from core.money.meter import BilledThing, Meter
from core.money.table import PriceItem, origins
from core.run.cost_events import BillingEnded, BillingStarted, CostWarned
from core.run.events import AnyRecord, Event, ResourceDeleted
from core.targets.gke.forecasting import Billed
from core.targets.gke.sightings import Look, Sighting, is_gpu

Key = tuple[str, str]
"""Kind and name."""

# Between two looks nobody saw when it ended: the middle is wrong by half of that at most. After a
# longer time in the dark the bill counts to the look, so that it never says less than Google's.
_LONGEST_GUESS = timedelta(seconds=60)


class Account:
    """What a run has had billed."""

    def __init__(self, before: Iterable[Event] = ()) -> None:
        self.meter = Meter()
        self.warned = 0.0
        """Highest share of the budget that was told."""
        self._open: dict[Key, BillingStarted] = {}
        self._ended: dict[Key, datetime] = {}
        self._all: dict[Key, BillingStarted] = {}
        self._looked: dict[str, datetime] = {}
        for event in before:
            self._take(event.record, event.time)

    @property
    def is_empty(self) -> bool:
        """Return whether nothing was ever billed."""
        return not self._all

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Return what no price is known of, ``kind name``."""
        return tuple(f"{thing.kind} {thing.name}" for thing in self.meter.unpriced())

    def started(self, record: BillingStarted, emit: Callable[[AnyRecord], None]) -> None:
        """Tell that something is billed, then count it: what was not written down is tried again
        with the next look.
        """
        emit(record)
        self._take(record, record.since)

    def unknown(self, look: Look) -> list[tuple[Sighting, datetime]]:
        """Return what a look shows that is not counted yet, with the time from which it is."""
        found = []
        for sighting in look.there:
            key = (look.kind, sighting.name)
            if key in self._open:
                continue
            since = _aware(sighting.since or look.time)
            # Where a list left it out once it was billed all the time: it goes on from that end.
            found.append((sighting, max(since, self._ended.get(key, since))))
        return found

    def gone(self, look: Look, emit: Callable[[AnyRecord], None]) -> None:
        """Tell what is billed no longer, as a look shows."""
        there = {sighting.name: sighting for sighting in look.there}
        stopped = dict(look.stopped)
        for key, record in list(self._open.items()):
            kind, name = key
            if kind != look.kind:
                continue
            sighting = there.get(name)
            if sighting is None:
                until = stopped.get(name) or self._until(look)
            elif sighting.since is not None and _aware(sighting.since) > _aware(record.since):
                # The same name again: a node that Google replaced.
                until = min(_aware(sighting.since), look.time)
            else:
                continue
            ended = BillingEnded(kind=kind, name=name, until=max(until, _aware(record.since)))
            emit(ended)
            self._take(ended, ended.until)
        self._looked[look.kind] = look.time

    def billed(self, now: datetime, began: datetime, *, gpu: bool) -> Billed:
        """Return what GPU nodes, or all else, cost now and since when."""
        those = [record for record in self._all.values() if is_gpu(record) is gpu]
        keys = {_key(record.kind, record.name) for record in those}
        rate = sum(
            thing.usd_per_hour
            for thing in self.meter.things()
            if thing.key in keys and thing.is_billed(now)
        )
        since = min((_aware(record.since) for record in those), default=None)
        return Billed(rate, None if since is None else (since - began).total_seconds())

    def seen(self, *, gpu: bool) -> float:
        """Return what GPU nodes, or all else, that were ever seen cost together, in dollars an
        hour, billed still or not.
        """
        return sum(each.usd_per_hour for each in self._all.values() if is_gpu(each) is gpu)

    def said_of(self) -> str:
        """Return where the prices of all that was billed are from."""
        sources = [item.source for record in self._all.values() for item in record.items]
        return origins(sources)

    def _until(self, look: Look) -> datetime:
        before = self._looked.get(look.kind)
        if before is None or look.time - before > _LONGEST_GUESS:
            return look.time
        return before + (look.time - before) / 2

    def _take(self, record: AnyRecord, time: datetime) -> None:
        match record:
            case BillingStarted():
                key = (record.kind, record.name)
                self._open[key] = self._all[key] = record
                self.meter.started(_thing(record))
            case BillingEnded():
                self._end(record.kind, record.name, _aware(record.until))
            case ResourceDeleted():
                resource = f"{record.kind} {record.name}"
                for kind, name in self._ending_with(resource):
                    self._end(kind, name, time)
            case CostWarned():
                self.warned = max(self.warned, record.share)
            case _:
                return

    def _ending_with(self, resource: str) -> Sequence[Key]:
        return [
            (kind, name)
            for (kind, name), record in self._open.items()
            if resource in (f"{kind} {name}", record.parent)
        ]

    def _end(self, kind: str, name: str, until: datetime) -> None:
        self._open.pop((kind, name), None)
        self._ended[kind, name] = until
        self.meter.ended(_key(kind, name), until)


def _thing(record: BillingStarted) -> BilledThing:
    return BilledThing(
        key=_key(record.kind, record.name),
        kind=record.kind,
        name=record.name,
        items=tuple(PriceItem(item.what, item.usd_per_hour, item.source) for item in record.items),
        started=_aware(record.since),
        minimum_s=record.minimum_s,
    )


def _key(kind: str, name: str) -> str:
    return f"{kind} {name}"


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
