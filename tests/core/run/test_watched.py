"""What watches over a run ends it, and a journal that fails keeps neither that nor a teardown."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from benchmark.errors import ProblemError
from core.errors import ExitCode, JournalError, StageError
from core.run.events import AnyRecord, Event, ResourceIntended, RunState, Stage, StopRequested
from core.run.journal import Journal, Run
from core.run.liveness import before_reboot, this_host
from core.run.pipeline import Pipeline, StageContext
from core.run.process import Emit, RunProcess, Stop, Watch, utc_now
from core.run.resuming import only_ends
from core.run.teardown import Teardown
from core.run.view import RunView
from tests.core.runs import new_run
from tests.core.stages import StandIn
from tests.core.teardowns import Recorder, ended, note

_LIMIT = StageError("The budget is reached.", "Have more.")
_CLUSTER = ResourceIntended(kind="cluster", name="c1", usd_per_hour=0.6, delete_command="remove c1")


class Failing(Journal):
    """A journal that refuses some writes."""

    refuses: Callable[[AnyRecord], bool] = staticmethod(lambda _record: False)

    def append(
        self,
        run_id: str,
        record: AnyRecord,
        *,
        time: datetime,
        stage: Stage | None = None,
        log_position: int = 0,
    ) -> Event:
        if self.refuses(record):
            raise JournalError("The journal is full.", "Free some space.")
        return super().append(run_id, record, time=time, stage=stage, log_position=log_position)


class AtItsLimit:
    """Stops the run whenever it looks."""

    async def run(self, emit: Emit, stop: Stop) -> None:
        while True:
            with contextlib.suppress(ProblemError):
                stop(_LIMIT)
            await asyncio.sleep(0.05)


class Broken:
    """Fails at once, by a fault of the program."""

    async def run(self, emit: Emit, stop: Stop) -> None:
        raise RuntimeError("lost count")


@pytest.fixture
def failing(state: Path) -> Iterator[Failing]:
    with Failing(state) as journal:
        yield journal


def run_watched(journal: Journal, results: Path, watch: Watch) -> tuple[int, Run]:
    """Run a job that would never end."""

    async def for_ever(_context: StageContext) -> str:
        await asyncio.Event().wait()
        return ""

    run = new_run(journal, results)
    pipeline = Pipeline([StandIn(Stage.JOB, for_ever, frozenset())])
    code = RunProcess(journal, run, pipeline, results, utc_now, watch=watch).execute()
    return code, journal.run(run.id)


def test_a_limit_ends_the_run_as_failed_with_its_sentence(failing: Failing, results: Path) -> None:
    code, run = run_watched(failing, results, AtItsLimit())
    view = RunView.of(failing.events(run.id))
    assert (code, run.state) == (ExitCode.FAILED, RunState.FAILED)
    assert (view.sentence, view.remedy) == (_LIMIT.sentence, _LIMIT.remedy)


def test_a_limit_ends_the_run_also_when_that_cannot_be_written_down(
    failing: Failing, results: Path
) -> None:
    failing.refuses = lambda record: isinstance(record, StopRequested)
    _code, run = run_watched(failing, results, AtItsLimit())
    assert run.state is RunState.FAILED


def test_a_run_that_nobody_watches_any_more_is_ended(failing: Failing, results: Path) -> None:
    _code, run = run_watched(failing, results, Broken())
    assert run.state is RunState.FAILED
    assert "lost count" in RunView.of(failing.events(run.id)).sentence


async def test_a_teardown_removes_everything_also_when_nothing_can_be_written_down(
    failing: Failing, results: Path
) -> None:
    run = ended(failing, results)
    note(failing, run, _CLUSTER)
    failing.refuses = lambda _record: True
    hand, told = Recorder(), []
    teardown = Teardown(
        failing,
        failing.run(run.id),
        utc_now,
        hands={"cluster": hand},
        take=lambda _line, event: told.append(event.record.event),
    )
    with pytest.raises(JournalError, match=r"is full\. Everything was removed all the same\."):
        await teardown.execute()
    assert hand.deleted == ["c1"]
    assert "resource_deleted" in told


def test_a_run_of_the_boot_before_has_died(failing: Failing, results: Path) -> None:
    node = this_host().rpartition("/")[0]
    assert before_reboot(f"{node}/another-boot")
    assert not before_reboot(this_host())
    assert not before_reboot("another-node/another-boot")


def test_what_a_limit_stopped_is_not_begun_anew(failing: Failing, results: Path) -> None:
    run = new_run(failing, results)
    note(failing, run, StopRequested(reason=_LIMIT.sentence, is_failure=True))
    assert only_ends(run, RunView.of(failing.events(run.id)))
