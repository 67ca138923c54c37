"""Follows a run on this terminal: JSON lines on stdout, words on stderr."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Protocol, Self

from core.cli.parser import Options
from core.errors import ExitCode
from core.run.events import Event, RunFinished
from core.run.follow import follow
from core.run.journal import Journal
from core.run.narrate import Narrator
from core.run.process import utc_now


class Display(Protocol):
    """Shows the run to a person."""

    @property
    def owns_terminal(self) -> bool:
        """Whether stdout is the terminal that this display draws on: events would be noise."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def show(self, event: Event) -> None:
        """Take one event in."""

    def say(self, text: str) -> None:
        """Say a sentence of the command's own."""


def display_for(options: Options) -> Display:
    """Return the display for this stderr: live on a terminal, plain lines elsewhere."""
    if options.quiet:
        return Silent()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from core.cli.live import LiveDisplay

        return LiveDisplay(owns_terminal=sys.stdout.isatty() and not options.events)
    return Plain()


class Silent:
    """--quiet: nothing."""

    owns_terminal = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, event: Event) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""


class Plain(Silent):
    """Lines, for a pipe or a log."""

    def __init__(self) -> None:
        self._narrator = Narrator()

    def show(self, event: Event) -> None:
        """Print what there is to say of an event."""
        for line in self._narrator.lines(event):
            print(line, file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Print a sentence."""
        print(text, file=sys.stderr, flush=True)


def follow_to_end(
    journal: Journal, run_id: str, display: Display, *, stop_on_interrupt: bool
) -> int:
    """Print a run's events until its end and return its exit code.

    With ``stop_on_interrupt`` Ctrl-C ends the run; without, it raises KeyboardInterrupt.
    """
    if stop_on_interrupt:
        signal.signal(signal.SIGINT, _Stopper(journal, run_id, display))
    with display:
        for line, event in follow(journal, run_id, utc_now):
            if not display.owns_terminal:
                print(line, flush=True)
            display.show(event)
            if isinstance(event.record, RunFinished):
                return event.record.exit_code
    print(
        f"gpubench-tui: Run {run_id} died: its process is gone and left no word. What it had is "
        "in its folder; the end of its log may tell why.",
        file=sys.stderr,
    )
    return ExitCode.FAILED


class _Stopper:
    """Ctrl-C while a run is followed: the first asks the run to end, the next one insists."""

    def __init__(self, journal: Journal, run_id: str, display: Display) -> None:
        self._journal = journal
        self._run_id = run_id
        self._display = display
        self._asked = False

    def __call__(self, *_: object) -> None:
        process = self._journal.run(self._run_id).process
        if process is None or not process.alive():
            return
        self._display.say("Ending it at once." if self._asked else "Stopping the run ...")
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL if self._asked else signal.SIGINT)
        self._asked = True
