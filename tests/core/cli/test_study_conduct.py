"""Conducting a study: on stand-ins for runs and verdicts, killed and taken up at any instant."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmark.errors import InputError, WorkError
from core.cli.study_conduct import Conductor, LeftBehindError, Pooled, Ran
from core.cli.study_store import STUDY_FILE, StudyFileError, StudyStore
from core.verdict.model import Comparison, Verdict
from core.verdict.study import (
    Block,
    BlockEnded,
    End,
    LegPlan,
    Look,
    Looked,
    StudyPlan,
    good_runs,
    schedule,
)
from tests.core.verdict.comparison_parts import comparison
from tests.core.verdict.studies import a_plan


class KilledError(BaseException):
    """The process is gone."""


@dataclass
class Place:
    """What outlives the study's process: runs, and how often its process may still breathe."""

    breaths: int = 10**9
    runs: dict[str, str] = field(default_factory=dict)
    """Ids by note."""
    rates_from: list[str | None] = field(default_factory=list)
    legs: list[str] = field(default_factory=list)
    outcomes: Callable[[int], Ran] = lambda _number: Ran("good")
    asked: bool = False

    def breathe(self) -> None:
        self.breaths -= 1
        if self.breaths < 0:
            raise KilledError


@dataclass
class StandInRuns:
    place: Place

    @property
    def asked_to_stop(self) -> bool:
        return self.place.asked

    def start(self, leg: LegPlan, block: Block, rates_from: str | None, note: str) -> str:
        self.place.breathe()
        assert note not in self.place.runs, "measured twice"
        run = f"run-{len(self.place.runs) + 1}"
        self.place.runs[note] = run
        self.place.rates_from.append(rates_from)
        self.place.legs.append(leg.label)
        self.place.breathe()
        return run

    def find(self, note: str) -> str | None:
        self.place.breathe()
        return self.place.runs.get(note)

    def follow(self, run: str) -> None:
        self.place.breathe()

    def ending(self, run: str) -> Ran:
        return self.place.outcomes(int(run.removeprefix("run-")))


@dataclass
class StandInJudge:
    place: Place
    verdicts: dict[tuple[str, int], Verdict] = field(default_factory=dict)
    refused: str = ""
    asked: list[tuple[Look, Pooled, Pooled, tuple[Pooled, Pooled] | None]] = field(
        default_factory=list
    )
    published: int = 0

    def refusal(self, first: Pooled, second: Pooled) -> str:
        self.place.breathe()
        assert (len(first), len(second)) == (1, 1)
        return self.refused

    def look(
        self, look: Look, first: Pooled, second: Pooled, noise: tuple[Pooled, Pooled] | None
    ) -> Comparison:
        self.place.breathe()
        self.asked.append((look, first, second, noise))
        default = Verdict.WITHIN if look.phase == "calibration" else Verdict.INCONCLUSIVE
        return comparison(self.verdicts.get((look.phase, look.number), default), "It is so.")

    def publish(self) -> None:
        self.place.breathe()
        self.published += 1


@dataclass
class Listener:
    place: Place
    heard: list[object] = field(default_factory=list)

    def begins(self, block: Block) -> None:
        self.place.breathe()
        self.heard.append(block)

    def ended(self, entry: BlockEnded) -> None:
        self.place.breathe()
        self.heard.append(entry)

    def looked(self, look: Look, comparison: Comparison) -> None:
        self.place.breathe()

    def over(self, end: End) -> None:
        self.place.breathe()
        self.heard.append(end)


def conduct(store: StudyStore, place: Place, judge: StandInJudge | None = None) -> End | None:
    return Conductor(
        store, StandInRuns(place), judge or StandInJudge(place), Listener(place)
    ).conduct()


def study(tmp_path: Path, plan: StudyPlan, place: Place, judge: StandInJudge | None = None) -> End:
    with StudyStore.create(tmp_path, plan) as store:
        end = conduct(store, place, judge)
    assert end is not None
    return end


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
            end = conduct(store, place)
            done = store.state.done
        assert end is not None
        assert end.kind == "undecided"
        assert len(place.runs) == blocks
        looks = [entry.look for entry in done if isinstance(entry, Looked)]
        assert looks == [Look(phase="legs", number=1, blocks=3)]
        assert len(good_runs(done, "legs", "second")) == 3


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


def test_a_run_that_dies_under_the_studys_eyes_is_a_failure(tmp_path: Path) -> None:
    place = Place(outcomes=lambda _number: Ran("died", "its process died."))
    end = study(tmp_path, a_plan(replacements=1), place)
    assert end.kind == "failed"
    assert "its process died." in end.reason
    assert len(place.runs) == 2


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
        conductor = Conductor(store, FullDisk(place), StandInJudge(place), Listener(place))
        with pytest.raises(WorkError, match="disk is full"):
            conductor.conduct()
    with StudyStore.open(tmp_path, "latest") as store:
        assert conduct(store, place) is not None


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
        Conductor(store, StandInRuns(place), StandInJudge(place), Reader(place)).conduct()
    # The intent is on disk before the run is.
    assert seen == list(place.runs)
    assert stat.S_ISREG(os.stat(path).st_mode)
    assert not list(path.parent.glob(".*.tmp"))
