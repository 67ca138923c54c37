"""What follows from what a study did: ends, halts, and which runs count."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.verdict.model import Verdict
from core.verdict.study import (
    Block,
    BlockEnded,
    Check,
    End,
    Halt,
    Look,
    Looked,
    Resumed,
    StudyPlan,
    schedule,
)
from core.verdict.study_course import (
    first_baseline,
    good_runs,
    next_step,
    pause_s,
)
from tests.core.verdict.studies import Entry, a_plan, good, until

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.EXCEEDS])
def test_a_machine_that_is_too_noisy_costs_no_block_of_the_legs(verdict: Verdict) -> None:
    plan = a_plan()
    look = Look(phase="calibration", number=1, blocks=3)
    done = [*until(plan, look), Looked(look=look, verdict=verdict, reason="Noise of 12 %.")]
    end = next_step(plan, done)
    assert isinstance(end, End)
    assert (end.kind, end.verdict, "Noise of 12 %." in end.reason) == ("noisy", None, True)
    assert ("too noisy" in end.reason) == (verdict is Verdict.EXCEEDS)
    assert good_runs(plan, done, "legs", "first") == ()


def calibrated(plan: StudyPlan, number: int, verdict: Verdict, further: int | None) -> list[Entry]:
    """A/A up to a look, with what it says."""
    blocks = plan.calibration_looks[number - 1]
    look = Look(phase="calibration", number=number, blocks=blocks)
    before = [
        good(step)
        if isinstance(step, Block)
        else Looked(look=step, verdict=Verdict.INCONCLUSIVE, reason="unsure")
        for step in schedule(plan)[: schedule(plan).index(look)]
        if isinstance(step, Block | Look)
    ]
    return [*before, Looked(look=look, verdict=verdict, reason="figures", further=further)]


def test_aa_that_is_within_at_its_first_look_leaves_the_rest_of_it_out() -> None:
    plan = a_plan(calibration=6)
    assert plan.calibration_looks == (3, 6)
    step = next_step(plan, calibrated(plan, 1, Verdict.WITHIN, None))
    assert isinstance(step, Block)
    assert (step.phase, step.number) == ("legs", 1)


def test_aa_that_is_not_sure_yet_is_measured_on() -> None:
    plan = a_plan(calibration=6)
    step = next_step(plan, calibrated(plan, 1, Verdict.INCONCLUSIVE, 2))
    assert isinstance(step, Block)
    assert (step.phase, step.number) == ("calibration", 4)
    after = next_step(plan, calibrated(plan, 2, Verdict.WITHIN, None))
    assert isinstance(after, Block)
    assert after.phase == "legs"


def test_aa_that_is_never_sure_says_how_many_pairs_would_do() -> None:
    plan = a_plan(calibration=6)
    end = next_step(plan, calibrated(plan, 2, Verdict.INCONCLUSIVE, 8))
    assert isinstance(end, End)
    assert end.kind == "noisy"
    assert end.reason.startswith("A/A is not within target after 6 pairs; about 14 would do.")
    exceeds = next_step(plan, calibrated(plan, 1, Verdict.EXCEEDS, None))
    assert isinstance(exceeds, End)
    assert exceeds.reason.startswith("This machine is too noisy.")


def test_a_pair_that_an_interruption_broke_is_measured_again_whole() -> None:
    plan = a_plan(calibration=0)
    first, second = schedule(plan)[:2]
    assert isinstance(first, Block)
    assert isinstance(second, Block)
    kept = BlockEnded(block=first, run="run-1", outcome="good")
    stopped = BlockEnded(block=second, run="run-2", outcome="interrupted")
    assert next_step(plan, [kept, stopped]) == first
    again = BlockEnded(block=first, run="run-3", outcome="good")
    done = [kept, stopped, again]
    assert good_runs(plan, done, "legs", "first") == ("run-3",)
    # What later runs took their rates from stays what it was.
    assert first_baseline(done) == "run-1"


@pytest.mark.parametrize(("goes_on", "place"), [(True, 1), (False, 0)])
def test_a_pair_between_whose_runs_the_study_lay_still_is_broken_too(
    goes_on: bool, place: int
) -> None:
    plan = a_plan(calibration=0)
    steps = schedule(plan)
    assert isinstance(steps[0], Block)
    done: list[Entry] = [
        BlockEnded(block=steps[0], run="run-1", outcome="good"),
        Resumed(at=NOON, goes_on=goes_on),
    ]
    assert next_step(plan, done) == steps[place]


def test_a_whole_pair_is_not_broken_and_costly_runs_never_are() -> None:
    plan = a_plan(calibration=0)
    two = [good(step) for step in schedule(plan)[:2]]
    assert next_step(plan, [*two, Resumed(at=NOON, goes_on=False)]) == Check()
    costly = a_plan(calibration=0, interleaved=False)
    steps = schedule(costly)
    assert next_step(costly, [good(steps[0]), Resumed(at=NOON, goes_on=False)]) == steps[1]


def test_runs_that_fail_one_after_the_other_are_awaited_longer_and_longer() -> None:
    block = schedule(a_plan())[0]
    assert isinstance(block, Block)
    failed = BlockEnded(block=block, run="run", outcome="failed")
    void = BlockEnded(block=block, run="run", outcome="void")
    assert [pause_s([failed] * count) for count in range(4)] == [0.0, 30.0, 60.0, 120.0]
    assert pause_s([failed] * 50) == 1800.0
    assert pause_s([failed, void]) == 0.0
    assert pause_s([failed, Resumed(at=NOON, goes_on=False)]) == 0.0


def test_what_would_fail_again_is_not_measured_again() -> None:
    plan = a_plan()
    block = schedule(plan)[0]
    assert isinstance(block, Block)
    failed = BlockEnded(block=block, run="run-1", outcome="impossible", reason="no torch")
    halt = next_step(plan, [failed])
    assert isinstance(halt, Halt)
    assert (halt.wrong_input, "no torch" in halt.reason) == (True, True)
    # Somebody has mended it.
    assert next_step(plan, [failed, Resumed(at=NOON, goes_on=False)]) == block


def test_what_failed_is_measured_again_at_once_but_not_for_ever() -> None:
    plan = a_plan(replacements=2)
    block = schedule(plan)[0]
    assert isinstance(block, Block)
    void = BlockEnded(block=block, run="run-1", outcome="void", reason="it was hot")
    assert next_step(plan, [void]) == block
    assert next_step(plan, [void, void]) == block
    halt = next_step(plan, [void, void, void])
    assert isinstance(halt, Halt)
    assert (halt.wrong_input, "it was hot" in halt.reason) == (False, True)
    resumed: list[Entry] = [void, void, void, Resumed(at=NOON, goes_on=False)]
    assert next_step(plan, [*resumed, void, void]) == block
    assert isinstance(next_step(plan, [*resumed, void, void, void]), Halt)


def test_interrupted_runs_count_as_nothing() -> None:
    plan = a_plan(replacements=0)
    block = schedule(plan)[0]
    assert isinstance(block, Block)
    stopped = BlockEnded(block=block, run="run-1", outcome="interrupted")
    assert next_step(plan, [stopped] * 5) == block


def test_runs_that_do_not_count_are_in_no_side_and_lend_no_rates() -> None:
    plan = a_plan()
    block = schedule(plan)[0]
    assert isinstance(block, Block)
    void = BlockEnded(block=block, run="run-1", outcome="void")
    kept = BlockEnded(block=block, run="run-2", outcome="good")
    assert first_baseline([void]) is None
    assert first_baseline([void, kept]) == "run-2"
    assert good_runs(plan, [void, kept], block.phase, block.side) == ("run-2",)
