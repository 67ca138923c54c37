"""The noise floor: A/A where it was measured, else halves of the first leg, which only inform."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from benchmark.attestation.model import Hypervisor
from core.verdict.comparison import Request, compare
from core.verdict.legs import Source
from core.verdict.model import Comparison, NoiseFloor, Verdict
from core.verdict.raw import RawFinding
from tests.core.verdict.known import OFFLINE, SERVER, noisy
from tests.core.verdict.scene import ARRIVAL_RATE, NAME, STARTED, a_leg, legs

Pair = tuple[tuple[Source, ...], tuple[Source, ...]]
EARLIER = STARTED - timedelta(days=1)


def calibration(one: Any, other: Any, **changes: Any) -> Pair:
    """Return the baseline measured twice on the day before."""
    return legs(
        one,
        other,
        labels=("baseline", "baseline"),
        interleaved=False,
        of_first={"started_at": EARLIER},
        of_second={"started_at": EARLIER + timedelta(hours=2)},
        **changes,
    )


def compared(noise: Pair | None, second: float = 99.0, blocks: int = 10) -> Comparison:
    sides = legs(noisy(100.0, blocks=blocks), noisy(second, blocks=blocks, seed=2))
    return compare(*sides, Request(noise=noise))


def floor(found: Comparison) -> NoiseFloor:
    assert found.noise is not None
    return found.noise


class TestMeasured:
    """A/A that is not within the target forbids being within it."""

    QUIET = (noisy(100.0, seed=3), noisy(100.2, seed=4))
    LOUD = (noisy(100.0, 0.2, seed=3), noisy(101.0, 0.2, seed=4))
    FALSE = (noisy(100.0, seed=3), noisy(90.0, seed=4))

    def test_a_quiet_one_is_published_and_changes_nothing(self) -> None:
        found = compared(calibration(*self.QUIET))
        assert found.verdict is Verdict.WITHIN
        noise = floor(found)
        assert (noise.source, noise.verdict) == ("A/A", Verdict.WITHIN)
        assert len(noise.runs) == 2
        assert {(row.measurement, row.metric) for row in noise.rows} == {
            (NAME, metric) for metric in ("throughput", "p50", "p90", "p99")
        }
        assert noise.sentence.startswith("A/A: Equal legs come out less than 5 % apart")

    def test_a_loud_one_forbids_within(self) -> None:
        found = compared(calibration(*self.LOUD))
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "The noise was not shown to be below the target. A/A:" in found.reason
        assert "99" not in found.reason.partition("A/A:")[0]

    def test_a_loud_one_leaves_exceeds(self) -> None:
        assert compared(calibration(*self.LOUD), 80.0).verdict is Verdict.EXCEEDS

    def test_equal_legs_that_exceed_leave_nothing(self) -> None:
        found = compared(calibration(*self.FALSE), 80.0)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "So do equal legs" in found.reason

    def test_a_better_second_leg_is_noise_too(self) -> None:
        found = compared(calibration(*reversed(self.FALSE)))
        assert found.verdict is Verdict.INCONCLUSIVE

    @pytest.mark.parametrize(
        "changes",
        [
            {"gpu": {"uuid": "GPU-2"}},
            {"configuration": {"threads": 1}},
            {"plan": {"sample_count": 64}},
            {"hypervisor": Hypervisor.KVM},
            {"measured": {"host_to_device": False}},
        ],
    )
    def test_one_of_another_setup_says_nothing(self, changes: dict[str, Any]) -> None:
        found = compared(calibration(*self.QUIET, **changes))
        assert found.verdict is Verdict.INCONCLUSIVE
        assert floor(found).verdict is Verdict.REFUSED
        assert "was not measured as baseline was" in floor(found).sentence

    def test_one_of_another_load_says_nothing(self) -> None:
        sides = legs({SERVER: noisy(50.0)}, {SERVER: noisy(50.0, seed=2)})
        one, other = {SERVER: noisy(50.0, seed=3)}, {SERVER: noisy(50.0, seed=4)}
        same = compare(*sides, Request(noise=calibration(one, other)))
        assert same.verdict is Verdict.WITHIN
        rate = {"measured": {"arrival_rate_qps": 2 * ARRIVAL_RATE}}
        found = compare(*sides, Request(noise=calibration(one, other, **rate)))
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "The arrival rate of server-b8 is not the same" in floor(found).sentence

    def test_one_in_which_a_figure_only_advises_says_nothing_of_it(self) -> None:
        """So slow a leg has too few batches for p90."""
        sides = legs({OFFLINE: noisy(500.0)}, {OFFLINE: noisy(500.0, seed=2)})
        slow = {OFFLINE: noisy(20.0, seed=3)}, {OFFLINE: noisy(20.0, seed=4)}
        found = compare(*sides, Request(noise=calibration(*slow)))
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "A/A says nothing of p90 of offline-b8." in floor(found).sentence

    def test_its_warnings_are_told(self) -> None:
        found = compared(calibration(*self.QUIET))
        assert any(
            each.startswith("A/A: The legs were measured one after the other")
            for each in found.warnings
        )
        assert not any(each.startswith("A/A:") for each in compared(None).warnings)

    @pytest.mark.parametrize("second", [99.0, 80.0])
    def test_the_order_of_its_legs_changes_nothing(self, second: float) -> None:
        for values in (self.QUIET, self.LOUD, self.FALSE):
            there = compared(calibration(*values), second)
            back = compared(calibration(*reversed(values)), second)
            assert there.verdict is back.verdict
            assert floor(there).verdict is floor(back).verdict

    def test_where_it_forbids_no_number_of_blocks_would_settle_it(self) -> None:
        sides = legs(noisy(100.0, 0.03), noisy(96.5, 0.03, seed=2))
        loud = compare(*sides, Request(noise=calibration(*self.LOUD)))
        assert compare(*sides).further is not None
        assert (loud.verdict, loud.further) == (Verdict.INCONCLUSIVE, None)
        assert all(end.further_blocks is None for end in loud.measurements[0].endpoints)

    def test_one_that_is_refused_says_why(self) -> None:
        found = compared(calibration([100.0] * 2, [100.0] * 2))
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "at least 3 good blocks are needed, and there are 2" in floor(found).sentence

    def test_one_whose_raw_files_contradict_it_says_nothing(self) -> None:
        finding = RawFinding(NAME, 1, "the-run", "Its p50 is another.")
        sides = legs(noisy(100.0), noisy(99.0, seed=2))
        request = Request(noise=calibration(*self.QUIET), noise_findings=(finding,))
        found = compare(*sides, request)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "Its p50 is another." in floor(found).sentence

    def test_it_may_share_its_runs_with_the_baseline(self) -> None:
        first, second = legs(noisy(100.0), noisy(99.0, seed=2))
        again = a_leg(noisy(100.0, seed=5), started_at=EARLIER)
        found = compare(first, second, Request(noise=(first, again)))
        assert found.verdict is Verdict.WITHIN


class TestHalves:
    """Without A/A every second block stands against the others."""

    def test_they_inform(self) -> None:
        found = compared(None)
        assert found.verdict is Verdict.WITHIN
        assert floor(found).source == "halves"
        assert "What changes from run to run is not in it" in floor(found).sentence

    def test_they_forbid_nothing(self) -> None:
        first = [100.0, 80.0] * 5
        second = [value * 1.0 for value in first]
        found = compare(*legs(first, second))
        assert floor(found).verdict is not Verdict.WITHIN
        assert found.verdict is Verdict.WITHIN

    def test_too_few_blocks_have_none(self) -> None:
        assert compared(None, blocks=5).noise is None
        assert compared(None, blocks=6).noise is not None

    def test_a_refused_comparison_has_none(self) -> None:
        assert (
            compare(*legs(noisy(100.0), noisy(99.0), of_second={"leg": "baseline"})).noise is None
        )
