"""A teardown whose process was killed is ended, and the run says how it had ended itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.run.events import (
    AnyRecord,
    ResourceIntended,
    ResultsStored,
    RunFinished,
    RunStarted,
    RunState,
    StageFailed,
    StageStarted,
    StopRequested,
    TeardownFinished,
    TeardownStarted,
)
from core.run.journal import Journal, Run
from core.run.liveness import ProcessIdentity
from core.run.process import utc_now
from core.run.resuming import end_teardown, only_ends
from core.run.view import RunView
from tests.core.runs import new_run
from tests.core.teardowns import Recorder, ended, note

_STARTED = RunStarted(pid=1, version="1", resumed=False)
_JOB = ResourceIntended(kind="job", name="j1", delete_command="remove j1")
_STORED = ResultsStored(result_file="r.json", latest="baseline", good=1, void=0)
_TEARING_DOWN = TeardownStarted(resources=("job j1",))


def killed(journal: Journal, results: Path, *records: AnyRecord) -> Run:
    run = new_run(journal, results)
    # Another process's number is this one's by now.
    journal.set_process(run.id, ProcessIdentity(os.getpid(), 1))
    note(journal, run, _STARTED, _JOB, *records)
    return journal.run(run.id)


async def end(journal: Journal, run: Run, hand: Recorder) -> TeardownFinished:
    return await end_teardown(
        journal, run, utc_now, hands={"job": hand}, take=lambda _line, _event: None
    )


@pytest.mark.parametrize(
    ("records", "end_state", "code", "sentence"),
    [
        ((_STORED,), RunState.DONE, 0, "The run is done."),
        (
            (StageStarted(), StageFailed(seconds=1, sentence="It broke.", remedy="Mend it.")),
            RunState.FAILED,
            1,
            "It broke.",
        ),
        (
            (StopRequested(reason="SIGTERM"), _STORED),
            RunState.INTERRUPTED,
            130,
            "The run was interrupted (SIGTERM).",
        ),
    ],
)
async def test_a_run_that_died_in_its_teardown_ends_as_it_would_have(
    journal: Journal,
    results: Path,
    records: tuple[AnyRecord, ...],
    end_state: RunState,
    code: int,
    sentence: str,
) -> None:
    run, hand = killed(journal, results, *records, _TEARING_DOWN), Recorder()
    assert not (await end(journal, run, hand)).left
    assert hand.deleted == ["j1"]
    last = journal.events(run.id)[-1].record
    assert isinstance(last, RunFinished)
    assert (last.state, last.exit_code, last.sentence) == (end_state, code, sentence)
    assert journal.run(run.id).state is end_state


async def test_what_could_not_be_removed_is_in_the_runs_last_words(
    journal: Journal, results: Path
) -> None:
    run = killed(journal, results, _STORED, _TEARING_DOWN)
    assert (await end(journal, run, Recorder(really=False))).left
    last = journal.events(run.id)[-1].record
    assert isinstance(last, RunFinished)
    assert (last.state, last.exit_code) == (RunState.DONE, 5)
    assert "job j1" in last.sentence


async def test_a_run_that_was_torn_down_at_work_is_not_said_to_have_ended_by_itself(
    journal: Journal, results: Path
) -> None:
    run = killed(journal, results, _TEARING_DOWN)
    await end(journal, run, Recorder())
    assert not any(isinstance(event.record, RunFinished) for event in journal.events(run.id))


async def test_a_run_that_had_ended_does_not_end_again(journal: Journal, results: Path) -> None:
    run = ended(journal, results)
    await end(journal, run, Recorder())
    records = [event.record for event in journal.events(run.id)]
    assert sum(isinstance(record, RunFinished) for record in records) == 1


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ((), False),
        ((_STORED,), False),
        ((_TEARING_DOWN,), True),
        ((StopRequested(reason="SIGINT"),), True),
        ((_TEARING_DOWN, TeardownFinished(left=(), seconds=1)), True),
    ],
)
def test_only_what_was_being_ended_or_had_been_is_ended(
    journal: Journal, results: Path, records: tuple[AnyRecord, ...], expected: bool
) -> None:
    run = killed(journal, results, *records)
    assert only_ends(run, RunView.of(journal.events(run.id))) is expected


def test_a_run_that_has_ended_only_ends(journal: Journal, results: Path) -> None:
    run = ended(journal, results)
    assert only_ends(run, RunView.of(journal.events(run.id)))
