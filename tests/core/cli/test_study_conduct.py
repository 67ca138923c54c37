"""Conducting a study: on stand-ins for runs and verdicts, killed and taken up at any instant."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from benchmark.errors import InputError
from core.cli.study_conduct import Conductor, Pooled, Ran
from core.cli.study_store import STUDY_FILE, StudyFileError, StudyStore
from core.verdict.model import Comparison, Refusal, Verdict
from core.verdict.study import (
    Block,
    BlockEnded,
    End,
    Look,
    Looked,
    StudyPlan,
    schedule,
)
from core.verdict.study_course import counted, good_runs
from tests.core.cli.study_stand_ins import (
    KilledError,
    Listener,
    Place,
    StandInJudge,
    StandInRuns,
    conduct,
    resume,
    study,
)
from tests.core.verdict.comparison_parts import endpoint, measurement
from tests.core.verdict.studies import a_plan


def test_a_study_measures_the_schedule_and_ends_with_the_last_look(tmp_path: Path) -> None:
    plan, place = a_plan(), Place()
    judge = StandInJudge(place)
    end = study(tmp_path, plan, place, judge)
    assert (end.kind, end.verdict) == ("undecided", Verdict.INCONCLUSIVE)
    blocks = [step for step in schedule(plan) if isinstance(step, Block)]
    assert len(place.runs) == len(blocks)
    assert place.legs == ["baseline" if block.is_baseline else "xen" for block in blocks]
    # Each leg's runs, and the A/A beside them as the noise floor.
    look, first, second, noise = judge.asked[-1]
    assert look == Look(phase="legs", number=2, blocks=6)
    assert (len(first), len(second)) == (6, 6)
    assert noise is not None
    assert [len(side) for side in noise] == [3, 3]
    assert judge.asked[0][3] is None
    assert judge.published == 1


def test_every_run_after_the_first_takes_the_first_baselines_rates(tmp_path: Path) -> None:
    place = Place(outcomes=lambda number: Ran("void", "hot") if number == 1 else Ran("good"))
    study(tmp_path, a_plan(), place)
    assert place.rates_from[:3] == [None, None, "run-2"]
    assert set(place.rates_from[2:]) == {"run-2"}


def test_an_early_verdict_saves_the_rest(tmp_path: Path) -> None:
    place = Place()
    judge = StandInJudge(place, {("legs", 1): Verdict.EXCEEDS})
    end = study(tmp_path, a_plan(), place, judge)
    assert (end.kind, end.verdict) == ("decided", Verdict.EXCEEDS)
    assert len(place.runs) == 6 + 6


def test_a_noisy_machine_measures_no_leg_and_publishes_nothing(tmp_path: Path) -> None:
    place = Place()
    judge = StandInJudge(place, {("calibration", 1): Verdict.INCONCLUSIVE})
    assert study(tmp_path, a_plan(), place, judge).kind == "noisy"
    assert set(place.legs) == {"baseline"}
    assert judge.published == 0


def test_legs_that_cannot_be_compared_are_seen_after_one_pair(tmp_path: Path) -> None:
    place = Place()
    judge = StandInJudge(place, refused="The drivers differ.")
    end = study(tmp_path, a_plan(calibration=0), place, judge)
    assert (end.kind, end.reason) == ("refused", "The drivers differ.")
    assert len(place.runs) == 2


def steps_of_a_whole_study(tmp_path: Path, plan: StudyPlan) -> int:
    place = Place(breaths=10**6)
    study(tmp_path / "whole", plan, place)
    return 10**6 - place.breaths


def test_killed_at_any_instant_it_goes_on_and_measures_nothing_twice(tmp_path: Path) -> None:
    plan = a_plan(calibration=0, blocks=3, looks=(3,))
    blocks = sum(isinstance(step, Block) for step in schedule(plan))
    instants = steps_of_a_whole_study(tmp_path, plan)
    assert instants > 3 * blocks
    for instant in range(instants):
        results = tmp_path / str(instant)
        place = Place(breaths=instant)
        with StudyStore.create(results, plan) as store, pytest.raises(KilledError):
            conduct(store, place)
        place.breaths = 10**6
        with StudyStore.open(results, "latest") as store:
            end = resume(store, place)
            done = store.state.done
        assert end is not None
        assert end.kind == "undecided"
        # One of a pair that was not begun to its end is measured again with its partner.
        assert blocks <= len(place.runs) <= blocks + 1, instant
        assert len(counted(plan, done)) == blocks
        looks = [entry.look for entry in done if isinstance(entry, Looked)]
        assert looks == [Look(phase="legs", number=1, blocks=3)]
        assert len(good_runs(plan, done, "legs", "second")) == 3


def test_a_run_that_died_with_the_study_is_measured_again_and_is_no_failure(
    tmp_path: Path,
) -> None:
    plan = a_plan(replacements=0, calibration=0, blocks=3, looks=(3,))
    # Two breaths: begins, and the run is written down.
    place = Place(breaths=2)
    with StudyStore.create(tmp_path, plan) as store, pytest.raises(KilledError):
        conduct(store, place)
    assert list(place.runs.values()) == ["run-1"]
    place.breaths = 10**6
    place.outcomes = lambda number: Ran("died", "gone") if number == 1 else Ran("good")
    with StudyStore.open(tmp_path, plan.id) as store:
        end = conduct(store, place)
        outcomes = [each.outcome for each in store.state.done if isinstance(each, BlockEnded)]
    assert end is not None
    assert end.kind == "undecided"
    assert outcomes == ["interrupted", *["good"] * 6]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [((Verdict.WITHIN, Verdict.WITHIN), "undecided"), ((Verdict.WITHIN, None), "noisy")],
)
def test_aa_whose_figures_are_within_goes_on_though_something_was_allowed(
    tmp_path: Path, verdicts: tuple[Verdict | None, ...], expected: str
) -> None:
    allowed = Refusal("gpu_uuid", "The UUID differs.", allowed=True)
    ends = tuple(replace(endpoint("p90", 0.0), verdict=each) for each in verdicts)
    place = Place()

    @dataclass
    class Marked(StandInJudge):
        def look(
            self, look: Look, first: Pooled, second: Pooled, noise: tuple[Pooled, Pooled] | None
        ) -> Comparison:
            found = super().look(look, first, second, noise)
            measured = (replace(measurement(), endpoints=ends),)
            return replace(
                found,
                verdict=Verdict.INCONCLUSIVE,
                refusals=(allowed,),
                measurements=measured,
            )

    assert study(tmp_path, a_plan(), place, Marked(place)).kind == expected


def test_two_processes_on_one_study_are_refused(tmp_path: Path) -> None:
    under_way = pytest.raises(InputError, match="under way in another process")
    with StudyStore.create(tmp_path, a_plan()), under_way:
        StudyStore.open(tmp_path, "latest")
    with StudyStore.open(tmp_path, "latest") as store:
        assert store.state.done == ()


def test_studies_are_found_by_id_by_its_beginning_and_as_the_latest(tmp_path: Path) -> None:
    for name in ("20260101-000000-study-aaaa", "20260102-000000-study-bbbb"):
        StudyStore.create(tmp_path, a_plan(id=name)).__exit__()

    def opened(name: str) -> str:
        with StudyStore.open(tmp_path, name) as store:
            return store.state.plan.id

    assert opened("latest").endswith("bbbb")
    assert opened("20260101").endswith("aaaa")
    with StudyStore.open(tmp_path, "latest") as store:
        store.update(ended=End(kind="noisy", reason="Noise."))
    # The latest that goes on; where none does, the latest.
    assert opened("latest").endswith("aaaa")
    with StudyStore.open(tmp_path, "latest") as store:
        store.update(ended=End(kind="noisy", reason="Noise."))
    assert opened("latest").endswith("bbbb")
    with pytest.raises(InputError, match="2 studies begin with"):
        opened("2026")
    for strange in ("nowhere", "../studies", "", "a\0b"):
        with pytest.raises(InputError, match="holds no study"):
            opened(strange)


def test_where_there_is_no_study_yet_the_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is none yet"):
        StudyStore.open(tmp_path, "latest")


def test_a_studys_file_that_is_broken_or_edited_is_one_sentence(tmp_path: Path) -> None:
    plan, place = a_plan(calibration=0, blocks=3, looks=(3,)), Place()
    study(tmp_path, plan, place)
    path = tmp_path / "studies" / plan.id / STUDY_FILE
    whole = path.read_text()
    document = json.loads(whole)
    swapped = {**document, "done": document["done"][1:]}
    for text in ("", "[]", whole[:-40], "\x00\xff", json.dumps(swapped)):
        path.write_text(text)
        with pytest.raises(StudyFileError, match=STUDY_FILE):
            StudyStore.open(tmp_path, "latest")
    path.write_text(whole)
    with StudyStore.open(tmp_path, "latest") as store:
        assert store.state.ended is not None


def test_the_file_is_whole_at_every_instant(tmp_path: Path) -> None:
    place = Place()
    plan = a_plan(calibration=0, blocks=3, looks=(3,))
    path = tmp_path / "studies" / plan.id / STUDY_FILE
    seen = []

    class Reader(Listener):
        def begins(self, block: Block) -> None:
            seen.append(json.loads(path.read_text())["under_way"]["note"])

    with StudyStore.create(tmp_path, plan) as store:
        Conductor(
            store, StandInRuns(place), StandInJudge(place), Reader(place), place.slept.append
        ).conduct()
    # The intent is on disk before the run is.
    assert seen == list(place.runs)
    assert stat.S_ISREG(os.stat(path).st_mode)
    assert not list(path.parent.glob(".*.tmp"))
