"""Which lines are in view: all of them, or those that a search chose."""

from __future__ import annotations

from bisect import bisect_left
from typing import Protocol

from tui.log.index import LogIndex
from tui.log.search import Search


class Lineup(Protocol):
    """Lines by their place among those in view."""

    def __len__(self) -> int: ...

    def number(self, place: int) -> int:
        """Return the number, in the file, of the line at a place."""

    def place(self, number: int) -> int:
        """Return the place of a line, or of the next one in view."""


class AllLines:
    """Every line of the file."""

    def __init__(self, index: LogIndex) -> None:
        self._index = index

    def __len__(self) -> int:
        return self._index.count

    def number(self, place: int) -> int:
        """Return the number, in the file, of the line at a place."""
        return place

    def place(self, number: int) -> int:
        """Return the place of a line, or of the next one in view."""
        return min(number, self._index.count)


class FoundLines:
    """The lines that a search has found so far."""

    def __init__(self, search: Search) -> None:
        self._search = search

    def __len__(self) -> int:
        return len(self._search.matches)

    def number(self, place: int) -> int:
        """Return the number, in the file, of the line at a place."""
        return self._search.matches[place]

    def place(self, number: int) -> int:
        """Return the place of a line, or of the next one in view."""
        return bisect_left(self._search.matches, number)


def holds(lineup: Lineup, number: int) -> bool:
    """Return whether a line is in view."""
    place = lineup.place(number)
    return place < len(lineup) and lineup.number(place) == number
