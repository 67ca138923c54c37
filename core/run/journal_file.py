"""The journal's file: its schema, opening it to write or only to read, its failures in words."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from core.errors import JournalError

FILE_NAME = "journal.db"
_BUSY_TIMEOUT_S = 30.0
# A reader is never kept waiting by a writer (WAL); what else locks the file is soon over or wrong.
_READ_TIMEOUT_S = 2.0

# One script a version; a journal of version n gets the scripts after its own.
_MIGRATIONS = (
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        target TEXT NOT NULL,
        leg TEXT NOT NULL,
        profile TEXT NOT NULL,
        folder TEXT NOT NULL,
        plan TEXT NOT NULL,
        state TEXT NOT NULL,
        created_at TEXT NOT NULL,
        finished_at TEXT,
        exit_code INTEGER,
        host TEXT NOT NULL,
        pid INTEGER,
        process_started INTEGER
    ) STRICT;
    CREATE TABLE events (
        run TEXT NOT NULL REFERENCES runs (id),
        sequence INTEGER NOT NULL,
        line TEXT NOT NULL,
        PRIMARY KEY (run, sequence)
    ) STRICT, WITHOUT ROWID;
    """,
)
SCHEMA_VERSION = len(_MIGRATIONS)


def open_to_write(state_dir: Path) -> sqlite3.Connection:
    """Open the journal in a folder, made or brought to this version's schema where needed.

    Raises:
        JournalError: it cannot be.
    """
    path = state_dir / FILE_NAME
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _open(state_dir, path)
    except OSError as error:
        raise JournalError(
            f"The journal {path} cannot be opened: {error.strerror or error}.",
            "Set GPUBENCH_STATE_DIR to a folder that you may write to.",
        ) from error


def _open(state_dir: Path, path: Path) -> sqlite3.Connection:
    # Switching a new file to WAL does not wait for other processes that do the same, so the
    # first steps are taken one process at a time.
    with (state_dir / f"{FILE_NAME}.lock").open("w") as lock, explained(path):
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=True
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        version = _version(connection, path)
        for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
            connection.executescript(
                f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;"
            )
        return connection


def open_to_read(path: Path) -> sqlite3.Connection | None:
    """Open a journal and never change it; None where there is none yet. SQLite may put its
    shared-memory files beside it, which WAL needs.

    Raises:
        JournalError: it cannot be read, or is of a newer version.
    """
    if not os.path.lexists(path):
        return None
    with explained(path):
        connection = _connect_to_read(path)
        if _version(connection, path) > 0:
            return connection
    # Its first writer has not come to the tables yet.
    connection.close()
    return None


def _connect_to_read(path: Path) -> sqlite3.Connection:
    address = f"file:{quote(str(path))}?mode=ro"
    try:
        return _checked(address)
    except sqlite3.OperationalError:
        # WAL needs its shared-memory file, which a read-only place cannot have; without a log
        # beside it the file is whole by itself.
        log = path.with_name(f"{path.name}-wal")
        with contextlib.suppress(OSError):
            if not log.exists() or log.stat().st_size == 0:
                return _checked(f"{address}&immutable=1")
        raise


def _checked(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=_READ_TIMEOUT_S, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except (sqlite3.Error, UnicodeDecodeError):
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        connection.close()
        raise JournalError(
            f"The journal {path} was written by a newer version (schema {version}, "
            f"this program knows {SCHEMA_VERSION}).",
            "Update gpubench-tui, or set GPUBENCH_STATE_DIR to another folder.",
        )
    return version


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into sentences. Raises JournalError."""
    try:
        yield
    except UnicodeDecodeError as error:
        # SQLite names the damaged thing in its message, and that name is what is damaged.
        raise JournalError(
            f"The journal {path} cannot be used: it is damaged.",
            "Move the file away; a new journal will be made.",
        ) from error
    except sqlite3.Error as error:
        remedy = {
            sqlite3.SQLITE_FULL: "Free some space; what was written before is intact.",
            sqlite3.SQLITE_NOTADB: "Move the file away; a new journal will be made.",
            sqlite3.SQLITE_CORRUPT: "Move the file away; a new journal will be made.",
        }.get(
            getattr(error, "sqlite_errorcode", 0) & 0xFF,
            "Check the folder's permissions, or set GPUBENCH_STATE_DIR to another.",
        )
        raise JournalError(f"The journal {path} cannot be used: {error}.", remedy) from error
