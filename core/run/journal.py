"""The journal: what runs there are and everything that happened in them. SQLite in WAL mode.

Written before the world is changed, and readable after a kill at any instant. Many processes use it
at once: every write is one short immediate transaction.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from benchmark.plan import Plan
from benchmark.validation import sentence_of
from core.errors import JournalError, RunNotFoundError
from core.run.events import (
    AnyRecord,
    Event,
    RunFinished,
    RunState,
    Stage,
    StageFinished,
    parse_event,
)
from core.run.journal_file import FILE_NAME, explained, open_to_read, open_to_write
from core.run.liveness import ProcessIdentity, before_reboot, this_host

# A launcher that died between writing the run down and starting its process leaves it so.
_START_GRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class Run:
    """A run as the journal knows it."""

    id: str
    target: str
    leg: str
    profile: str
    folder: Path
    state: RunState
    """As stored; :meth:`Journal.state_now` also sees a missing process."""
    created_at: datetime
    finished_at: datetime | None
    exit_code: int | None
    host: str
    process: ProcessIdentity | None


_COLUMNS = (
    "id, target, leg, profile, folder, state, created_at, finished_at, exit_code, host, "
    "pid, process_started"
)


class Journal:
    """An open journal. Use one for each thread.

    Raises (all methods):
        JournalError: the file is locked for too long, damaged, full or not writable.
    """

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / FILE_NAME
        self._connection = open_to_write(state_dir)

    @classmethod
    def to_read(cls, state_dir: Path) -> Journal | None:
        """Open a journal that is only looked at, also where nothing may be written.

        Returns None where there is none yet.
        """
        journal = cls.__new__(cls)
        journal.path = state_dir / FILE_NAME
        connection = open_to_read(journal.path)
        if connection is None:
            return None
        journal._connection = connection
        return journal

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create_run(self, run: Run, plan: Plan) -> None:
        """Write a new run down, before anything of it exists."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO runs "
                "(id, target, leg, profile, folder, plan, state, created_at, host) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.id,
                    run.target,
                    run.leg,
                    run.profile,
                    str(run.folder),
                    plan.model_dump_json(),
                    run.state.value,
                    run.created_at.isoformat(),
                    run.host,
                ),
            )

    def set_process(self, run_id: str, process: ProcessIdentity) -> None:
        """Note which process of this machine a run lives in."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE runs SET state = CASE state WHEN 'created' THEN 'running' ELSE state END, "
                "host = ?, pid = ?, process_started = ? WHERE id = ?",
                (this_host(), process.pid, process.started, run_id),
            )

    def append(
        self,
        run_id: str,
        record: AnyRecord,
        *,
        time: datetime,
        stage: Stage | None = None,
        log_position: int = 0,
    ) -> Event:
        """Add an event at the end of a run's stream and return it.

        ``run_finished`` also becomes the run's stored state, in the same step: nobody sees one
        without the other.
        """
        with self._transaction() as connection:
            last = connection.execute(
                "SELECT coalesce(max(sequence), 0) FROM events WHERE run = ?", (run_id,)
            ).fetchone()[0]
            event = Event(
                sequence=int(last) + 1,
                run=run_id,
                time=time,
                stage=stage,
                log_position=log_position,
                record=record,
            )
            connection.execute(
                "INSERT INTO events (run, sequence, line) VALUES (?, ?, ?)",
                (run_id, event.sequence, event.to_line()),
            )
            if isinstance(record, RunFinished):
                connection.execute(
                    "UPDATE runs SET state = ?, exit_code = ?, finished_at = ? WHERE id = ?",
                    (record.state.value, record.exit_code, time.isoformat(), run_id),
                )
        return event

    def changes(self) -> int:
        """Return a number that is another one after any other connection has written."""
        with self._explained():
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def stage_seconds(self, run: Run) -> dict[Stage, list[float]]:
        """Return how long each stage took in other runs of the same target and profile that are
        done, the newest first.
        """
        with self._explained():
            rows = self._connection.execute(
                "SELECT events.line FROM runs JOIN events ON events.run = runs.id "
                "WHERE runs.target = ? AND runs.profile = ? AND runs.id <> ? "
                "AND runs.state = 'done' AND events.line LIKE '%\"event\":\"stage_finished\"%' "
                "ORDER BY runs.created_at DESC",
                (run.target, run.profile, run.id),
            ).fetchall()
        found: dict[Stage, list[float]] = {}
        for (line,) in rows:
            with contextlib.suppress(ValueError):
                event = parse_event(line)
                if event.stage is not None and isinstance(event.record, StageFinished):
                    found.setdefault(event.stage, []).append(event.record.seconds)
        return found

    def lines(self, run_id: str, after: int = 0, most: int | None = None) -> list[tuple[int, str]]:
        """Return (sequence, JSON line) of the events after sequence ``after``, at most ``most``."""
        with self._explained():
            return self._connection.execute(
                "SELECT sequence, line FROM events WHERE run = ? AND sequence > ? "
                "ORDER BY sequence LIMIT ?",
                (run_id, after, -1 if most is None else most),
            ).fetchall()

    def events(self, run_id: str) -> list[Event]:
        """Return all events of a run."""
        return [event for _line, event in self.stream(run_id)]

    def stream(
        self, run_id: str, after: int = 0, most: int | None = None
    ) -> list[tuple[str, Event]]:
        """Return (JSON line, event) of the events after sequence ``after``, at most ``most``.

        Raises:
            JournalError: also when a line is no event that this version can read.
        """
        found = []
        for sequence, line in self.lines(run_id, after, most):
            try:
                found.append((line, parse_event(line)))
            except ValueError as error:
                raise JournalError(
                    f"Event {sequence} of run {run_id} in {self.path} cannot be read.",
                    "Use the version of gpubench-tui that wrote it.",
                ) from error
        return found

    def runs(self) -> list[Run]:
        """Return all runs, the newest first."""
        with self._explained():
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM runs ORDER BY created_at DESC, id DESC"
            ).fetchall()
        return [_run(row) for row in rows]

    def plan(self, run_id: str) -> Plan:
        """Return the plan that was stored with a run.

        Raises:
            JournalError: another version of this program stored it, and this one cannot run it.
        """
        with self._explained():
            row = self._connection.execute(
                "SELECT plan FROM runs WHERE id = ?", (run_id,)
            ).fetchone()
        try:
            return Plan.model_validate_json(str(row[0]))
        except ValidationError as error:
            raise JournalError(
                f"The plan of run {run_id} is of another version: {sentence_of(error)}.",
                "Use the version of gpubench-tui that started the run.",
            ) from error

    def run(self, name: str) -> Run:
        """Return the run with this id, unique beginning of an id, or ``latest``.

        Raises:
            RunNotFoundError: none, or more than one.
        """
        where, values = "id = ?", (name,)
        with self._explained():
            rows = self._select(where, values)
            if not rows and name == "latest":
                rows = self._select("1 ORDER BY created_at DESC, id DESC LIMIT 1", ())
            elif not rows:
                rows = self._select("substr(id, 1, length(?1)) = ?1", values)
        if len(rows) == 1:
            return _run(rows[0])
        if rows:
            raise RunNotFoundError(f"{len(rows)} runs begin with {name!r}.", "Type more of the id.")
        raise RunNotFoundError(
            f"There is no run {name!r}.", "`gpubench-tui --no-ui runs` lists them."
        )

    def state_now(self, run: Run, now: datetime) -> RunState:
        """Return the run's state, ``died`` when its process is gone without having said so."""
        if run.state.ended:
            return run.state
        if run.host != this_host():
            return RunState.DIED if before_reboot(run.host) else run.state
        if run.process is None:
            waited = (now - run.created_at).total_seconds()
            return run.state if waited < _START_GRACE_S else RunState.DIED
        if run.process.alive():
            return run.state
        # The process may have written its end between our two looks.
        stored = self.run(run.id).state
        return stored if stored.ended else RunState.DIED

    def _select(self, where: str, values: tuple[str, ...]) -> list[tuple[object, ...]]:
        return self._connection.execute(
            f"SELECT {_COLUMNS} FROM runs WHERE {where}", values
        ).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self.path)


def _run(row: tuple[object, ...]) -> Run:
    try:
        return _read_run(row)
    except ValueError as error:
        raise JournalError(
            f"The journal's entry of run {row[0]} cannot be read: {error}.",
            "Use the version of gpubench-tui that wrote it.",
        ) from error


def _read_run(row: tuple[object, ...]) -> Run:
    run_id, target, leg, profile, folder, state, created, finished, code, *process = row
    host, pid, started = process
    if "\0" in str(folder):
        raise ValueError("its folder's name holds a NUL character")
    return Run(
        id=str(run_id),
        target=str(target),
        leg=str(leg),
        profile=str(profile),
        folder=Path(str(folder)),
        state=RunState(str(state)),
        created_at=datetime.fromisoformat(str(created)),
        finished_at=datetime.fromisoformat(str(finished)) if finished else None,
        exit_code=code if isinstance(code, int) else None,
        host=str(host),
        process=ProcessIdentity(pid, started)
        if isinstance(pid, int) and isinstance(started, int)
        else None,
    )
