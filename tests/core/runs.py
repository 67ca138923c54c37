"""Short ways to runs, plans and clocks."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmark.plan import Plan, make_plan
from core.run.events import RunState, Stage, parse_event
from core.run.journal import Journal, Run
from core.run.journal_file import FILE_NAME
from core.run.launch import NewRun, create_run
from core.run.pipeline import Pipeline
from core.run.process import RunProcess, utc_now
from tests.core.stages import Work, job_of

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class TickingClock:
    """A clock that goes one millisecond on whenever it is read."""

    def __init__(self, start: datetime = NOON) -> None:
        self.now = start

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


def small_plan(**values: Any) -> Plan:
    """One short measurement."""
    scenario = {"scenario": "SingleStream", "query_count": 4}
    return make_plan({"profile": "small", "scenarios": [scenario], **values}, "the test's plan")


def new_run(journal: Journal, results: Path, *, leg: str = "baseline", clock: Any = utc_now) -> Run:
    """Write a run with the three local stages down."""
    stages = (Stage.PREFLIGHT, Stage.JOB, Stage.RESULTS)
    made = NewRun("local", leg, small_plan(), stages, results, "gpubench-tui --no-ui run")
    return create_run(journal, made, clock)


def named_run(journal: Journal, name: str, plan: Plan | None = None, **values: Any) -> Run:
    """Write a run with a chosen id down."""
    fields: dict[str, Any] = {
        "target": "local",
        "leg": "baseline",
        "profile": "small",
        "folder": Path("/nowhere"),
        "state": RunState.CREATED,
        "created_at": NOON,
        "finished_at": None,
        "exit_code": None,
        "host": "this test",
        "process": None,
    }
    run = Run(id=name, **(fields | values))
    journal.create_run(run, plan or small_plan())
    return run


def execute(
    journal: Journal, run: Run, work: Work, results: Path, clock: Any = utc_now, **options: Any
) -> int:
    """Run a run of stand-ins in this process and return its exit code."""
    return RunProcess(journal, run, Pipeline(job_of(work)), results, clock, **options).execute()


def start_stand_in(
    state: Path, results: Path, work: str, **options: Any
) -> tuple[subprocess.Popen[str], str]:
    """Start a run of stand-ins in a process of its own; return it and the run's id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.core.stand_in_run", str(state), str(results), work],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def assert_whole(state: Path) -> dict[str, int]:
    """The journal opens, is sound, and no run's stream has a gap. Returns events by run."""
    with closing(sqlite3.connect(state / FILE_NAME)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    counts = {}
    with Journal(state) as journal:
        for run in journal.runs():
            lines = journal.lines(run.id)
            assert [sequence for sequence, _line in lines] == list(range(1, len(lines) + 1))
            for sequence, line in lines:
                event = parse_event(line)
                assert (event.sequence, event.run) == (sequence, run.id)
            counts[run.id] = len(lines)
    return counts


def assert_no_torn_file(folder: Path) -> None:
    """Every finished file in a run's folder is whole."""
    for path in folder.rglob("*.json"):
        if not path.name.startswith("."):
            json.loads(path.read_text())
    status = folder / "STATUS.md"
    if status.exists():
        text = status.read_text()
        assert text.startswith("# Run ")
        assert "## Stages" in text
        assert text.endswith("\n")
