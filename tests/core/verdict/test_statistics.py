"""The intervals of log-ratios: what scipy says, and what must not matter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.verdict.statistics import (
    LogRatio,
    half_width,
    paired,
    paired_moments,
    welch,
    welch_moments,
)

unhurried = settings(deadline=None, max_examples=40)
Compare = Callable[[Sequence[float], Sequence[float]], LogRatio]

figures = st.floats(min_value=1e-3, max_value=1e6, allow_nan=False)
legs = st.lists(figures, min_size=2, max_size=30)
pairs = st.lists(st.tuples(figures, figures), min_size=2, max_size=30)
either = st.sampled_from([paired, welch])


def of_both(drawn: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [one for one, _ in drawn], [other for _, other in drawn]


def scatters(*values: Sequence[float]) -> bool:
    """Whether scatter is more than rounding, which scipy warns of."""
    return all(numpy.std(numpy.log(each)) > 1e-6 for each in values)


@unhurried
@given(pairs, st.sampled_from([0.05, 0.01, 0.2]))
def test_pairs_agree_with_scipy(drawn: list[tuple[float, float]], alpha: float) -> None:
    first, second = of_both(drawn)
    ratios = [other / one for one, other in drawn]
    assume(scatters(ratios))
    found = paired(first, second)
    known = scipy.stats.ttest_rel(numpy.log(second), numpy.log(first))
    low, high = known.confidence_interval(1 - 2 * alpha)
    assert found.interval(alpha).low == pytest.approx(low, abs=1e-9, rel=1e-9)
    assert found.interval(alpha).high == pytest.approx(high, abs=1e-9, rel=1e-9)
    assert found.degrees_of_freedom == known.df
    assert math.exp(found.mean) == pytest.approx(scipy.stats.gmean(ratios), rel=1e-9)


@unhurried
@given(legs, legs, st.sampled_from([0.05, 0.01, 0.2]))
def test_welch_agrees_with_scipy(first: list[float], second: list[float], alpha: float) -> None:
    assume(scatters(first, second))
    found = welch(first, second)
    known = scipy.stats.ttest_ind(numpy.log(second), numpy.log(first), equal_var=False)
    low, high = known.confidence_interval(1 - 2 * alpha)
    assert found.interval(alpha).low == pytest.approx(low, abs=1e-9, rel=1e-9)
    assert found.interval(alpha).high == pytest.approx(high, abs=1e-9, rel=1e-9)
    assert found.degrees_of_freedom == pytest.approx(known.df, rel=1e-9)


@unhurried
@given(pairs, st.floats(min_value=-3, max_value=3))
def test_p_values_agree_with_scipy(drawn: list[tuple[float, float]], margin: float) -> None:
    first, second = of_both(drawn)
    assume(scatters(first, second) and scatters([other / one for one, other in drawn]))
    moved = numpy.log(second) - margin
    for found, below, above in (
        (
            paired(first, second),
            scipy.stats.ttest_rel(moved, numpy.log(first), alternative="less"),
            scipy.stats.ttest_rel(moved, numpy.log(first), alternative="greater"),
        ),
        (
            welch(first, second),
            scipy.stats.ttest_ind(moved, numpy.log(first), equal_var=False, alternative="less"),
            scipy.stats.ttest_ind(moved, numpy.log(first), equal_var=False, alternative="greater"),
        ),
    ):
        assert found.p_below(margin) == pytest.approx(below.pvalue, abs=1e-9)
        assert found.p_above(margin) == pytest.approx(above.pvalue, abs=1e-9)


@unhurried
@given(pairs, either)
def test_swapping_the_legs_inverts_the_ratio_and_mirrors_the_interval(
    drawn: list[tuple[float, float]], compare: Compare
) -> None:
    first, second = of_both(drawn)
    there, back = compare(first, second), compare(second, first)
    assert math.exp(there.mean) == pytest.approx(1 / math.exp(back.mean), rel=1e-9)
    assert there.interval().low == pytest.approx(-back.interval().high, abs=1e-9)
    assert there.interval().high == pytest.approx(-back.interval().low, abs=1e-9)
    assert there.p_below(0.05) == pytest.approx(back.p_above(-0.05), abs=1e-9)


@unhurried
@given(pairs, st.floats(min_value=1e-3, max_value=1e3), either)
def test_scaling_both_legs_changes_nothing(
    drawn: list[tuple[float, float]], factor: float, compare: Compare
) -> None:
    first, second = of_both(drawn)
    plain = compare(first, second)
    scaled = compare([factor * each for each in first], [factor * each for each in second])
    assert scaled.mean == pytest.approx(plain.mean, abs=1e-9)
    assert scaled.standard_error == pytest.approx(plain.standard_error, abs=1e-9)


@unhurried
@given(legs, legs, st.randoms(use_true_random=False))
def test_the_order_of_blocks_does_not_matter_unpaired(
    first: list[float], second: list[float], random: object
) -> None:
    shuffled = list(first)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    plain, other = welch(first, second), welch(shuffled, second)
    assert other.mean == pytest.approx(plain.mean, abs=1e-9)
    assert other.standard_error == pytest.approx(plain.standard_error, abs=1e-9)


@unhurried
@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_pairs_does_not_matter(
    drawn: list[tuple[float, float]], random: object
) -> None:
    shuffled = list(drawn)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    plain, other = paired(*of_both(drawn)), paired(*of_both(shuffled))
    assert other.mean == pytest.approx(plain.mean, abs=1e-9)
    assert other.standard_error == pytest.approx(plain.standard_error, abs=1e-9)


@unhurried
@given(
    st.integers(min_value=2, max_value=60),
    st.sampled_from([paired_moments, welch_moments]),
    st.integers(min_value=0, max_value=2**32),
)
def test_one_block_more_never_widens_the_expected_interval(
    blocks: int, moments_of: Callable[..., object], seed: int
) -> None:
    drawn = numpy.random.default_rng(seed).standard_normal((2, 4000, blocks + 1))
    fewer, more = (
        half_width(moments_of(*drawn[..., :count]), 0.05)  # type: ignore[arg-type]
        for count in (blocks, blocks + 1)
    )
    gained = fewer - more
    # Both are means of 4000 trials: their difference is known to within its own standard error.
    assert gained.mean() > -4 * gained.std() / math.sqrt(gained.size)


@pytest.mark.parametrize("compare", [paired, welch])
@pytest.mark.parametrize("blocks", [2, 3, 7, 10, 49])
def test_blocks_without_any_scatter_are_certain(compare: Compare, blocks: int) -> None:
    found = compare([0.1] * blocks, [0.107] * blocks)
    assert found.standard_error == found.deviation == 0
    assert found.interval().low == found.interval().high == found.mean
    assert found.p_below(math.log(1.05)) == 1
    assert found.p_above(math.log(1.05)) == 0
    assert found.p_below(math.log(1.1)) == 0
    assert found.p_above(math.log(1.1)) == 1
    assert found.p_below(found.mean) == found.p_above(found.mean) == 0.5


def test_one_leg_without_scatter_has_the_other_legs_degrees_of_freedom() -> None:
    assert welch([100.0, 101.0, 99.0, 100.5], [104.0] * 9).degrees_of_freedom == pytest.approx(3)


def test_the_deviation_is_that_of_pairs_or_pooled_of_the_legs() -> None:
    first, second = [100.0, 102.0, 99.0, 101.0], [103.0, 108.0, 104.0, 106.0, 101.0]
    logs = numpy.log(first), numpy.log(second)
    differences = logs[1][:4] - logs[0]
    assert paired(first, second[:4]).deviation == pytest.approx(differences.std(ddof=1))
    pooled = math.sqrt((3 * logs[0].var(ddof=1) + 4 * logs[1].var(ddof=1)) / 7)
    assert welch(first, second).deviation == pytest.approx(pooled)


@pytest.mark.parametrize("compare", [paired, welch])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([100.0], [101.0]),
        ([], []),
        ([100.0, 0.0], [100.0, 101.0]),
        ([100.0, 101.0], [100.0, -1.0]),
        ([100.0, math.nan], [100.0, 101.0]),
        ([100.0, 101.0], [100.0, math.inf]),
    ],
)
def test_figures_that_have_no_ratio_are_refused(
    compare: Compare, first: list[float], second: list[float]
) -> None:
    with pytest.raises(ValueError, match="block"):
        compare(first, second)


def test_pairs_need_partners() -> None:
    with pytest.raises(ValueError, match="as many blocks in each leg: 3 and 2"):
        paired([1.0, 2.0, 3.0], [1.0, 2.0])


def test_rows_are_independent() -> None:
    """What holds for one study holds for each of many: the calibration relies on it."""
    logs = numpy.random.default_rng(7).standard_normal((2, 50, 8))
    for moments_of, compare in ((paired_moments, paired), (welch_moments, welch)):
        together = moments_of(*logs)
        for row in range(50):
            alone = compare(*numpy.exp(logs[:, row]).tolist())
            assert together.mean[row] == pytest.approx(alone.mean, abs=1e-12)
            assert together.standard_error[row] == pytest.approx(alone.standard_error, abs=1e-12)
            assert together.degrees_of_freedom[row] == pytest.approx(alone.degrees_of_freedom)
