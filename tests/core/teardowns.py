"""Runs that left something behind: real processes, and what else a test writes down."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from core.run.events import (
    AnyRecord,
    Left,
    ResourceCreated,
    ResourceDeleted,
    ResourceIntended,
    RunFinished,
    RunState,
    Stage,
)
from core.run.journal import Journal, Run
from core.run.liveness import ProcessIdentity, identify
from core.run.process import utc_now
from core.run.processes import RUN_VARIABLE, ProcessHand, identity_text, process_intended
from core.run.teardown import Teardown
from core.run.view import ResourceView
from tests.core.runs import new_run

OBEDIENT = "echo ready; exec sleep 1000"
STUBBORN = "trap '' TERM INT; echo ready; exec sleep 1000"
WITH_A_SESSION_OF_ITS_OWN = f'setsid sh -c "{STUBBORN}" & wait'


Start = Callable[..., ProcessIdentity]
"""Starts a shell script as leader of a session, marked as a run's if one is named."""


@contextmanager
def starting() -> Iterator[Start]:
    """Start shell scripts as leaders of sessions; kill what a test leaves."""
    started: list[subprocess.Popen[str]] = []
    marks: set[str] = set()

    def begin(script: str, mark: str = "") -> ProcessIdentity:
        process = subprocess.Popen(
            ["sh", "-c", script],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **({RUN_VARIABLE: mark} if mark else {})},
        )
        started.append(process)
        marks.add(mark)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        identity = identify(process.pid)
        assert identity is not None
        return identity

    yield begin
    left = [number for mark in marks if mark for number in marked(mark)]
    for process in started:
        left += [process.pid, *sessions_of(process.pid)]
    for number in left:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    for process in started:
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def living() -> Iterator[int]:
    return (
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and identify(int(entry.name)) is not None
    )


def sessions_of(pid: int) -> list[int]:
    found = []
    for number in living():
        try:
            if os.getsid(number) == pid:
                found.append(number)
        except ProcessLookupError:
            continue
    return found


def marked(run_id: str) -> list[int]:
    """Processes whose environment names the run."""
    mark, found = f"{RUN_VARIABLE}={run_id}".encode(), []
    for number in living():
        try:
            if mark in Path(f"/proc/{number}/environ").read_bytes().split(b"\0"):
                found.append(number)
        except OSError:
            continue
    return found


def note(journal: Journal, run: Run, *records: AnyRecord) -> None:
    for record in records:
        journal.append(run.id, record, time=utc_now(), stage=Stage.JOB)


def ended(journal: Journal, results: Path, state: RunState = RunState.DONE) -> Run:
    run = new_run(journal, results)
    note(journal, run, RunFinished(state=state, exit_code=0, seconds=1, sentence="Over."))
    return journal.run(run.id)


def note_process(
    journal: Journal, run: Run, process: ProcessIdentity | None, name: str = "benchmark"
) -> None:
    note(journal, run, process_intended(run.id, name))
    if process is not None:
        created = ResourceCreated(kind="process", name=name, identity=identity_text(process))
        note(journal, run, created)


def billed(kind: str, name: str, usd_per_hour: float) -> ResourceIntended:
    return ResourceIntended(
        kind=kind,
        name=name,
        location="us-central1-a",
        usd_per_hour=usd_per_hour,
        delete_command=f"remove {name}",
    )


async def tear_down(journal: Journal, run: Run, **options: object) -> tuple[Left, ...]:
    """Tear down with short patience; return what is left."""
    options.setdefault("hands", {"process": ProcessHand(run.id, patience_s=0.2)})
    options.setdefault("stop_patience_s", 0.2)
    finished = await Teardown(
        journal,
        run,
        utc_now,
        **options,  # type: ignore[arg-type]
    ).execute()
    return finished.left


def proofs(journal: Journal, run: Run) -> dict[str, str]:
    return {
        f"{event.record.kind} {event.record.name}": event.record.proof
        for event in journal.events(run.id)
        if isinstance(event.record, ResourceDeleted)
    }


@dataclass
class Recorder:
    """A hand that does as it is told."""

    deleted: list[str] = field(default_factory=list)
    fault: Exception | None = None
    really: bool = True

    async def delete(self, resource: ResourceView) -> None:
        self.deleted.append(resource.intended.name)
        if self.fault is not None:
            raise self.fault

    async def gone(self, resource: ResourceView) -> str | None:
        there = not self.really or resource.intended.name not in self.deleted
        return None if there else "the provider does not know it"
