"""``resume``: what can be gone on with is, what has ended is told so, and nothing begins twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from core.run.events import (
    AnyRecord,
    RunFinished,
    RunStarted,
    RunState,
    Stage,
    StopRequested,
)
from core.run.journal import Journal, Run
from core.run.launch import NewRun, create_run
from core.run.process import utc_now
from core.run.view import RunView
from tests.core.conftest import CommandLine, Said
from tests.core.runs import new_run, small_plan
from tests.core.teardowns import OBEDIENT, Start, ended, note, note_process, starting

Gpubench = Callable[..., Said]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start shell scripts; what a test leaves of them is killed."""
    with starting() as begin:
        yield begin


def an_hour_ago() -> datetime:
    return utc_now() - timedelta(hours=1)


def died(journal: Journal, results: Path, *records: AnyRecord) -> Run:
    """A run of this machine whose process is gone."""
    run = new_run(journal, results, clock=an_hour_ago)
    note(journal, run, RunStarted(pid=1, version="1", resumed=False), *records)
    return journal.run(run.id)


def died_on_a_cluster(journal: Journal, command_line: CommandLine) -> Run:
    return create_run(
        journal,
        NewRun(
            target="kubernetes",
            leg="baseline",
            plan=small_plan(),
            stages=(Stage.PREFLIGHT, Stage.JOB, Stage.RESULTS),
            results_dir=command_line.results,
            command="",
            settings={
                "image": "registry.test/benchmark:tag",
                "kubeconfig": str(command_line.home / "no-kubeconfig"),
                "context": "gone",
                "namespace": "default",
            },
        ),
        an_hour_ago,
    )


def test_a_run_that_is_under_way_is_left_alone(
    gpubench: Gpubench, journal: Journal, results: Path, start: Start
) -> None:
    run, process = new_run(journal, results), start(OBEDIENT)
    journal.set_process(run.id, process)
    said = gpubench("resume", run.id)
    assert (said.code, said.out) == (2, "")
    assert "still under way" in said.err
    assert f"follow {run.id}" in said.err
    assert process.alive()


def test_a_run_that_ended_and_left_nothing_is_only_told_so(
    gpubench: Gpubench, journal: Journal, results: Path
) -> None:
    run = ended(journal, results)
    before = journal.lines(run.id)
    said = gpubench("resume", run.id)
    assert (said.code, said.out) == (0, "")
    assert said.err == f"Run {run.id} has ended and left nothing.\n"
    assert journal.lines(run.id) == before


def test_a_measurement_of_this_machine_cannot_be_gone_on_with(
    gpubench: Gpubench, journal: Journal, results: Path
) -> None:
    run = died(journal, results)
    said = gpubench("resume", run.id)
    assert said.code == 2
    assert "its measurement died with it" in said.err
    assert f"rerun {run.id}" in said.err


def test_what_an_ended_run_kept_stays_until_a_teardown_is_asked_for(
    gpubench: Gpubench, journal: Journal, results: Path, start: Start
) -> None:
    run, survivor = ended(journal, results, RunState.FAILED), start(OBEDIENT)
    note_process(journal, run, survivor)
    said = gpubench("resume", run.id)
    assert said.code == 2
    assert f"teardown {run.id} removes it" in said.err
    assert survivor.alive()
    assert gpubench("teardown", run.id).code == 0
    assert gpubench("resume", run.id).err.endswith("has ended and left nothing.\n")


def test_a_run_killed_while_it_was_being_stopped_is_ended_and_not_gone_on_with(
    gpubench: Gpubench, journal: Journal, results: Path, start: Start
) -> None:
    run, survivor = died(journal, results, StopRequested(reason="SIGINT")), start(OBEDIENT)
    note_process(journal, run, survivor)
    assert gpubench("resume", run.id).code == 0
    assert not survivor.alive()
    view = RunView.of(journal.events(run.id))
    assert (view.state, view.exit_code) == (RunState.INTERRUPTED, 130)
    starts = [e for e in journal.events(run.id) if isinstance(e.record, RunStarted)]
    assert len(starts) == 1


def test_a_run_on_a_cluster_gets_a_new_process_of_its_own(
    gpubench: Gpubench, command_line: CommandLine, journal: Journal
) -> None:
    run = died_on_a_cluster(journal, command_line)
    note(journal, run, RunStarted(pid=1, version="1", resumed=False))
    said = gpubench("resume", run.id)
    # Its cluster is out of reach: what the new process found out is the command's answer.
    events = [event.record for event in journal.events(run.id)]
    first, second = (record for record in events if isinstance(record, RunStarted))
    assert (first.resumed, second.resumed) == (False, True)
    (finished,) = (record for record in events if isinstance(record, RunFinished))
    assert said.code == finished.exit_code != 0
    assert "no-kubeconfig" in finished.sentence
    assert f'"run":"{run.id}"' in said.out.replace(" ", "")


def test_detached_it_says_the_runs_id_and_returns(
    gpubench: Gpubench, command_line: CommandLine, journal: Journal
) -> None:
    run = died_on_a_cluster(journal, command_line)
    said = gpubench("resume", run.id, "--detach")
    assert (said.code, said.out) == (0, f"{run.id}\n")
    assert gpubench("follow", run.id).code != 0
    assert journal.run(run.id).state is RunState.FAILED


def test_of_two_who_resume_at_once_one_does(command_line: CommandLine, journal: Journal) -> None:
    run = died_on_a_cluster(journal, command_line)
    both = [command_line.start("--no-ui", "resume", run.id, "--detach") for _ in range(2)]
    codes = sorted(process.wait(120) for process in both)
    assert codes[0] == 0
    command_line("--no-ui", "follow", run.id)
    started = [e for e in journal.events(run.id) if isinstance(e.record, RunStarted)]
    assert len(started) == 1
