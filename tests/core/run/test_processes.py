"""A run's processes: they end gently, then for good, wherever they are; another's are spared.

``python -m tests.core.run.test_processes STATE RESULTS`` is a run to be killed: its job starts a
process that outlives it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.errors import StageError
from core.run.events import (
    AnyRecord,
    ResourceCreated,
    ResourceDeleted,
    ResourceIntended,
    RunState,
)
from core.run.follow import follow
from core.run.journal import Journal
from core.run.liveness import ProcessIdentity, identify, this_host
from core.run.pipeline import StageContext
from core.run.process import utc_now
from core.run.processes import RUN_VARIABLE, ProcessHand, identity_text, process_intended
from core.run.view import RunView
from core.targets.local import Job
from tests.core.runs import ROOT, assert_whole, execute, new_run, small_plan
from tests.core.teardowns import (
    OBEDIENT,
    STUBBORN,
    WITH_A_SESSION_OF_ITS_OWN,
    Start,
    ended,
    marked,
    note,
    note_process,
    proofs,
    sessions_of,
    starting,
    tear_down,
)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start shell scripts; what a test leaves of them is killed."""
    with starting() as begin:
        yield begin


class TestProcesses:
    """Processes end gently, then for good; another's are spared."""

    @pytest.mark.parametrize("script", [OBEDIENT, STUBBORN])
    async def test_a_process_is_ended_and_proved_gone(
        self, journal: Journal, results: Path, start: Start, script: str
    ) -> None:
        run, process = ended(journal, results), start(script)
        note_process(journal, run, process)
        assert await tear_down(journal, run) == ()
        assert not process.alive()
        assert str(process.pid) in proofs(journal, run)["process benchmark"]

    async def test_it_is_asked_before_it_is_killed(
        self, journal: Journal, results: Path, start: Start, tmp_path: Path
    ) -> None:
        word = tmp_path / "word"
        script = f"trap 'echo asked > {word}; exit' TERM; echo ready; while :; do sleep 0.02; done"
        run, process = ended(journal, results), start(script)
        note_process(journal, run, process)
        patient = {"process": ProcessHand(run.id, patience_s=30)}
        assert await tear_down(journal, run, hands=patient) == ()
        assert word.read_text() == "asked\n"

    async def test_a_child_in_a_session_of_its_own_goes_too(
        self, journal: Journal, results: Path, start: Start
    ) -> None:
        run = ended(journal, results)
        note_process(journal, run, start(WITH_A_SESSION_OF_ITS_OWN, run.id))
        assert len(marked(run.id)) == 2
        assert await tear_down(journal, run) == ()
        assert marked(run.id) == []

    async def test_one_whose_id_was_never_noted_is_found(
        self, journal: Journal, results: Path, start: Start
    ) -> None:
        run = ended(journal, results, RunState.FAILED)
        start(OBEDIENT, run.id)
        other = start(OBEDIENT, f"{run.id}-other")
        note_process(journal, run, None)
        assert await tear_down(journal, run) == ()
        assert marked(run.id) == []
        assert other.alive()

    async def test_another_process_with_the_same_id_is_spared(
        self, journal: Journal, results: Path, start: Start
    ) -> None:
        run, other = ended(journal, results), start(f"({STUBBORN}) & {OBEDIENT}")
        gone = ProcessIdentity(other.pid, other.started - 1)
        note_process(journal, run, gone)
        members = sessions_of(other.pid)
        assert len(members) == 2
        assert await tear_down(journal, run) == ()
        assert other.alive()
        assert sessions_of(other.pid) == members
        assert (
            f"{gone.pid} started at tick {gone.started}"
            in proofs(journal, run)["process benchmark"]
        )

    async def test_a_session_without_its_leader_may_be_anothers_and_is_left(
        self, journal: Journal, results: Path, start: Start
    ) -> None:
        run, leader = ended(journal, results), start(f"({STUBBORN}) & wait")
        (member,) = (pid for pid in sessions_of(leader.pid) if pid != leader.pid)
        os.kill(leader.pid, signal.SIGKILL)
        note_process(journal, run, leader)
        (left,) = await tear_down(journal, run)
        assert str(member) in left.reason
        assert "cannot be proved" in left.reason
        assert identify(member) is not None
        assert proofs(journal, run) == {}

    @pytest.mark.parametrize("host", ["", "elsewhere/another-boot"])
    async def test_one_of_another_machine_is_left_with_its_command(
        self, journal: Journal, results: Path, start: Start, host: str
    ) -> None:
        run, process = ended(journal, results), start(OBEDIENT)
        intended = process_intended(run.id, "benchmark").model_copy(update={"location": host})
        created = ResourceCreated(kind="process", name="benchmark", identity=identity_text(process))
        note(journal, run, intended, created)
        (left,) = await tear_down(journal, run)
        assert host in left.reason
        assert left.delete_command == f"pkill -TERM -f -- '--run-id {run.id}'"
        assert process.alive()

    async def test_an_identity_that_none_can_read_is_left(
        self, journal: Journal, results: Path
    ) -> None:
        run = ended(journal, results)
        created = ResourceCreated(kind="process", name="benchmark", identity="job/1")
        note(journal, run, process_intended(run.id, "benchmark"), created)
        (left,) = await tear_down(journal, run)
        assert "'job/1'" in left.reason


