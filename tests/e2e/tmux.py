"""A real terminal to run the real program on: one pane of a tmux server of its own."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import termios
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.05
_ENDED = "the program ended with"
# The shell waits before, so that the terminal can be asked how it is, and stays after it.
_SHELL = f'read -r nothing; "$@"; echo "{_ENDED} $?."; exec cat'
_FORMAT = (
    "#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{keypad_flag} #{keypad_cursor_flag} "
    "#{pane_title}"
)


@dataclass(frozen=True)
class State:
    """What a program may leave changed behind it."""

    alternate_screen: bool
    cursor: bool
    mouse: bool
    keypad: tuple[bool, bool]
    title: str
    line_by_line: bool
    """What is typed is shown and handed over line by line, as a shell wants it."""


class Terminal:
    """A program on a terminal: keys go in, the screen comes out."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        size: tuple[int, int] = (120, 40),
    ) -> None:
        """Start a program; skips where there is no tmux."""
        if shutil.which("tmux") is None:
            pytest.skip("tmux is not installed, and nothing else here is a terminal")
        self._socket = f"gpubench-{uuid.uuid4().hex[:12]}"
        self._environment = environment
        self._closed = False
        columns, lines = size
        self._tmux(
            *("new-session", "-d", "-x", str(columns), "-y", str(lines), "-c", str(folder)),
            *("sh", "-c", _SHELL, "sh", *command),
        )
        self._shell = int(self._tmux("display", "-p", "#{pane_pid}"))
        # tmux leaves it behind.
        self._path = Path(self._tmux("display", "-p", "#{socket_path}").rstrip("\n"))
        self.before = self.state()
        """How the terminal was before the program."""
        self.press("Enter")
        self.pid = self._program()
        """The program's process."""
        self._process = os.pidfd_open(self.pid)

    def _tmux(self, *arguments: str) -> str:
        # -u: a server without a locale would show signs as underscores.
        command = ["tmux", "-u", "-L", self._socket, "-f", os.devnull, *arguments]
        return subprocess.run(
            command, env=self._environment, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    def _program(self) -> int:
        deadline = time.monotonic() + _PATIENCE_S
        while not (found := _children(self._shell)):
            assert time.monotonic() < deadline, self.screen()
            time.sleep(_LOOK_EVERY_S)
        return found[0]

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names for them."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type a text as it is."""
        self._tmux("send-keys", "-l", text)

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def screen(self, *, escapes: bool = False) -> str:
        """Return what is to be seen; with ``escapes`` also how it is coloured."""
        return self._tmux("capture-pane", "-p", *(["-e"] if escapes else []))

    def wait_until(
        self, condition: Callable[[str], object], patience_s: float = _PATIENCE_S
    ) -> str:
        """Wait until the screen is as wanted, and return it."""
        deadline = time.monotonic() + patience_s
        while not condition(screen := self.screen()):
            assert time.monotonic() < deadline, f"It did not happen. On screen:\n{screen}"
            time.sleep(_LOOK_EVERY_S)
        return screen

    def wait_for(self, *texts: str, patience_s: float = _PATIENCE_S) -> str:
        """Wait until all of these texts are to be seen, and return the screen."""
        return self.wait_until(lambda screen: all(text in screen for text in texts), patience_s)

    def state(self) -> State:
        """Return how the terminal is now."""
        answer = self._tmux("display", "-p", f"#{{pane_tty}} {_FORMAT}").rstrip("\n")
        tty, *flags, title = answer.split(" ", 6)
        alternate, cursor, mouse, keypad, keypad_cursor = (flag == "1" for flag in flags)
        return State(
            alternate, cursor, mouse, (keypad, keypad_cursor), title, _line_by_line(Path(tty))
        )

    def exit_code(self) -> int:
        """Wait until the program has ended and return its exit code."""
        screen = self.wait_for(_ENDED)
        return int(screen.rpartition(_ENDED)[2].split(".")[0])

    def seconds_to_end(self, act: Callable[[], object]) -> float:
        """Do something and return how long the program's process lives on after it."""
        began = time.perf_counter()
        act()
        assert self._has_ended(_PATIENCE_S), f"It does not end. On screen:\n{self.screen()}"
        return time.perf_counter() - began

    def _has_ended(self, patience_s: float = 0.0) -> bool:
        return bool(select.select([self._process], [], [], patience_s)[0])

    def vanish(self) -> None:
        """Take the terminal away from the program, as when its window is closed."""
        self._tmux("kill-server")

    def close(self) -> None:
        """End everything that is left; once is enough."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
        os.close(self._process)
        with contextlib.suppress(subprocess.CalledProcessError):
            self.vanish()
        self._path.unlink(missing_ok=True)


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, which comes before, may hold anything but the last bracket.
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def _line_by_line(tty: Path) -> bool:
    terminal = os.open(tty, os.O_RDONLY | os.O_NOCTTY)
    try:
        local = termios.tcgetattr(terminal)[3]
    finally:
        os.close(terminal)
    return bool(local & termios.ECHO and local & termios.ICANON)
