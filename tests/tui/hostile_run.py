"""Runs, results and events in which every text is hostile."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmark.plan import Scenario
from benchmark.progress import MeasurementStarted, Progressed, Remarked
from benchmark.results import RESULT_FILE, Result, content_sha256
from benchmark.telemetry import GpuSample
from core.run import events
from core.run.events import AnyRecord, Event, RunState, Stage, parse_event
from core.run.journal import Journal, Run
from core.run.liveness import identify, this_host
from core.run.log import LOG_FILE
from tests.core.runs import small_plan
from tests.tui.conftest import NOW
from tests.tui.recorded import RECORDED, recorded_events
from tests.tui.stand_ins import NASTY

LONG = "1 MB " + "x" * 2**20
# Of one line, as the last line of an answer is shown.
LINE = " ".join(NASTY.splitlines()[:1])


def poisoned(document: Any, accepted: Callable[[], bool]) -> None:
    """Replace every text in a document that may be any text, in place."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> Iterator[tuple[Any, Any]]:
        keys = node.keys() if isinstance(node, dict) else range(len(node))
        for key in keys:
            if isinstance(node[key], str):
                yield node, key
            elif isinstance(node[key], dict | list):
                yield from walk(node[key])

    places = list(walk(document))
    for node, key in places:
        before = node[key]
        node[key] = NASTY
        if not accepted():
            node[key] = before


def hostile_result(name: str) -> str:
    """A recorded result file, every free text in it replaced, sealed again."""
    document = json.loads((RECORDED / name / "folder" / RESULT_FILE).read_text())

    def accepted() -> bool:
        try:
            Result.model_validate(document)
        except ValidationError:
            return False
        return True

    names = [entry["name"] for entry in document["benchmarks"]]
    poisoned(document, accepted)
    # Two measurements of one name would be one.
    for number, entry in enumerate(document["benchmarks"]):
        assert entry["name"] != names[number]
        entry["name"] = f"{number} {NASTY}"
    document["content_sha256"] = content_sha256(document)
    return json.dumps(document)


def hostile_event(event: Event) -> Event:
    """A recorded event, every free text in it replaced."""
    document = json.loads(event.to_line())
    keep = {name: document[name] for name in ("time", "stage", "event", "sequence", "run")}

    def accepted() -> bool:
        try:
            read = parse_event(json.dumps({**document, **keep}))
        except ValueError:
            return False
        return not isinstance(read.record, events.Unrecognised)

    poisoned(document, accepted)
    return parse_event(json.dumps({**document, **keep}))


def resources(usd_per_hour: float) -> list[AnyRecord]:
    """Things that a run left, of every kind that the console knows a command for."""
    return [
        record
        for kind in ("cluster", "job", "pod", "daemonset", "process", NASTY)
        for record in (
            events.ResourceIntended(
                kind=kind,
                name=f"{kind}\x1b]0;x {NASTY}",
                location=NASTY,
                usd_per_hour=usd_per_hour,
                # No shell could read it either.
                delete_command=f"kubectl 'delete {NASTY}",
            ),
            events.ResourceCreated(kind=kind, name=f"{kind}\x1b]0;x {NASTY}", identity=NASTY),
        )
    ]


def write_run(place: Path, number: int, records: list[AnyRecord], *, usd_per_hour: float) -> Run:
    """Write a run down whose every name is hostile."""
    results = place / "results"
    folder = results / "runs" / f"{number} [bold red]x[] \x1b]0;owned\x07\u202e\n"
    folder.mkdir(parents=True)
    run = Run(
        id=f"{number} {NASTY}",
        target=NASTY,
        leg="baseline" if number == 1 else NASTY,
        profile=NASTY,
        folder=folder,
        state=RunState.CREATED,
        created_at=NOW + timedelta(seconds=number),
        finished_at=None,
        exit_code=None,
        host=this_host(),
        process=None,
    )
    (folder / RESULT_FILE).write_text(hostile_result("baseline"))
    lines = [NASTY, LONG, f"error: {NASTY}"]
    log = "".join(f"2026-11-22T23:43:25.697Z [{NASTY}] {line}\n" for line in lines)
    (folder / LOG_FILE).write_bytes(log.encode() + b"\xff\xfe\x80 not UTF-8 \x1b[2J\n" + b"no end")
    with Journal(place / "state") as journal:
        journal.create_run(run, small_plan())
        for event in recorded_events("baseline", Path("/nowhere"), Path("/nowhere")):
            if isinstance(event.record, events.RunFinished):
                continue
            found = hostile_event(event).record
            if isinstance(found, events.RunCreated):
                words = ["gpubench-tui", "--no-ui", "run", "--leg", NASTY, "--profile", NASTY]
                # The first one's has quotes that no shell could read.
                command = shlex.join(words) if number > 1 else f"gpubench-tui 'run --leg {NASTY}"
                settings = dict.fromkeys(("context", "kubeconfig", "namespace"), NASTY)
                found = found.model_copy(update={"command": command, "settings": settings})
            journal.append(run.id, found, time=event.time, stage=event.stage)
        for record in [*resources(usd_per_hour), *records]:
            journal.append(run.id, record, time=NOW, stage=Stage.JOB)
        identity = identify()
        assert identity is not None
        journal.set_process(run.id, identity)
    return run


