"""Searching a log by regular expression, a slice at a time. RE2 takes time in proportion to the
text whatever the pattern, so none can hang the console.
"""

from __future__ import annotations

import itertools
import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator

import re2

from tui.log.index import LogIndex
from tui.log.lines import LONGEST_SHOWN, MESSAGES, head_of, is_shown_as_it_is, shown_text

MOST_SPANS = 2_000
"""Matches of one line that are told apart for highlighting."""

# Larger programs take more than 50 ms for one line of LONGEST_SHOWN bytes when RE2 has to fall
# back on its slow machine.
_LARGEST_PROGRAM = 10_000

_SMALLEST_BLOCK = 4_096
_LARGEST_BLOCK = 262_144
# Lines whose source is looked at in one go: 3 ms when all of them are of it.
_SOURCE_LINES = 16_384
# A block that took longer than this is followed by a smaller one.
_LONGEST_BLOCK_S = 0.002

# Where a match may depend on what precedes the message in its line.
_LOOKS_LEFT = re.compile(r"\^|\\[bBA]")
# What means something else when several lines are searched at once, or inside a larger pattern.
_NEEDS_ONE_LINE = re.compile(r"\\[AzQ]|\(\?[a-zA-Z]*-")
_LITERAL = re.compile(r"[A-Za-z0-9 _:/=,%@#!\"'<>;&~-]+")


class PatternError(Exception):
    """A pattern that cannot be searched for, in one sentence."""


class Pattern:
    """A compiled pattern. Search and highlighting both ask this one.

    Raises:
        PatternError: it cannot be used.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        # Smart case: a capital letter says that case matters. \\S and the like are no capitals.
        plain = re.sub(r"\\p\{[^}]*\}|\\[pP].|\\.", "", pattern)
        self.case_sensitive = plain != plain.lower()
        if "\\C" in pattern:
            raise PatternError("Not a regular expression: half a character (\\C) matches nothing.")
        self._compiled = self._compile(pattern)
        if self._compiled.programsize > _LARGEST_PROGRAM:
            raise PatternError("The pattern is too large; write it with smaller repetitions.")
        self.needs_one_line = _NEEDS_ONE_LINE.search(pattern) is not None
        self.looks_left = _LOOKS_LEFT.search(pattern) is not None
        literal = _LITERAL.fullmatch(pattern) is not None
        self.literal = pattern.encode() if literal else b""
        """Not empty: nothing in the pattern has a special meaning."""
        # It would be found once more at the end of each line, so its lines are asked one by one.
        self._matches_nothing = self._compiled.search("") is not None
        # One match a line, because it swallows the rest of the line.
        self._in_lines = (
            self._compiled if self.needs_one_line else self._compile(f"(?m:(?:{pattern})[^\n]*)")
        )

    def _compile(self, pattern: str) -> re2._Regexp:
        options = re2.Options()
        options.log_errors = False
        options.never_nl = True
        options.case_sensitive = self.case_sensitive
        try:
            return re2.compile(pattern, options)
        except (re2.error, UnicodeEncodeError) as error:
            reason = error.args[0] if isinstance(error, re2.error) else "not text"
            if isinstance(reason, bytes):
                reason = reason.decode("utf-8", "backslashreplace")
            raise PatternError(f"Not a regular expression: {reason}.") from None

    def matches(self, text: str) -> bool:
        """Return whether a message matches."""
        return self._compiled.search(text.encode()) is not None

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Return the places of a message that match, from left to right."""
        found = itertools.islice(self._compiled.finditer(text), MOST_SPANS)
        return (match.span() for match in found if match.end() > match.start())

    def is_in(self, block: bytes) -> bool:
        """Return whether there is a match somewhere in a block of lines."""
        return self._in_lines.search(block) is not None

    def matching(self, messages: list[bytes]) -> Iterator[int]:
        """Return the places, in a list of messages that are shown as they are, of those that
        match.
        """
        block = b"\n".join(messages)
        if self.literal and (self.case_sensitive or block.isascii()):
            if not self.case_sensitive:
                messages = block.lower().split(b"\n")
            return (place for place, text in enumerate(messages) if self.literal in text)
        if self._matches_nothing:
            search = self._compiled.search
            return (place for place, text in enumerate(messages) if search(text))
        ends = list(itertools.accumulate(len(message) + 1 for message in messages))
        places = (bisect_left(ends, match.start() + 1) for match in self._in_lines.finditer(block))
        # A word's end (\\b) that is a line's end is found a second time.
        return (place for place, _again in itertools.groupby(places))


