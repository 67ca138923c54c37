"""Follows a run on this terminal: JSON lines on stdout, words on stderr."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Protocol, Self

from core.cli.parser import Options
from core.errors import ExitCode
from core.run.events import Event, RunFinished
from core.run.follow import follow
from core.run.journal import Journal
from core.run.liveness import ProcessIdentity
from core.run.narrate import Narrator
from core.run.process import utc_now
from core.run.processes import PROCESS
from core.run.stopping import send
from core.run.view import RunView


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


def follow_to_end(journal: Journal, run_id: str, display: Display) -> int:
    """Print a run's events until its end and return its exit code."""
    with display:
        for line, event in follow(journal, run_id, utc_now):
            if not display.owns_terminal:
                print(line, flush=True)
            display.show(event)
            if isinstance(event.record, RunFinished):
                return event.record.exit_code
    left = (
        f"{teardown_command(run_id)} removes what it created; the"
        if has_to_remove(journal, run_id)
        else "What it had is in its folder; the"
    )
    print(
        f"gpubench-tui: Run {run_id} died: its process is gone and left no word. {left} end of its "
        "log may tell why.",
        file=sys.stderr,
    )
    return ExitCode.FAILED


def has_to_remove(journal: Journal, run_id: str) -> bool:
    """Return whether a run clears up, or has more than processes that it would have to."""
    view = RunView.of(journal.events(run_id))
    return view.tearing_down or any(
        resource.exists and resource.intended.kind != PROCESS
        for resource in view.resources.values()
    )


def teardown_command(run_id: str) -> str:
    """Return what removes everything that a run left, as it is typed."""
    return f"gpubench-tui --no-ui teardown {run_id}"


class Stopper:
    """Ctrl-C while runs are followed: the first asks all of them to end, the next one insists. One
    that still removes what it created is left to it until the third.
    """

    def __init__(self, journal: Journal, say: Callable[[str], None]) -> None:
        self.say = say
        """Says a sentence to the person, wherever they look just now."""
        self._journal = journal
        self._runs: list[str] = []
        self._times = 0

    @property
    def asked(self) -> bool:
        """Whether there was a Ctrl-C."""
        return self._times > 0

    def take(self, run_id: str) -> None:
        """Stop this run too when it is asked for, at once if it was already."""
        self._runs.append(run_id)
        if self.asked and (process := self._process(run_id)) is not None:
            send(process, signal.SIGINT)

    def __call__(self, *_: object) -> None:
        self._times += 1
        times = self._times
        alive = [(each, process) for each in self._runs if (process := self._process(each))]
        if times == 1 and alive:
            self.say(f"Stopping {'the run' if len(alive) == 1 else f'{len(alive)} runs'} ...")
        for run_id, process in alive:
            if times == 1:
                send(process, signal.SIGINT)
            elif times == 2 and has_to_remove(self._journal, run_id):
                self.say(
                    "It is removing what it created; a third Ctrl-C leaves that to "
                    f"`{teardown_command(run_id)}`."
                )
            else:
                self.say("Ending it at once.")
                send(process, signal.SIGKILL)

    def _process(self, run_id: str) -> ProcessIdentity | None:
        process = self._journal.run(run_id).process
        return process if process is not None and process.alive() else None


@contextlib.contextmanager
def interrupts_to(stopper: Stopper) -> Iterator[None]:
    """Give Ctrl-C to ``stopper`` instead of raising KeyboardInterrupt."""
    before = signal.signal(signal.SIGINT, stopper)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
