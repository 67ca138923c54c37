"""``deployment.log``: every line of every source, with its time, append only."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from benchmark.errors import writing
from core.text import harmless

LOG_FILE = "deployment.log"


class RunLog:
    """The open log of a run. Control characters are made visible before they are written, so the
    file is safe to look at with anything.

    Raises (opening and writing): DiskFullError, OutputError.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock
        with writing(path):
            # Unbuffered appends: a kill loses no line, and a line is never split.
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, source: str, text: str, time: datetime | None = None) -> None:
        """Append one line: its time in UTC, its source, its text. ``time`` is when the line was
        written, where its source says it; by default now.
        """
        stamp = (time or self._clock()).isoformat(timespec="milliseconds")
        with writing(self._path):
            line = f"{stamp} [{source}] {harmless(text)}\n".encode()
            while line:
                # Only a disk that fills up takes less than everything; the next call says so.
                line = line[os.write(self._file, line) :]

    @property
    def position(self) -> int:
        """Bytes written so far, by anybody."""
        return os.fstat(self._file).st_size

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
