"""The bootstrap of blocks, which checks the t interval by another way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.verdict.bootstrap import paired_interval, welch_interval
from core.verdict.model import Span
from core.verdict.statistics import paired, welch

unhurried = settings(deadline=None, max_examples=40)
Interval = Callable[[Sequence[float], Sequence[float]], Span]

figures = st.floats(min_value=50, max_value=200)
pairs = st.lists(st.tuples(figures, figures), min_size=3, max_size=20)
BOTH = pytest.mark.parametrize("interval", [paired_interval, welch_interval])


def log_normal(seed: int, ratio: float, blocks: int) -> tuple[list[float], list[float]]:
    first, second = numpy.random.default_rng(seed).lognormal(0, 0.01, (2, blocks))
    return (100 * first).tolist(), (100 * ratio * second).tolist()


@BOTH
def test_the_same_data_give_the_same_interval(interval: Interval) -> None:
    first, second = log_normal(1, 1.03, 10)
    assert interval(first, second) == interval(list(first), list(second))


@unhurried
@given(pairs)
def test_swapping_partners_mirrors_the_interval(drawn: list[tuple[float, float]]) -> None:
    first, second = [one for one, _ in drawn], [other for _, other in drawn]
    there, back = paired_interval(first, second), paired_interval(second, first)
    assert there.low == pytest.approx(-back.high, abs=1e-9)
    assert there.high == pytest.approx(-back.low, abs=1e-9)


@BOTH
@unhurried
@given(drawn=pairs, factor=st.floats(min_value=0.01, max_value=100))
def test_scaling_both_legs_changes_nothing(
    interval: Interval, drawn: list[tuple[float, float]], factor: float
) -> None:
    first, second = [one for one, _ in drawn], [other for _, other in drawn]
    plain = interval(first, second)
    scaled = interval([factor * each for each in first], [factor * each for each in second])
    assert (scaled.low, scaled.high) == pytest.approx((plain.low, plain.high), abs=1e-9)


@pytest.mark.parametrize(
    ("interval", "compare"), [(paired_interval, paired), (welch_interval, welch)]
)
@pytest.mark.parametrize("blocks", [5, 10, 40])
def test_on_normal_noise_it_is_as_wide_as_t_says(
    interval: Interval, compare: Callable[..., object], blocks: int
) -> None:
    """Means of 100 studies; a plain percentile interval of 5 pairs would be 0.70 as wide."""
    widths = []
    for seed in range(100):
        legs = log_normal(seed, 1.03, blocks)
        found, known = interval(*legs), compare(*legs).interval()  # type: ignore[attr-defined]
        widths.append((found.high - found.low) / (known.high - known.low))
    assert numpy.mean(widths) == pytest.approx(1, abs=0.08)


@BOTH
def test_it_covers_as_often_as_it_says(interval: Interval) -> None:
    """300 studies of 10 blocks: 90 % of them, less 4 standard errors."""
    covered = 0
    for seed in range(300):
        found = interval(*log_normal(seed, 1.03, 10))
        covered += found.low <= math.log(1.03) <= found.high
    assert 0.83 <= covered / 300 <= 0.97


@BOTH
def test_blocks_without_scatter_leave_a_point(interval: Interval) -> None:
    found = interval([100.0] * 5, [103.0] * 5)
    assert found.low == found.high == pytest.approx(math.log(1.03))


@BOTH
def test_figures_that_have_no_ratio_are_refused(interval: Interval) -> None:
    with pytest.raises(ValueError, match="positive"):
        interval([1.0, 0.0], [1.0, 1.0])
