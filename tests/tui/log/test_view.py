"""The window stands still while one reads, scrolls by rows, and draws only printable cells."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from rich.cells import cell_len
from textual.app import App, ComposeResult

from tests.tui.log.logs import HOSTILE, append, line, numbered, read_all
from tui.log.index import LogIndex
from tui.log.rows import LaidLine
from tui.log.search import Pattern
from tui.log.view import LogView
from tui.log.window import Window

WIDTH, HEIGHT = 40, 10


def index_of(path: Path, data: bytes) -> LogIndex:
    path.write_bytes(data)
    index = LogIndex(path)
    read_all(index)
    return index


def window_over(index: LogIndex, *, wrap: bool = False, width: int = WIDTH) -> Window:
    window = Window()
    window.resize(width, HEIGHT)
    window.wrap = wrap
    window.timestamps = window.sources = False
    window.show_log(index)
    return window


def texts(window: Window) -> list[str]:
    """What each row of the screen shows."""
    shown = []
    for laid, row in window.rows():
        piece = laid.row(row, window.width) if window.wrap else laid.crop(0, window.width)
        shown.append(laid.text[piece.start : piece.end])
    return shown


def scroll(window: Window, rows: int) -> None:
    window.set_top(window.walk(window.top(), rows))


LONG = [("ab" * 45), "short", "", "日本" * 30, "e\u0301" * 50, "x" * 40, "y" * 41, "end"] * 3


def test_wrapped_rows_of_all_lines_are_what_scrolling_shows(tmp_path: Path) -> None:
    index = index_of(tmp_path / "log", b"".join(map(line, LONG)))
    window = window_over(index, wrap=True)
    window.set_top((0, 0))
    seen = texts(window)
    while not window.following:
        scroll(window, 1)
        seen.append(texts(window)[-1])
    assert "".join(seen) == "".join(LONG)
    assert all(cell_len(row) <= WIDTH for row in seen)
    back = list(reversed(texts(window)))
    while window.top() != (0, 0):
        scroll(window, -1)
        back.append(texts(window)[0])
    assert list(reversed(back)) == seen


@pytest.mark.parametrize("wrap", [False, True])
@given(steps=some.lists(some.integers(-25, 25), max_size=12))
def test_lines_that_come_never_move_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], wrap: bool
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    index = index_of(path, b"".join(map(line, LONG)))
    window = window_over(index, wrap=wrap)
    for step in steps:
        scroll(window, step)
        before, following = texts(window), window.following
        append(path, line("more") * 3)
        read_all(index)
        window.changed()
        assert texts(window)[-1] == "more" if following else texts(window) == before


def test_resizing_keeps_what_is_read_on_the_screen(tmp_path: Path) -> None:
    index = index_of(tmp_path / "log", b"".join(map(line, LONG)))
    window = window_over(index, wrap=True)
    window.set_top((3, 1))
    first = texts(window)[0]
    begin = window.rows()[0][0].row(1, WIDTH).start
    for width in (17, 80, 23, 5):
        window.resize(width, HEIGHT)
        laid, row = window.rows()[0]
        piece = laid.row(row, width)
        assert laid.line.number == 3
        assert piece.start <= begin < piece.end
    window.resize(WIDTH, HEIGHT)
    assert texts(window)[0] == first


def test_wrapping_and_scrolling_read_only_what_is_on_the_screen(tmp_path: Path) -> None:
    index = index_of(tmp_path / "log", numbered(20_000))
    window = window_over(index)
    # The file could not be read any more, so lines beyond those below cannot have been.
    asked: set[int] = set()
    read = index.line

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(index, name)

        def line(self, number: int) -> object:
            asked.add(number)
            return read(number)

    window.show_log(Watched())  # type: ignore[arg-type]
    window.rows()
    window.wrap = True
    window.changed()
    window.rows()
    window.resize(60, HEIGHT)
    window.set_top((10_000, 0))
    window.rows()
    assert len(asked) <= 3 * HEIGHT


TEXT = some.text(
    some.sampled_from(
        "ab 日本語한\u0301\u0302\U0001f680é\u2764\ufe0f\U0001f1e9\U0001f44d\U0001f3fd\u0e33\u094d"
    ),
    max_size=60,
)


def laid_out(tmp: Path, message: bytes, pattern: Pattern | None = None) -> LaidLine:
    index = index_of(tmp / "log", line("")[:-1] + message.replace(b"\n", b"") + b"\n")
    laid = LaidLine(index.line(0), timestamps=True, sources=True, pattern=pattern)
    index.close()
    return laid


@given(text=TEXT, width=some.integers(2, 30))
def test_rows_hold_the_whole_line_and_none_is_too_wide(
    tmp_path_factory: pytest.TempPathFactory, text: str, width: int
) -> None:
    laid = laid_out(tmp_path_factory.mktemp("log"), text.encode())
    pieces = [laid.row(row, width) for row in range(len(laid.rows(width)))]
    assert "".join(laid.text[piece.start : piece.end] for piece in pieces) == laid.text
    assert all(cell_len(laid.text[piece.start : piece.end]) <= width for piece in pieces)
    assert laid.width == cell_len(laid.text)


@given(text=TEXT, column=some.integers(0, 130), width=some.integers(2, 40))
def test_a_crop_begins_and_ends_at_its_cells(
    tmp_path_factory: pytest.TempPathFactory, text: str, column: int, width: int
) -> None:
    laid = laid_out(tmp_path_factory.mktemp("log"), text.encode())
    piece = laid.crop(column, width)
    shown = laid.text[piece.start : piece.end]
    assert piece.pad + cell_len(shown) <= width
    missing = max(0, min(laid.width - column, width)) - piece.pad - cell_len(shown)
    # Only the half of a wide character that the right edge cuts is missing.
    assert missing in (0, 1)
    if shown and column:
        assert cell_len(laid.text[: piece.start]) == column + piece.pad


class ViewApp(App[None]):
    def __init__(self, index: LogIndex) -> None:
        super().__init__()
        self.index = index

    def compose(self) -> ComposeResult:
        yield LogView()

    def on_mount(self) -> None:
        self.query_one(LogView).show_log(self.index)


@pytest.mark.parametrize("wrap", [False, True])
async def test_hostile_text_is_drawn_as_printable_cells_of_the_right_width(
    tmp_path: Path, wrap: bool
) -> None:
    data = b"".join(b"%b\n%b" % (text, line("")[:-1] + text + b"\n") for text in HOSTILE)
    app = ViewApp(index_of(tmp_path / "log", data))
    async with app.run_test(size=(60, 20)) as pilot:
        view = app.query_one(LogView)
        view.highlight(Pattern(r"[xe日]|\\u"))
        view.wrap = wrap
        await pilot.press("home")
        for key in ["right"] * 6 + ["down"] * 12 + ["pagedown"] * 30 + ["end"]:
            await pilot.press(key)
            for y in range(20):
                strip = view.render_line(y)
                text = "".join(segment.text for segment in strip)
                assert text.isprintable()
                assert not any(segment.control for segment in strip)
                assert strip.cell_length == cell_len(text) == view.scrollable_content_region.width


async def test_the_column_is_kept_while_following(tmp_path: Path) -> None:
    path = tmp_path / "log"
    index = index_of(path, line("0123456789" * 20) * 50)
    app = ViewApp(index)
    async with app.run_test(size=(40, 10)) as pilot:
        view = app.query_one(LogView)
        view.timestamps = view.sources = False
        view.focus()
        await pilot.press("right")
        assert view.column == 8
        append(path, line("abcdefgh" + "i" * 200))
        read_all(index)
        view.lines_changed()
        assert (view.column, view.following) == (8, True)
        assert view.render_line(9).text.startswith("iiii")


async def test_dragging_marks_lines_and_a_click_unmarks_them(tmp_path: Path) -> None:
    app = ViewApp(index_of(tmp_path / "log", numbered(100)))
    async with app.run_test(size=(60, 10)) as pilot:
        view = app.query_one(LogView)
        await pilot.mouse_down(view, offset=(5, 2))
        await pilot.hover(view, offset=(5, 6))
        await pilot.mouse_up(view, offset=(5, 6))
        assert view.marked == (92, 96)
        assert not view.following
        await pilot.click(view, offset=(5, 3))
        assert view.marked is None
