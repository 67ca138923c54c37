"""A budget is kept with the teardown in it, a deadline too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money.budget import Budget, Judgement

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def judged(budget: Budget, **values: Any) -> Judgement:
    fields: dict[str, Any] = {
        "spent": 0.0,
        "rate": 0.0,
        "teardown_s": 0.0,
        "teardown_usd": 0.0,
        "now": NOON,
    }
    return budget.judge(**(fields | values))


def test_it_stops_when_the_teardown_would_take_it_to_the_limit() -> None:
    budget = Budget(1.0)
    running = {"rate": 3.6, "teardown_s": 290, "poll_s": 10}
    assert judged(budget, spent=0.699, **running).stop is None
    stop = judged(budget, spent=0.7, **running).stop
    assert stop is not None
    assert "budget of $1.00" in stop
    assert "$0.7000 is spent" in stop
    assert judged(budget, spent=0.69, teardown_usd=0.01, **running).stop is not None


def test_without_a_limit_nothing_stops_it() -> None:
    assert judged(Budget(), spent=1e6, rate=100) == Judgement(None, None, None, None)


def test_a_deadline_includes_the_teardown_and_the_next_look() -> None:
    budget = Budget(deadline=NOON + timedelta(minutes=10))
    assert judged(budget, teardown_s=580, poll_s=19).stop is None
    stop = judged(budget, teardown_s=580, poll_s=20).stop
    assert stop is not None
    assert "deadline 2026-11-23 12:10:00 UTC" in stop


@pytest.mark.parametrize(
    ("spent", "warned", "warning"),
    [
        (0.49, 0.0, None),
        (0.50, 0.0, 0.5),
        (0.60, 0.5, None),
        (0.85, 0.5, 0.8),
        (0.99, 0.0, 0.95),
        (0.99, 0.95, None),
    ],
)
def test_each_share_is_told_once_and_the_highest_only(
    spent: float, warned: float, warning: float | None
) -> None:
    assert judged(Budget(1.0), spent=spent, warned=warned).warning == warning


def test_a_budget_of_nothing_is_used_up() -> None:
    found = judged(Budget(0.0))
    assert (found.stop is not None, found.share) == (True, 1.0)


def test_it_says_when_it_will_stop() -> None:
    budget = Budget(1.0, deadline=NOON + timedelta(hours=5))
    running = judged(budget, spent=0.1, rate=0.5, teardown_s=360)
    assert running.stops_at == NOON + timedelta(hours=1.7)
    assert judged(budget, spent=0.1).stops_at == NOON + timedelta(hours=5)
    assert judged(budget, spent=3, rate=1).stops_at == NOON
    assert judged(Budget(1.0), spent=0.1).stops_at is None
    assert judged(Budget(1.0), spent=0.1, rate=1e-9).stops_at is None


money = st.floats(0, 100)
seconds = st.floats(0, 3600)


@given(st.floats(0.01, 100), money, money, seconds, st.floats(0.1, 60))
def test_a_run_that_was_let_go_on_is_torn_down_within_its_budget(
    limit: float, spent: float, rate: float, teardown_s: float, poll_s: float
) -> None:
    found = judged(Budget(limit), spent=spent, rate=rate, teardown_s=teardown_s, poll_s=poll_s)
    if found.stop is None:
        # The worst case: the whole time to the next look passes, then a teardown at full rate.
        assert spent + rate * (poll_s + teardown_s) / 3600 < limit
        assert found.stops_at is None or found.stops_at > NOON - timedelta(seconds=1)


@given(money, money, money, money)
def test_who_spends_more_stops_no_later(
    one: float, other: float, rate: float, limit: float
) -> None:
    less, more = sorted((one, other))
    if judged(Budget(limit), spent=less, rate=rate, teardown_s=60).stop is not None:
        assert judged(Budget(limit), spent=more, rate=rate, teardown_s=60).stop is not None


@given(st.lists(st.floats(0, 1.2), min_size=1, max_size=20))
def test_along_a_run_no_share_is_told_twice_and_all_before_it_stops(spends: list[float]) -> None:
    budget, warned = Budget(1.0), 0.0
    told = []
    for spent in sorted(spends):
        found = judged(budget, spent=spent, warned=warned)
        if found.warning is not None:
            told.append(found.warning)
            warned = found.warning
        if found.stop is not None:
            assert warned == 0.95
    assert told == sorted(set(told))
