"""What goes to the terminal as it is: notifications, what is copied, and the whole of a session."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.run import events
from core.run.events import AnyRecord, Event, RunState, Stage
from tests.core.conftest import CommandLine
from tests.core.runs import ROOT
from tests.tui.conftest import NOW
from tests.tui.hostile_run import LONG, failure, write_run
from tests.tui.stand_ins import NASTY
from tui.notifications import Notifier

# Nothing was written for so long: the page that a key opened is there.
_QUIET_S = 0.6


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
            # A terminal that does not tell: better once too often.
            ("unfocused", None, True),
            ("never", False, False),
        ],
    )
    def test_it_rings_when_the_settings_say_so(
        self, when: str, focus: bool | None, rings: bool
    ) -> None:
        terminal = Written(focus is not False)
        notifier = Notifier(terminal, when)  # type: ignore[arg-type]
        notifier.focus_is_told = focus is not None
        notifier.ring("text")
        assert bool(terminal.text) is rings


def bytes_of_a_session(place: Path, environment: dict[str, str], keys: list[bytes]) -> bytes:
    """Open the real console on a terminal, press keys, and return every byte that it wrote."""
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    written = bytearray()
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "tui"],
        cwd=place,
        env=environment | {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT)},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as console:
        os.close(terminal)
        try:
            for key in [b"", *keys]:
                os.write(master, key)
                # Each key's page is there when nothing has been written for a while.
                while select.select([master], [], [], _QUIET_S if written else 20.0)[0]:
                    try:
                        written += os.read(master, 2**16)
                    except OSError:
                        return bytes(written)
        finally:
            console.kill()
            os.close(master)
    return bytes(written)


def test_a_real_terminal_gets_nothing_that_a_hostile_run_wrote(
    command_line: CommandLine,
) -> None:
    place = command_line.home
    write_run(place, 1, failure(), usd_per_hour=0.54)
    environment = command_line.environment()
    # Results, plots, evidence, files; the dashboard, its log and its commands; a copy; teardown.
    keys = [b"i", b"2", b"3", b"4", b"\x1b", b"\r", b"w", b"c", b"\r", b"T", b"\x1b"]
    written = bytes_of_a_session(place, environment, keys)
    assert b"[@click=app.quit]" in written
    assert b"Attestation" in written
    for sequence in (b"\x1b]0;", b"ZXZpbA==\x1b", b"\x1b]8;", b"\x1b[5n", b"\x9b5n", b"\x1b\\\x1b"):
        assert sequence not in written
    # What was copied is the only thing that goes out as it was, and that in base64.
    commands = re.findall(rb"\x1b\]([0-9]+);([^\x07\x1b]*)", written)
    # OSC 22 is Textual's own: the pointer's shape.
    allowed = {b"22": rb"[a-z-]*", b"52": rb"c;[A-Za-z0-9+/=]*"}
    assert b"52" in {number for number, _rest in commands}
    assert all(re.fullmatch(allowed[number], rest) for number, rest in commands)
    text = written.decode("utf-8")
    assert not set(text) & set("\u202e\u2066\u200b\ufeff\u2028\x00\x7f\x90\x9b\x9c")
