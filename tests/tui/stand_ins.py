"""A console whose headless commands are answered by the test, and hostile text for it to show."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from textual.pilot import Pilot

from core.console_settings import ConsoleSettings
from tests.tui.conftest import SetClock
from tui.app import Console
from tui.background import Answer

MARKUP = "[bold red]x[/] [/] [@click=app.quit]q[/]"
"""Were it interpreted, it could not be read on the screen; a stray end is an error in markup."""

HOSTILE = (
    "\x1b]0;owned\x07\x1b]52;c;ZXZpbA==\x1b\\\x1b]8;;http://evil\x1b\\\x1b[2J\x1b[31m\x9b5n\x90q\x9c"
    "\u202eevil\u2066\u200b\u200d\ufeff\u2028e\u0301\u0301\u2764\ufe0f\u65e5\u672c\U0001f600"
    "\U0001f1e9\U0001f1ea\t\x00\x08\x7f\r\nz"
)
"""OSC 0, 52 and 8, CSI, C1, bidirectional and zero-width characters, combining marks, emoji, wide
characters, a tab, NUL and ends of lines."""

NASTY = f"{MARKUP} {HOSTILE}"


class Answers:
    """Answers every command with the same words, and remembers the commands."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer = answer or Answer(0, "", "")
        self.commands: list[list[str]] = []

    async def __call__(self, command: Sequence[str], patience_s: float | None = None) -> Answer:
        self.commands.append(list(command))
        return self.answer


@asynccontextmanager
async def console_with(
    place: Path,
    run_command: Answers,
    size: tuple[int, int] = (120, 40),
    settings: ConsoleSettings | None = None,
    clock: Callable[[], datetime] | None = None,
    **environment: Any,
) -> AsyncIterator[Pilot[int]]:
    """Open a console over ``place``/state that starts no process."""
    app = Console(
        settings or ConsoleSettings(),
        {"HOME": str(place), "PATH": os.environ["PATH"], **environment},
        clock or SetClock(),
        flags={"state_dir": str(place / "state"), "results_dir": str(place / "results")},
        poll_s=0.02,
        run_command=run_command,
    )
    async with app.run_test(size=size, notifications=True) as pilot:
        yield pilot


def is_harmless(text: str) -> bool:
    """Whether a terminal only prints this."""
    return not any(
        unicodedata.category(character).startswith("C")
        or unicodedata.category(character) in ("Zl", "Zp")
        for character in text
    )


def assert_only_prints(pilot: Pilot[int]) -> None:
    """Every row of the screen is printable and as wide as the screen."""
    width = pilot.app.size.width
    for row, strip in enumerate(pilot.app.screen._compositor.render_strips()):
        text = "".join(segment.text for segment in strip)
        assert not any(segment.control for segment in strip)
        assert is_harmless(text), f"row {row}: {text!r}"
        assert sum(cell_len(segment.text) for segment in strip) == width, f"row {row}: {text!r}"
