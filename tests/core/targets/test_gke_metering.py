"""The account of a run: what each look at Google changes in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.run.cost_events import BilledItem, BillingEnded, BillingStarted, CostWarned
from core.run.events import AnyRecord, Event, ResourceDeleted
from core.targets.gke.metering import Account
from core.targets.gke.sightings import Look, Sighting

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
POOL = "node pool cluster/gpu"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def started(seconds: float, name: str = "n", minimum_s: int = 0) -> BillingStarted:
    item = BilledItem(what="node", usd_per_hour=3600.0, source="somewhere")
    return BillingStarted(
        kind="node",
        name=name,
        usd_per_hour=3600.0,
        items=(item,),
        since=at(seconds),
        parent=POOL,
        minimum_s=minimum_s,
    )


def look(seconds: float, **there: float | None) -> Look:
    """Nodes with the seconds at which they began."""
    seen = (
        Sighting(name, None if began is None else at(began), POOL, "somewhere")
        for name, began in there.items()
    )
    return Look("node", at(seconds), tuple(seen))


def event(record: AnyRecord, seconds: float = 0) -> Event:
    return Event(1, "run", at(seconds), None, 0, record)


class Told(list[AnyRecord]):
    def ends(self) -> list[float]:
        ended = [each for each in self if isinstance(each, BillingEnded)]
        return [(each.until - NOON).total_seconds() for each in ended]


def seen(account: Account, told: Told, view: Look) -> None:
    """Take a look in, every price being a dollar a second."""
    account.gone(view, told.append)
    for sighting, since in account.unknown(view):
        account.started(started((since - NOON).total_seconds(), sighting.name), told.append)


def test_between_two_looks_it_ended_in_the_middle() -> None:
    account, told = Account(), Told()
    for view in (look(10, n=0), look(20, n=0), look(24)):
        seen(account, told, view)
    assert told.ends() == [22]
    assert account.meter.spent(at(100)) == 22


def test_after_a_long_time_in_the_dark_it_counts_to_the_look() -> None:
    account, told = Account(), Told()
    for view in (look(10, n=0), look(900)):
        seen(account, told, view)
    assert told.ends() == [900]


def test_a_list_that_left_it_out_once_makes_no_gap() -> None:
    account, told = Account(), Told()
    for view in (look(10, n=0), look(20), look(30, n=0)):
        seen(account, told, view)
    assert account.meter.spent(at(40)) == 40
    assert account.meter.rate(at(40)) == 3600


def test_the_same_name_with_another_beginning_is_another_thing() -> None:
    account, told = Account(), Told()
    for view in (look(10, n=0), look(20, n=15)):
        seen(account, told, view)
    assert told.ends() == [15]
    assert account.meter.spent(at(30)) == 30


def test_what_google_stopped_ended_when_google_says() -> None:
    account, told = Account(), Told()
    seen(account, told, look(10, n=0))
    seen(account, told, Look("node", at(20), (), (("n", at(13)),)))
    assert told.ends() == [13]


def test_what_has_no_beginning_began_when_it_was_seen() -> None:
    account, told = Account(), Told()
    seen(account, told, look(10, n=None))
    seen(account, told, look(20, n=None))
    assert account.meter.spent(at(20)) == 10
    assert told.ends() == []


def test_what_could_not_be_written_down_is_told_with_the_next_look() -> None:
    account = Account()

    def full(_record: AnyRecord) -> None:
        raise OSError("the disk is full")

    for refused in (True, False):
        try:
            account.started(started(0), full if refused else Told().append)
        except OSError:
            assert account.unknown(look(10, n=0))
    assert not account.unknown(look(20, n=0))


def test_it_is_rebuilt_from_the_stream() -> None:
    deleted = ResourceDeleted(kind="node pool", name="cluster/gpu", proof="asked")
    account = Account(
        [
            event(started(0)),
            event(started(5, "m", minimum_s=60)),
            event(BillingEnded(kind="node", name="n", until=at(30))),
            event(CostWarned(share=0.8, spent_usd=1, budget_usd=2)),
            event(deleted, 50),
        ]
    )
    # The second ended with its pool, after less than its minimum.
    assert account.meter.spent(at(100)) == 30 + 60
    assert account.warned == 0.8
    told = Told()
    account.gone(look(100), told.append)
    assert told == []
