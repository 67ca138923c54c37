"""The console's first frame against a trivial Textual app's, the time to the list of runs, and how
soon it is closed: real processes on a terminal of our own that only listens.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from core.run.journal import Journal
from tests.core.runs import NOON, named_run
from tests.performance.pairs import Outcome, interleave, ratio, spread

_ROUNDS = 15
_RUNS = 50
_PATIENCE_S = 30.0
_COLUMNS, _LINES = 120, 40
_PROGRAM = str(Path(sys.executable).with_name("gpubench-tui"))
_TRIVIAL = """
from textual.app import App
from textual.widgets import Static

class Trivial(App):
    def compose(self):
        yield Static("hello")

Trivial().run()
"""


class _Session:
    """A program on a terminal that answers nothing, from its start on."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        environment = {
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "GPUBENCH_STATE_DIR": str(folder / "state"),
            "GPUBENCH_RESULTS_DIR": str(folder / "results"),
        }
        self._written = b""
        self._started = time.perf_counter()
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
                os.chdir(folder)
                os.execve(command[0], command, environment)
            finally:
                # Only when there is no such program; nothing of the parent may run on here.
                os._exit(127)

    def seconds_until(self, word: str) -> float:
        """Return when, after the start, the program had written a word."""
        while word.encode() not in self._written:
            self._read()
        return time.perf_counter() - self._started

    def _read(self) -> None:
        ready, _, _ = select.select([self._terminal], [], [], _PATIENCE_S)
        if not ready:
            raise RuntimeError(f"nothing more came after {self._written[-2000:]!r}")
        self._written += os.read(self._terminal, 65536)

    def seconds_to_end(self, key: bytes) -> float:
        """Press a key and return how long the process lives on. It must end well."""
        process = os.pidfd_open(self._pid)
        pressed = time.perf_counter()
        os.write(self._terminal, key)
        ended = False
        while not ended:
            ready, _, _ = select.select([self._terminal, process], [], [], _PATIENCE_S)
            if not ready:
                raise RuntimeError(f"it does not end after {key!r}")
            ended = process in ready
            if not ended:
                try:
                    self._written += os.read(self._terminal, 65536)
                except OSError:
                    # It has closed its side, and is not gone yet.
                    select.select([process], [], [], _PATIENCE_S)
                    ended = True
        seconds = time.perf_counter() - pressed
        _pid, status = os.waitpid(self._pid, 0)
        os.close(process)
        os.close(self._terminal)
        if status != 0:
            raise RuntimeError(f"it ended with {status} after {self._written[-2000:]!r}")
        return seconds


def check() -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory() as nothing, tempfile.TemporaryDirectory() as full:
        names = _fill(Path(full))
        closing: list[float] = []

        def trivial() -> float:
            session = _Session([sys.executable, "-c", _TRIVIAL], Path(nothing))
            seconds = session.seconds_until("hello")
            session.seconds_to_end(b"\x11")
            return seconds

        def console(folder: str, word: str) -> float:
            session = _Session([_PROGRAM], Path(folder))
            seconds = session.seconds_until(word)
            closing.append(session.seconds_to_end(b"q"))
            return seconds

        figures = interleave(
            {
                "trivial": trivial,
                "console": lambda: console(nothing, "gpubench"),
                "first page": lambda: console(nothing, "There are no runs yet"),
                "list": lambda: console(full, names[-1]),
            },
            _ROUNDS,
        )
    reference = spread(figures["trivial"], "s")
    yield Outcome(
        "the console's first frame / a trivial app's",
        ratio(figures["console"], figures["trivial"]),
        most=2.0,
        details=f"{spread(figures['console'], 's')} against {reference}",
    )
    for name, what in (("first page", "the first-run page"), ("list", f"a list of {_RUNS} runs")):
        yield Outcome(
            f"{what} / a trivial app's first frame",
            ratio(figures[name], figures["trivial"]),
            details=f"{spread(figures[name], 's')} against {reference}",
        )
    yield Outcome("from q to the process's end, worst, s", max(closing), most=0.5)


def _fill(folder: Path) -> list[str]:
    """Write runs down and return their ids, the newest last."""
    names = [f"20260504-12{number:02d}00-local-baseline-0001" for number in range(_RUNS)]
    with Journal(folder / "state") as journal:
        for number, name in enumerate(names):
            named_run(journal, name, created_at=NOON + timedelta(minutes=number))
    return names
