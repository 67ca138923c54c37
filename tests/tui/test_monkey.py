"""A monkey at the keyboard: random keys and sizes while a run goes on and its log grows.

Each of its turns is of a number of acts, however long a machine takes for them, so that a seed
means the same keys everywhere. ``GPUBENCH_MONKEY_ACTS`` says how many, ``GPUBENCH_MONKEY_S`` lets
it go on after them until so many seconds have passed, ``GPUBENCH_MONKEY_SEEDS`` gives more turns.
"""

from __future__ import annotations

import asyncio
import os
import random
import string
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.widgets import Input

from core.run.events import Event
from core.run.journal import Journal, Run
from core.run.log import LOG_FILE
from tests.tui.conftest import screen_text, until
from tests.tui.recorded import add, recorded_events, replay
from tests.tui.stand_ins import Answers, assert_only_prints, console_with
from tui.background import Answer
from tui.commands import ALL
from tui.log.panel import LogPanel
from tui.screens.runs import RunsScreen

ACTS = int(os.environ.get("GPUBENCH_MONKEY_ACTS", "20"))
AT_LEAST_S = float(os.environ.get("GPUBENCH_MONKEY_S", "0"))
SEEDS = range(int(os.environ.get("GPUBENCH_MONKEY_SEEDS", "2")))
# What would end the console: closing it is what people do, and no fault.
ENDS = {"q", "ctrl+q", "ctrl+c"}
WALKS = (
    *("up", "down", "left", "right", "home", "end", "pageup", "pagedown"),
    *("tab", "shift+tab", "space", "backspace", "delete"),
    *("shift+up", "shift+down", "f2", "f3", "f5"),
)
# An answer to a key is awaited this long; a console that takes longer has hung.
PATIENCE_S = 20.0


def keys_of_commands() -> Iterator[str]:
    for commands in ALL.values():
        for command in commands:
            yield from command.key.split(",")
    for binding in LogPanel.BINDINGS:
        if isinstance(binding, Binding):
            yield from binding.key.split(",")


COMMANDS = tuple(sorted({*keys_of_commands()} - ENDS - {"enter"}))
OTHERS = tuple(
    key
    for key in (
        *string.ascii_letters,
        *string.digits,
        *(f"ctrl+{letter}" for letter in string.ascii_lowercase),
    )
    if key not in ENDS
)


class Monkey:
    """Presses keys and pulls at the window, always the same ones for the same seed."""

    def __init__(self, pilot: Pilot[int], chance: random.Random) -> None:
        self.pilot = pilot
        self.chance = chance
        self.done: list[str] = []

    async def act(self) -> None:
        if self.chance.random() < 0.08:
            width, height = self.chance.randint(20, 220), self.chance.randint(5, 70)
            self.done.append(f"{width}x{height}")
            await asyncio.wait_for(self.pilot.resize_terminal(width, height), PATIENCE_S)
            return
        # Enter comes alone: whether it goes too far depends on what the other keys have done.
        keys = self.keys(self.chance.randint(1, 5)) if self.chance.random() < 0.85 else ["enter"]
        if keys == ["enter"] and self._enter_goes_too_far():
            keys = ["escape"]
        self.done += keys
        await asyncio.wait_for(self.pilot.press(*keys), PATIENCE_S)

    def keys(self, count: int) -> list[str]:
        # Fields take most keys for text: without many an escape nothing else would be seen.
        kinds = self.chance.choices((COMMANDS, WALKS, OTHERS, ("escape",)), (10, 5, 3, 4), k=count)
        return [self.chance.choice(kind) for kind in kinds]

    def _enter_goes_too_far(self) -> bool:
        # The palette can close the console, and a file's name can be anywhere in the system.
        app = self.pilot.app
        field = app.focused
        outside = isinstance(field, Input) and field.value.startswith(("/", "~"))
        return isinstance(app.screen, CommandPalette) or outside


class World:
    """What happens meanwhile: the run goes on, and its log grows."""

    def __init__(self, place: Path, chance: random.Random) -> None:
        self.chance = chance
        replay(place / "state", place / "results", "xen")
        self.run: Run = replay(
            place / "state", place / "results", "baseline", until="measurement_started"
        )
        events = recorded_events("baseline", self.run.folder, place / "results")
        begun = [event.record.event for event in events].index("measurement_started") + 1
        self.later: list[Event] = events[begun:-1]
        self.journal = Journal(place / "state")

    def go_on(self) -> None:
        what = self.chance.random()
        if what < 0.3 and self.later:
            count = self.chance.randint(1, 3)
            add(self.journal, self.run, self.later[:count])
            del self.later[:count]
        elif what < 0.97:
            with (self.run.folder / LOG_FILE).open("a") as log:
                for number in range(self.chance.choice((1, 5, 400))):
                    source = self.chance.choice(("pod/a", "pod/b", "job"))
                    text = self.chance.choice(("a line", "an ERROR", "日本語 \x1b[2J", "x" * 3000))
                    log.write(f"2026-11-22T23:43:25.697Z [{source}] {text} {number}\n")
        else:
            (self.run.folder / LOG_FILE).write_text("")


# A guard against a hang beside PATIENCE_S, far above what the slowest machine needs.
@pytest.mark.timeout(AT_LEAST_S * 3 + ACTS * 5 + 200)
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_key_and_no_size_brings_the_console_down(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chance = random.Random(seed)
    answers = Answers(Answer(chance.choice((0, 1, 2)), "out\n", "It was refused."))
    world = World(tmp_path, chance)
    with world.journal:
        async with console_with(tmp_path, answers) as pilot:
            pilot.app.animation_level = "none"
            monkey = Monkey(pilot, chance)
            end = time.monotonic() + AT_LEAST_S
            acts = 0
            try:
                while acts < ACTS or time.monotonic() < end:
                    await monkey.act()
                    acts += 1
                    stumbled = [note.message for note in pilot.app._notifications]
                    assert not [text for text in stumbled if "stumbled" in text]
                    if chance.random() < 0.3:
                        world.go_on()
                await still_answers(pilot)
            except BaseException:
                print(f"seed {seed}, last keys: {' '.join(monkey.done[-60:])}")
                raise


async def still_answers(pilot: Pilot[int]) -> None:
    """Every page can be left, and the list of runs is there and shows the run."""
    await pilot.resize_terminal(120, 40)
    for _ in range(60):
        if type(pilot.app.screen) is RunsScreen:
            break
        await pilot.press("escape")
    assert type(pilot.app.screen) is RunsScreen, f"no way back:\n{screen_text(pilot)}"
    await until(pilot, lambda: "▶ running" in screen_text(pilot))
    await pilot.press("question_mark")
    await until(pilot, lambda: "List of runs" in screen_text(pilot))
    assert_only_prints(pilot)
