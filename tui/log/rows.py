"""How a line lies in cells: which characters fall on which row, and where a match is in them."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from rich.cells import get_character_cell_size

from tui.log.lines import LogLine
from tui.log.search import Pattern


class Piece(NamedTuple):
    """The characters of a line that a row shows."""

    start: int
    end: int
    pad: int = 0
    """Cells to leave empty before them, where a wide character is cut in two."""


class LaidLine:
    """One line's text as it is laid out: time, source, message."""

    def __init__(
        self, line: LogLine, *, timestamps: bool, sources: bool, pattern: Pattern | None
    ) -> None:
        time = f"{line.time[11:19]} " if timestamps and line.time else ""
        source = f"{line.source} " if sources and line.source else ""
        self.line = line
        self.text = f"{time}{source}{line.text}"
        self.time_end = len(time)
        self.source_end = len(time) + len(source)
        self._cells: array[int] | None = None
        if not self.text.isascii():
            # The sum is right because shown() left nothing in that joins characters.
            self._cells = array("I", accumulate(map(get_character_cell_size, self.text)))
        self._found = pattern.spans(line.text) if pattern else iter(())
        self._spans: list[tuple[int, int]] = []
        self._rows: tuple[int, tuple[int, ...] | range] = (0, (0,))

    @property
    def width(self) -> int:
        """Cells that the whole line takes."""
        if self._cells is None:
            return len(self.text)
        return self._cells[-1]

    def rows(self, width: int) -> tuple[int, ...] | range:
        """Return the character that each row begins with when rows have ``width`` cells."""
        if self._rows[0] != width:
            self._rows = (width, self._break(width))
        return self._rows[1]

    def _break(self, width: int) -> tuple[int, ...] | range:
        if self._cells is None:
            return range(0, max(1, len(self.text)), width)
        starts, start, taken = [0], 0, 0
        while self._cells[-1] - taken > width:
            # A wide character on a row of one cell is cut, so that there is an end to this.
            start = max(start + 1, bisect_right(self._cells, taken + width))
            taken = self._cells[start - 1]
            starts.append(start)
        return tuple(starts)

    def row(self, number: int, width: int) -> Piece:
        """Return what a row shows."""
        starts = self.rows(width)
        end = starts[number + 1] if number + 1 < len(starts) else len(self.text)
        return Piece(starts[number], end)

    def crop(self, column: int, width: int) -> Piece:
        """Return what the cells from ``column`` on show."""
        cells = self._cells
        if cells is None:
            return Piece(column, min(len(self.text), column + width))
        start = bisect_right(cells, column) if column else 0
        if start == len(cells):
            return Piece(start, start)
        pad = 0
        if start and cells[start - 1] < column:
            pad = cells[start] - column
            # The marks that stand on a character go with it.
            start = bisect_right(cells, cells[start])
        return Piece(start, max(start, bisect_right(cells, column + width)), pad)

    def spans(self, end: int) -> Sequence[tuple[int, int]]:
        """Return the matches, in characters of the text, as far as they begin before ``end``."""
        spans = self._spans
        while not spans or spans[-1][0] < end:
            found = next(self._found, None)
            if found is None:
                break
            spans.append((found[0] + self.source_end, found[1] + self.source_end))
        return spans
