"""What was left out, and what ran faster, does not make a leg look better than it is."""

from __future__ import annotations

import pytest

from core.report.comparison_words import further_text
from core.verdict.comparison import Request, compare
from core.verdict.model import Comparison, Question, Verdict
from tests.core.verdict.known import noisy
from tests.core.verdict.machine import steady, telemetry
from tests.core.verdict.scene import legs

HEAT = "LoadGen called it INVALID: x"
SLOW = [70.0, 72.0, *noisy(99.0, 0.002, 8)]


class TestVoidBlocks:
    """Blocks that are void are counted where the verdict is read."""

    @staticmethod
    def warned(found: Comparison) -> list[str]:
        return [each for each in found.warnings if " void (" in each]

    def test_they_are_told(self) -> None:
        lost = {"void": {1: HEAT, 2: "y"}}
        found = compare(*legs(noisy(100.0), noisy(99.0, seed=2), of_second=lost))
        assert self.warned(found) == [f"2 of 10 blocks of xen are void ({HEAT}), none of baseline."]

    def test_of_both_legs(self) -> None:
        found = compare(*legs(noisy(100.0), noisy(99.0, seed=2), void={1: HEAT}))
        (warning,) = self.warned(found)
        assert "1 of 10 blocks of baseline are void" in warning
        assert "1 of 10 blocks of xen are void" in warning

    def test_without_any_nothing_is_said(self) -> None:
        assert self.warned(compare(*legs())) == []

    @pytest.mark.parametrize("interleaved", [True, False])
    def test_within_must_hold_with_them_too(self, interleaved: bool) -> None:
        lost = {"void": {1: HEAT, 2: HEAT}}
        found = compare(*legs(noisy(100.0), SLOW, of_second=lost, interleaved=interleaved))
        assert found.verdict is Verdict.INCONCLUSIVE
        assert found.reason.startswith("Of singlestream-b1 the legs lost unlike shares of blocks")
        assert found.measurements[0].verdict is Verdict.WITHIN

    def test_blocks_that_would_change_nothing_take_nothing_away(self) -> None:
        lost = {"void": {1: HEAT, 2: HEAT}}
        found = compare(*legs(noisy(100.0), noisy(99.0, seed=2), of_second=lost))
        assert found.verdict is Verdict.WITHIN

    def test_equal_shares_are_no_choice(self) -> None:
        found = compare(*legs([70.0, *noisy(100.0, blocks=9)], [*SLOW[1:], 99.0], void={1: HEAT}))
        assert found.verdict is Verdict.WITHIN

    def test_exceeds_stays(self) -> None:
        lost = {"void": {1: HEAT, 2: HEAT}}
        found = compare(*legs(noisy(100.0), noisy(80.0, seed=2), of_second=lost))
        assert found.verdict is Verdict.EXCEEDS


class TestClocks:
    """A GPU that ran faster in the second leg hides what the layer costs."""

    @staticmethod
    def compared(clock: float, second: float = 99.0, *, same: bool = False) -> Comparison:
        changes = {"measured": {"telemetry": telemetry(sm_clock_mhz=steady(clock))}}
        sides = legs(noisy(100.0), noisy(second, seed=2), of_second=changes)
        if not same:
            return compare(*sides)
        changes["leg"] = "baseline"
        equal = legs(noisy(100.0), noisy(second, seed=2), of_second=changes)
        return compare(*equal, Request(question=Question.NOISE))

    def test_a_faster_second_leg_is_not_within(self) -> None:
        found = self.compared(1800)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "1,590 MHz in baseline and 1,800 MHz in xen" in found.reason
        assert found.further is None
        assert found.barred

    def test_an_unsure_one_is_not_settled_by_blocks(self) -> None:
        found = self.compared(1800, 95.24)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert found.further is None
        assert further_text(found, None) == ""

    @pytest.mark.parametrize("clock", [1620, 1400])
    def test_one_as_fast_or_slower_may_be(self, clock: float) -> None:
        assert self.compared(clock).verdict is Verdict.WITHIN

    def test_exceeds_stays(self) -> None:
        assert self.compared(1800, 80.0).verdict is Verdict.EXCEEDS

    @pytest.mark.parametrize("clock", [1800, 1400])
    def test_of_equal_legs_neither_may_be_faster(self, clock: float) -> None:
        assert self.compared(clock, 100.0, same=True).verdict is Verdict.INCONCLUSIVE

    def test_equal_legs_of_one_clock_are_within(self) -> None:
        assert self.compared(1590, 100.0, same=True).verdict is Verdict.WITHIN
