"""The entry point: the console without a command, the headless command line with one."""

from __future__ import annotations

from collections.abc import Sequence

from core.cli import main as command_line

_SCREENS = {"": "tui.start", "serve": "tui.serve"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and return the exit code."""
    return command_line(arguments, _SCREENS)
