"""The console on a real terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.core.conftest import GPUBENCH, CommandLine, command_line, journal, results, state
from tests.core.runs import start_stand_in
from tests.e2e.tmux import Terminal

__all__ = ["CommandLine", "command_line", "journal", "results", "state"]

OpenConsole = Callable[..., Terminal]

# What a developer's own terminal says of itself.
_OF_A_TERMINAL = ("NO_COLOR", "COLORTERM", "TERM", "TMUX", "COLUMNS", "LINES", "TEXTUAL", "LC_")


@pytest.fixture
def open_console(command_line: CommandLine) -> Iterator[OpenConsole]:
    """Start ``gpubench-tui`` on a terminal, in the test's own folders."""
    opened = []

    def start(*arguments: str, size: tuple[int, int] = (120, 40), **environment: str) -> Terminal:
        kept = {
            name: value
            for name, value in command_line.environment().items()
            if not name.startswith(_OF_A_TERMINAL)
        }
        terminal = Terminal(
            [str(GPUBENCH), *arguments],
            {**kept, "LANG": "C.UTF-8", **environment},
            command_line.home,
            size,
        )
        opened.append(terminal)
        return terminal

    yield start
    for terminal in opened:
        terminal.close()


@contextmanager
def stand_in(state: Path, results: Path, work: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A run in a process of its own: the process and the run's id."""
    process, run_id = start_stand_in(state, results, work)
    try:
        yield process, run_id
    finally:
        process.kill()
        process.communicate()
