"""``rerun``: nothing is removed for a run that cannot be run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.run.events import RunFinished, RunState, Stage
from core.run.journal import Journal
from core.run.launch import NewRun, create_run
from core.run.process import utc_now
from tests.core.conftest import CommandLine, Said
from tests.core.runs import new_run, small_plan
from tests.core.teardowns import OBEDIENT, Start, note, note_process, starting

Gpubench = Callable[..., Said]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start shell scripts; what a test leaves of them is killed."""
    with starting() as begin:
        yield begin


def test_a_run_that_is_under_way_is_left_alone(
    gpubench: Gpubench, journal: Journal, results: Path, start: Start
) -> None:
    run, process = new_run(journal, results), start(OBEDIENT)
    journal.set_process(run.id, process)
    said = gpubench("rerun", run.id)
    assert (said.code, said.out) == (2, "")
    assert f"stop {run.id}" in said.err
    assert process.alive()
    assert [each.id for each in journal.runs()] == [run.id]


def test_what_is_left_of_a_run_that_cannot_be_run_again_stays(
    gpubench: Gpubench, command_line: CommandLine, journal: Journal, start: Start
) -> None:
    run = create_run(
        journal,
        NewRun(
            target="kubernetes",
            leg="baseline",
            plan=small_plan(),
            stages=(Stage.JOB,),
            results_dir=command_line.results,
            command="",
            settings={
                "image": "registry.test/benchmark",
                "kubeconfig": str(command_line.home / "no-kubeconfig"),
                "context": "gone",
                "namespace": "default",
            },
        ),
        utc_now,
    )
    note(journal, run, RunFinished(state=RunState.FAILED, exit_code=1, seconds=1, sentence="Over."))
    survivor = start(OBEDIENT)
    note_process(journal, run, survivor)
    before = journal.lines(run.id)
    said = gpubench("rerun", run.id)
    assert said.code == 2
    assert "no-kubeconfig" in said.err
    assert journal.lines(run.id) == before
    assert survivor.alive()
