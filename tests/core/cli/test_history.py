"""``history``: which runs it finds, which it skips and says so, and what a script gets."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmark.results import RESULT_FILE, Result, write_result
from core.report.past_runs import PastRuns
from core.run.events import RunState
from core.run.journal import Journal
from tests.core.conftest import CommandLine, Said
from tests.core.runs import named_run
from tests.core.verdict.scene import STARTED, a_result

Gpubench = Callable[..., Said]
NOISE = (0.0, 0.003, -0.002, 0.001, -0.003)


def run_id(day: int, leg: str = "baseline", target: str = "local") -> str:
    return f"202607{day + 1:02d}-120000-{target}-{leg}-abcd"


class Scene:
    """Runs in a journal and in a results folder."""

    def __init__(self, command_line: CommandLine) -> None:
        self.runs = command_line.results / "runs"
        self._state = command_line.state
        self._results = command_line.results

    def add(self, day: int, factor: float = 1.0, **changes: Any) -> Result:
        """A good run that the journal knows."""
        result, target = self.measured(day, factor, **changes), changes.get("target", "local")
        folder = self.put(result)
        self.note(result, folder, target)
        return result

    def measured(self, day: int, factor: float = 1.0, **changes: Any) -> Result:
        target = changes.pop("target", "local")
        level = 200 * factor * (1 + NOISE[day % len(NOISE)])
        leg = changes.get("leg", "baseline")
        return a_result(
            [level, level * 1.01],
            started_at=STARTED + timedelta(days=day),
            run_id=run_id(day, leg, target),
            **changes,
        )

    def put(self, result: Result, name: str | None = None) -> Path:
        folder = self.runs / (name or result.run_id)
        folder.mkdir(parents=True)
        write_result(result, folder / RESULT_FILE)
        return folder

    def note(
        self, result: Result, folder: Path, target: str = "local", state: RunState = RunState.DONE
    ) -> None:
        with Journal(self._state) as journal:
            named_run(
                journal,
                result.run_id,
                result.plan,
                leg=result.leg,
                target=target,
                folder=folder,
                state=state,
                created_at=result.started_at,
                finished_at=result.started_at,
            )

    def missing(self, day: int, state: RunState = RunState.FAILED) -> str:
        """A run that the journal knows and that has no result."""
        result = self.measured(day)
        self.note(result, self.runs / result.run_id, state=state)
        return result.run_id

    def link(self, leg: str, result: Result) -> None:
        (self._results / leg).symlink_to(f"runs/{result.run_id}")


@pytest.fixture
def scene(command_line: CommandLine) -> Scene:
    return Scene(command_line)


def history(gpubench: Gpubench, *arguments: str) -> dict[str, Any]:
    said = gpubench("--no-ui", "history", *arguments, "--json")
    assert said.code == 0, said.err
    document: dict[str, Any] = json.loads(said.out)
    return document


def days(document: dict[str, Any]) -> list[int]:
    return [int(run["id"][6:8]) - 1 for run in document["runs"]]


class TestFound:
    """Which runs are part of it."""

    def test_the_latest_run_s_plan_is_the_default(self, gpubench: Gpubench, scene: Scene) -> None:
        for day in range(4):
            scene.add(day)
        scene.add(4, 0.9)
        said = gpubench("--no-ui", "history")
        assert (said.code, said.err) == (0, "")
        assert "on target local: 5 runs" in said.out
        assert f"Changed beyond the noise with run 5, {run_id(4)}" in said.out

    def test_runs_of_another_leg_or_target_are_not_mixed_in(
        self, gpubench: Gpubench, scene: Scene
    ) -> None:
        scene.add(0)
        scene.add(1, leg="xen")
        scene.add(2, target="kubernetes")
        scene.add(3)
        assert days(history(gpubench)) == [0, 3]
        assert days(history(gpubench, run_id(1, "xen"))) == [1]
        assert days(history(gpubench, run_id(2, target="kubernetes"))) == [2]

    def test_a_leg_or_a_file_names_the_plan_as_well(self, gpubench: Gpubench, scene: Scene) -> None:
        runs = [scene.add(0), scene.add(1)]
        other = scene.add(2, leg="xen")
        scene.link("baseline", runs[1])
        scene.link("xen", other)
        for name in ("baseline", str(scene.runs / runs[0].run_id), run_id(0)[:10]):
            assert days(history(gpubench, name)) == [0, 1]
        assert days(history(gpubench, "xen")) == [2]

    def test_runs_that_only_the_results_folder_has_are_part_of_it(
        self, gpubench: Gpubench, scene: Scene
    ) -> None:
        scene.add(0)
        scene.put(scene.measured(1))
        scene.put(scene.measured(2, target="gke"))
        assert days(history(gpubench)) == [0, 1]

    def test_without_a_journal_the_results_folder_is_enough(
        self, gpubench: Gpubench, scene: Scene
    ) -> None:
        for day in range(3):
            scene.put(scene.measured(day))
        assert days(history(gpubench)) == [0, 1, 2]
        assert days(history(gpubench, str(scene.runs / run_id(1)))) == [0, 1, 2]

    def test_a_copy_of_a_run_is_no_second_run(self, gpubench: Gpubench, scene: Scene) -> None:
        run = scene.add(0)
        scene.put(run, "zz-copy")
        scene.add(1)
        assert days(history(gpubench)) == [0, 1]

    def test_a_newer_run_under_way_hides_nothing(self, gpubench: Gpubench, scene: Scene) -> None:
        scene.add(0)
        scene.missing(1, RunState.FAILED)
        document = history(gpubench)
        assert days(document) == [0]
        assert document["skipped"] == [f"Run {run_id(1)} (failed) has no results."]

    def test_of_very_many_runs_the_newest_are_looked_at(
        self, scene: Scene, command_line: CommandLine
    ) -> None:
        for day in range(4):
            scene.add(day)
        with Journal(command_line.state) as journal:
            found = PastRuns(journal, command_line.results, STARTED, most=3).history()
        assert [run.id for run in found.history.runs] == [run_id(day) for day in (1, 2, 3)]
        assert found.skipped == ("Only the newest 3 runs of the plan are looked at.",)


class TestSkipped:
    """What cannot be read is named and does no harm."""

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"{", "is not a result file"),
            (b"\x00\xff", "not UTF-8"),
            (b'{"schema_version": 9}', "schema_version 9"),
            (b"[" * 100_000, "is not a result file"),
        ],
    )
    def test_a_broken_file_is_one_sentence(
        self, gpubench: Gpubench, scene: Scene, content: bytes, words: str
    ) -> None:
        scene.add(0)
        broken = scene.add(1)
        (scene.runs / broken.run_id / RESULT_FILE).write_bytes(content)
        said = gpubench("--no-ui", "history")
        assert said.code == 0
        assert "1 run," in said.out
        (line,) = said.err.splitlines()
        assert words in line
        assert broken.run_id in line

    def test_an_edited_file_and_another_run_s_file_are_skipped(
        self, gpubench: Gpubench, scene: Scene
    ) -> None:
        good, edited, foreign = (scene.add(day) for day in range(3))
        path = scene.runs / edited.run_id / RESULT_FILE
        path.write_text(path.read_text().replace("Tesla T4", "Tesla T5"))
        shutil.copy(
            scene.runs / good.run_id / RESULT_FILE, scene.runs / foreign.run_id / RESULT_FILE
        )
        document = history(gpubench)
        assert days(document) == [0]
        assert len(document["skipped"]) == 2
        assert any("was edited" in sentence for sentence in document["skipped"])
        assert any("holds the result of run" in sentence for sentence in document["skipped"])

    def test_a_pipe_or_a_link_loop_in_place_of_a_file_is_passed_over(
        self, gpubench: Gpubench, scene: Scene
    ) -> None:
        scene.add(0)
        for name, make in (
            ("pipe", os.mkfifo),
            ("loop", lambda path: os.symlink(path, path)),
            ("folder", os.mkdir),
        ):
            (scene.runs / name).mkdir()
            make(scene.runs / name / RESULT_FILE)
        assert days(history(gpubench)) == [0]

    def test_many_broken_files_do_not_bury_the_history(
        self, gpubench: Gpubench, scene: Scene
    ) -> None:
        scene.add(0)
        for number in range(14):
            (scene.runs / f"x{number}").mkdir()
            (scene.runs / f"x{number}" / RESULT_FILE).write_text("<b>\x1b[2J")
        said = gpubench("--no-ui", "history")
        assert len(said.err.splitlines()) == 11
        assert "4 more runs" in said.err


class TestRefused:
    """What is wrong is one sentence with exit code 2."""

    def test_nothing_was_measured_yet(self, gpubench: Gpubench) -> None:
        said = gpubench("--no-ui", "history")
        assert (said.code, said.out) == (2, "")
        assert "No run has results yet." in said.err

    def test_a_name_that_nothing_answers_to(self, gpubench: Gpubench, scene: Scene) -> None:
        scene.add(0)
        said = gpubench("--no-ui", "history", "nothing")
        assert (said.code, said.out) == (2, "")
        assert "There is no run 'nothing'" in said.err

    def test_a_named_run_without_results(self, gpubench: Gpubench, scene: Scene) -> None:
        scene.add(0)
        said = gpubench("--no-ui", "history", scene.missing(1))
        assert said.code == 2
        assert "(failed) has no results" in said.err

    def test_a_named_run_whose_result_is_a_pipe(self, gpubench: Gpubench, scene: Scene) -> None:
        name = scene.missing(0)
        (scene.runs / name).mkdir(parents=True)
        os.mkfifo(scene.runs / name / RESULT_FILE)
        assert gpubench("--no-ui", "history", name).code == 2

    def test_a_plan_that_never_was_measured_whole(self, gpubench: Gpubench, scene: Scene) -> None:
        result = scene.add(0, complete=False)
        said = gpubench("--no-ui", "history", result.run_id)
        assert said.code == 2
        assert "did not measure everything" in said.err
