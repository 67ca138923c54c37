"""Every key of the log panel, pressed in an application that holds nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import Footer, Input

from tests.tui.log.logs import append, hurried, line, numbered
from tui.log.bar import LogBar
from tui.log.messages import LogCaughtUp, LogCopied, LogSaved, LogTroubled
from tui.log.notice import LogNotice
from tui.log.panel import LogPanel
from tui.log.view import LogView


class PanelApp(App[None]):
    """Keeps what the panel tells."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self.path = path
        self.clock = clock
        self.told: list[Message] = []
        self.notified: list[str] = []

    def compose(self) -> ComposeResult:
        yield LogPanel(clock=self.clock)
        yield Footer()

    def on_mount(self) -> None:
        self.panel.open(self.path, "run-1")
        self.panel.view.focus()

    @property
    def panel(self) -> LogPanel:
        return self.query_one(LogPanel)

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    @property
    def bar(self) -> LogBar:
        return self.query_one(LogBar)

    def on_log_caught_up(self, message: LogCaughtUp) -> None:
        self.told.append(message)

    def on_log_saved(self, message: LogSaved) -> None:
        self.told.append(message)

    def on_log_copied(self, message: LogCopied) -> None:
        self.told.append(message)

    def on_log_troubled(self, message: LogTroubled) -> None:
        self.told.append(message)

    def notify(self, message: str, **options: object) -> None:  # type: ignore[override]
        assert options["markup"] is False
        self.notified.append(message)

    def rows(self) -> list[str]:
        height = self.view.scrollable_content_region.height
        return [self.view.render_line(y).text.rstrip() for y in range(height)]

    def notice(self) -> str:
        notice = self.query_one(LogNotice)
        return notice.text if notice.display else ""

    def can(self, action: str) -> bool:
        return self.panel.check_action(action, ()) is True


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Let the panel work until something is so."""
    for _ in range(3000):
        if condition():
            return
        await pilot.pause(0.01)
    raise AssertionError("It did not happen.")


async def type_in(pilot: Pilot[None], text: str) -> None:
    """Type the last character, so that what comes of it is what comes of a key."""
    line = pilot.app.query_one(Input)
    line.value = text[:-1]
    line.cursor_position = len(line.value)
    names = {" ": "space", "$": "dollar_sign", ".": "full_stop"}
    await pilot.press(names.get(text[-1], text[-1]))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "deployment.log"


@pytest.fixture
def app(path: Path) -> PanelApp:
    """Over 120 lines of two pods; line 60 is an error, in pod/1."""
    lines = [line(f"step {n} of 120", f"pod/{n % 2}", n % 60) for n in range(120)]
    lines[61] = line("RuntimeError: CUDA", "pod/1", 1)
    path.write_bytes(b"".join(lines))
    return PanelApp(path)


SIZE = (80, 15)


async def test_it_follows_the_end_and_says_so(app: PanelApp, path: Path) -> None:
    async with app.run_test(size=SIZE) as pilot:
        assert app.rows()[-1] == "12:00:59 pod/1 step 119 of 120"
        assert str(app.panel.border_title) == "log run-1"
        assert str(app.panel.border_subtitle) == ("all sources · following · 120 lines · 1 error")
        append(path, line("new"))
        await until(pilot, lambda: app.rows()[-1] == "12:00:00 job new")
        assert app.told == [LogCaughtUp(120, 1)]


async def test_it_stays_where_one_reads_until_told_to_follow(app: PanelApp, path: Path) -> None:
    async with app.run_test(size=SIZE) as pilot:
        assert not app.can("follow")
        await pilot.press("up")
        before = app.rows()
        append(path, numbered(500))
        feed = app.panel.feed
        assert feed is not None
        await until(pilot, lambda: feed.index.count == 620)
        assert app.rows() == before
        assert "paused" in str(app.panel.border_subtitle)
        for key in ("G", "f", "end"):
            assert app.can("follow")
            await pilot.press(key)
            assert app.rows()[-1] == "12:00:19 job line 499"
            assert app.view.following
            await pilot.press("home" if key == "G" else "g")
            assert app.rows()[0] == "12:00:00 pod/0 step 0 of 120"


async def test_scrolling_down_to_the_end_follows_again(app: PanelApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("pageup")
        assert not app.view.following
        await pilot.press("pagedown")
        assert app.view.following


async def test_a_search_counts_highlights_and_goes_round(app: PanelApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        assert not app.can("next_match")
        await pilot.press("home", "slash")
        await type_in(pilot, "step 1[05] ")
        await until(pilot, lambda: app.bar.outcome == "2 matches")
        await pilot.press("enter")
        await until(pilot, lambda: app.bar.outcome == "match 1 of 2")
        assert app.view.current == 10
        await pilot.press("n")
        assert (app.view.current, app.bar.outcome) == (15, "match 2 of 2")
        await pilot.press("n")
        assert (app.view.current, app.bar.outcome) == (10, "match 1 of 2")
        await pilot.press("N")
        assert app.view.current == 15
        segments = [
            segment.text
            for y in range(len(app.rows()))
            for segment in app.view.render_line(y)
            if segment.style and segment.style.underline
        ]
        assert segments == ["step 10 ", "step 15 "]


async def test_a_search_from_the_end_finds_what_came_last(app: PanelApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("slash")
        await type_in(pilot, "step 1[05] ")
        await pilot.press("enter")
        await until(pilot, lambda: app.view.current == 15)


async def test_a_search_goes_on_with_new_lines(app: PanelApp, path: Path) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("slash")
        await type_in(pilot, "needle")
        await until(pilot, lambda: app.bar.outcome == "no match")
        append(path, line("a needle"))
        await until(pilot, lambda: app.bar.outcome == "1 match")


async def test_a_wrong_pattern_is_said_to_be_one(app: PanelApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("slash")
        await type_in(pilot, "[bold")
        assert app.bar.outcome == "Not a regular expression: missing ]: [bold."
        assert not app.can("next_match")
        await pilot.press("enter")
        assert app.bar.is_open


async def test_a_filter_shows_only_matches_and_keeps_the_place(app: PanelApp, path: Path) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("home", "pagedown", "pagedown", "slash")
        top = app.rows()[0]
        assert top.endswith("step 22 of 120")
        await type_in(pilot, "step .*5 ")
        await pilot.press("ctrl+f")
        assert [row.split()[3] for row in app.rows()] == [str(n) for n in range(15, 116, 10)]
        assert "12 of 120 lines" in str(app.panel.border_subtitle)
        await pilot.press("ctrl+f")
        assert app.rows()[0] == top
        await pilot.press("ctrl+f", "enter", "end")
        append(path, line("step 125 "))
        await until(pilot, lambda: app.rows()[-1].endswith("step 125"))
        await pilot.press("escape")
        assert not app.bar.is_open
        assert app.rows()[-2:] == ["12:00:59 pod/1 step 119 of 120", "12:00:00 job step 125"]
        assert not app.can("close")


async def test_the_filter_key_asks_for_a_pattern_first(app: PanelApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("ampersand")
        await type_in(pilot, "nowhere")
        await until(pilot, lambda: app.rows()[0] == "No line matches.")
        await pilot.press("escape")
        assert app.rows()[-1] == "12:00:59 pod/1 step 119 of 120"


async def test_times_wrap_and_columns(app: PanelApp, path: Path) -> None:
    append(path, line("0123456789" * 12))
    async with app.run_test(size=SIZE) as pilot:
        assert app.rows()[-1] == "12:00:00 job " + ("0123456789" * 12)[: 80 - 2 - 1 - 13]
        await pilot.press("t")
        assert app.rows()[-1].startswith("job 0123")
        await pilot.press("right")
        assert app.rows()[-1].startswith("4567890")
        await pilot.press("left", "w")
        assert "".join(app.rows()[-2:]) == "job " + "0123456789" * 12
        await pilot.press("w", "t")
        assert app.rows()[-1].startswith("12:00:00 job")


async def test_sources_are_shown_one_by_one(app: PanelApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("o")
        assert app.rows()[-1] == "12:00:58 step 118 of 120"
        assert str(app.panel.border_subtitle).startswith("source pod/0 · following · 60 of 120")
        await pilot.press("o")
        assert app.rows()[-1] == "12:00:59 step 119 of 120"
        await pilot.press("slash")
        await type_in(pilot, "step 1.$")
        await until(pilot, lambda: app.bar.outcome == "no match")
        await pilot.press("backspace", "space")
        await until(pilot, lambda: app.bar.outcome == "5 matches")
        await pilot.press("escape", "o")
        assert app.rows()[-1] == "12:00:59 pod/1 step 119 of 120"


async def test_the_first_error_is_gone_to_among_the_lines_in_view(app: PanelApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("e")
        assert app.view.current == 61
        assert any(row.endswith("RuntimeError: CUDA") for row in app.rows())
        await pilot.press("o", "e")
        assert app.notified == ["There is no error among the lines in view."]


async def test_marked_lines_are_copied(app: PanelApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("home", "v", "down", "down", "v", "down")
        assert app.view.marked == (0, 2)
        await pilot.press("y")
        assert app.clipboard == (
            "12:00:00 pod/0 step 0 of 120\n"
            "12:00:01 pod/1 step 1 of 120\n"
            "12:00:02 pod/0 step 2 of 120"
        )
        assert app.view.marked is None
        assert app.told[-1] == LogCopied(3)
        assert app.notified == ["Copied 3 lines."]


async def test_without_a_mark_what_is_on_the_screen_is_copied(app: PanelApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("y")
        assert app.clipboard.splitlines() == app.rows()


async def test_too_many_lines_are_not_copied(app: PanelApp, path: Path) -> None:
    append(path, numbered(6000))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: bool(app.told))
        await pilot.press("home", "v", "end", "y")
        assert app.clipboard == ""
        assert app.notified == ["6,120 lines are too many for the clipboard; save them with s."]
        await pilot.press("escape")
        assert app.view.marked is None


async def test_the_whole_log_is_saved_byte_for_byte(app: PanelApp, path: Path) -> None:
    append(path, b"\xff\x00\x1b[31m" * 100_000 + b"\r\n" + "é".encode() * 400_000)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: bool(app.told))
        await pilot.press("s", "enter")
        await until(pilot, lambda: len(app.told) > 1)
        saved = path.with_name("run-1.log")
        assert saved.read_bytes() == path.read_bytes()
        assert app.told[-1] == LogSaved(Path("run-1.log"), path.stat().st_size)
        assert not app.bar.is_open


async def test_only_marked_lines_in_view_are_saved(app: PanelApp, path: Path) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("o", "home", "v", "down", "down", "s")
        app.query_one(Input).value = "part.log"
        await pilot.press("enter")
        await until(pilot, lambda: len(app.told) > 1)
        lines = path.read_bytes().splitlines(keepends=True)
        assert path.with_name("part.log").read_bytes() == lines[0] + lines[2] + lines[4]


async def test_a_file_that_is_there_is_not_overwritten(app: PanelApp, path: Path) -> None:
    path.with_name("run-1.log").write_text("mine")
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("s", "enter")
        await until(pilot, lambda: bool(app.notified))
        assert app.notified == [
            "run-1.log is there already; nothing was written. Choose another name."
        ]
        assert path.with_name("run-1.log").read_text() == "mine"
        assert app.bar.is_open
        await pilot.press("escape")
        assert not app.bar.is_open


async def test_a_place_that_cannot_be_written_is_a_sentence(app: PanelApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("s")
        app.query_one(Input).value = "no/such/folder/x.log"
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.notified))
        assert app.notified[0].startswith("no/such/folder/x.log cannot be written: No such file")


async def test_broken_streams_are_told_until_they_are_back(app: PanelApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        app.panel.broken_streams = {"pod/x": "[red]reset\x1b[2J"}
        await pilot.pause()
        assert app.notice() == r"stream of pod/x broke off: [red]reset\x1b[2J"
        app.panel.broken_streams = {}
        await pilot.pause()
        assert app.notice() == "stream of pod/x resumed"


async def test_a_large_log_is_read_and_searched_in_slices_between_keys(path: Path) -> None:
    path.write_bytes(numbered(6_000))
    looks = 0
    tell = hurried()

    def counted() -> float:
        nonlocal looks
        looks += 1
        return tell()

    app = PanelApp(path, counted)
    async with app.run_test(size=SIZE) as pilot:
        # At once, however far the reading is.
        await pilot.press("w", "t", "home")
        assert (app.view.wrap, app.view.timestamps) == (True, False)
        await pilot.press("slash")
        await type_in(pilot, "line 599")
        await pilot.press("enter")
        await until(pilot, lambda: app.bar.outcome == "match 1 of 11")
        assert app.view.current == 599
        await until(
            pilot,
            lambda: str(app.panel.border_subtitle) == "all sources · paused · 6,000 lines",
        )
    # The clock is asked after each slice, and always says that time is up.
    assert looks > 10


async def test_what_is_impossible_is_passed_on_to_the_application(app: PanelApp) -> None:
    async with app.run_test(size=SIZE) as pilot:
        app.bind("escape", "screenshot_of_nothing")
        pressed: list[str] = []
        app.action_screenshot_of_nothing = lambda: pressed.append("escape")  # type: ignore[attr-defined]
        await pilot.press("v", "v", "escape")
        assert pressed == []
        await pilot.press("escape")
        assert pressed == ["escape"]


async def test_an_empty_log_says_so(path: Path) -> None:
    path.touch()
    app = PanelApp(path)
    async with app.run_test(size=SIZE) as pilot:
        assert app.rows()[0] == "No log lines yet."
        for action in ("copy", "save", "mark", "first_error", "source", "follow", "next_match"):
            assert not app.can(action)
        append(path, line("first"))
        await until(pilot, lambda: app.rows()[0] == "12:00:00 job first")
        assert app.can("save")


async def test_a_missing_log_says_so_and_is_shown_once_it_is_there(path: Path) -> None:
    app = PanelApp(path)
    async with app.run_test(size=SIZE) as pilot:
        assert app.rows()[0] == "No log lines yet."
        path.write_bytes(line("first"))
        await until(pilot, lambda: app.rows()[0] == "12:00:00 job first")


async def test_an_unreadable_log_says_why(path: Path) -> None:
    path.mkdir()
    app = PanelApp(path)
    async with app.run_test(size=(200, 15)) as pilot:
        assert app.rows()[0] == f"The log {path}: it is not a regular file."
        trouble = LogTroubled(f"The log {path}: it is not a regular file.")
        await until(pilot, lambda: app.told == [trouble])


async def test_a_replaced_log_is_read_again_and_says_so(app: PanelApp, path: Path) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("o", "home")
        path.write_bytes(line("anew"))
        await until(pilot, lambda: app.rows()[0] == "12:00:00 job anew")
        assert app.notice() == "The log became shorter; it is read again from its beginning."
        await until(pilot, lambda: LogTroubled(app.notice()) in app.told)


async def test_another_log_can_be_opened_and_none(app: PanelApp, tmp_path: Path) -> None:
    other = tmp_path / "other.log"
    other.write_bytes(line("other"))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("slash")
        await type_in(pilot, "step")
        app.panel.open(other, "run-2")
        await pilot.pause()
        assert app.rows()[0] == "12:00:00 job other"
        assert not app.bar.is_open
        assert str(app.panel.border_title) == "log run-2"
        app.panel.close_log()
        await pilot.pause()
        assert app.rows()[0] == "No log is open."
        await pilot.press("slash", "ampersand", "o", "e", "v", "y", "s", "n", "w", "t", "home")
        assert app.rows()[0] == "No log is open."


def test_every_key_has_an_id_and_says_what_it_does() -> None:
    bindings = [binding for binding in LogPanel.BINDINGS if isinstance(binding, Binding)]
    assert {binding.id for binding in bindings} >= {
        f"log.{name}"
        for name in (
            *("search", "filter", "next_match", "previous_match", "wrap", "timestamps"),
            *("source", "first_error", "follow", "copy", "save", "mark"),
        )
    }
    assert all(binding.tooltip and binding.description for binding in bindings)


async def test_a_log_can_be_opened_before_the_panel_is_on_the_screen(path: Path) -> None:
    path.write_bytes(line("early"))
    panel = LogPanel()
    panel.open(path, "run-1")
    panel.broken_streams = {"pod/x": "gone"}

    class EarlyApp(App[None]):
        def compose(self) -> ComposeResult:
            yield panel

    async with EarlyApp().run_test(size=SIZE):
        assert panel.view.render_line(0).text.rstrip() == "12:00:00 job early"
        assert panel.query_one(LogNotice).text == "stream of pod/x broke off: gone"
