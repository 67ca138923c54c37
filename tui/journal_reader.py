"""Reads the journal in a thread of its own and posts what is new; it changes nothing itself.

A daemon thread and no worker: Textual waits at its end for every thread worker, and a file that
hangs would hold the console.
"""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from textual.message import Message

from tui.billing import Spending
from tui.messages import (
    EventsRead,
    FollowedAnew,
    FollowingTroubled,
    HistoryRead,
    Refused,
    RunsRead,
    SettingsLoaded,
    StateRead,
)

if TYPE_CHECKING:
    from core.run.events import Event, RunState
    from core.run.journal import Journal, Run
    from core.settings import Settings

POLL_S = 0.2
# How often what no write announces is looked at: a process that died.
_LOOK_AGAIN_S = 1.0
# What cannot be used is tried again, and not as often: reading settings costs more than a look.
_TURNS_AFTER_REFUSAL = 5
_NOTHING: Mapping[str, str] = MappingProxyType({})
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
        self._follow: _Following | None = None
        self._refusal = ("", "")
        self._settings: Settings | None = None
        self._open: _OpenJournal | None = None
        self._was_there = False
        self._rows: tuple[tuple[Run, RunState], ...] | None = None
        self._spent: Mapping[str, str] = _NOTHING
        self._spending = Spending()
        self._changes = -1
        self._since_looked = _LOOK_AGAIN_S

    def follow(self, run_id: str, number: int) -> None:
        """Read this run's events from now on, from the first; what is posted carries the number."""
        self._follow = _Following(run_id, number)
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
        # Here and not above: it would hold the first frame for half its time.
        from core.errors import ProblemError

        while not self._ended:
            patience = self._poll_s
            try:
                self._turn()
                self._refusal = ("", "")
            except ProblemError as problem:
                self._refuse(problem.sentence, problem.remedy)
                patience *= _TURNS_AFTER_REFUSAL
            except Exception as error:
                # A thread that ends here would leave a console that shows the past for ever.
                self._refuse(f"The journal cannot be read: {error!r}.", "It is tried again.")
                patience *= _TURNS_AFTER_REFUSAL
            self._wake.wait(patience)
            self._wake.clear()
            self._since_looked += patience

    def _refuse(self, sentence: str, remedy: str) -> None:
        self._close()
        if (sentence, remedy) != self._refusal:
            self._refusal = (sentence, remedy)
            self._post(Refused(sentence, remedy))

    def _close(self) -> None:
        if self._open is not None:
            self._open.journal.close()
        self._open, self._rows, self._changes = None, None, -1
        self._spending = Spending()

    def _turn(self) -> None:
        if self._settings is None:
            from core.settings import load_settings

            loaded = load_settings(self._flags, self._environment, self._config_file)
            self._settings = loaded.settings
            self._post(SettingsLoaded(self._settings))
        journal = self._journal(self._settings.state_dir)
        if journal is None:
            self._tell_runs(())
            return
        changes = journal.changes()
        looked_long_ago = self._since_looked >= _LOOK_AGAIN_S
        if changes != self._changes or looked_long_ago or self._rows is None:
            self._changes, self._since_looked = changes, 0.0
            now = self._clock()
            rows = tuple((run, journal.state_now(run, now)) for run in journal.runs())
            self._tell_runs(rows, self._spending.of(journal, (run for run, _ in rows), now))
        if (follow := self._follow) is not None:
            self._read_followed(journal, follow)

    def _journal(self, state_dir: Path) -> Journal | None:
        """Return the journal that lies there now, which need not be the one of the last turn."""
        from core.errors import JournalError
        from core.run.journal import Journal
        from core.run.journal_file import FILE_NAME

        path = state_dir / FILE_NAME
        identity = _identity(path)
        if self._open is not None and self._open.identity != identity:
            self._close()
        if self._open is None:
            journal = Journal.to_read(state_dir) if identity is not None else None
            if journal is None:
                if self._was_there:
                    raise JournalError(
                        f"The journal {path} is gone.", "Put it back, or start a run to make one."
                    )
                return None
            self._open = _OpenJournal(journal, identity)
            if self._was_there and self._follow is not None:
                # It may be another journal: what was read of the old one counts no more.
                self._follow.begin_again()
                self._post(FollowedAnew(self._follow.number))
            self._was_there = True
        return self._open.journal

    def _tell_runs(
        self, rows: tuple[tuple[Run, RunState], ...], spent: Mapping[str, str] = _NOTHING
    ) -> None:
        if (rows, spent) != (self._rows, self._spent):
            self._rows, self._spent = rows, spent
            self._post(RunsRead(rows, spent))

    def _read_followed(self, journal: Journal, follow: _Following) -> None:
        from core.errors import ProblemError

        try:
            if not follow.history_told:
                follow.history_told = True
                self._tell_history(journal, follow)
            while not self._ended and self._follow is follow:
                # The state before the events: what an ended process wrote is then all there.
                state = journal.state_now(journal.run(follow.run_id), self._clock())
                if not self._read_some(journal, follow):
                    if state != follow.state:
                        follow.state = state
                        self._post(StateRead(follow.number, state))
                    break
            trouble = follow.unreadable
        except ProblemError as problem:
            # The list of runs goes on: it is another part of the journal.
            trouble = str(problem)
        if trouble != follow.trouble:
            follow.trouble = trouble
            self._post(FollowingTroubled(follow.number, trouble))

    def _read_some(self, journal: Journal, follow: _Following) -> bool:
        """Post the next events. Returns whether there may be more."""
        lines = journal.lines(follow.run_id, follow.seen, most=_EVENTS_AT_ONCE)
        events = tuple(event for line in lines if (event := _event_of(line, follow)) is not None)
        if lines:
            follow.seen = lines[-1][0]
        if events:
            self._taken.clear()
            self._post(EventsRead(follow.number, events, len(lines) == _EVENTS_AT_ONCE))
            self._taken.wait()
        return len(lines) == _EVENTS_AT_ONCE

    def _tell_history(self, journal: Journal, follow: _Following) -> None:
        seconds = journal.stage_seconds(journal.run(follow.run_id))
        medians = {stage: statistics.median(values) for stage, values in seconds.items()}
        self._post(HistoryRead(follow.number, medians))


