"""Reads the journal in a thread of its own and posts what is new; it changes nothing itself.

A daemon thread and no worker: Textual waits at its end for every thread worker, and a file that
hangs would hold the console.
"""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.message import Message

from tui.messages import EventsRead, HistoryRead, Refused, RunsRead, SettingsLoaded, StateRead

if TYPE_CHECKING:
    from core.run.events import RunState
    from core.run.journal import Journal, Run

POLL_S = 0.2
# How often what no write announces is looked at: a process that died.
_LOOK_AGAIN_S = 1.0
# As many events as the screen takes in without missing a key press.
_EVENTS_AT_ONCE = 500


class JournalReader(threading.Thread):
    """Follows the list of runs, and one run's events."""

    def __init__(
        self,
        flags: Mapping[str, Any],
        environment: Mapping[str, str],
        config_file: str | None,
        post: Callable[[Message], object],
        clock: Callable[[], datetime],
        poll_s: float = POLL_S,
    ) -> None:
        super().__init__(name="journal", daemon=True)
        self._flags = dict(flags)
        self._environment = dict(environment)
        self._config_file = config_file
        self._post = post
        self._clock = clock
        self._poll_s = poll_s
        self._wake = threading.Event()
        self._taken = threading.Event()
        self._ended = False
        self._wanted: str | None = None
        self._follow = _Following("")
        self._refusal = ("", "")
        self._rows: tuple[tuple[Run, RunState], ...] | None = None
        self._changes = -1

    def follow(self, run_id: str | None) -> None:
        """Read this run's events, from the first; None: of no run."""
        self._wanted = run_id
        self.look()

    def look(self) -> None:
        """Look now and not at the next turn."""
        self._wake.set()

    def taken(self) -> None:
        """The events that were posted last are taken in."""
        self._taken.set()

    def end(self) -> None:
        """End soon; nothing waits for it."""
        self._ended = True
        self._wake.set()
        self._taken.set()

    def run(self) -> None:
        """Load the settings, then read for ever."""
        # Here and not above: they would hold the first frame for half its time.
        from core.errors import ProblemError
        from core.run.journal import Journal
        from core.settings import load_settings

        try:
            settings = load_settings(self._flags, self._environment, self._config_file).settings
        except ProblemError as problem:
            self._post(Refused(problem.sentence, problem.remedy))
            return
        self._post(SettingsLoaded(settings))
        journal: Journal | None = None
        since_looked = _LOOK_AGAIN_S
        while not self._ended:
            try:
                journal = journal or Journal.to_read(settings.state_dir)
                since_looked = self._turn(journal, since_looked)
                self._refusal = ("", "")
            except ProblemError as problem:
                self._refuse(journal, problem.sentence, problem.remedy)
                journal = None
            self._wake.wait(self._poll_s)
            self._wake.clear()
            since_looked += self._poll_s

    def _refuse(self, journal: Journal | None, sentence: str, remedy: str) -> None:
        if journal is not None:
            journal.close()
        self._rows, self._changes = None, -1
        if (sentence, remedy) != self._refusal:
            self._refusal = (sentence, remedy)
            self._post(Refused(sentence, remedy))

    def _turn(self, journal: Journal | None, since_looked: float) -> float:
        if journal is None:
            self._tell_runs(())
            return 0.0
        if _was_replaced(journal.path):
            return since_looked
        changes = journal.changes()
        if changes != self._changes or since_looked >= _LOOK_AGAIN_S or self._rows is None:
            self._changes, since_looked = changes, 0.0
            now = self._clock()
            self._tell_runs(tuple((run, journal.state_now(run, now)) for run in journal.runs()))
        self._read_followed(journal)
        return since_looked

    def _tell_runs(self, rows: tuple[tuple[Run, RunState], ...]) -> None:
        if rows != self._rows:
            self._rows = rows
            self._post(RunsRead(rows))

    def _read_followed(self, journal: Journal) -> None:
        wanted = self._wanted
        if wanted is None:
            self._follow = _Following("")
            return
        follow = self._follow
        if follow.run_id != wanted:
            follow = self._follow = _Following(wanted)
            self._tell_history(journal, wanted)
        while not self._ended and self._wanted == wanted:
            # The state before the events: what an ended process wrote is then all there.
            run = journal.run(wanted)
            state = journal.state_now(run, self._clock())
            found = journal.stream(wanted, follow.seen, most=_EVENTS_AT_ONCE)
            if found:
                events = tuple(event for _line, event in found)
                follow.seen = events[-1].sequence
                self._taken.clear()
                self._post(EventsRead(wanted, events, len(events) == _EVENTS_AT_ONCE))
                self._taken.wait()
            if len(found) < _EVENTS_AT_ONCE:
                if state != follow.state:
                    follow.state = state
                    self._post(StateRead(wanted, state))
                return

    def _tell_history(self, journal: Journal, run_id: str) -> None:
        seconds = journal.stage_seconds(journal.run(run_id))
        medians = {stage: statistics.median(values) for stage, values in seconds.items()}
        self._post(HistoryRead(run_id, medians))


class _Following:
    """How far one run was read."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.seen = 0
        self.state: RunState | None = None


def _was_replaced(path: Path) -> bool:
    from core.errors import JournalError

    if path.exists():
        return False
    raise JournalError(f"The journal {path} is gone.", "Put it back, or start a run to make one.")
