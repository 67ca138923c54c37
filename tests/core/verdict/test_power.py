"""How many blocks a verdict takes."""

from __future__ import annotations

import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nct, t

from core.verdict.decision import endpoint_verdict, estimate, log_margin
from core.verdict.model import METRICS, Estimate, Metric, Verdict
from core.verdict.power import blocks_needed, chance, further_blocks
from core.verdict.statistics import Moments, paired_moments, probability_below

unhurried = settings(deadline=None, max_examples=40)
LATENCY = METRICS[1]


# The table that the design rests on: 90 % power, one-sided 0.05, margin 5 %.
@pytest.mark.parametrize(
    ("variation", "needed"),
    [
        (0.005, (3, 3, 4, 7)),
        (0.01, (3, 4, 7, 21)),
        (0.02, (5, 10, 20, 77)),
        (0.04, (13, 35, 76, 301)),
    ],
)
def test_the_blocks_that_the_design_counts_on(variation: float, needed: tuple[int, ...]) -> None:
    found = tuple(blocks_needed(overhead, variation) for overhead in (0, 0.02, 0.03, 0.04))
    assert found == needed


def test_an_overhead_at_the_target_is_never_settled() -> None:
    assert blocks_needed(0.05, 0.01) is None


def test_what_takes_more_than_a_thousand_blocks_is_not_promised() -> None:
    assert blocks_needed(0.049, 0.01) is None


def test_an_overhead_above_the_target_is_settled_too() -> None:
    assert blocks_needed(0.07, 0.01) == 7


@unhurried
@given(
    st.floats(min_value=0.001, max_value=0.5),
    st.floats(min_value=0.001, max_value=0.2),
    st.integers(min_value=1, max_value=200),
    st.sampled_from([0.05, 0.01, 0.0019]),
)
def test_the_chance_agrees_with_the_noncentral_t(
    distance: float, error: float, degrees: int, alpha: float
) -> None:
    found = chance(distance, numpy.array([error]), numpy.array([float(degrees)]), alpha)[0]
    known = nct.sf(t.ppf(1 - alpha, degrees), degrees, distance / error)
    assert found == pytest.approx(known, abs=1e-6)


def test_the_power_that_is_promised_is_there() -> None:
    """7 pairs at CV 1 % and 3 %: simulated, 4 standard errors of 20,000 trials are 0.9 %."""
    random = numpy.random.default_rng(3)
    first, second = 0.01 * random.standard_normal((2, 20_000, 7))
    moments = paired_moments(first, second + math.log(1.03))
    sure = probability_below(moments, log_margin(LATENCY, 0.05)) <= 0.05
    needed = Moments(*(each[:1] for each in moments))._replace(
        standard_error=numpy.array([0.01 * math.sqrt(2 / 7)])
    )
    distance = math.log(1.05 / 1.03)
    promised = chance(distance, needed.standard_error, needed.degrees_of_freedom, 0.05)[0]
    assert promised >= 0.9
    assert sure.mean() == pytest.approx(promised, abs=0.009)


def seen(
    ratio: float, deviation: float, units: int, metric: Metric = LATENCY, *, is_paired: bool = True
) -> Estimate:
    """An estimate of units that scatter by exactly ``deviation``."""
    places = numpy.linspace(-1, 1, units)
    scatter = deviation * places / places.std(ddof=1)
    first = numpy.zeros(units) if is_paired else scatter
    second = numpy.exp(scatter + math.log(ratio))
    return estimate(
        metric,
        (100 * numpy.exp(first)).tolist(),
        (100 * second).tolist(),
        is_paired=is_paired,
        target=0.05,
    )


def test_further_blocks_are_what_a_new_study_lacks() -> None:
    """At 4 % and CV 2 % 77 pairs are needed; 10 are there."""
    found = seen(1.04, 0.02 * math.sqrt(2), 10)
    assert endpoint_verdict(found) is Verdict.INCONCLUSIVE
    assert further_blocks(found, LATENCY, 0.05, is_paired=True, units=(10, 10)) == 67


@pytest.mark.parametrize("metric", METRICS[:2], ids=str)
@pytest.mark.parametrize("ratio", [0.94, 0.97, 1.03, 1.06])
def test_enough_blocks_of_the_same_kind_settle_it(metric: Metric, ratio: float) -> None:
    found = seen(ratio, 0.04, 6, metric)
    if endpoint_verdict(found) is not Verdict.INCONCLUSIVE:
        return
    more = further_blocks(found, metric, 0.05, is_paired=True, units=(6, 6))
    assert more is not None
    later = seen(ratio, 0.04, 6 + more, metric)
    assert endpoint_verdict(later) is not Verdict.INCONCLUSIVE


def test_unpaired_legs_need_their_blocks_in_both() -> None:
    found = seen(1.03, 0.02, 5, is_paired=False)
    more = further_blocks(found, LATENCY, 0.05, is_paired=False, units=(5, 5))
    assert more is not None
    power = [
        nct.sf(
            t.ppf(0.95, 2 * blocks - 2),
            2 * blocks - 2,
            math.log(1.05 / 1.03) / (0.02 * math.sqrt(2 / blocks)),
        )
        for blocks in (5 + more - 1, 5 + more)
    ]
    assert power[0] < 0.9 <= power[1]


def test_a_leg_with_many_blocks_already_leaves_the_other_to_grow() -> None:
    found = seen(1.03, 0.02, 5, is_paired=False)
    few, many = (
        further_blocks(found, LATENCY, 0.05, is_paired=False, units=units)
        for units in ((5, 5), (200, 5))
    )
    assert few is not None
    assert many is not None
    assert many < few


def test_a_stricter_level_takes_more_blocks() -> None:
    found = seen(1.03, 0.03, 6)
    needed = [
        further_blocks(found, LATENCY, 0.05, alpha, is_paired=True, units=(6, 6))
        for alpha in (0.05, 0.02, 0.005)
    ]
    assert None not in needed
    assert needed == sorted(needed)
    assert len(set(needed)) == 3


def test_nothing_settles_an_overhead_that_is_the_target() -> None:
    assert further_blocks(seen(1.05, 0.02, 6), LATENCY, 0.05, is_paired=True, units=(6, 6)) is None


def test_blocks_without_scatter_are_settled_by_the_next() -> None:
    found = seen(1.03, 0.0, 6)
    assert further_blocks(found, LATENCY, 0.05, is_paired=True, units=(6, 6)) == 1
