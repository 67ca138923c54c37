"""What a panel works with: a log's index, what is searched in it, and which lines are in view."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path

from tui.log.index import LogIndex
from tui.log.lineup import AllLines, FoundLines, Lineup, holds
from tui.log.search import Pattern, Search

# About 4 ms of work.
_READ_BYTES = 98_304
# Error lines that are tried, for the first that is in view, before the question is given up.
_MOST_ERRORS_TRIED = 20_000


class Feed:
    """One log, as far as it was read and searched. It works only while ``step()`` runs."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.index = LogIndex(path)
        self.search: Search | None = None
        self.source: int | None = None
        """The id of the only source in view."""
        self.only_matches = False
        self._of_source: Search | None = None
        self._clock = clock

    def step(self, seconds: float) -> bool:
        """Read, then search, for about this long. Returns whether there is more to do."""
        end = self._clock() + seconds
        reading = self.index.read_more(_READ_BYTES)
        while reading and self._clock() < end:
            reading = self.index.read_more(_READ_BYTES)
        more = reading
        for search in (self._of_source, self.search):
            if search is not None:
                # Each gets its turn even when reading took all the time there was.
                more |= search.step(max(seconds / 4, end - self._clock()), self._clock)
        return more

    @property
    def reading(self) -> float:
        """How much of the file was read, from 0 to 1."""
        return self.index.scanned / self.index.size if self.index.size else 1.0

    @property
    def lineup(self) -> Lineup:
        """The lines in view."""
        if self.only_matches and self.search is not None:
            return FoundLines(self.search)
        return FoundLines(self._of_source) if self._of_source else AllLines(self.index)

    @property
    def source_name(self) -> str:
        """The only source in view; empty when all are."""
        return self.index.sources[self.source - 1] if self.source else ""

    def search_for(self, pattern: Pattern | None) -> None:
        """Search for a pattern, or no more."""
        self.search = Search(pattern, self.index, self.source) if pattern else None

    def next_source(self) -> None:
        """Show only the next source's lines; after the last source, all lines."""
        known = len(self.index.sources)
        self.source = (self.source or 0) + 1 if (self.source or 0) < known else None
        self._of_source = Search(None, self.index, self.source) if self.source else None
        self.search_for(self.search.pattern if self.search else None)

    def forget_source(self) -> None:
        """Show all sources: the ids of the sources are new."""
        self.source = self._of_source = None
        self.search_for(self.search.pattern if self.search else None)

    def match_after(self, number: int) -> int | None:
        """Return the first matching line behind a line, if one is known."""
        matches = self.search.matches if self.search else ()
        place = bisect_right(matches, number)
        return matches[place] if place < len(matches) else None

    def match_before(self, number: int) -> int | None:
        """Return the last matching line before a line, if one is known."""
        matches = self.search.matches if self.search else ()
        place = bisect_left(matches, number)
        return matches[place - 1] if place else None

    def match_round(self, number: int, *, forward: bool) -> int:
        """Return the next match in a direction, beginning anew where there is none. There has to
        be a match.
        """
        assert self.search is not None
        found = self.match_after(number) if forward else self.match_before(number)
        return self.search.matches[0 if forward else -1] if found is None else found

    def first_error(self) -> int | None:
        """Return the first error among the lines in view."""
        first = self.index.first_error(self.source)
        lineup = self.lineup
        if first is None or holds(lineup, first):
            return first
        errors, place = self.index.errors, 0
        for _ in range(_MOST_ERRORS_TRIED):
            at = lineup.place(errors[place])
            if at >= len(lineup):
                return None
            number = lineup.number(at)
            if number == errors[place]:
                return number
            place = bisect_left(errors, number)
            if place == len(errors):
                return None
        return None

    def numbers(self, first: int, last: int) -> Iterator[int]:
        """Return the numbers of the lines in view from ``first`` to ``last``."""
        lineup = self.lineup
        for place in range(lineup.place(first), len(lineup)):
            number = lineup.number(place)
            if number > last:
                return
            yield number

    def ranges(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Return where the lines in view from ``first`` to ``last`` lie in the file."""
        if isinstance(self.lineup, AllLines):
            yield self.index.span(first, last + 1)
        else:
            for number in self.numbers(first, last):
                yield self.index.span(number, number + 1)

    def count(self, first: int, last: int) -> int:
        """Return how many lines are in view from ``first`` to ``last``."""
        return self.lineup.place(last + 1) - self.lineup.place(first)