def _billed(name: str, *, since: datetime, item: str) -> events.BillingStarted:
    price = events.BilledItem(what=item, usd_per_hour=0.5, source=NASTY)
    return events.BillingStarted(
        kind=NASTY,
        name=name,
        usd_per_hour=0.5 if item else 0,
        items=(price,) if item else (),
        since=since,
        parent=NASTY,
    )


def _planned() -> events.RunPlanned:
    steps = (NASTY, f"{NASTY} {LONG}", "job", "teardown")
    return events.RunPlanned(
        steps=tuple(
            events.ForecastStep(
                name=name, starts_s=60 * number, seconds=60, usd=0.1, basis=f"{NASTY} {LONG}"
            )
            for number, name in enumerate(steps)
        ),
        seconds=240,
        usd=0.4,
        budget_usd=1,
        deadline_s=600,
        source=NASTY,
    )


def live_records() -> list[AnyRecord]:
    """What a run says that is under way in the cloud."""
    progress = {
        "name": NASTY,
        "block": 1,
        "phase": NASTY,
        "elapsed_s": 3.0,
        "samples_done": 3,
        "samples_total": 9,
        "samples_per_s": 2.0,
        "latest_batch_ms": 1.0,
        "remaining_s": 9.0,
    }
    return [
        events.StageStarted(),
        events.StageChecked(name=NASTY, passed=False, detail=NASTY, remedy=NASTY),
        events.StageProgressed(done=1, total=2, unit=NASTY, detail=NASTY),
        events.PartChanged(kind="pod", name=NASTY, state="waiting", detail=NASTY),
        events.PartChanged(kind=NASTY, name=f"{NASTY} {LONG}", state="failed", detail=LONG),
        *(
            events.PartChanged(
                kind="layer",
                name=f"{name} {NASTY}",
                state="working",
                detail=NASTY,
                done=1,
                total=0,
                unit=unit,
            )
            for name, unit in enumerate((NASTY, "bytes"))
        ),
        events.CostMetered(
            usd_per_hour=0.54, spent_usd=0.1, projected_usd=0.3, budget_usd=1, source=NASTY
        ),
        events.CostWarned(share=0.5, spent_usd=0.5, budget_usd=1),
        _billed(f"{NASTY} {LONG}", since=NOW, item=NASTY),
        _billed("no price", since=NOW, item=""),
        events.BillingEnded(kind=NASTY, name="no price", until=NOW),
        events.PartChanged(kind="attempt", name=NASTY, state="failed", detail=f"{NASTY} {LONG}"),
        _planned(),
        events.LogStreamInterrupted(source=NASTY, reason=NASTY),
        Remarked(message=NASTY),
        MeasurementStarted(
            name=NASTY, scenario=Scenario.SERVER, batch_size=8, block=1, position=1, total=4
        ),
        Progressed(**progress, gpu=GpuSample(time_s=1, throttle_reasons=(NASTY,))),
    ]


def failure() -> list[AnyRecord]:
    """The end of a run that failed, its sentence a megabyte long."""
    return [
        events.StageFailed(seconds=3, sentence=NASTY, remedy=f"{NASTY} {LONG}"),
        events.RunFinished(
            state=RunState.FAILED, exit_code=1, seconds=4, sentence=NASTY, remedy=NASTY
        ),
    ]
