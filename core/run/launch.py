"""Writes a run down and starts the process that it lives in, detached from this terminal."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmark.errors import writing
from benchmark.plan import Plan
from benchmark.process import environment_of_child
from core.run.events import RunCreated, RunState, Stage
from core.run.journal import Journal, Run
from core.run.liveness import identify, this_host
from core.run.log import LOG_FILE
from core.run.process import STOPPING

RUNS_FOLDER = "runs"


@dataclass(frozen=True, slots=True)
class NewRun:
    """What a run is made of."""

    target: str
    leg: str
    plan: Plan
    stages: tuple[Stage, ...]
    results_dir: Path
    command: str
    """The headless command that does the same."""
    note: str = ""
    """What a reader should know of how the plan was made."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Every setting, as JSON has it: the run's process and its teardown read them again."""


def create_run(journal: Journal, new: NewRun, clock: Callable[[], datetime]) -> Run:
    """Write a run down: its folder, its row, its first event.

    Raises:
        OutputError, DiskFullError: the results folder cannot be written.
        JournalError: see :class:`Journal`.
    """
    now = clock()
    folder = _new_folder(new, now)
    run_id = folder.name
    run = Run(
        id=run_id,
        target=new.target,
        leg=new.leg,
        profile=new.plan.profile,
        folder=folder,
        state=RunState.CREATED,
        created_at=now,
        finished_at=None,
        exit_code=None,
        host=this_host(),
        process=None,
    )
    journal.create_run(run, new.plan)
    journal.append(
        run_id,
        RunCreated(
            target=new.target,
            leg=new.leg,
            profile=new.plan.profile,
            folder=str(folder),
            stages=new.stages,
            command=new.command,
            note=new.note,
            settings=dict(new.settings),
        ),
        time=now,
    )
    return run


def _new_folder(new: NewRun, now: datetime) -> Path:
    """Make the run's folder, whose name is the run's id and no other's."""
    while True:
        name = f"{now:%Y%m%d-%H%M%S}-{new.target}-{new.leg}-{secrets.token_hex(2)}"
        folder = new.results_dir / RUNS_FOLDER / name
        with writing(folder):
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                if not folder.is_dir():
                    raise
            else:
                return folder


def start_process(journal: Journal, run: Run, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start ``gpubench-tui`` with these arguments in a session of its own, so that neither the
    terminal's end nor its Ctrl-C reaches it. What it says itself goes to the run's log.
    """
    log = run.folder / LOG_FILE
    # The process inherits the blocked signals: a stop that comes while it still starts waits until
    # the run can answer it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        with writing(log), log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "core.cli", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment_of_child(),
                start_new_session=True,
            )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    # The process notes itself too; until then a quick end must already be seen as one.
    if (identity := identify(process.pid)) is not None:
        journal.set_process(run.id, identity)
    return process
