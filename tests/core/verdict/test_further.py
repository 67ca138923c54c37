"""Looking before the end, and what it would take to be sure."""

from __future__ import annotations

import pytest

from core.verdict.comparison import Request, compare
from core.verdict.looks import Looks
from core.verdict.model import Question, Verdict
from tests.core.verdict.known import endpoint, noisy, only, overhead
from tests.core.verdict.scene import BLOCK, STARTED, a_leg, legs


class TestLooks:
    """Looking more than once takes surer figures each time."""

    LOOKS = Looks((5, 10))

    def test_an_early_look_is_stricter(self) -> None:
        sides = legs(noisy(100.0, blocks=5), noisy(97.5, blocks=5, seed=2))
        once = compare(*sides)
        early = compare(*sides, Request(looks=self.LOOKS, look=1))
        assert once.verdict is Verdict.WITHIN
        assert early.verdict is Verdict.INCONCLUSIVE
        assert early.look is not None
        assert (early.look.number, early.look.of, early.look.blocks) == (1, 2, (5, 10))
        assert early.look.alpha < 0.05
        estimate = endpoint(early).estimate
        assert estimate is not None
        assert estimate.decision_percent.high > estimate.interval_percent.high
        assert "deciding interval" in early.reason

    def test_a_look_that_was_not_declared_is_a_mistake(self) -> None:
        with pytest.raises(ValueError, match="3"):
            compare(*legs(), Request(looks=self.LOOKS, look=3))


class TestFurther:
    """Inconclusive says what would settle it."""

    def test_blocks_and_time(self) -> None:
        found = compare(*legs(noisy(100.0, 0.03), noisy(96.5, 0.03, seed=2)))
        assert found.verdict is Verdict.INCONCLUSIVE
        assert found.further is not None
        needed = [end.further_blocks for end in only(found).endpoints if end.gating]
        assert None not in needed
        assert found.further.blocks == max(each for each in needed if each is not None)
        each_block = found.first.seconds_per_block + found.second.seconds_per_block
        assert found.further.seconds == pytest.approx(found.further.blocks * each_block)

    def test_an_overhead_of_the_target_is_settled_by_none(self) -> None:
        found = overhead(5)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert found.further is None

    def test_a_sure_verdict_needs_none(self) -> None:
        assert overhead(0).further is None
        assert overhead(9).further is None

    def test_a_block_takes_from_its_start_to_the_next_ones(self) -> None:
        found = compare(*legs([100.0] * 4, [99.0] * 4, interleaved=False))
        assert found.first.seconds_per_block == BLOCK.total_seconds()

    def test_of_boots_every_block_is_counted(self) -> None:
        first, second = [], []
        for boot, value in enumerate(noisy(100.0, 0.03, 4)):
            for start, leg, side, own in (
                (0, "baseline", first, value),
                (4, "xen", second, noisy(96.5, 0.03, 4, seed=2)[boot]),
            ):
                side += a_leg(
                    [own, own],
                    leg=leg,
                    started_at=STARTED + (8 * boot + start) * BLOCK,
                    boots=[f"{leg} {boot}"],
                )
        found = compare(first, second)
        assert only(found).unit == "boot"
        assert found.further is not None
        boots = max(end.further_blocks or 0 for end in only(found).endpoints if end.gating)
        assert found.further.blocks == 2 * boots
        assert (found.further.unit, found.further.boots) == ("boot", boots)

    def test_blocks_have_no_boots(self) -> None:
        found = compare(*legs(noisy(100.0, 0.03), noisy(96.5, 0.03, seed=2)))
        assert found.further is not None
        assert (found.further.unit, found.further.boots) == ("block", 0)

    def test_what_was_allowed_is_not_settled_by_blocks(self) -> None:
        other = {"gpu": {"driver_version": "1"}}
        sides = legs(noisy(100.0, 0.03), noisy(96.5, 0.03, seed=2), of_second=other)
        found = compare(*sides, Request(allow=frozenset({"driver"})))
        assert (found.verdict, found.further) == (Verdict.INCONCLUSIVE, None)
        assert all(end.further_blocks is None for end in only(found).endpoints)

    @pytest.mark.parametrize("second", [96.5, 103.5])
    def test_of_equal_legs_both_directions_have_an_end(self, second: float) -> None:
        sides = legs(noisy(100.0, 0.03), noisy(second, 0.03, seed=2), of_second={"leg": "baseline"})
        found = compare(*sides, Request(question=Question.NOISE))
        assert found.verdict is Verdict.INCONCLUSIVE
        assert found.further is not None