@dataclass(frozen=True, slots=True)
class _OpenJournal:
    """A journal, and which file it is."""

    journal: Journal
    identity: tuple[int, int] | None


@dataclass(eq=False)
class _Following:
    """How far one run was read."""

    run_id: str
    number: int
    seen: int = 0
    state: RunState | None = None
    history_told: bool = False
    unreadable: str = ""
    """The sentence on the first event that could not be read."""
    trouble: str = ""
    """What was posted last."""

    def begin_again(self) -> None:
        """Read from the first event, as nothing had been read before."""
        self.seen, self.state, self.history_told = 0, None, False
        self.unreadable = self.trouble = ""


def _event_of(line: tuple[int, str], follow: _Following) -> Event | None:
    """Return the event of a line; a damaged one is left out, so that the rest can be seen."""
    from core.run.events import parse_event

    sequence, text = line
    try:
        return parse_event(text)
    except ValueError:
        follow.unreadable = follow.unreadable or (
            f"Event {sequence} of run {follow.run_id} cannot be read and is left out; the version "
            "of gpubench-tui that wrote it may read it."
        )
        return None


def _identity(path: Path) -> tuple[int, int] | None:
    """Return which file lies there. Raises JournalError."""
    from core.errors import JournalError

    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise JournalError(
            f"The journal {path} cannot be reached: {error.strerror or error}.",
            "Check the folder's permissions, or set GPUBENCH_STATE_DIR to another.",
        ) from error
    return found.st_dev, found.st_ino
