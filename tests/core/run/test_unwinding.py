"""A run that clears up after itself: when, with what proof, and what its exit code then says."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from core.errors import StageError
from core.run.events import (
    ResourceCreated,
    ResourceDeleted,
    ResourceIntended,
    RunFinished,
    RunState,
    Stage,
    TeardownFinished,
)
from core.run.journal import Journal, Run
from core.run.log import LOG_FILE
from core.run.pipeline import StageContext
from core.run.view import RunView, StageState
from tests.core.runs import execute, new_run
from tests.core.stages import nothing
from tests.core.teardowns import Recorder


async def create(context: StageContext) -> str:
    """Create what must be removed again."""
    context.emit(ResourceIntended(kind="job", name="j1", delete_command="remove j1"))
    context.emit(ResourceCreated(kind="job", name="j1", identity="uid"))
    return "created"


async def create_and_fail(context: StageContext) -> str:
    await create(context)
    raise StageError("The work failed.", "Mend it.")


async def create_and_be_stopped(context: StageContext) -> str:
    import asyncio

    await create(context)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.Event().wait()
    return "never"


def finished(journal: Journal, run: Run) -> RunFinished:
    record = journal.events(run.id)[-1].record
    assert isinstance(record, RunFinished)
    return record


@pytest.mark.parametrize(
    ("work", "code", "end"),
    [
        (create, 0, RunState.DONE),
        (create_and_fail, 1, RunState.FAILED),
        (create_and_be_stopped, 130, RunState.INTERRUPTED),
    ],
)
def test_however_it_ends_what_it_created_is_removed_with_proof(
    journal: Journal, results: Path, work: object, code: int, end: RunState
) -> None:
    run, hand = new_run(journal, results), Recorder()
    asked: list[RunState] = []

    def unwind(ended: RunState) -> dict[str, Recorder]:
        asked.append(ended)
        return {"job": hand}

    assert execute(journal, run, work, results, unwind=unwind) == code  # type: ignore[arg-type]
    assert asked == [end]
    assert hand.deleted == ["j1"]
    records = [event.record for event in journal.events(run.id)]
    assert [each.proof for each in records if isinstance(each, ResourceDeleted)] == [
        "the provider does not know it"
    ]
    assert finished(journal, run).state == end
    view = RunView.of(journal.events(run.id))
    assert view.stages[Stage.TEARDOWN].state == StageState.DONE
    assert "j1 is gone: the provider does not know it" in (run.folder / LOG_FILE).read_text()


def test_good_results_with_something_left_are_exit_code_5(journal: Journal, results: Path) -> None:
    run = new_run(journal, results)
    stuck = Recorder(really=False)
    assert execute(journal, run, create, results, unwind=lambda _state: {"job": stuck}) == 5
    last = finished(journal, run)
    assert last.state is RunState.DONE
    assert "job j1" in last.sentence
    assert f"teardown {run.id}" in last.remedy


def test_a_failure_keeps_its_exit_code_when_something_is_left_too(
    journal: Journal, results: Path
) -> None:
    run = new_run(journal, results)
    stuck = Recorder(really=False)
    code = execute(journal, run, create_and_fail, results, unwind=lambda _state: {"job": stuck})
    assert code == 1
    last = finished(journal, run)
    assert "The work failed." in last.sentence
    assert "job j1" in last.sentence


def test_what_is_to_be_kept_is_left_alone(journal: Journal, results: Path) -> None:
    run = new_run(journal, results)
    assert execute(journal, run, create, results, unwind=lambda _state: None) == 0
    records = [event.record for event in journal.events(run.id)]
    assert not any(isinstance(each, TeardownFinished) for each in records)
    assert RunView.of(journal.events(run.id)).resources["job", "j1"].exists


def test_where_nothing_was_created_nothing_is_asked(journal: Journal, results: Path) -> None:
    run, hand = new_run(journal, results), Recorder()
    assert execute(journal, run, nothing, results, unwind=lambda _state: {"job": hand}) == 0
    assert hand.deleted == []
    assert Stage.TEARDOWN not in RunView.of(journal.events(run.id)).stages
