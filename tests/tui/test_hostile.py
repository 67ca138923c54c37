"""Text from outside that would steer a terminal, on every page."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.events import Paste
from textual.pilot import Pilot
from textual.widgets import Input

from core.console_settings import ConsoleSettings
from core.run import events
from core.run.events import RunState, Stage
from core.run.journal import Journal
from tests.tui.conftest import NOW, screen_text, until, until_shown
from tests.tui.hostile_run import LINE, LONG, failure, live_records, write_run
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

SIZES = [(80, 24), (200, 60)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def shown(pilot: Pilot[int], *texts: str) -> None:
    """The page is there, prints only, and shows markup as it was written."""
    await until(pilot, lambda: all(text in screen_text(pilot) for text in texts))
    assert_only_prints(pilot)


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "200x60"])
async def test_every_page_of_a_hostile_run_only_prints(place: Path, size: tuple[int, int]) -> None:
    write_run(place, 1, live_records(), usd_per_hour=0.54)
    answers = Answers(Answer(2, NASTY + LONG, f"first\n{LINE} {LONG}"))
    async with console_with(place, answers, size) as pilot:
        await shown(pilot, "1 [bold red]x[/] [/]")
        await pilot.press("x")
        await shown(pilot, "Stop the run?", MARKUP)
        await pilot.press("y")
        # The answer's last line, as a notification, cut short.
        await until(pilot, lambda: len(pilot.app._notifications) == 2)
        await shown(pilot, "xxx…")
        await pilot.press("enter")
        for number, text in enumerate(("job", "1/4  Server", "prices: ", "log"), start=1):
            # The last lines, of a pane that has more than fit.
            await pilot.press(str(number), *(("end",) if text == "prices: " else ()))
            await shown(pilot, text, "[bold red]x[/] [/]")
        await pilot.press("w")
        await shown(pilot, "[bold red]x[/] [/]")
        await pilot.press("c")
        await shown(pilot, "Copy a command", "[bold red]x[/]")
        await pilot.press("down", "enter", "D")
        await shown(pilot, "$ gcloud", "[bold red]x[/]")
        await pilot.press("c", "escape", "T")
        await shown(pilot, "Teardown of", "type cluster\\x1b]0;x")
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
        await shown(pilot, "Run it again?", "[bold red]x[/] [/]")
        await pilot.press("n", "A")
        await shown(pilot, "start a run", "[bold red]x[/] [/]")
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
        # The ids are no run's, and are not looked for in the journal.
        await shown(pilot, "There is nothing to compare", "[bold red]x[/]")


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
                events.ResourceDeleted(kind="job", name=f"job\x1b]0;x {NASTY}", proof=NASTY),
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
    async with console_with(place, Answers(), (120, 40)) as pilot:
        await until_shown(pilot, "Enter  ")
        await pilot.press("enter")
        await until_shown(pilot, "start a run")
        pilot.app.post_message(Paste(NASTY))
        field = pilot.app.screen.query_one("#field-leg", Input)
        await until(pilot, lambda: "[@click=app.quit]" in field.value)
        assert is_harmless(field.value)
        await shown(pilot, "[@click=app.quit]")
