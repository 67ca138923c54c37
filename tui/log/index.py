"""Where each line of a log file begins. The file is the spool; only offsets are kept."""

from __future__ import annotations

import os
import stat
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from enum import StrEnum
from itertools import accumulate
from pathlib import Path

import re2

from tui.log.lines import (
    ERROR_WORDS,
    LONGEST_HEAD,
    LONGEST_SHOWN,
    SOURCES,
    LogLine,
    head_of,
    shown,
    shown_text,
)

MOST_SOURCES = 250
"""Sources that are told apart; the lines of any further ones count as having none."""

_CACHED_LINES = 512
# A last line without an end is read again with each call while it is shorter than this.
_SHORT_TAIL = 65_536


class LogState(StrEnum):
    """How the file stands."""

    READING = "reading"
    MISSING = "missing"
    UNREADABLE = "unreadable"


def _error_pattern() -> re2._Regexp:
    options = re2.Options()
    options.log_errors = False
    # Bytes, whatever they are: a broken character must not end the search of a block.
    options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(ERROR_WORDS + rb"[^\n]*", options)


class LogIndex:
    """The lines of a file that grows. Every call reads at most what it is told to and never
    waits: the file is local and regular, or it is not read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._identity = (0, 0)
        self._size = 0
        self._errors_in = _error_pattern()
        self._cache: OrderedDict[int, LogLine] = OrderedDict()
        self.state = LogState.MISSING
        self.sentence = ""
        """What is wrong with the file now; empty when nothing is."""
        self.restarted = ""
        """Why the lines were read anew, the last time they were."""
        self.generation = 0
        """Goes up when the lines known so far are lines no more."""
        self._clear()

    def _clear(self) -> None:
        self._ends = array("Q")
        self._source_ids = bytearray()
        self._known: dict[bytes, int] = {b"": 0}
        self._names: list[str] = []
        self._first_errors: dict[int, int] = {}
        self._end = 0
        self._scanned = 0
        self.errors = array("Q")
        """The numbers of the error lines, of complete lines only."""
        self._cache.clear()

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def complete(self) -> int:
        """How many lines have an end."""
        return len(self._ends)

    @property
    def count(self) -> int:
        """How many lines there are, a last one without an end included."""
        return len(self._ends) + (self._scanned > self._end)

    @property
    def scanned(self) -> int:
        """Bytes looked at so far."""
        return self._scanned

    @property
    def size(self) -> int:
        """Bytes of the file when it was last looked at."""
        return self._size if self._file is not None else 0

    @property
    def sources(self) -> Sequence[str]:
        """The sources seen, in their order; their ids are their places here, from 1."""
        return self._names

    @property
    def source_ids(self) -> bytearray:
        """The id of each complete line's source; 0 for a line without one."""
        return self._source_ids

    def read_more(self, budget_bytes: int) -> bool:
        """Look at up to ``budget_bytes`` that are new. Returns whether there are more."""
        try:
            if not self._reach():
                return False
            # The beginning of a last line is read again with its rest, so that most lines are
            # read whole; of a very long one only the rest is.
            again = self._scanned - self._end <= _SHORT_TAIL
            start = self._end if again else self._scanned
            budget = max(1, budget_bytes) + self._scanned - start
            assert self._file is not None
            data = os.pread(self._file, min(budget, self._size - start), start)
        except OSError as error:
            self._fail(LogState.UNREADABLE, f"it cannot be read: {error.strerror or error}")
            return False
        if len(data) <= self._scanned - start:
            return False
        self._take(data, start)
        return self._scanned < self._size

    def line(self, number: int) -> LogLine:
        """Return a line.

        Raises:
            IndexError: there is no such line.
        """
        if not 0 <= number < self.count:
            raise IndexError(number)
        if line := self._cache.get(number):
            self._cache.move_to_end(number)
            return line
        start, end = self.span(number, number + 1)
        complete = number < len(self._ends)
        end -= complete
        raw = self.read(start, min(end, start + LONGEST_HEAD + LONGEST_SHOWN))
        missing = end - start - len(raw)
        time, source, begin = head_of(raw)
        message = raw[begin:]
        line = LogLine(
            number,
            time.decode("ascii"),
            shown(source.decode("utf-8", "backslashreplace")),
            shown_text(message, missing),
            self.is_error(number) if complete else self._is_error(message),
            complete,
        )
        if complete:
            self._cache[number] = line
            if len(self._cache) > _CACHED_LINES:
                self._cache.popitem(last=False)
        return line

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Return the bytes, from and to, of the lines from ``first`` up to but without ``last``."""
        begin = self._ends[first - 1] if first else 0
        end = self._ends[last - 1] if last <= len(self._ends) else self._scanned
        return begin, end

    def block(self, first: int, budget_bytes: int) -> tuple[bytes, int]:
        """Return complete lines from ``first`` on, about as many bytes as asked for, and how many
        lines they are. One line that is longer than that comes as no bytes and a count of 1: ask
        ``line()`` for the shown part of it. No bytes and a count of 0: none can be read.
        """
        if first >= len(self._ends):
            return b"", 0
        begin = self._ends[first - 1] if first else 0
        last = bisect_right(self._ends, begin + budget_bytes, first)
        if last == first:
            return b"", 1
        length = self._ends[last - 1] - begin
        data = self.read(begin, begin + length)
        return (data, last - first) if len(data) == length else (b"", 0)

    def read(self, start: int, end: int) -> bytes:
        """Return bytes of the file; fewer where it has lost them."""
        if self._file is None:
            return b""
        try:
            return os.pread(self._file, end - start, start)
        except OSError:
            # read_more() meets the same refusal, and says so.
            return b""

    def is_error(self, number: int) -> bool:
        """Return whether a complete line is an error."""
        place = bisect_left(self.errors, number)
        return place < len(self.errors) and self.errors[place] == number

    def first_error(self, source: int | None = None) -> int | None:
        """Return the first error line of a source, or of all."""
        if source is not None:
            return self._first_errors.get(source)
        return self.errors[0] if self.errors else None

    def close(self) -> None:
        """Close the file. What is known stays."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _reach(self) -> bool:
        """See that the open file is the one at the path, and no shorter than it was."""
        sentence = ""
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            if self._file is None:
                self._fail(LogState.MISSING, "it is not there yet")
                return False
            # What was read can still be shown, and whoever has the file open may still write.
            sentence = f"The log {shown(str(self._path))}: it was deleted or moved away."
            there = os.fstat(self._file)
        if self._file is None or (there.st_dev, there.st_ino) != self._identity:
            if not self._open():
                return False
        elif there.st_size < self._scanned:
            self._restart("became shorter")
        assert self._file is not None
        self._size = os.fstat(self._file).st_size
        self.state, self.sentence = LogState.READING, sentence
        return True

    def _open(self) -> bool:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would hold the console up.
        file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            os.close(file)
            self._fail(LogState.UNREADABLE, "it is not a regular file")
            return False
        replaced = self._file is not None
        self.close()
        self._file, self._identity = file, (found.st_dev, found.st_ino)
        if replaced:
            self._restart("was replaced")
        return True

    def _restart(self, what: str) -> None:
        self._clear()
        self.generation += 1
        self.restarted = f"The log {what}; it is read again from its beginning."

    def _fail(self, state: LogState, why: str) -> None:
        self.state = state
        self.sentence = f"The log {shown(str(self._path))}: {why}."

    def _take(self, data: bytes, start: int) -> None:
        """Take in bytes that begin at ``start``, which is where a line begins or lies in one."""
        self._scanned = start + len(data)
        if start > self._end:
            stop = data.find(b"\n") + 1
            if not stop:
                return
            self._take_long_line(start + stop)
            data, start = data[stop:], start + stop
        whole = data.rfind(b"\n") + 1
        if whole:
            self._take_lines(data[:whole], start)

    def _take_lines(self, data: bytes, start: int) -> None:
        first = len(self._ends)
        # All in C: this is half of what a line costs.
        lengths = map((1).__add__, map(len, data.split(b"\n")[:-1]))
        ends = accumulate(lengths, initial=start)
        next(ends)
        self._ends.extend(ends)
        known = self._known
        found = SOURCES.findall(data)
        try:
            self._source_ids += bytes(map(known.__getitem__, found))
        except KeyError:
            for source in found:
                self._source_ids.append(known[source] if source in known else self._meet(source))
        self._end = start + len(data)
        for error in self._errors_in.finditer(data):
            number = bisect_right(self._ends, start + error.start(), first)
            self._judge(number, data, (self._ends[number - 1] if number else 0) - start)

    def _take_long_line(self, end: int) -> None:
        start = self._end
        head = self.read(start, min(end, start + LONGEST_HEAD + LONGEST_SHOWN))
        source = head_of(head)[1]
        self._source_ids.append(
            self._known[source] if source in self._known else self._meet(source)
        )
        self._ends.append(end)
        self._end = end
        self._judge(len(self._ends) - 1, head, 0)

    def _judge(self, number: int, data: bytes, begin: int) -> None:
        """Note an error, if it is one: the word may stand in the source, or too far out."""
        stop = data.find(b"\n", begin)
        raw = data[begin : stop if stop >= 0 else len(data)]
        if self._is_error(raw[head_of(raw[:LONGEST_HEAD])[2] :]):
            self.errors.append(number)
            self._first_errors.setdefault(self._source_ids[number], number)

    def _is_error(self, message: bytes) -> bool:
        return self._errors_in.search(message[:LONGEST_SHOWN]) is not None

    def _meet(self, source: bytes) -> int:
        if len(self._names) == MOST_SOURCES:
            return 0
        self._names.append(shown(source.decode("utf-8", "backslashreplace")))
        self._known[source] = len(self._names)
        return len(self._names)
