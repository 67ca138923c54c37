"""Where a view stands in a log, and which rows that puts on the screen.

It is a line's number and a character of it, so that neither wrapping, nor resizing, nor filtering
has to count the rows of anything but what is on the screen, and lines that come never move what
is being read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from tui.log.index import LogIndex
from tui.log.lineup import AllLines, Lineup
from tui.log.rows import LaidLine
from tui.log.search import Pattern

_CACHED_LINES = 512

Place = tuple[int, int]
"""The place of a line among those in view, and a row of it."""


class Window:
    """A window of ``width`` by ``height`` cells over the lines in view."""

    def __init__(self) -> None:
        self.width = 0
        self.height = 0
        self.following = True
        """Whether it stays at the end."""
        self.wrap = False
        self.timestamps = True
        self.sources = True
        self.pattern: Pattern | None = None
        self.column = 0
        """The cell of each line that is the first on the screen."""
        self._index: LogIndex | None = None
        self._lineup: Lineup | None = None
        self._line = 0
        self._character = 0
        self._laid: OrderedDict[int, LaidLine] = OrderedDict()
        self._frame: list[tuple[LaidLine, int]] | None = None

    def show_log(self, index: LogIndex | None) -> None:
        """Stand at the end of a log, or of nothing."""
        self._index = index
        self._line = self._character = self.column = 0
        self.following = True
        self.show_lines(AllLines(index) if index else None)

    def show_lines(self, lineup: Lineup | None) -> None:
        """Stand over these lines of the log, as near as can be to where it stood."""
        self._lineup = lineup
        self.forget()

    def forget(self) -> None:
        """Lay the lines out anew: something about it changed."""
        self._laid.clear()
        self._frame = None

    def changed(self) -> None:
        """Look anew which rows are on the screen."""
        self._frame = None

    @property
    def count(self) -> int:
        """Lines in view, on the screen or not."""
        return len(self._lineup) if self._lineup else 0

    def number(self, place: int) -> int:
        """Return the number of the line at a place, or at the nearest there is."""
        assert self._lineup is not None
        return self._lineup.number(max(0, min(place, self.count - 1)))

    def place(self, number: int) -> int:
        """Return the place of a line."""
        assert self._lineup is not None
        return self._lineup.place(number)

    def lay(self, number: int) -> LaidLine:
        """Return a line as it is laid out."""
        if laid := self._laid.get(number):
            self._laid.move_to_end(number)
            return laid
        assert self._index is not None
        laid = LaidLine(
            self._index.line(number),
            timestamps=self.timestamps,
            sources=self.sources,
            pattern=self.pattern,
        )
        if laid.line.complete:
            self._laid[number] = laid
            if len(self._laid) > _CACHED_LINES:
                self._laid.popitem(last=False)
        return laid

    def rows_at(self, place: int) -> int:
        """Return how many rows the line at a place takes."""
        return len(self._starts(self.number(place)))

    def end(self) -> Place:
        """Return where the screen begins when it shows the end."""
        if not self.wrap:
            return max(0, self.count - self.height), 0
        place, rows = self.count, 0
        while place > 0 and rows < self.height:
            place -= 1
            rows += self.rows_at(place)
        return place, max(0, rows - self.height)

    def top(self) -> Place:
        """Return where the screen begins now."""
        end = self.end()
        if self.following or not self.count:
            return end
        place, row = self.place(self._line), 0
        if self.wrap and place < self.count and self.number(place) == self._line:
            row = sum(start <= self._character for start in self._starts(self._line)[1:])
        return min((place, row), end)

    def walk(self, top: Place, rows: int) -> Place:
        """Return the place some rows further on (down is positive), as far as there are any."""
        if not self.wrap:
            return max(0, min(top[0] + rows, self.count - 1)), 0
        place, row = top[0], top[1] + rows
        while row < 0 and place > 0:
            place -= 1
            row += self.rows_at(place)
        while place < self.count - 1 and row >= (have := self.rows_at(place)):
            place, row = place + 1, row - have
        return place, max(0, row)

    def set_top(self, top: Place) -> None:
        """Stand at a place. At the end it follows."""
        end = self.end()
        top = min(top, end)
        self._line = self.number(top[0])
        starts = self._starts(self._line)
        self._character = starts[min(top[1], len(starts) - 1)]
        self.following = top == end
        self._frame = None

    def stay(self) -> None:
        """Follow no more, and stand where it is."""
        if self.following and self.count:
            self.set_top(self.top())
            self.following = False

    def reveal(self, number: int, margin: int) -> None:
        """Bring a line to the screen, ``margin`` rows below its top; not at all if it is there."""
        on_screen = self.rows()
        shown = sum(laid.line.number == number for laid, _row in on_screen)
        place = self.place(number)
        if place < self.count and shown < min(self.rows_at(place), len(on_screen)):
            below = bool(on_screen) and number >= on_screen[-1][0].line.number
            rows = self.height - self.rows_at(place) if below and not margin else margin
            self.set_top(self.walk((place, 0), -max(0, rows)))
        self.stay()

    def move_sideways(self, columns: int) -> None:
        """Scroll by columns, as far as the lines on the screen go."""
        widest = max((laid.width for laid, _row in self.rows()), default=0)
        furthest = max(self.column, widest - self.width)
        self.column = max(0, min(self.column + columns, furthest))

    def resize(self, width: int, height: int) -> None:
        """Take another size."""
        if (width, height) != (self.width, self.height):
            self.width, self.height, self._frame = width, height, None

    def rows(self) -> list[tuple[LaidLine, int]]:
        """Return the line, and which row of it, for each row of the screen that has one."""
        if self._frame is None:
            self._frame = list(self._fill())
        return self._frame

    def _starts(self, number: int) -> tuple[int, ...] | range:
        return self.lay(number).rows(max(1, self.width)) if self.wrap else (0,)

    def _fill(self) -> Iterator[tuple[LaidLine, int]]:
        if not self.count or not self.width:
            return
        (place, row), rows = self.top(), self.height
        while rows > 0 and place < self.count:
            laid = self.lay(self.number(place))
            for number in range(row, min(row + rows, self.rows_at(place))):
                rows -= 1
                yield laid, number
            place, row = place + 1, 0
