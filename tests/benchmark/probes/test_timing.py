"""A timer gives what an operation takes, and nothing of what is beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.probes.timing import Timer, summarize
from tests.benchmark.probes.stand_ins import WorkClock

READING_NS = 10


def test_each_value_is_one_operation_without_what_runs_before_and_after() -> None:
    clock = WorkClock()
    values = clock.timer().each(
        lambda: clock.work(500),
        before=lambda: clock.work(7000),
        after=lambda: clock.work(9000),
        most=20,
    )
    assert values == [500 + READING_NS] * 20


def test_the_first_repetition_is_thrown_away() -> None:
    clock = WorkClock()
    times = iter([90_000, *[500] * 10])
    values = clock.timer().each(lambda: clock.work(next(times)), most=10)
    assert max(values) == 500 + READING_NS


def test_a_budget_ends_the_repetitions() -> None:
    clock = WorkClock()
    values = clock.timer(budget_ns=1_000_000).each(lambda: clock.work(100_000), most=10**9)
    assert 5 <= len(values) <= 10
    assert clock.now < 1_200_000


def test_an_operation_that_passes_the_budget_at_once_still_gives_the_fewest_values() -> None:
    clock = WorkClock()
    timer = clock.timer(budget_ns=1)
    assert len(timer.each(lambda: clock.work(10**9), most=1000)) == timer.fewest


@given(st.integers(1, 10_000), st.integers(1, 500), st.integers(1, 50))
def test_a_calls_own_time_is_found_whatever_the_interpreter_takes(
    call_ns: int, interpreter_ns: int, calls: int
) -> None:
    clock = WorkClock()
    values = clock.timer().per_call(
        lambda: clock.work(interpreter_ns + call_ns),
        lambda: clock.work(interpreter_ns),
        calls=calls,
        most=8,
    )
    assert values == pytest.approx([call_ns] * 8)


def test_a_slowing_cpu_does_not_change_what_a_call_takes_by_more_than_it_slows() -> None:
    clock = WorkClock()
    turns = 0

    def work(nanoseconds: float) -> None:
        nonlocal turns
        turns += 1
        clock.work(nanoseconds * (1 + turns / 4000))

    values = clock.timer().per_call(lambda: work(300), lambda: work(100), calls=10, most=100)
    assert sorted(values) == values
    assert values[0] == pytest.approx(200, rel=0.02)
    assert values[-1] == pytest.approx(300, rel=0.02)


def test_an_interruption_while_nothing_is_called_does_not_make_a_call_look_cheap() -> None:
    clock = WorkClock()
    empties = iter([100, 100, 100, 50_000, 100, 100, 100, 100, 100, 100])
    values = clock.timer().per_call(
        lambda: clock.work(400), lambda: clock.work(next(empties)), calls=1, most=8
    )
    assert values == [300.0] * 8


def test_a_call_that_takes_nothing_takes_no_negative_time() -> None:
    clock = WorkClock()
    values = clock.timer().per_call(
        lambda: clock.work(90), lambda: clock.work(100), calls=5, most=6
    )
    assert values == [0.0] * 6


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=300))
def test_figures_are_values_that_were_seen_and_never_fall(values: list[float]) -> None:
    figures = summarize(values)
    ordered = [figures.minimum, figures.median, figures.p90, figures.p99]
    assert ordered == sorted(ordered)
    assert set(ordered) <= set(values)
    assert figures.count == len(values)
    assert figures.minimum == min(values)


def test_a_real_timer_sees_that_more_work_takes_longer() -> None:
    timer = Timer(budget_ns=20_000_000)
    little = summarize(timer.each(lambda: sum(range(1_000)), most=200))
    much = summarize(timer.each(lambda: sum(range(100_000)), most=200))
    assert much.minimum > 10 * little.minimum