class TestKilledRuns:
    """A run that dies at any instant leaves nothing that teardown does not find."""

    @pytest.mark.parametrize(
        "instant", ["run_started", "stage_started", "resource_intended", "resource_created"]
    )
    async def test_what_outlives_a_killed_run_is_found(
        self, state: Path, results: Path, instant: str
    ) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.core.run.test_processes", str(state), str(results)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        with Journal(state) as journal:
            for _line, event in follow(journal, run_id, utc_now, pause=lambda _seconds: None):
                if event.record.event == instant:
                    process.kill()
            process.wait()
            process.stdout.close()
            run = journal.run(run_id)
            assert journal.state_now(run, utc_now()) is RunState.DIED
            assert await tear_down(journal, run) == ()
            assert marked(run_id) == []
            view = RunView.of(journal.events(run_id))
            assert all(not resource.exists for resource in view.resources.values())
        assert_whole(state)


async def _start_what_stays(context: StageContext) -> str:
    """A job as the local target's, whose process ignores that its run has gone."""
    context.emit(process_intended(context.run_id, "benchmark"))
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", STUBBORN),
        stdout=asyncio.subprocess.DEVNULL,
        env={**os.environ, RUN_VARIABLE: context.run_id},
        start_new_session=True,
    )
    identity = identify(process.pid)
    assert identity is not None
    context.emit(
        ResourceCreated(kind="process", name="benchmark", identity=identity_text(identity))
    )
    await process.wait()
    return "never reached"


class TestLocalJob:
    """The benchmark is a resource of its run."""

    def context(
        self, folder: Path, emit: Callable[[AnyRecord], None], **values: object
    ) -> StageContext:
        return StageContext(
            run_id="20260504-120000-local-baseline-test",
            leg="baseline",
            folder=folder,
            results_dir=folder,
            plan=small_plan(**values),
            emit=emit,
            log=lambda _source, _text: None,
        )

    async def test_one_that_is_stopped_is_noted_from_intent_to_proof(self, tmp_path: Path) -> None:
        said: list[AnyRecord] = []
        found: list[int] = []

        def emit(record: AnyRecord) -> None:
            said.append(record)
            if isinstance(record, ResourceCreated):
                found.extend(marked(context.run_id))
                task.cancel()

        context = self.context(tmp_path, emit)
        task = asyncio.ensure_future(Job().run(context))
        with pytest.raises(asyncio.CancelledError):
            await task
        intended, created, deleted = said
        assert isinstance(intended, ResourceIntended)
        assert (intended.location, intended.usd_per_hour) == (this_host(), 0)
        assert isinstance(created, ResourceCreated)
        assert isinstance(deleted, ResourceDeleted)
        assert found == [int(created.identity.partition(":")[0])]
        assert str(found[0]) in deleted.proof
        assert marked(context.run_id) == []

    @pytest.mark.real
    async def test_one_that_fails_is_noted_too(self, tmp_path: Path) -> None:
        said: list[AnyRecord] = []
        context = self.context(tmp_path, said.append, weights=str(tmp_path / "none.pt"))
        with pytest.raises(StageError):
            await Job().run(context)
        names = [record.event for record in said]
        assert names[0] == "resource_intended"
        assert names[1] == "resource_created"
        assert names[-1] == "resource_deleted"


def main() -> int:
    state, results = Path(sys.argv[1]), Path(sys.argv[2])
    with Journal(state) as journal:
        run = new_run(journal, results)
        print(run.id, flush=True)
        return execute(journal, run, _start_what_stays, results)


if __name__ == "__main__":
    sys.exit(main())
