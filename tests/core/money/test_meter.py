"""The meter: exact to the second, monotone, and deaf to repetition and order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money.meter import BilledThing, Meter
from core.money.table import PriceItem

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def thing(
    key: str = "node a", *, usd: float = 3.6, started: float = 0, **values: Any
) -> BilledThing:
    items = () if usd == 0 else (PriceItem("all of it", usd, "the test: a price"),)
    return BilledThing(key, "node", key, items, after(started), **values)


def metered(*things: BilledThing) -> Meter:
    meter = Meter()
    for entry in things:
        meter.started(entry)
    return meter


def test_it_bills_by_the_second() -> None:
    meter = metered(thing())
    assert meter.spent(after(1000)) == pytest.approx(1.0)
    assert meter.spent(after(1001)) == pytest.approx(1.001)
    assert meter.rate(after(1000)) == 3.6


def test_a_minute_is_the_least_of_a_machine_and_a_disk_has_no_least() -> None:
    assert metered(thing(ended=after(5))).spent(after(5)) == pytest.approx(0.06)
    assert metered(thing(ended=after(5), minimum_s=0)).spent(after(900)) == pytest.approx(0.005)
    assert metered(thing(ended=after(61))).spent(after(900)) == pytest.approx(0.061)


def test_nothing_is_billed_before_its_start_or_after_its_end() -> None:
    meter = metered(thing(started=100, ended=after(400)))
    assert (meter.spent(after(99)), meter.rate(after(99))) == (0, 0)
    assert meter.rate(after(100)) == 3.6
    assert meter.rate(after(400)) == 0
    assert meter.spent(after(400)) == meter.spent(after(100_000)) == pytest.approx(0.3)


def test_what_ends_and_comes_back_is_billed_twice() -> None:
    meter = metered(thing(), thing(started=2000))
    meter.ended("node a", after(1000))
    assert [(entry.started, entry.ended) for entry in meter.things()] == [
        (after(0), after(1000)),
        (after(2000), None),
    ]
    assert meter.spent(after(3000)) == pytest.approx(2.0)


def test_a_second_start_while_it_is_billed_says_nothing_new() -> None:
    meter = metered(thing(), thing(started=500), thing(started=700, usd=9))
    assert len(meter.things()) == 1
    assert meter.spent(after(1000)) == pytest.approx(1.0)


def test_the_first_end_counts() -> None:
    meter = metered(thing())
    meter.ended("node a", after(900))
    meter.ended("node a", after(600))
    assert meter.spent(after(5000)) == pytest.approx(0.6)


def test_an_end_of_something_unknown_or_before_its_start_ends_nothing() -> None:
    meter = metered(thing(started=100))
    meter.ended("node b", after(150))
    meter.ended("node a", after(50))
    assert meter.rate(after(200)) == 3.6


def test_what_begins_and_ends_at_once_costs_its_minimum() -> None:
    meter = metered(thing(ended=after(0)))
    assert meter.spent(after(1)) == pytest.approx(0.06)
    assert meter.rate(after(0)) == 0


def test_a_move_at_one_instant_is_an_end_and_a_start() -> None:
    meter = metered(thing(), thing(started=1000))
    meter.ended("node a", after(1000))
    assert meter.rate(after(1000)) == 3.6
    assert meter.spent(after(2000)) == pytest.approx(2.0)


def test_what_has_no_price_is_named_and_not_counted_as_free() -> None:
    meter = metered(thing(), thing("node b", usd=0))
    assert [entry.key for entry in meter.unpriced()] == ["node b"]
    assert meter.spent(after(1000)) == pytest.approx(1.0)


def test_the_mean_rate_over_a_span_weighs_by_time() -> None:
    meter = metered(thing(usd=1), thing("node b", usd=4, started=50))
    assert meter.average_rate(after(0), after(100)) == pytest.approx(3.0)
    assert meter.average_rate(after(60), after(60)) == 5
    assert meter.average_rate(after(-100), after(-50)) == 0


keys = st.sampled_from(["node a", "node b"])
times = st.integers(0, 8).map(lambda place: 50 * place)
reports = st.lists(
    st.one_of(
        st.tuples(st.just("start"), keys, times, st.sampled_from([1.0, 2.5])),
        st.tuples(st.just("end"), keys, times, st.just(0.0)),
    ),
    max_size=12,
)
Reports = list[tuple[str, str, int, float]]


def told(found: Reports) -> Meter:
    meter = Meter()
    for what, key, time, usd in found:
        if what == "start":
            meter.started(thing(key, usd=usd, started=time))
        else:
            meter.ended(key, after(time))
    return meter


@given(reports, st.randoms(use_true_random=False), st.integers(0, 600))
def test_order_and_repetition_say_nothing(found: Reports, random: Any, now: int) -> None:
    again = [*found, *found]
    random.shuffle(again)
    first, second = told(found), told(again)
    assert first.things() == second.things()
    assert first.spent(after(now)) == second.spent(after(now))
    assert first.rate(after(now)) == second.rate(after(now))


@given(reports, times, times)
def test_spending_never_falls(found: Reports, one: int, other: int) -> None:
    meter = told(found)
    early, late = sorted((one, other))
    assert meter.spent(after(early)) <= meter.spent(after(late))


@given(reports, times)
def test_nothing_costs_less_than_its_minute_or_its_time(found: Reports, now: int) -> None:
    for entry in told(found).things():
        end = min(after(now), entry.ended or after(now))
        lived = (end - entry.started).total_seconds()
        if after(now) >= entry.started:
            assert entry.usd(after(now)) == pytest.approx(
                entry.usd_per_hour * max(60, lived) / 3600
            )
        else:
            assert entry.usd(after(now)) == 0


@given(reports, times)
def test_one_thing_is_never_billed_twice_at_once(found: Reports, now: int) -> None:
    billed = [entry.key for entry in told(found).things() if entry.is_billed(after(now))]
    assert len(billed) == len(set(billed))
