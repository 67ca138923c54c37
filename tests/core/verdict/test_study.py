"""The study's state machine: what comes next follows from the plan and what was done, alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.verdict.model import Verdict
from core.verdict.study import (
    Block,
    BlockEnded,
    Check,
    Checked,
    End,
    Halt,
    Look,
    Looked,
    Resumed,
    Step,
    StudyPlan,
    default_looks,
    schedule,
)
from core.verdict.study_course import (
    blocks_left,
    counted,
    next_step,
)
from tests.core.verdict.studies import Entry, a_plan, good, until

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@st.composite
def plans(draw: st.DrawFn) -> StudyPlan:
    looks = tuple(sorted(draw(st.sets(st.integers(3, 8), min_size=1, max_size=3))))
    return a_plan(
        id=f"study-{draw(st.integers(0, 9999))}",
        blocks=looks[-1],
        looks=looks,
        calibration=draw(st.sampled_from((0, 3, 5))),
        interleaved=draw(st.booleans()),
        replacements=draw(st.integers(0, 4)),
    )


OUTCOMES = ("good", "void", "failed", "impossible", "interrupted")
now_and_then = st.sampled_from((False,) * 15 + (True,))
often_good = st.sampled_from(("good",) * 12 + OUTCOMES)


def entry_of(step: Step, draw: st.DataObject, number: int) -> Entry:
    """What may come of a step."""
    match step:
        case Block():
            outcome = draw.draw(often_good)
            return BlockEnded(block=step, run=f"run-{number}", outcome=outcome, reason="why")
        case Check():
            return Checked(check=step, refusal=draw.draw(st.sampled_from(("", "", "", "no"))))
        case Look():
            verdict = draw.draw(st.sampled_from((*Verdict, Verdict.INCONCLUSIVE, Verdict.WITHIN)))
            return Looked(look=step, verdict=verdict, reason="figures")


def play(plan: StudyPlan, draw: st.DataObject) -> tuple[list[Entry], End]:
    """Go through a study in which anything may happen."""
    done: list[Entry] = []
    while not isinstance(step := next_step(plan, done), End):
        paused = sum(isinstance(entry, Resumed) for entry in done) < 3 and draw.draw(now_and_then)
        if isinstance(step, Halt) or paused:
            done.append(Resumed(at=NOON, goes_on=draw.draw(st.booleans())))
        else:
            done.append(entry_of(step, draw, len(done)))
        # A person stops it no more often than this.
        assert len(done) < 2000
    return done, step


@settings(max_examples=40, deadline=None)
@given(plans(), st.data())
def test_whatever_happens_the_study_ends_and_measures_no_more_than_it_may(
    plan: StudyPlan, data: st.DataObject
) -> None:
    done, end = play(plan, data)
    assert len(counted(plan, done)) <= sum(isinstance(step, Block) for step in schedule(plan))
    again = 0
    for entry in done:
        if isinstance(entry, Resumed):
            again = 0
        elif isinstance(entry, BlockEnded) and entry.outcome in ("void", "failed"):
            again += 1
            assert again <= plan.replacements + 1
    assert end.reason


@settings(max_examples=40, deadline=None)
@given(plans(), st.data())
def test_looks_come_only_where_they_were_declared(plan: StudyPlan, data: st.DataObject) -> None:
    done, _end = play(plan, data)
    for place, entry in enumerate(done):
        if isinstance(entry, Looked) and entry.look.phase == "legs":
            assert entry.look.blocks == plan.looks[entry.look.number - 1]
            for side in ("first", "second"):
                runs = [
                    each.block.blocks
                    for each in counted(plan, done[:place])
                    if (each.block.phase, each.block.side) == ("legs", side)
                ]
                assert sum(runs) == entry.look.blocks


@settings(max_examples=40, deadline=None)
@given(plans(), st.data())
def test_from_any_point_it_goes_on_as_if_it_had_never_stopped(
    plan: StudyPlan, data: st.DataObject
) -> None:
    done, _end = play(plan, data)
    stored = StudyPlan.model_validate_json(plan.model_dump_json())
    for place, entry in enumerate(done):
        step = next_step(stored, done[:place])
        assert not isinstance(step, End)
        if isinstance(entry, Resumed):
            continue
        assert step in (getattr(entry, name, None) for name in ("block", "check", "look"))


@settings(max_examples=40, deadline=None)
@given(plans(), st.data())
def test_the_runs_still_to_come_are_those_of_the_schedule(
    plan: StudyPlan, data: st.DataObject
) -> None:
    done, _end = play(plan, data)
    assert blocks_left(plan, done) == ()
    steps = [step for step in schedule(plan) if isinstance(step, Block)]
    for place in range(len(done)):
        left = blocks_left(plan, done[:place])
        assert list(left) == steps[len(steps) - len(left) :]


@given(plans())
def test_of_the_pairs_between_two_looks_half_begin_with_each_side_and_the_baseline_is_first(
    plan: StudyPlan,
) -> None:
    steps = schedule(plan)
    first = steps[0]
    assert isinstance(first, Block)
    assert first.is_baseline
    sides: list[str] = []
    for step in steps:
        if isinstance(step, Block):
            sides.append(step.side)
        elif isinstance(step, Look):
            pairs = list(zip(sides[::2], sides[1::2], strict=True))
            assert all(set(pair) == {"first", "second"} for pair in pairs)
            assert abs(2 * pairs.count(("first", "second")) - len(pairs)) <= 1 + (len(pairs) == 1)
            sides = []


def test_the_order_of_pairs_is_drawn_and_repeats_no_pattern() -> None:
    def order(study: str) -> str:
        steps = [step for step in schedule(a_plan(id=study)) if isinstance(step, Block)]
        return "".join(step.side[0] for step in steps)

    assert len({order(f"study-{number}") for number in range(20)}) > 10


def test_the_side_that_begins_is_drawn_by_the_id_and_both_begin_at_times() -> None:
    def begins(study: str) -> str:
        steps = schedule(a_plan(id=study))
        return next(step.side for step in steps if isinstance(step, Block))

    drawn = [begins(f"study-{number}") for number in range(40)]
    assert drawn == [begins(f"study-{number}") for number in range(40)]
    assert 8 <= drawn.count("first") <= 32


def test_without_aa_the_baseline_begins_because_the_others_take_its_rates() -> None:
    for number in range(20):
        first = schedule(a_plan(id=f"study-{number}", calibration=0))[0]
        assert first == Block(phase="legs", side="first", number=1)


def test_each_block_is_a_run_where_runs_are_cheap() -> None:
    steps = schedule(a_plan(calibration=0))
    kinds = "".join(type(step).__name__[0] for step in steps)
    assert kinds == "BB" + "C" + "BBBB" + "L" + "BBBBBB" + "L"


def test_where_a_run_is_costly_there_is_one_of_each_leg_between_two_looks() -> None:
    steps = schedule(a_plan(interleaved=False, looks=(4, 6)))
    assert [(step.blocks, step.number) for step in steps if isinstance(step, Block)] == [
        *((3, 1), (3, 1)),
        *((4, 1), (4, 1)),
        *((2, 5), (2, 5)),
    ]
    assert [isinstance(step, Check) for step in steps].index(True) == 5


def test_the_order_that_was_drawn_is_kept_in_the_plan() -> None:
    plan = a_plan()
    stored = StudyPlan.model_validate_json(plan.model_dump_json())
    turned = tuple("first" if side == "second" else "second" for side in plan.order)
    other = stored.model_copy(update={"order": turned})
    sides = [[s.side for s in schedule(each) if isinstance(s, Block)] for each in (stored, other)]
    assert sides[0][::2] == list(plan.order)
    assert sides[1][::2] == list(turned)


@pytest.mark.parametrize("verdict", [Verdict.WITHIN, Verdict.EXCEEDS])
def test_a_sure_verdict_ends_it_at_the_first_look(verdict: Verdict) -> None:
    plan = a_plan()
    look = Look(phase="legs", number=1, blocks=3)
    end = next_step(plan, [*until(plan, look), good(look, verdict)])
    assert end == End(kind="decided", reason="it is", verdict=verdict)


def test_an_unsure_verdict_goes_on_to_the_last_look_and_no_further() -> None:
    plan = a_plan()
    first, last = (Look(phase="legs", number=n, blocks=b) for n, b in ((1, 3), (2, 6)))
    assert isinstance(next_step(plan, [*until(plan, first), good(first)]), Block)
    end = next_step(plan, [*until(plan, last), good(last)])
    assert end == End(kind="undecided", reason="it is", verdict=Verdict.INCONCLUSIVE)


def test_legs_that_cannot_be_compared_end_it_after_the_first_pair() -> None:
    plan = a_plan(calibration=0)
    end = next_step(
        plan, [*until(plan, Check()), Checked(check=Check(), refusal="The drivers differ.")]
    )
    assert end == End(kind="refused", reason="The drivers differ.", verdict=Verdict.REFUSED)


def test_what_was_done_by_another_plan_is_refused() -> None:
    plan = a_plan()
    done = until(plan, Look(phase="legs", number=1, blocks=3))
    with pytest.raises(ValueError, match="does not follow"):
        next_step(plan, done[1:])
    look = Look(phase="calibration", number=1, blocks=3)
    over = [*until(plan, look), Looked(look=look, verdict=Verdict.EXCEEDS, reason="")]
    with pytest.raises(ValueError, match="does not follow"):
        next_step(plan, [*over, done[0]])


@pytest.mark.parametrize(
    "wrong",
    [
        {"looks": (3, 3, 6)},
        {"looks": (3, 5)},
        {"looks": (2, 6)},
        {"looks": ()},
        {"blocks": 2, "looks": (2,)},
        {"calibration": 2},
        {"calibration_looks": (3, 5)},
        {"calibration": 6, "calibration_looks": (4, 3, 6)},
        {"order": ("first",)},
        {"target_overhead": 0.0},
        {"id": "../elsewhere"},
    ],
)
def test_a_plan_that_can_say_nothing_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        a_plan(**wrong)


@given(st.integers(3, 200))
def test_the_default_looks_make_a_plan(blocks: int) -> None:
    looks = default_looks(blocks)
    assert a_plan(blocks=blocks, looks=looks).looks[-1] == blocks
    assert len(looks) == (2 if blocks > 4 else 1)
