"""Text from outside that would steer a terminal, on every page and in what is written raw."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError
from textual.pilot import Pilot
from textual.widgets import Input

from benchmark.plan import Scenario
from benchmark.progress import MeasurementStarted, Progressed, Remarked
from benchmark.results import RESULT_FILE, Result, content_sha256
from benchmark.telemetry import GpuSample
from core.console_settings import ConsoleSettings
from core.run import events
from core.run.events import AnyRecord, Event, RunState, Stage, parse_event
from core.run.journal import Journal, Run
from core.run.liveness import identify, this_host
from core.run.log import LOG_FILE
from tests.core.runs import small_plan
from tests.tui.conftest import NOW, screen_text, until, until_shown
from tests.tui.recorded import RECORDED, recorded_events
from tests.tui.stand_ins import (
    HOSTILE,
    MARKUP,
    NASTY,
    Answers,
    assert_only_prints,
    console_with,
    is_harmless,
)
from tui.background import Answer
from tui.notifications import Notifier

LONG = "1 MB " + "x" * 2**20
# Of one line, as the last line of an answer is shown.
LINE = " ".join(NASTY.splitlines()[:1])
SIZES = [(80, 24), (200, 60)]


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
        for kind in ("cluster", "job", "process", NASTY)
        for record in (
            events.ResourceIntended(
                kind=kind,
                name=f"{kind} {NASTY}",
                location=NASTY,
                usd_per_hour=usd_per_hour,
                # No shell could read it either.
                delete_command=f"kubectl 'delete {NASTY}",
            ),
            events.ResourceCreated(kind=kind, name=f"{kind} {NASTY}", identity=NASTY),
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
                # Quotes that no shell could read.
                found = found.model_copy(update={"command": f"gpubench-tui 'run --leg {NASTY}"})
            journal.append(run.id, found, time=event.time, stage=event.stage)
        for record in [*resources(usd_per_hour), *records]:
            journal.append(run.id, record, time=NOW, stage=Stage.JOB)
        identity = identify()
        assert identity is not None
        journal.set_process(run.id, identity)
    return run


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
        events.CostMetered(
            usd_per_hour=0.54, spent_usd=0.1, projected_usd=0.3, budget_usd=1, source=NASTY
        ),
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


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def shown(pilot: Pilot[int], *texts: str) -> None:
    """The page is there, prints only, and shows markup as it was written."""
    await until(pilot, lambda: all(text in screen_text(pilot) for text in texts), turns=300)
    assert_only_prints(pilot)


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "200x60"])
async def test_every_page_of_a_hostile_run_only_prints(place: Path, size: tuple[int, int]) -> None:
    write_run(place, 1, live_records(), usd_per_hour=0.54)
    answers = Answers(Answer(2, NASTY + LONG, f"first\n{LINE}"))
    async with console_with(place, answers, size) as pilot:
        await shown(pilot, "1 [bold red]x[/] [/]")
        await pilot.press("x")
        await shown(pilot, "Stop the run?", MARKUP)
        await pilot.press("y")
        # The answer's last line, as a notification.
        await shown(pilot, "Stopping", "[@click=app.quit]")
        await pilot.press("enter")
        for number, text in enumerate(("preflight", "1/4  Server", "per hour", "log"), start=1):
            await pilot.press(str(number))
            await shown(pilot, text, "[bold red]x[/] [/]")
        await pilot.press("w")
        await shown(pilot, "[bold red]x[/] [/]")
        await pilot.press("c")
        await shown(pilot, "Copy a command", "[bold red]x[/]")
        await pilot.press("down", "enter", "D")
        await shown(pilot, "$ gcloud", "[bold red]x[/]")
        await pilot.press("c", "escape", "T")
        await shown(pilot, "Teardown of", "type cluster [bold red]x[/]")
        await pilot.press("escape", "ctrl+p")
        await shown(pilot, "Search for commands")
        await pilot.press("escape", "question_mark")
        await shown(pilot, "List of runs")


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "200x60"])
async def test_every_page_of_a_hostile_result_only_prints(
    place: Path, size: tuple[int, int]
) -> None:
    write_run(place, 1, failure(), usd_per_hour=0)
    write_run(place, 2, failure(), usd_per_hour=0)
    with Journal(place / "state") as journal:
        run = journal.runs()[-1]
        done = events.RunFinished(
            state=RunState.DONE, exit_code=0, seconds=4, sentence=NASTY, remedy=NASTY
        )
        journal.append(run.id, done, time=NOW)
    answers = Answers(Answer(2, "", f"first\n{LINE}"))
    async with console_with(place, answers, size) as pilot:
        await shown(pilot, "2 [bold red]x[/]", "✗ failed")
        await pilot.press("enter")
        await shown(pilot, "✗ failed", "[@click=app.quit]")
        await pilot.press("R")
        await shown(pilot, "start a run")
        await pilot.press("f3", "f2", "escape", "i")
        await shown(pilot, "samples/s", "leg baseline", "[bold red]x[/]")
        for pane, text in (("2", "latency"), ("3", "Attestation"), ("4", "folder")):
            await pilot.press(pane)
            await shown(pilot, text, "[bold red]x[/]" if pane != "4" else "[bold red]x[]")
        await pilot.press("E")
        await shown(pilot, "Export to which file?", "[bold red]x[/]")
        await pilot.press("enter")
        await until_shown(pilot, "[@click=app.quit]")
        assert_only_prints(pilot)
        await pilot.press("escape", "d")
        await shown(pilot, "overhead", "[bold red]x[/]")


async def test_what_a_hostile_teardown_left_only_prints(place: Path) -> None:
    run = write_run(place, 1, failure(), usd_per_hour=0)
    async with console_with(place, Answers(Answer(5, "", NASTY)), (80, 24)) as pilot:
        await until_shown(pilot, "✗ failed")
        await pilot.press("T")
        await shown(pilot, "This is removed", "[bold red]x[/]")
        await pilot.press("tab", "enter")
        with Journal(place / "state") as journal:
            left = events.Left(kind=NASTY, name=NASTY, reason=NASTY, delete_command=NASTY)
            for record in (
                events.TeardownStarted(resources=(NASTY,)),
                events.ResourceDeleted(kind="job", name=f"job {NASTY}", proof=NASTY),
                events.TeardownFinished(left=(left,), seconds=1),
            ):
                journal.append(run.id, record, time=NOW, stage=Stage.TEARDOWN)
        await shown(pilot, "[@click=app.quit]", "c copies the commands")


async def test_a_hostile_machine_only_prints(place: Path) -> None:
    kubeconfig = place / "kubeconfig"
    kubeconfig.write_text(f"current-context: {MARKUP}{HOSTILE}")
    environment = {"KUBECONFIG": str(kubeconfig), "DOCKER_HOST": LINE}
    settings = ConsoleSettings(theme=NASTY, keys={NASTY: "x", "app.show_help": "\x1b[2J"})
    async with console_with(
        place, Answers(), (200, 60), settings, GPUBENCH_PROFILE=LINE, **environment
    ) as pilot:
        await shown(pilot, "context [bold red]x[/]", "engine  [bold red]x[/]", "There is no theme")
        await shown(pilot, "is no key's name", "? Help")
        await pilot.press("r")
        await shown(pilot, "start a run", "[bold red]x[/]")


async def test_hostile_text_that_is_pasted_only_prints(place: Path) -> None:
    from textual.events import Paste

    async with console_with(place, Answers(), (120, 40)) as pilot:
        await until_shown(pilot, "Enter  ")
        await pilot.press("enter")
        await until_shown(pilot, "start a run")
        pilot.app.post_message(Paste(NASTY))
        field = pilot.app.screen.query_one("#field-leg", Input)
        await until(pilot, lambda: "[@click=app.quit]" in field.value)
        assert is_harmless(field.value)
        await shown(pilot, "[@click=app.quit]")


class Written:
    """Stands for the terminal."""

    def __init__(self, focus: bool = False) -> None:
        self.app_focus = focus
        self.text = ""
        self._driver = SimpleNamespace(write=self.write)

    def write(self, text: str) -> None:
        self.text += text

    def bell(self) -> None:
        self.text += "\x07"


NOTIFICATION = re.compile(r"\x07\x1b\]9;([^\x00-\x1f\x7f-\x9f;]*)\x07"
                          r"\x1b\]777;notify;gpubench;([^\x00-\x1f\x7f-\x9f;]*)\x07")  # fmt: skip


def notified(record: AnyRecord, *, run: str = "run", time: datetime = NOW) -> str:
    """What the terminal gets for one event."""
    terminal = Written()
    notifier = Notifier(terminal, "always")  # type: ignore[arg-type]
    notifier.hear(Event(1, run, time, Stage.JOB, 0, record), NOW)
    return terminal.text


class TestNotifications:
    @pytest.mark.parametrize(
        "record",
        [
            events.StageFinished(seconds=60, summary=f"{NASTY};9;{LONG}"),
            events.StageFailed(seconds=1, sentence=f"{NASTY};;", remedy=NASTY),
            events.RunFinished(state=RunState.DONE, exit_code=0, seconds=1, sentence=NASTY),
        ],
    )
    def test_a_hostile_text_cannot_end_the_sequence(self, record: AnyRecord) -> None:
        found = NOTIFICATION.fullmatch(notified(record, run=NASTY))
        assert found is not None
        assert "[bold red]x[/]" in found[1]
        # Terminals give up on a sequence that is too long, and print its rest.
        assert len(found[1]) <= 200

    def test_a_short_stage_and_what_was_before_ring_no_bell(self) -> None:
        done = events.StageFinished(seconds=60, summary="done")
        assert notified(done) != ""
        assert notified(done.model_copy(update={"seconds": 5.0})) == ""
        assert notified(done, time=datetime(2020, 1, 1, tzinfo=UTC)) == ""

    def test_the_same_event_rings_once_however_often_it_is_read(self) -> None:
        terminal = Written()
        notifier = Notifier(terminal, "always")  # type: ignore[arg-type]
        failed = events.StageFailed(seconds=1, sentence="It failed.", remedy="")
        for sequence in (7, 7, 8, 7):
            notifier.hear(Event(sequence, "run", NOW, Stage.JOB, 0, failed), NOW)
        assert terminal.text.count("\x1b]9;") == 2

    @pytest.mark.parametrize(
        ("when", "focus", "rings"),
        [
            ("always", True, True),
            ("always", False, True),
            ("unfocused", True, False),
            ("unfocused", False, True),
            ("never", False, False),
        ],
    )
    def test_it_rings_when_the_settings_say_so(self, when: str, focus: bool, rings: bool) -> None:
        terminal = Written(focus)
        Notifier(terminal, when).ring("text")  # type: ignore[arg-type]
        assert bool(terminal.text) is rings