class Search:
    """The numbers of the lines that match, as far as they were searched.

    A last line without an end counts too; it is looked at anew whenever it has changed.
    """

    def __init__(self, pattern: Pattern | None, index: LogIndex, source: int | None = None) -> None:
        """``pattern``: none matches every line. ``source``: only lines of this source's id."""
        self.pattern = pattern
        self._index = index
        self._source = source
        self._restart()

    def _restart(self) -> None:
        self._generation = self._index.generation
        self._next = 0
        self._tail_seen = 0
        self._tail_matches = False
        self._block_bytes = _SMALLEST_BLOCK
        self.matches = array("Q")
        """The numbers, in order."""

    @property
    def done(self) -> bool:
        """Whether every line known by now was searched."""
        index = self._index
        if self._generation != index.generation or self._next < index.complete:
            return False
        return self._tail_seen == index.scanned

    @property
    def progress(self) -> float:
        """How much of the lines known by now was searched, from 0 to 1."""
        return self._next / max(1, self._index.complete) if not self.done else 1.0

    def step(self, seconds: float, clock: Callable[[], float]) -> bool:
        """Search on for about this long. Returns whether there is more to search now."""
        if self._generation != self._index.generation:
            self._restart()
        if self.done:
            return False
        if self._tail_matches:
            self.matches.pop()
            self._tail_matches = False
        now = clock()
        end = now + seconds
        while self._next < self._index.complete:
            if not self._search_block():
                return False
            before, now = now, clock()
            self._adapt(now - before)
            if now >= end and self._next < self._index.complete:
                return True
        self._search_tail()
        return False

    def _adapt(self, seconds: float) -> None:
        if seconds > _LONGEST_BLOCK_S:
            self._block_bytes = max(_SMALLEST_BLOCK, self._block_bytes // 2)
        elif seconds < _LONGEST_BLOCK_S / 3:
            self._block_bytes = min(_LARGEST_BLOCK, self._block_bytes * 2)

    def _search_block(self) -> bool:
        """Search the next block. Returns whether it could be read."""
        first = self._next
        if self.pattern is None:
            self._take_source(first, self._index.complete)
            return True
        block, count = self._index.block(first, self._block_bytes)
        if not count:
            return False
        for place in self._matching(self.pattern, block, first):
            if self._source is None or self._index.source_ids[first + place] == self._source:
                self.matches.append(first + place)
        self._next = first + count
        return True

    def _matching(self, pattern: Pattern, block: bytes, first: int) -> Iterator[int]:
        if not block:
            return iter([0] if pattern.matches(self._index.line(first).text) else [])
        if not is_shown_as_it_is(block):
            return self._one_by_one(pattern, block)
        # Most blocks hold no match, and to say so of a block costs a tenth of a search of it.
        whole = not (pattern.needs_one_line or pattern.looks_left)
        if whole and not pattern.is_in(block):
            return iter(())
        messages = MESSAGES.findall(block)
        if pattern.needs_one_line or len(max(messages, key=len)) > LONGEST_SHOWN:
            return self._one_by_one(pattern, block)
        return pattern.matching(messages)

    @staticmethod
    def _one_by_one(pattern: Pattern, block: bytes) -> Iterator[int]:
        for place, raw in enumerate(block.split(b"\n")[:-1]):
            if pattern.matches(shown_text(raw[head_of(raw)[2] :])):
                yield place

    def _take_source(self, first: int, last: int) -> None:
        last = min(last, first + _SOURCE_LINES)
        assert self._source is not None
        identity, find = bytes([self._source]), self._index.source_ids.find
        place = find(identity, first, last)
        while place >= 0:
            self.matches.append(place)
            place = find(identity, place + 1, last)
        self._next = last

    def _search_tail(self) -> None:
        """Look at the last line if it has no end yet."""
        index = self._index
        self._tail_seen = index.scanned
        if index.count == index.complete:
            return
        line = index.line(index.complete)
        if self._source is not None and (
            not line.source or line.source != index.sources[self._source - 1]
        ):
            return
        if self.pattern is None or self.pattern.matches(line.text):
            self.matches.append(line.number)
            self._tail_matches = True
