"""Runs that were recorded on a real machine, put into a journal and folders of a test."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from benchmark.plan import Plan
from core.run.events import Event, RunFinished, RunState, parse_event
from core.run.journal import Journal, Run
from core.run.liveness import identify, this_host

RECORDED = Path(__file__).parent / "recorded"
_FOLDER = "@FOLDER@"
_LATEST = "@LATEST@"


def recorded_events(name: str, folder: Path, results: Path) -> list[Event]:
    """The events of a recorded run, its folders being these."""
    text = (RECORDED / name / "events.jsonl").read_text()
    text = text.replace(_FOLDER, str(folder)).replace(_LATEST, str(results))
    return [parse_event(line) for line in text.splitlines()]


def replay(
    state: Path,
    results: Path,
    name: str,
    *,
    until: str | None = None,
    files: bool = True,
    alive: bool = True,
) -> Run:
    """Write a recorded run down: to its end, or up to and with its first event ``until``.

    A run that has not ended lives in this test's own process, unless it is not ``alive``.
    """
    document: dict[str, Any] = json.loads((RECORDED / name / "run.json").read_text())
    folder = results / "runs" / document["id"]
    folder.mkdir(parents=True)
    if files:
        shutil.copytree(RECORDED / name / "folder", folder, dirs_exist_ok=True)
    events = recorded_events(name, folder, results)
    run = Run(
        id=document["id"],
        target=document["target"],
        leg=document["leg"],
        profile=document["profile"],
        folder=folder,
        state=RunState.CREATED,
        created_at=events[0].time,
        finished_at=None,
        exit_code=None,
        host=this_host(),
        process=None,
    )
    with Journal(state) as journal:
        journal.create_run(run, Plan.model_validate(document["plan"]))
        add(journal, run, events, until)
        if not any(isinstance(event.record, RunFinished) for event in journal.events(run.id)):
            identity = identify()
            assert identity is not None
            journal.set_process(
                run.id, identity if alive else type(identity)(identity.pid, identity.started + 1)
            )
    return run


def add(journal: Journal, run: Run, events: list[Event], until: str | None = None) -> None:
    """Append events as they were, with their own times."""
    for event in events:
        journal.append(
            run.id,
            event.record,
            time=event.time,
            stage=event.stage,
            log_position=event.log_position,
        )
        if event.record.event == until:
            return


def record(state: Path, run_id: str, name: str) -> None:
    """Make a recording of a run: ``python -m tests.tui.recorded STATE RUN NAME``.

    Of the progress every eighth event is kept, and of the files those that the console reads.
    """
    target = RECORDED / name
    shutil.rmtree(target, ignore_errors=True)
    (target / "folder").mkdir(parents=True)
    with Journal(state) as journal:
        run = journal.run(run_id)
        plan = journal.plan(run_id)
        lines = journal.lines(run_id)
    kept = [
        line
        for number, (_sequence, line) in enumerate(lines)
        if '"event":"measurement_progressed"' not in line or number % 8 == 0
    ]
    results = run.folder.parent.parent
    renumbered = []
    for sequence, line in enumerate(kept, start=1):
        document = json.loads(line)
        document["sequence"] = sequence
        renumbered.append(json.dumps(document, separators=(",", ":")))
    text = "\n".join(renumbered) + "\n"
    text = text.replace(str(run.folder), _FOLDER).replace(str(results), _LATEST)
    (target / "events.jsonl").write_text(text)
    (target / "run.json").write_text(
        json.dumps(
            {
                "id": run.id,
                "target": run.target,
                "leg": run.leg,
                "profile": run.profile,
                "plan": plan.model_dump(mode="json"),
            },
            indent=1,
        )
        + "\n"
    )
    for file in [
        *run.folder.glob("benchmark_results.json"),
        *run.folder.glob("deployment.log"),
        *run.folder.glob("measurements/*/*.npy"),
    ]:
        copy = target / "folder" / os.path.relpath(file, run.folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


if __name__ == "__main__":
    import sys

    record(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
