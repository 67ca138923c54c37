"""What a run cost, folded from its events: what was billed, from when to when, at which price."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from benchmark.results import MeasurementResult
from core.errors import JournalError
from core.money.meter import BilledThing, Meter
from core.money.table import PriceItem, origins
from core.run.cost_events import BillingEnded, BillingStarted, CostMetered
from core.run.events import Event, ResourceDeleted, parse_event
from core.run.journal import Journal

# Far beyond any machine's; what is above is damage.
_DEAREST_USD_PER_HOUR = 1e6
_LONGEST_MINIMUM_S = 31 * 86400

_NEEDED = tuple(
    f'"event":"{record.model_fields["event"].default}"'
    for record in (BillingStarted, BillingEnded, ResourceDeleted, CostMetered)
)


@dataclass(frozen=True, slots=True)
class CostLine:
    """One thing that was billed."""

    kind: str
    name: str
    since: datetime
    until: datetime | None
    """None: it is billed still, as far as the run's events tell."""
    billed_s: float
    """Its minimum included."""
    usd_per_hour: float
    usd: float | None
    """None: no price is known."""
    items: tuple[PriceItem, ...]

    @property
    def regional(self) -> bool:
        """Return whether it is a cluster of a whole region, whose fee no credit covers."""
        return any("regional" in item.what for item in self.items)


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run cost."""

    usd: float
    lines: tuple[CostLine, ...]
    """In the order in which they began. Empty: the run said only what it came to."""
    by_kind: tuple[tuple[str, float], ...]
    """Dollars of each kind of thing, the dearest first."""
    usd_per_hour: float
    """What it goes on costing at ``as_of``."""
    source: str
    """Where the prices are from, with their dates."""
    as_of: datetime
    meter: Meter

    @property
    def open(self) -> tuple[CostLine, ...]:
        """Return what is billed still."""
        return tuple(line for line in self.lines if line.until is None)

    @property
    def unpriced(self) -> tuple[CostLine, ...]:
        """Return what has no known price, and so is not in the total."""
        return tuple(line for line in self.lines if line.usd is None)

    @property
    def known(self) -> bool:
        """Return whether anything of it has a price."""
        return not self.lines or len(self.unpriced) < len(self.lines)

    @property
    def text(self) -> str:
        """Return the total in words that hide nothing: at least, still growing, not known."""
        if not self.known:
            return "no price known"
        least = "at least " if self.unpriced else ""
        growing = " and growing" if self.open else ""
        return f"{least}{dollars(self.usd)}{growing}"

    def notes(self) -> tuple[str, ...]:
        """Return the sentences that belong beside the total."""
        notes = (
            [f"Prices: {self.source}; before discounts, credits and taxes."] if self.known else []
        )
        if self.unpriced:
            names = ", ".join(f"{line.kind} {line.name}" for line in self.unpriced)
            notes.append(f"No price is known of {names}; what they cost is not in any figure.")
        if self.open:
            names = ", ".join(f"{line.kind} {line.name}" for line in self.open)
            notes.append(f"Billed still, as far as the run's events tell: {names}.")
        if any(line.kind == "cluster" and line.usd and not line.regional for line in self.lines):
            notes.append(
                "Google's monthly credit of $74.40 a billing account covers one zonal cluster's "
                "fee: if nothing else uses it, the cluster fee is not charged."
            )
        return tuple(notes)


@dataclass(frozen=True, slots=True)
class InferenceCost:
    """What the inferences of one measurement cost."""

    usd_per_hour: float
    """Of all that the run had billed while the good blocks ran, the mean over them."""
    usd_per_million: float
    """That divided by the measurement's throughput."""


def run_cost(journal: Journal, run_id: str, now: datetime) -> RunCost | None:
    """Return what a run of the journal cost by ``now``; None where nothing is known of it.

    Raises:
        JournalError: the journal, or an event that says something of cost, cannot be read.
    """
    events = []
    for sequence, line in journal.lines(run_id):
        if any(mark in line for mark in _NEEDED):
            try:
                events.append(parse_event(line))
            except ValueError as error:
                raise JournalError(
                    f"Event {sequence} of run {run_id} in {journal.path} cannot be read.",
                    "Use the version of gpubench-tui that wrote it.",
                ) from error
    return cost_of(events, now)


def cost_of(stream: Iterable[Event], now: datetime) -> RunCost | None:
    """Return what a run cost by ``now``; None where its events tell of no cost.

    The events may come in any order and more than once.
    """
    events = list(stream)
    meter = meter_of(events)
    things = meter.things()
    if not things:
        return _as_metered(events)
    lines = tuple(_line(thing, now) for thing in things)
    kinds: dict[str, list[float]] = {}
    for line in lines:
        if line.usd is not None:
            kinds.setdefault(line.kind, []).append(line.usd)
    by_kind = {kind: math.fsum(found) for kind, found in kinds.items()}
    return RunCost(
        usd=meter.spent(now),
        lines=lines,
        by_kind=tuple(sorted(by_kind.items(), key=lambda entry: (-entry[1], entry[0]))),
        usd_per_hour=meter.rate(now),
        source=origins(item.source for line in lines for item in line.items),
        as_of=now,
        meter=meter,
    )


