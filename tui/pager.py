"""A file in the user's pager, on the terminal that the console gives up meanwhile."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from textual.app import App, SuspendNotSupported


def open_in_pager(app: App[int], path: Path, environment: Mapping[str, str]) -> str:
    """Show a file in ``$PAGER`` (else less, else more). Returns a sentence when it cannot be."""
    try:
        command = shlex.split(environment.get("PAGER", "")) or ["less"]
    except ValueError as error:
        return f"PAGER is no command: {error}."
    if shutil.which(command[0]) is None:
        command = ["more"]
    if shutil.which(command[0]) is None:
        return "There is no pager: set PAGER, or install less."
    if not os.path.isfile(path):
        return f"There is no file {path}."
    # less shows what steers a terminal as text unless it is told otherwise.
    safe = {**environment, "LESS": "", "LESSSECURE": "1"}
    try:
        with app.suspend(), _interrupts_not_ours():
            subprocess.run([*command, str(path)], env=safe, check=False)
    except SuspendNotSupported:
        return "This console cannot give its terminal to a pager (it runs in a browser)."
    return ""


@contextmanager
def _interrupts_not_ours() -> Iterator[None]:
    """Leave Ctrl-C to the pager, which ends its own following with it; asyncio would end us."""

    def ignored(_number: int, _frame: object) -> None:
        return

    # A handler and not SIG_IGN, which the pager would inherit.
    before = signal.signal(signal.SIGINT, ignored)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
