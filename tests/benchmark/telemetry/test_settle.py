import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.telemetry import settled

values = st.lists(st.floats(min_value=-1e9, max_value=1e9), min_size=2, max_size=30)
tolerances = st.floats(min_value=0, max_value=2)


def test_a_clock_that_came_to_rest_has_settled() -> None:
    clocks = [300, 900, 1500, 1590, 1590, 1575, 1590]
    assert settled(clocks, window=4, tolerance=0.01)
    assert not settled(clocks, window=5, tolerance=0.01)


def test_too_few_values_have_not_settled() -> None:
    assert not settled([1590.0, 1590.0], window=3, tolerance=1.0)


@pytest.mark.parametrize("hole", [None, math.nan, math.inf])
def test_what_was_not_seen_has_not_settled(hole: float | None) -> None:
    assert not settled([1.0, hole, 1.0], window=3, tolerance=1.0)
    assert settled([hole, 1.0, 1.0], window=2, tolerance=0.0)


@pytest.mark.parametrize(("window", "tolerance"), [(1, 0.1), (0, 0.1), (2, -0.1), (2, math.nan)])
def test_a_question_without_sense_is_refused(window: int, tolerance: float) -> None:
    with pytest.raises(ValueError, match=r"window|tolerance"):
        settled([1.0, 1.0], window, tolerance)


@settings(deadline=None)
@given(st.floats(min_value=-1e9, max_value=1e9), st.integers(2, 20))
def test_a_constant_has_settled_at_any_tolerance(value: float, window: int) -> None:
    assert settled([value] * window, window, 0.0)


@settings(deadline=None)
@given(values, st.lists(st.floats()), tolerances)
def test_only_the_last_values_count(tail: list[float], head: list[float], limit: float) -> None:
    window = len(tail)
    assert settled(head + tail, window, limit) == settled(tail, window, limit)


@settings(deadline=None)
@given(values, tolerances)
def test_the_order_of_the_last_values_does_not_count(tail: list[float], limit: float) -> None:
    assert settled(sorted(tail), len(tail), limit) == settled(tail, len(tail), limit)


@settings(deadline=None)
@given(values, tolerances, tolerances)
def test_a_wider_tolerance_never_unsettles(tail: list[float], one: float, other: float) -> None:
    narrow, wide = sorted((one, other))
    if settled(tail, len(tail), narrow):
        assert settled(tail, len(tail), wide)


@settings(deadline=None)
@given(values, tolerances, st.sampled_from([0.125, 0.5, 2.0, 1024.0]))
def test_the_unit_does_not_count(tail: list[float], limit: float, factor: float) -> None:
    # Powers of two, and no values near underflow, so that scaling is exact.
    tail = [0.0 if abs(value) < 1e-100 else value for value in tail]
    scaled = [value * factor for value in tail]
    assert settled(scaled, len(tail), limit) == settled(tail, len(tail), limit)


@settings(deadline=None)
@given(values)
def test_a_longer_window_is_never_easier(tail: list[float]) -> None:
    if len(tail) > 2 and settled(tail, len(tail), 0.1):
        assert settled(tail, len(tail) - 1, 0.1)