def meter_of(events: Sequence[Event]) -> Meter:
    """Return the meter of all that the events say is or was billed."""
    meter = Meter()
    keys: dict[str, set[str]] = {}
    """By the words ``kind name`` of a resource: what ends with it."""
    for event in events:
        record = event.record
        if isinstance(record, BillingStarted):
            key = f"{record.kind} {record.name}"
            for resource in {key, record.parent} - {""}:
                keys.setdefault(resource, set()).add(key)
            meter.started(_thing(key, record))
    for event in events:
        record = event.record
        if isinstance(record, BillingEnded):
            meter.ended(f"{record.kind} {record.name}", _aware(record.until))
        elif isinstance(record, ResourceDeleted):
            for key in keys.get(f"{record.kind} {record.name}", ()):
                meter.ended(key, event.time)
    return meter


def inference_cost(
    cost: RunCost, blocks: Sequence[MeasurementResult], throughput: float | None
) -> InferenceCost | None:
    """Return what the inferences of these good blocks of one measurement cost; None where the
    throughput (samples/s) or the price of something that was billed then is not known.

    A block counts from the start of its process to the end of LoadGen's timed part. What ran
    before the measurements (cluster, drivers, image) and after them is not in it.
    """
    spans = [_span(block) for block in blocks]
    if not throughput or not spans or any(_unpriced_in(cost, span) for span in spans):
        return None
    rate = math.fsum(cost.meter.average_rate(*span) for span in spans) / len(spans)
    if rate <= 0:
        return None
    return InferenceCost(rate, rate / 3600 / throughput * 1e6)


def dollars(usd: float) -> str:
    """Return dollars with as many digits as tell amounts of a benchmark's size apart."""
    if abs(usd) >= 10:
        return f"${usd:,.2f}"
    if abs(usd) >= 0.0001 or usd == 0:
        return f"${usd:.4f}"
    return f"${usd:.{min(2 - math.floor(math.log10(abs(usd))), 12)}f}"


def _thing(key: str, record: BillingStarted) -> BilledThing:
    items = tuple(PriceItem(item.what, item.usd_per_hour, item.source) for item in record.items)
    if not items and record.usd_per_hour > 0:
        items = (PriceItem(record.kind, record.usd_per_hour, "prices without a source"),)
    # A figure that no price can be is none.
    if not all(0 <= item.usd_per_hour <= _DEAREST_USD_PER_HOUR for item in items):
        items = ()
    return BilledThing(
        key=key,
        kind=record.kind,
        name=record.name,
        items=items,
        started=_aware(record.since),
        minimum_s=min(max(record.minimum_s, 0), _LONGEST_MINIMUM_S),
    )


def _aware(time: datetime) -> datetime:
    if time.tzinfo is None:
        return time.replace(tzinfo=UTC)
    # The calendar's first and last day have no other zone's time.
    with contextlib.suppress(OverflowError):
        return time.astimezone(UTC)
    return time


def _line(thing: BilledThing, now: datetime) -> CostLine:
    return CostLine(
        kind=thing.kind,
        name=thing.name,
        since=thing.started,
        until=thing.ended,
        billed_s=thing.seconds(now),
        usd_per_hour=thing.usd_per_hour,
        usd=thing.usd(now) if thing.items else None,
        items=thing.items,
    )


def _as_metered(events: Iterable[Event]) -> RunCost | None:
    # Without lines all that is known is what the run's own meter came to.
    last: tuple[int, datetime, CostMetered] | None = None
    for event in events:
        if isinstance(event.record, CostMetered) and (last is None or event.sequence > last[0]):
            last = (event.sequence, event.time, event.record)
    if last is None or not 0 < last[2].spent_usd < math.inf:
        return None
    _sequence, time, record = last
    return RunCost(
        usd=record.spent_usd,
        lines=(),
        by_kind=(),
        usd_per_hour=record.usd_per_hour if math.isfinite(record.usd_per_hour) else 0.0,
        source=record.source,
        as_of=time,
        meter=Meter(),
    )


def _span(block: MeasurementResult) -> tuple[datetime, datetime]:
    warm_up_s = block.warm_up.duration_s if block.warm_up else 0.0
    parts = (block.build_s or 0.0, warm_up_s, block.duration_s or 0.0)
    return block.started_at, block.started_at + timedelta(seconds=math.fsum(parts))


def _unpriced_in(cost: RunCost, span: tuple[datetime, datetime]) -> bool:
    start, end = span
    return any(
        thing.overlap_s(start, end) > 0 or thing.is_billed(start) for thing in cost.meter.unpriced()
    )
