"""A container's log as bytes turned into lines, each delivered once however often it is replayed.

The server's timestamps are the only thread through a broken stream. They have nanoseconds, but the
server takes only whole seconds to begin from, so a reopened stream repeats about a second.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

LONGEST_LINE = 1 << 20
"""Bytes of a line, its timestamp included, that are kept."""
_FRAGMENT = 16384
"""The runtime writes a longer line in pieces of this many bytes, each with a time of its own."""
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d) ")
# stdout and stderr are out of order by microseconds, which may cross a second. A second more than
# needed would cost a busy log's server as much again.
_REPEATED = timedelta(milliseconds=100)
# Longer than what is repeated: a clock may be set back a little.
_REMEMBERED_S = 4
# A line that lies across the beginning of what is repeated comes back as its tail only.
_LONG_LINES = 4


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a container's log."""

    time: datetime
    """When it was written, by the node's clock, in UTC."""
    text: str
    """Without its newline; bytes that are not UTF-8 as backslash escapes."""


@dataclass(frozen=True, slots=True)
class RawLine:
    """One line as the server sent it."""

    data: bytes
    """At most :data:`LONGEST_LINE` bytes."""
    dropped: int = 0
    """Bytes that followed."""


class Splitter:
    """Cuts a stream into lines; what is kept of one is bounded."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._kept = 0
        self._dropped = 0

    def feed(self, data: bytes) -> list[RawLine]:
        """Return the lines that ``data`` completes."""
        first, *others = data.split(b"\n")
        self._add(first)
        if not others:
            return []
        lines = [self.rest()]
        for piece in others[:-1]:
            self._add(piece)
            lines.append(self.rest())
        self._add(others[-1])
        return lines

    def rest(self) -> RawLine:
        """Return what came since the last newline, and forget it."""
        line = RawLine(b"".join(self._pieces), self._dropped)
        self._pieces, self._kept, self._dropped = [], 0, 0
        return line

    def _add(self, piece: bytes) -> None:
        kept = piece[: LONGEST_LINE - self._kept]
        self._pieces.append(kept)
        self._kept += len(kept)
        self._dropped += len(piece) - len(kept)


class Window:
    """Knows which lines were delivered lately, and tells new lines from repeated ones."""

    def __init__(self) -> None:
        self._delivered: dict[int, Counter[int]] = {}
        self._last: datetime | None = None
        self._long_texts: deque[str] = deque(maxlen=_LONG_LINES)
        self._expected: dict[int, Counter[int]] = {}
        self._recognised = True
        self._at_beginning = False
        self.server_words = ""
        """What the server said in place of lines since the stream was opened."""

    def reopen(self) -> datetime | None:
        """Expect a repetition; return the time from which to ask for it."""
        self.server_words = ""
        if self._last is None:
            return None
        since = int((self._last - _REPEATED).timestamp())
        self._expected = {
            second: counts.copy() for second, counts in self._delivered.items() if second >= since
        }
        self._recognised, self._at_beginning = False, True
        return datetime.fromtimestamp(since, UTC)

    @property
    def is_recognised(self) -> bool:
        """Whether something of what was delivered came again; otherwise lines may be missing."""
        return self._recognised

    def accept(self) -> None:
        """Take what came as the log's continuation, although nothing was recognised."""
        self._recognised = True

    def new(self, lines: Iterable[RawLine]) -> list[LogLine]:
        """Return those lines that were not delivered before, and remember them."""
        return [line for raw in lines if (line := self._line(raw)) is not None]

    def _line(self, raw: RawLine) -> LogLine | None:
        stamp = _STAMP.match(raw.data)
        if stamp is None:
            # With timestamps asked for, this is no output of the container.
            if raw.data:
                self.server_words = raw.data[:500].decode("utf-8", "backslashreplace")
            return None
        time = datetime.fromisoformat(raw.data[: stamp.end() - 1].decode("ascii"))
        second = int(time.timestamp())
        key = hash((raw.data, raw.dropped)) if raw.dropped else hash(raw.data)
        at_beginning, self._at_beginning = self._at_beginning, False
        if (expected := self._expected.get(second)) and expected[key] > 0:
            expected[key] -= 1
            self._recognised = True
            return None
        text = _text(raw, stamp.end())
        if at_beginning and text and any(each.endswith(text) for each in self._long_texts):
            return None
        self._last = time
        self._remember(second, key)
        if len(raw.data) > _FRAGMENT:
            self._long_texts.append(text)
        return LogLine(time if time.tzinfo is UTC else time.astimezone(UTC), text)

    def _remember(self, second: int, key: int) -> None:
        counts = self._delivered.get(second)
        if counts is None:
            newest = max(self._delivered, default=second)
            for old in [each for each in self._delivered if each < newest - _REMEMBERED_S]:
                del self._delivered[old]
            counts = self._delivered[second] = Counter()
        counts[key] += 1


def _text(raw: RawLine, start: int) -> str:
    content = raw.data[start:]
    if len(content) > _FRAGMENT:
        content = _without_inner_stamps(content)
    text = content.decode("utf-8", "backslashreplace")
    return f"{text} [{raw.dropped} more bytes]" if raw.dropped else text


def _without_inner_stamps(content: bytes) -> bytes:
    """Undo what older kubelets do: they send the time of every fragment, not only of the first."""
    pieces, start = [], 0
    while stamp := _STAMP.match(content, start + _FRAGMENT):
        pieces.append(content[start : start + _FRAGMENT])
        start = stamp.end()
    return b"".join([*pieces, content[start:]])
