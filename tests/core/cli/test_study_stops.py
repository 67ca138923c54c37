"""A study that something stops: it goes on, or says what is to be mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.errors import WorkError
from core.cli.study_conduct import Conductor, HaltedError, LeftBehindError, Ran
from core.cli.study_store import StudyStore
from core.errors import ExitCode
from core.verdict.study import (
    Block,
    BlockEnded,
    LegPlan,
)
from core.verdict.study_course import good_runs
from tests.core.cli.study_stand_ins import (
    Listener,
    Place,
    StandInJudge,
    StandInRuns,
    conduct,
    resume,
    study,
)
from tests.core.verdict.studies import a_plan


def test_a_run_that_dies_under_the_studys_eyes_is_a_failure(tmp_path: Path) -> None:
    place = Place(outcomes=lambda _number: Ran("died", "its process died."))
    with pytest.raises(HaltedError, match="its process died") as raised:
        study(tmp_path, a_plan(replacements=1), place)
    assert raised.value.exit_code == ExitCode.FAILED
    assert len(place.runs) == 2
    # The second was awaited.
    assert sum(place.slept) == 30.0


def test_what_a_person_mends_does_not_end_the_study_for_good(tmp_path: Path) -> None:
    plan = a_plan(calibration=0, blocks=3, looks=(3,), replacements=1)
    place = Place(outcomes=lambda _number: Ran("impossible", "The disk is full."))
    with StudyStore.create(tmp_path, plan) as store:
        with pytest.raises(HaltedError, match="The disk is full") as raised:
            conduct(store, place)
        assert raised.value.exit_code == ExitCode.WRONG_INPUT
        assert plan.id in raised.value.remedy
        assert store.state.ended is None
    place.outcomes = lambda number: Ran("failed", "outage") if number < 4 else Ran("good")
    with StudyStore.open(tmp_path, plan.id) as store:
        with pytest.raises(HaltedError, match="2 runs failed"):
            resume(store, place)
        assert store.state.ended is None
    with StudyStore.open(tmp_path, plan.id) as store:
        end = resume(store, place)
    assert end is not None
    assert end.kind == "undecided"


def test_a_stop_ends_a_pause(tmp_path: Path) -> None:
    place = Place(outcomes=lambda _number: Ran("failed", "outage"))

    def sleep(seconds: float) -> None:
        place.slept.append(seconds)
        place.asked = len(place.slept) == 3

    with StudyStore.create(tmp_path, a_plan()) as store:
        found = Conductor(store, StandInRuns(place), StandInJudge(place), Listener(place), sleep)
        assert found.conduct() is None
    assert len(place.slept) == 3
    assert len(place.runs) == 1


def test_a_run_that_is_killed_by_a_second_stop_is_no_failure(tmp_path: Path) -> None:
    plan, place = a_plan(), Place()

    def killed(_number: int) -> Ran:
        place.asked = True
        return Ran("died", "its process died.")

    place.outcomes = killed
    with StudyStore.create(tmp_path, plan) as store:
        assert conduct(store, place) is None
        (entry,) = store.state.done
    assert isinstance(entry, BlockEnded)
    assert entry.outcome == "interrupted"


def test_both_runs_of_a_pair_that_was_stopped_are_measured_again(tmp_path: Path) -> None:
    plan, place = a_plan(calibration=0, blocks=3, looks=(3,)), Place()

    def stopped_at_the_second(number: int) -> Ran:
        place.asked = number == 2
        return Ran("interrupted", "SIGINT") if number == 2 else Ran("good")

    place.outcomes = stopped_at_the_second
    with StudyStore.create(tmp_path, plan) as store:
        assert conduct(store, place) is None
    place.asked = False
    with StudyStore.open(tmp_path, "latest") as store:
        assert resume(store, place) is not None
        done = store.state.done
    sides = [good_runs(plan, done, "legs", side) for side in ("first", "second")]
    assert sorted(run for side in sides for run in side) == [f"run-{n}" for n in range(3, 9)]


def test_a_stop_leaves_a_study_that_goes_on(tmp_path: Path) -> None:
    plan, place = a_plan(calibration=0, blocks=3, looks=(3,)), Place()

    def stopped_at_the_third(number: int) -> Ran:
        place.asked = number == 3
        return Ran("interrupted", "SIGINT") if number == 3 else Ran("good")

    place.outcomes = stopped_at_the_third
    with StudyStore.create(tmp_path, plan) as store:
        assert conduct(store, place) is None
        assert store.state.ended is None
        assert store.state.under_way is None
    place.asked = False
    with StudyStore.open(tmp_path, "latest") as store:
        end = conduct(store, place)
    assert end is not None
    assert end.kind == "undecided"
    assert len(place.runs) == 7


def test_a_stop_before_a_run_starts_none(tmp_path: Path) -> None:
    place = Place(asked=True)
    with StudyStore.create(tmp_path, a_plan()) as store:
        assert conduct(store, place) is None
    assert place.runs == {}


def test_a_run_that_somebody_else_stopped_stops_the_study(tmp_path: Path) -> None:
    place = Place(outcomes=lambda _number: Ran("interrupted", "SIGTERM"))
    with StudyStore.create(tmp_path, a_plan()) as store:
        assert conduct(store, place) is None
    assert len(place.runs) == 1


def test_what_a_run_leaves_behind_ends_the_command_and_its_figures_still_count(
    tmp_path: Path,
) -> None:
    place = Place(outcomes=lambda _number: Ran("good", left="cluster gpu-benchmark-cluster"))
    with StudyStore.create(tmp_path, a_plan()) as store:
        with pytest.raises(LeftBehindError, match="cluster gpu-benchmark-cluster") as raised:
            conduct(store, place)
        assert raised.value.exit_code == 5
        (entry,) = store.state.done
    assert isinstance(entry, BlockEnded)
    assert entry.outcome == "good"


def test_a_run_that_cannot_be_started_leaves_a_study_that_goes_on(tmp_path: Path) -> None:
    place = Place()

    class FullDisk(StandInRuns):
        def start(self, leg: LegPlan, block: Block, rates_from: str | None, note: str) -> str:
            raise WorkError("The disk is full.")

    with StudyStore.create(tmp_path, a_plan(calibration=0)) as store:
        begun = Conductor(
            store, FullDisk(place), StandInJudge(place), Listener(place), place.slept.append
        )
        with pytest.raises(WorkError, match="disk is full"):
            begun.conduct()
    with StudyStore.open(tmp_path, "latest") as store:
        assert conduct(store, place) is not None
