"""Two legs whose truth is known, the verdict on them, and what can change it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import InputError
from benchmark.probes import ProbeResult
from core.verdict.comparison import Request, compare
from core.verdict.legs import Source
from core.verdict.model import Comparison, Question, Verdict
from core.verdict.raw import RawFinding
from core.verdict.reasons import reason
from tests.core.verdict.known import OFFLINE, endpoint, noisy, only, overhead
from tests.core.verdict.machine import telemetry
from tests.core.verdict.scene import NAME, STARTED, legs, resealed
from tests.core.verdict.test_legs import SPOILT

FAVOUR = (Verdict.REFUSED, Verdict.EXCEEDS, Verdict.INCONCLUSIVE, Verdict.WITHIN)
SAME = Request(question=Question.NOISE)


class TestVerdict:
    """What is truly there is said, with the figures that say it."""

    @pytest.mark.parametrize("interleaved", [True, False])
    @pytest.mark.parametrize(
        ("percent", "verdict"),
        [
            (-3, Verdict.WITHIN),
            (0, Verdict.WITHIN),
            (3, Verdict.WITHIN),
            (5, Verdict.INCONCLUSIVE),
            (7, Verdict.EXCEEDS),
        ],
    )
    def test_a_known_overhead(self, percent: float, verdict: Verdict, interleaved: bool) -> None:
        found = overhead(percent, interleaved=interleaved)
        assert found.verdict is only(found).verdict is verdict
        assert only(found).paired is interleaved
        estimate = endpoint(found).estimate
        assert estimate is not None
        assert estimate.method == ("paired t" if interleaved else "Welch t")
        assert estimate.overhead_percent == pytest.approx(percent)
        assert estimate.interval_percent.low < percent < estimate.interval_percent.high

    def test_the_reason_has_the_deciding_figures(self) -> None:
        found = overhead(3)
        assert found.reason.startswith("All 3 gating figures are below the target of 5 %; nearest")
        assert "of singlestream-b1, +3.00 % (90 % interval +" in found.reason
        assert "Above the target of 5 %: 3 of 3 gating figures, the surest" in overhead(7).reason
        assert "Not wholly on one side of the target of 5 %: 3 of 3" in overhead(5).reason

    @pytest.mark.parametrize(
        ("above", "words"),
        [
            (
                1,
                "by itself is p50 of a, {}; that one of 20 gating figures is can happen by chance.",
            ),
            (
                2,
                "by themselves are 2 figures, as p50 of a, {}; that 2 of 20 gating figures are can",
            ),
        ],
    )
    def test_few_of_many_above_is_told_as_what_it_is(self, above: int, words: str) -> None:
        unsure = overhead(5)
        plain = endpoint(unsure, "p50")
        assert plain.estimate is not None
        surer = replace(plain.estimate, p_exceeds=0.04)
        high = replace(plain, estimate=surer, verdict=Verdict.EXCEEDS)
        ends = (*[high] * above, *[plain] * (20 - above))
        compared = [replace(only(unsure), name="a", endpoints=ends)]
        said = reason(Verdict.INCONCLUSIVE, compared, (), 5.0, Question.OVERHEAD)
        figure = "+5.00 % (90 % interval"
        assert words.partition("{}")[0] + figure in said
        assert words.partition("{}")[2] in said

    def test_the_target_can_be_another(self) -> None:
        sides = legs(noisy(100.0), noisy(93.0, seed=2))
        assert compare(*sides, Request(target=0.1)).verdict is Verdict.WITHIN
        assert compare(*sides, Request(target=0.1)).target_percent == pytest.approx(10)

    @pytest.mark.parametrize("target", [0, -0.05, 1, 5, math.nan])
    def test_a_target_that_is_none_is_refused(self, target: float) -> None:
        with pytest.raises(InputError, match="target overhead"):
            compare(*legs(), Request(target=target))

    def test_one_bad_measurement_decides(self) -> None:
        first = {OFFLINE: noisy(500.0), NAME: noisy(100.0, seed=3)}
        second = {OFFLINE: noisy(500.0, seed=4), NAME: noisy(90.0, seed=5)}
        found = compare(*legs(first, second))
        assert [each.verdict for each in found.measurements] == [Verdict.WITHIN, Verdict.EXCEEDS]
        assert found.verdict is Verdict.EXCEEDS

    def test_blocks_that_are_all_equal_are_decided(self) -> None:
        assert compare(*legs([100.0] * 3, [99.0] * 3)).verdict is Verdict.WITHIN
        assert compare(*legs([100.0] * 3, [90.0] * 3)).verdict is Verdict.EXCEEDS

    def test_a_latency_alone_can_exceed(self) -> None:
        late = [value * 1.09 for value in noisy(10.0, seed=7)]
        found = compare(
            *legs(
                noisy(100.0), noisy(100.0, seed=2), of_second={"p50_ms": late}, p50_ms=noisy(10.0)
            )
        )
        assert endpoint(found, "throughput").verdict is Verdict.WITHIN
        assert endpoint(found, "p50").verdict is Verdict.EXCEEDS
        assert found.verdict is Verdict.EXCEEDS


class TestProperties:
    """What must hold for any figures."""

    values = st.lists(st.floats(50, 200), min_size=3, max_size=6)

    @staticmethod
    def estimates(found: Comparison) -> list[Any]:
        return [end.estimate for end in only(found).endpoints]

    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.tuples(st.floats(50, 200), st.floats(50, 200)), min_size=3, max_size=5))
    def test_swapping_the_legs_inverts_the_ratio(self, pairs: list[tuple[float, float]]) -> None:
        one, other = ([pair[place] for pair in pairs] for place in (0, 1))
        there = compare(*legs(one, other))
        back = compare(*legs(other, one))
        for forth, again in zip(self.estimates(there), self.estimates(back), strict=True):
            assert forth.ratio * again.ratio == pytest.approx(1)
            assert forth.ratio_interval.low * again.ratio_interval.high == pytest.approx(1)

    @settings(max_examples=15, deadline=None)
    @given(values, values, st.floats(0.01, 100))
    def test_scaling_both_changes_nothing(
        self, one: list[float], other: list[float], scale: float
    ) -> None:
        plain = compare(*legs(one, other, interleaved=False))
        scaled = compare(
            *legs([v * scale for v in one], [v * scale for v in other], interleaved=False)
        )
        assert plain.verdict is scaled.verdict
        for before, after in zip(self.estimates(plain), self.estimates(scaled), strict=True):
            assert after.overhead_percent == pytest.approx(before.overhead_percent, abs=1e-6)
            assert after.p_within == pytest.approx(before.p_within, abs=1e-9)

    @settings(max_examples=15, deadline=None)
    @given(values.flatmap(lambda each: st.tuples(st.just(each), st.permutations(each))), values)
    def test_the_order_of_unpaired_blocks_changes_nothing(
        self, first: tuple[list[float], list[float]], second: list[float]
    ) -> None:
        found = [compare(*legs(each, second, interleaved=False)) for each in first]
        assert found[0].verdict is found[1].verdict
        for one, other in zip(*map(self.estimates, found), strict=True):
            assert one.overhead_percent == pytest.approx(other.overhead_percent, abs=1e-9)
            assert one.standard_error == pytest.approx(other.standard_error, abs=1e-9)

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.floats(90, 110), min_size=4, max_size=8),
        st.integers(0, 7),
        st.sampled_from(sorted(SPOILT)),
        st.booleans(),
    )
    def test_dropping_a_void_mark_never_helps(
        self, second: list[float], place: int, kind: str, keep_flag: bool
    ) -> None:
        """The evidence in the same record still speaks, whichever words were taken away."""
        place %= len(second)
        first, honest = legs([100.0] * len(second), second)
        marked = self.with_block(
            honest, place, {"void": True, "void_reasons": ("?",), **SPOILT[kind]}
        )
        dropped = self.with_block(honest, place, {"void": keep_flag, **SPOILT[kind]})
        before, after = compare(first, marked), compare(first, dropped)
        assert FAVOUR.index(after.verdict) <= FAVOUR.index(before.verdict)
        assert only(after).void
        assert only(after).endpoints[0].second == only(before).endpoints[0].second

    @staticmethod
    def with_block(
        leg: tuple[Source, ...], place: int, changes: dict[str, Any]
    ) -> tuple[Source, ...]:
        (entry,) = leg[place].result.benchmarks
        changed = resealed(leg[place].result, benchmarks=(entry.model_copy(update=changes),))
        return (*leg[:place], Source(changed), *leg[place + 1 :])


class TestAllowed:
    """An expert may compare all the same, marked, and never within target."""

    def compared(self, second: float, *keys: str) -> Comparison:
        sides = legs([100.0] * 4, [second] * 4, of_second={"gpu": {"driver_version": "1"}})
        return compare(*sides, Request(allow=frozenset(keys)))

    def test_without_it_the_legs_are_refused(self) -> None:
        found = self.compared(100.0)
        assert found.verdict is Verdict.REFUSED
        assert found.reason.startswith("The legs are not comparable. The GPU's driver is not the")
        assert found.allowed == ()

    def test_it_is_marked_and_never_within(self) -> None:
        found = self.compared(100.0, "driver")
        assert found.verdict is Verdict.INCONCLUSIVE
        assert [each.key for each in found.allowed] == ["driver"]
        assert "in spite of driver, which never yields within target" in found.reason
        assert found.further is None

    def test_it_can_exceed(self) -> None:
        assert self.compared(80.0, "driver").verdict is Verdict.EXCEEDS

    def test_another_key_allows_nothing(self) -> None:
        assert self.compared(100.0, "cudnn", "cuda").verdict is Verdict.REFUSED

    def test_an_unknown_key_is_refused_with_the_list(self) -> None:
        with pytest.raises(InputError, match="no such key") as caught:
            self.compared(100.0, "kernel")
        assert "driver" in caught.value.remedy
        assert "attestation" in caught.value.remedy

    def test_raw_files_that_contradict_are_refused_and_named(self) -> None:
        finding = RawFinding(NAME, 3, "the-run", "Its p50 is another.")
        found = compare(*legs(), Request(findings=(finding,)))
        (refusal,) = found.refusals
        assert refusal.key == "raw"
        assert refusal.sentence == f"{NAME}, block 3 of run the-run: Its p50 is another."


class TestMechanisms:
    """Probes are compared block by block, where there are any."""

    @staticmethod
    def probe(block: int, median: float) -> ProbeResult:
        return ProbeResult(
            name="h2d-pinned",
            title="host to device, pinned",
            unit="us",
            parameters={},
            block=block,
            started_at=STARTED,
            count=100,
            minimum=median,
            median=median,
            p90=median,
            p99=median,
        )

    def compared(self, interleaved: bool) -> Comparison:
        sides = []
        for leg, base in zip(legs(interleaved=interleaved), (10.0, 13.0), strict=True):
            probed = []
            for place, each in enumerate(leg):
                blocks = [entry.block for entry in each.result.benchmarks]
                probes = tuple(
                    self.probe(block, base * (1 + 0.001 * ((place + block) % 3)))
                    for block in blocks
                )
                probed.append(Source(resealed(each.result, probes=probes)))
            sides.append(tuple(probed))
        return compare(sides[0], sides[1])

    @pytest.mark.parametrize("interleaved", [True, False])
    def test_what_costs_more_is_found(self, interleaved: bool) -> None:
        (mechanism,) = self.compared(interleaved).mechanisms
        assert mechanism.change_percent == pytest.approx(30, abs=1)
        assert mechanism.differs

    def test_without_probes_there_are_none(self) -> None:
        found = compare(*legs())
        assert (found.mechanisms, found.causes) == ((), ())


class TestEqualLegs:
    """A/A asks both ways: better by the target is as wrong as worse."""

    def compared(self, second: float) -> Comparison:
        values = noisy(second, seed=2)
        return compare(*legs(noisy(100.0), values, of_second={"leg": "baseline"}), SAME)

    def test_equal_legs_are_within(self) -> None:
        found = self.compared(100.0)
        assert found.verdict is Verdict.WITHIN
        assert found.reason.startswith("Equal legs come out less than 5 % apart in all 3")
        assert found.noise is None

    @pytest.mark.parametrize("second", [90.0, 108.0, 125.0])
    def test_one_that_is_surely_apart_is_told_so(self, second: float) -> None:
        found = self.compared(second)
        assert found.verdict is only(found).verdict is Verdict.EXCEEDS
        assert found.reason.startswith("Equal legs come out more than 5 % apart: 3 of 3")

    @settings(max_examples=20, deadline=None)
    @given(st.floats(85.0, 115.0), st.floats(0.001, 0.03), st.booleans())
    def test_neither_is_the_first(self, mean: float, variation: float, interleaved: bool) -> None:
        values = noisy(100.0, variation, 5), noisy(mean, variation, 5, seed=2)
        of_second = {"leg": "baseline"}
        there, back = (
            compare(*legs(*each, interleaved=interleaved, of_second=of_second), SAME)
            for each in (values, values[::-1])
        )
        assert there.verdict is back.verdict
        for one, other in zip(only(there).endpoints, only(back).endpoints, strict=True):
            assert one.estimate is not None
            assert other.estimate is not None
            assert one.estimate.p_within == pytest.approx(other.estimate.p_within)
            assert one.estimate.p_exceeds == pytest.approx(other.estimate.p_exceeds)
            assert one.verdict is other.verdict

    def test_what_would_settle_it_is_the_same_either_way(self) -> None:
        values = noisy(100.0, 0.03), noisy(103.5, 0.03, seed=2)
        of_second = {"leg": "baseline"}
        there, back = (
            compare(*legs(*each, of_second=of_second), SAME) for each in (values, values[::-1])
        )
        assert there.verdict is back.verdict is Verdict.INCONCLUSIVE
        assert there.further is not None
        assert back.further is not None
        assert there.further.blocks == back.further.blocks

    def test_both_are_told_apart_by_their_place(self) -> None:
        found = self.compared(100.0)
        assert (found.first.label, found.second.label) == ("baseline (first)", "baseline (second)")


def test_figures_without_a_ratio_have_no_estimate() -> None:
    sides = legs([1e-300, 1e300, 1.0], [1e300, 1e-300, 1.0], measured={"telemetry": telemetry()})
    found = compare(*sides)
    assert found.verdict is not Verdict.WITHIN


def test_the_same_legs_give_the_same_comparison() -> None:
    sides = legs(noisy(100.0), noisy(97.0, seed=2))
    assert compare(*sides) == compare(*sides)
