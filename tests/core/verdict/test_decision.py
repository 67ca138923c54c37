"""From blocks to a verdict; and how often it is wrong where the truth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.verdict.decision import (
    all_within,
    any_exceeds,
    endpoint_verdict,
    estimate,
    log_margin,
    overall,
    overhead,
)
from core.verdict.model import METRICS, Estimate, Metric, Verdict
from tests.performance.block_noise import NOISES, Noise
from tests.performance.calibration import SCHEDULES, Judged, Key, agreement, simulate

unhurried = settings(deadline=None, max_examples=20)
THROUGHPUT, P50 = METRICS[0], METRICS[1]
EITHER = pytest.mark.parametrize("metric", [THROUGHPUT, P50], ids=str)

figures = st.floats(min_value=50, max_value=200)
pairs = st.lists(st.tuples(figures, figures), min_size=2, max_size=20)
shares = st.floats(min_value=0, max_value=1)


def an_estimate(metric: Metric, true_overhead: float, *, is_paired: bool = True) -> Estimate:
    """Of ten blocks that scatter by 1 % around a known overhead."""
    first, second = numpy.random.default_rng(2).lognormal(0, 0.01, (2, 10))
    second = second * math.exp(log_margin(metric, true_overhead) - numpy.log(second / first).mean())
    return estimate(
        metric,
        (100 * first).tolist(),
        (100 * second).tolist(),
        is_paired=is_paired,
        target=0.05,
    )


def test_overhead_is_how_much_worse_the_second_leg_is() -> None:
    assert overhead(THROUGHPUT, 0.95) == pytest.approx(5)
    assert overhead(P50, 1.05) == pytest.approx(5)
    assert overhead(THROUGHPUT, 1.02) == pytest.approx(-2)
    assert overhead(P50, 0.98) == pytest.approx(-2)


@unhurried
@given(st.sampled_from(METRICS), st.floats(min_value=0, max_value=0.99))
def test_at_the_margin_the_overhead_is_the_target(metric: Metric, target: float) -> None:
    assert overhead(metric, math.exp(log_margin(metric, target))) == pytest.approx(100 * target)


@pytest.mark.parametrize("target", [-0.01, 1.0, 5.0, math.nan])
def test_a_target_that_is_no_fraction_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match="target"):
        log_margin(P50, target)


@EITHER
@pytest.mark.parametrize("is_paired", [True, False])
@pytest.mark.parametrize(
    ("true_overhead", "verdict"),
    [
        (-0.03, Verdict.WITHIN),
        (0.0, Verdict.WITHIN),
        (0.03, Verdict.WITHIN),
        (0.05, Verdict.INCONCLUSIVE),
        (0.07, Verdict.EXCEEDS),
    ],
)
def test_a_verdict_is_on_the_side_where_the_interval_is(
    metric: Metric, is_paired: bool, true_overhead: float, verdict: Verdict
) -> None:
    found = an_estimate(metric, max(true_overhead, 0), is_paired=is_paired)
    if true_overhead < 0:
        ratio = math.exp(-log_margin(metric, -true_overhead))
        found = estimate(
            metric, [100.0, 101.0] * 5, [100 * ratio, 101 * ratio] * 5, is_paired=True, target=0.05
        )
    assert found.overhead_percent == pytest.approx(100 * true_overhead, abs=0.2)
    assert endpoint_verdict(found) is verdict


@unhurried
@given(pairs, st.sampled_from(METRICS), st.booleans(), st.sampled_from([0.05, 0.01, 0.0056]))
def test_the_deciding_intervals_end_says_what_the_verdict_says(
    drawn: list[tuple[float, float]], metric: Metric, is_paired: bool, alpha: float
) -> None:
    first, second = [one for one, _ in drawn], [other for _, other in drawn]
    found = estimate(metric, first, second, is_paired=is_paired, target=0.05, alpha=alpha)
    span = found.decision_percent
    assert span.low <= found.overhead_percent <= span.high
    verdict = endpoint_verdict(found, alpha)
    if span.high < 5 - 1e-9:
        assert verdict is Verdict.WITHIN
    elif span.low > 5 + 1e-9:
        assert verdict is Verdict.EXCEEDS
    elif span.low < 5 - 1e-9 and span.high > 5 + 1e-9:
        assert verdict is Verdict.INCONCLUSIVE


@EITHER
def test_a_look_that_may_use_less_decides_by_a_wider_interval(metric: Metric) -> None:
    legs = [100.0, 101.0, 99.5, 100.2], [103.0, 104.0, 102.0, 104.5]
    once = estimate(metric, *legs, is_paired=True, target=0.05)
    early = estimate(metric, *legs, is_paired=True, target=0.05, alpha=0.002)
    assert once.decision_percent == once.interval_percent == early.interval_percent
    assert early.decision_percent.low < once.decision_percent.low
    assert early.decision_percent.high > once.decision_percent.high


def test_throughput_and_latency_that_mirror_each_other_agree() -> None:
    """A second leg that takes 4 % longer: 1/1.04 of the throughput is an overhead of 3.8 %."""
    first, slower = [10.0, 10.1, 9.9, 10.05], [10.4, 10.5, 10.3, 10.45]
    latency = estimate(P50, first, slower, is_paired=True, target=0.05)
    rates = [1000 / each for each in first], [1000 / each for each in slower]
    throughput = estimate(THROUGHPUT, *rates, is_paired=True, target=0.05)
    assert throughput.ratio == pytest.approx(1 / latency.ratio)
    assert throughput.overhead_percent == pytest.approx(100 * (1 - 1 / latency.ratio))
    assert throughput.interval_percent.low == pytest.approx(
        100 * (1 - 1 / (1 + latency.interval_percent.low / 100))
    )


@EITHER
@pytest.mark.parametrize(
    ("second", "verdict"),
    [(1.0, Verdict.WITHIN), (None, Verdict.EXCEEDS)],
)
def test_blocks_without_scatter_have_a_verdict(
    metric: Metric, second: float | None, verdict: Verdict
) -> None:
    worse = 0.8 if metric is THROUGHPUT else 1.25
    values = [100 * (worse if second is None else second)] * 4
    found = estimate(metric, [100.0] * 4, values, is_paired=False, target=0.05)
    assert endpoint_verdict(found) is verdict
    assert found.interval_percent.low == pytest.approx(found.interval_percent.high)


WITHIN, EXCEEDS, UNSURE = an_estimate(P50, 0.0), an_estimate(P50, 0.1), an_estimate(P50, 0.05)


@pytest.mark.parametrize(
    ("gating", "verdict"),
    [
        ((), Verdict.INCONCLUSIVE),
        ((WITHIN,), Verdict.WITHIN),
        ((WITHIN, WITHIN, WITHIN), Verdict.WITHIN),
        ((WITHIN, UNSURE, WITHIN), Verdict.INCONCLUSIVE),
        ((WITHIN, EXCEEDS, WITHIN), Verdict.EXCEEDS),
        ((UNSURE, EXCEEDS), Verdict.EXCEEDS),
        ((UNSURE, UNSURE), Verdict.INCONCLUSIVE),
    ],
)
def test_all_must_be_within_and_one_may_exceed(
    gating: tuple[Estimate, ...], verdict: Verdict
) -> None:
    assert overall(gating) is verdict


def test_one_of_many_that_is_barely_above_is_no_proof() -> None:
    """p 0.03 alone exceeds; among 21 it is what chance gives."""
    barely = replace(UNSURE, p_exceeds=0.03, p_within=0.97)
    assert overall([barely]) is Verdict.EXCEEDS
    assert overall([barely, *[WITHIN] * 20]) is Verdict.INCONCLUSIVE
    assert overall([barely] * 21) is Verdict.EXCEEDS


def test_several_looks_have_a_level_of_their_own_for_the_family() -> None:
    found = replace(UNSURE, p_exceeds=0.02, p_within=0.98)
    assert overall([found], 0.05) is Verdict.EXCEEDS
    assert overall([found], 0.05, 0.01) is Verdict.INCONCLUSIVE
    assert overall([WITHIN], 0.05, 0.01) is Verdict.WITHIN


@unhurried
@given(st.lists(shares, min_size=1, max_size=21), st.sampled_from([0.05, 0.01]))
def test_simes_lies_between_bonferroni_and_the_smallest_alone(
    p_values: list[float], alpha: float
) -> None:
    rejected = bool(any_exceeds(p_values, alpha))
    assert rejected >= (len(p_values) * min(p_values) <= alpha)
    assert rejected <= (min(p_values) <= alpha)
    assert rejected >= (max(p_values) <= alpha)


def test_simes_holds_each_against_its_place() -> None:
    """Simes 1986: reject when any ordered p is at most i alpha / m."""
    rows = [[0.016, 0.5, 0.9], [0.017, 0.5, 0.9], [0.9, 0.03, 0.033], [0.9, 0.03, 0.034]]
    assert any_exceeds(rows, 0.05).tolist() == [True, False, True, False]


def test_within_needs_every_endpoint_of_a_row() -> None:
    assert all_within([[0.01, 0.05], [0.01, 0.051]], 0.05).tolist() == [True, False]


@unhurried
@given(pairs, st.sampled_from(METRICS), st.booleans())
def test_equal_legs_are_asked_alike_in_both_directions(
    drawn: list[tuple[float, float]], metric: Metric, is_paired: bool
) -> None:
    """Within is equivalence; further apart, either way, has half of the level each."""
    first, second = [one for one, _ in drawn], [other for _, other in drawn]
    found, back = (
        estimate(metric, *each, is_paired=is_paired, target=0.05, both_ways=True)
        for each in ((first, second), (second, first))
    )
    assert found.p_within == pytest.approx(back.p_within)
    assert found.p_exceeds == pytest.approx(back.p_exceeds)
    inside = found.ratio_interval.low >= 1 / 1.05 and found.ratio_interval.high <= 1.05
    assert (endpoint_verdict(found) is Verdict.WITHIN) == inside
    wider = estimate(P50, first, second, is_paired=is_paired, target=0.05, alpha=0.025)
    span = wider.decision_percent
    outside = span.low > 5 or span.high < 100 * (1 / 1.05 - 1)
    assert (endpoint_verdict(found) is Verdict.EXCEEDS) == outside


def noise(name: str) -> Noise:
    return next(each for each in NOISES if each.name == name)


@pytest.fixture(scope="module")
def calm() -> dict[Key, Judged]:
    return simulate(noise("log-normal"), {1: 4000, 7: 2000})


@pytest.mark.parametrize("looks", SCHEDULES, ids=str)
@pytest.mark.parametrize("measurements", [1, 7])
def test_a_sure_verdict_is_rarely_wrong(
    calm: dict[Key, Judged], measurements: int, looks: tuple[int, ...]
) -> None:
    """At most 5 %, and 3 standard errors of this many trials."""
    at_target = calm[measurements, looks, 0.05]
    allowed = 0.05 + 3 * math.sqrt(0.05 * 0.95 / at_target.exceeds.trials)
    assert at_target.exceeds.share <= allowed
    assert at_target.within.share <= allowed
    assert calm[measurements, looks, 0.0].exceeds.share <= 0.001
    # A method that never dared to say anything would pass the above.
    assert at_target.exceeds.share >= 0.02


@pytest.mark.parametrize("looks", SCHEDULES, ids=str)
def test_ten_blocks_are_enough_for_what_is_promised(
    calm: dict[Key, Judged], looks: tuple[int, ...]
) -> None:
    assert calm[1, looks, 0.0].within.share >= 0.99
    assert calm[1, looks, 0.03].within.share >= 0.95
    assert calm[1, looks, 0.07].exceeds.share >= 0.95
    assert calm[7, looks, 0.07].exceeds.share >= 0.99


def test_the_interval_covers_nine_times_in_ten(calm: dict[Key, Judged]) -> None:
    covered = calm[1, (10,), 0.0].covered
    assert covered.lower(0.999) <= 0.9 <= covered.upper(0.999)
    assert 0.88 <= covered.share <= 0.92


@pytest.mark.parametrize(
    "name",
    ["heavy tails (t, 3 df)", "drift of 5 CV", "outliers on top of CV 1 %"],
)
def test_noise_that_is_not_normal_does_not_make_it_wrong(name: str) -> None:
    found = simulate(noise(name), {1: 2000})
    for looks in SCHEDULES:
        assert found[1, looks, 0.05].exceeds.share <= 0.065
        assert found[1, looks, 0.05].within.share <= 0.065
        assert 0.87 <= found[1, looks, 0.0].covered.share <= 0.94


def test_a_drawn_order_makes_a_machine_that_remembers_harmless() -> None:
    """With A B B A pairs inherit the correlation; with a drawn order they do not."""
    drawn = simulate(noise("AR(1) 0.5 of the machine"), {1: 6000})[1, (10,), 0.05]
    fixed = simulate(noise("AR(1) 0.5 of the machine, A B B A"), {1: 6000})[1, (10,), 0.05]
    assert drawn.exceeds.share <= 0.058
    assert drawn.covered.share == pytest.approx(0.9, abs=0.015)
    assert fixed.covered.share < drawn.covered.share - 0.01


def test_drift_ruins_legs_that_ran_one_after_the_other() -> None:
    """Why blocks are paired: 5 CV over the study look like half of that between the legs."""
    found = simulate(noise("drift of 5 CV, unpaired"), {1: 2000})[1, (10,), 0.05]
    assert found.exceeds.share > 0.9


@pytest.mark.parametrize("name", ["log-normal", "heavy tails, unpaired"])
def test_one_by_one_the_product_says_what_the_simulation_says(name: str) -> None:
    same, _ = agreement(noise(name), 100)
    assert same.share == 1
