"""The lines themselves: a window of the file, drawn as it is scrolled to."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollDown, ScrollTo, ScrollUp
from textual.strip import Strip
from textual.widget import Widget

from tui.log.drawing import draw
from tui.log.index import LogIndex
from tui.log.lineup import Lineup
from tui.log.messages import FollowingChanged, MarkChanged
from tui.log.rows import LaidLine, Piece
from tui.log.search import Pattern
from tui.log.window import Place, Window

_COLUMNS_A_KEY = 8
_ROWS_A_WHEEL = 3


class LogView(ScrollView, can_focus=True):
    """A window of a log. It scrolls by its window: Textual's offsets count rows from the first."""

    ALLOW_SELECT = False
    """Dragging marks whole lines; characters are selected the terminal's own way (Shift)."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log--error",
        "log--time",
        "log--source",
        "log--match",
        "log--current-match",
        "log--marked",
        "log--empty",
    }

    DEFAULT_CSS = """
    LogView {
        height: 1fr;
        background: $surface;
        color: $text;
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
        & > .log--error { color: $text-error; text-style: bold; }
        & > .log--time { color: $text-muted; }
        & > .log--source { color: $text-accent; }
        & > .log--match { background: $warning-muted; color: $text-warning; text-style: underline; }
        & > .log--current-match {
            background: $warning;
            color: $background;
            text-style: bold underline;
        }
        & > .log--marked { background: $primary-muted; }
        & > .log--empty { color: $text-muted; text-style: italic; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "scroll_up", "Up", show=False),
        Binding("j", "scroll_down", "Down", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("h", "scroll_left", "Left", show=False),
        Binding("l", "scroll_right", "Right", show=False),
        Binding("space", "page_down", "Page Down", show=False),
    ]

    following: var[bool] = var(True)
    """Whether the view stays at the end of the log."""
    wrap: var[bool] = var(False)
    """Whether long lines go on in the next row."""
    timestamps: var[bool] = var(True)
    """Whether each line begins with its time (UTC, as in the file)."""
    sources: var[bool] = var(True)
    """Whether each line says its source."""
    empty_text: var[str] = var("No log lines yet.")
    """Shown while there is no line in view."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._window = Window()
        self._current: int | None = None
        self._styles: dict[tuple[str, bool, bool], Style] = {}
        self._mark: tuple[int, int] | None = None
        self.marking = False
        """Whether moving extends the mark."""
        self._dragged_from: int | None = None

    def show_log(self, index: LogIndex | None) -> None:
        """Show a log from its end, or none."""
        self._current = None
        self.unmark()
        self._window.show_log(index)
        self._redraw()

    def show_lines(self, lineup: Lineup | None) -> None:
        """Show these lines of the log. What is being read stays where it is as far as it can."""
        self._window.show_lines(lineup)
        self._redraw()

    def highlight(self, pattern: Pattern | None) -> None:
        """Highlight what matches."""
        self._window.pattern = pattern
        self._current = None
        self._window.forget()
        self._redraw()

    def lines_changed(self) -> None:
        """Show the lines that came."""
        self._window.changed()
        self._redraw()

    def watch_wrap(self, wrap: bool) -> None:
        self._window.wrap = wrap
        self.lines_changed()

    def watch_timestamps(self, timestamps: bool) -> None:
        self._window.timestamps = timestamps
        self._window.forget()
        self._redraw()

    def watch_sources(self, sources: bool) -> None:
        self._window.sources = sources
        self._window.forget()
        self._redraw()

    def watch_empty_text(self) -> None:
        self.refresh()

    def watch_following(self, following: bool) -> None:
        self.post_message(FollowingChanged(following))

    def notify_style_update(self) -> None:
        """Forget the styles of the theme that was."""
        super().notify_style_update()
        self._styles.clear()

    def on_mount(self) -> None:
        self._redraw()

    def on_resize(self) -> None:
        self._redraw()

    @property
    def current(self) -> int | None:
        """The number of the line whose match was gone to last."""
        return self._current

    @property
    def column(self) -> int:
        """The cell of a line that is the first on the screen."""
        return self._window.column

    @property
    def marked(self) -> tuple[int, int] | None:
        """The numbers of the first and last marked line."""
        return (min(self._mark), max(self._mark)) if self._mark else None

    def numbers_on_screen(self) -> list[int]:
        """Return the numbers of the lines that are on the screen, wholly or in part."""
        return list(dict.fromkeys(laid.line.number for laid, _row in self._window.rows()))

    def text_of(self, number: int) -> str:
        """Return a line's text as it is shown."""
        return self._window.lay(number).text

    def mark(self) -> None:
        """Begin to mark lines; or end it, and keep what is marked."""
        if self.marking:
            self.marking = False
            self._redraw()
            return
        on_screen = self.numbers_on_screen()
        if not on_screen:
            return
        start = on_screen[-1] if self.following else on_screen[0]
        if self._current is not None and self._current in on_screen:
            start = self._current
        self._window.stay()
        self.marking = True
        self._set_mark((start, start))

    def unmark(self) -> None:
        """Mark nothing."""
        self.marking = False
        if self._mark is not None:
            self._set_mark(None)

    def follow(self) -> None:
        """Go to the end, and stay there."""
        self._window.following = True
        self.lines_changed()

    def go_to(self, number: int) -> None:
        """Bring a line to the screen, and make its match the current one."""
        self._current = number
        self._window.reveal(number, margin=max(1, self._window.height // 3))
        self._redraw()

    def move(self, rows: int) -> None:
        """Scroll by rows; down is positive. While marking, move the mark's end by lines."""
        if self.marking:
            self._extend(rows)
        else:
            self._scroll(rows)

    def move_sideways(self, columns: int) -> None:
        """Scroll by columns; right is positive."""
        if not self.wrap:
            self._window.move_sideways(columns)
            self._redraw()

    def action_scroll_up(self) -> None:
        self.move(-1)

    def action_scroll_down(self) -> None:
        self.move(1)

    def action_page_up(self) -> None:
        self.move(1 - max(2, self._window.height))

    def action_page_down(self) -> None:
        self.move(max(2, self._window.height) - 1)

    def action_scroll_home(self) -> None:
        if self.marking:
            self._extend(-self._window.count)
        else:
            self._go((0, 0))

    def action_scroll_end(self) -> None:
        if self.marking:
            self._extend(self._window.count)
        else:
            self.follow()

    def action_scroll_left(self) -> None:
        self.move_sideways(-_COLUMNS_A_KEY)

    def action_scroll_right(self) -> None:
        self.move_sideways(_COLUMNS_A_KEY)

    def action_page_left(self) -> None:
        self.move_sideways(-self._window.width)

    def action_page_right(self) -> None:
        self.move_sideways(self._window.width)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, -1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, 1)

    def on_mouse_scroll_left(self, event: events.MouseScrollLeft) -> None:
        _take(event)
        self.move_sideways(-_COLUMNS_A_KEY)

    def on_mouse_scroll_right(self, event: events.MouseScrollRight) -> None:
        _take(event)
        self.move_sideways(_COLUMNS_A_KEY)

    def on_scroll_to(self, event: ScrollTo) -> None:
        _take(event)
        if event.y is not None:
            self._go((max(0, round(event.y)), 0))

    def on_scroll_up(self, event: ScrollUp) -> None:
        _take(event)
        self._scroll(-self._window.height)

    def on_scroll_down(self, event: ScrollDown) -> None:
        _take(event)
        self._scroll(self._window.height)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if event.button == 1 and (number := self._number_at(event)) is not None:
            self.capture_mouse()
            self._dragged_from = number
            self.unmark()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._dragged_from is None:
            return
        row = event.get_content_offset_capture(self).y
        if not 0 <= row < self._window.height:
            self._scroll(-1 if row < 0 else 1)
        number = self._number_at(event)
        if number is not None and (self._mark or number != self._dragged_from):
            self._window.stay()
            self._set_mark((self._dragged_from, number))

    def on_mouse_up(self) -> None:
        if self._dragged_from is not None:
            self._dragged_from = None
            self.release_mouse()

    def _number_at(self, event: events.MouseEvent) -> int | None:
        rows = self._window.rows()
        row = event.get_content_offset_capture(self).y
        return rows[max(0, min(row, len(rows) - 1))][0].line.number if rows else None

    def _wheel(self, event: events.MouseEvent, direction: int) -> None:
        _take(event)
        if event.shift or event.ctrl:
            self.move_sideways(direction * _COLUMNS_A_KEY)
        else:
            self._scroll(direction * _ROWS_A_WHEEL)

    def _scroll(self, rows: int) -> None:
        self._go(self._window.walk(self._window.top(), rows))

    def _go(self, place: Place) -> None:
        if self._window.count:
            self._window.set_top(place)
            self._redraw()

    def _extend(self, lines: int) -> None:
        if self._mark is None or not self._window.count:
            return
        number = self._window.number(self._window.place(self._mark[1]) + lines)
        self._window.reveal(number, margin=0)
        self._set_mark((self._mark[0], number))

    def _set_mark(self, mark: tuple[int, int] | None) -> None:
        self._mark = mark
        self.post_message(MarkChanged(self.marked))
        self._redraw()

    def _redraw(self) -> None:
        if not self.is_attached:
            return
        window, size = self._window, self.scrollable_content_region.size
        window.resize(size.width, size.height)
        self.following = window.following
        # The scroll bar is told here and not by Textual's reactive, which would lay the whole
        # screen out anew with every batch of lines; no size depends on it.
        end, top = window.end(), window.top()
        last = end[0] + (end[1] > 0)
        position = last if top == end else top[0]
        self.set_reactive(Widget.virtual_size, Size(size.width, last + size.height))
        self.set_reactive(Widget.scroll_target_y, float(position))
        self.set_scroll(None, position)
        bar = self.vertical_scrollbar
        bar.window_virtual_size, bar.window_size = last + size.height, size.height
        bar.position = position
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw one row of the screen."""
        width = self._window.width
        rows = self._window.rows()
        if y < len(rows):
            laid, row = rows[y]
            piece = laid.row(row, width) if self.wrap else laid.crop(self.column, width)
            return self._draw(laid, piece, width)
        if y == 0:
            text = Segment(self.empty_text, self.get_component_rich_style("log--empty"))
            return Strip([text]).adjust_cell_length(width, self.rich_style)
        return Strip.blank(width, self.rich_style)

    def _draw(self, laid: LaidLine, piece: Piece, width: int) -> Strip:
        number, error = laid.line.number, laid.line.error
        marked = self.marked is not None and self.marked[0] <= number <= self.marked[1]
        segments = draw(
            laid,
            piece,
            current=number == self._current,
            style_of=lambda part: self._style(part, error, marked),
        )
        return Strip(segments).adjust_cell_length(width, self._style("text", False, marked))

    def _style(self, part: str, error: bool, marked: bool) -> Style:
        key = (part, error, marked)
        if (style := self._styles.get(key)) is None:
            if part == "text":
                style = self.get_component_rich_style("log--error") if error else self.rich_style
            else:
                style = self.get_component_rich_style(f"log--{part}")
            if marked and not part.endswith("match"):
                style += Style(bgcolor=self.get_component_rich_style("log--marked").bgcolor)
            self._styles[key] = style
        return style


def _take(event: events.Event | ScrollTo | ScrollUp | ScrollDown) -> None:
    """Keep an event from Textual's own scrolling."""
    event.stop()
    event.prevent_default()
