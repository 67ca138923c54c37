"""The log panel: a run's log, followed, searched, filtered, copied and saved."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Input, Static
from textual.worker import Worker, WorkerState

from benchmark.errors import ProblemError
from tui.log.bar import BarMode, LogBar, LogInput
from tui.log.feed import Feed
from tui.log.lines import shown
from tui.log.messages import (
    FollowingChanged,
    LogCaughtUp,
    LogCopied,
    LogSaved,
    LogTroubled,
    MarkChanged,
)
from tui.log.saving import save
from tui.log.search import Pattern, PatternError
from tui.log.view import LogView

# A repaint costs more than lines do.
_POLL_S = 0.2
# The console stands still no longer than this at a time; between two slices, keys are answered.
_SLICE_S = 0.005
_PAUSE_S = 0.002
_NEWS_S = 8.0
# More than this is refused by terminals, and a clipboard is no place for it.
_MOST_COPIED_LINES = 5_000
_MOST_COPIED_CHARACTERS = 500_000


class LogPanel(Vertical):
    """One run's log."""

    DEFAULT_CSS = """
    LogPanel {
        height: 1fr;
        min-height: 3;
        border: round $border-blurred;
        border-title-color: $text;
        border-subtitle-color: $text-muted;
        &:focus-within { border: round $border; }
        & > #notice { height: auto; display: none; padding: 0 1; color: $text-warning; }
        & > #notice.-said { display: block; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "slash", "search", "Search", id="log.search", tooltip="Search by regular expression"
        ),
        Binding(
            "ampersand",
            "filter",
            "Filter",
            id="log.filter",
            tooltip="Show only the lines that match, or all lines again",
        ),
        Binding(
            "n",
            "next_match",
            "Next",
            id="log.next_match",
            tooltip="Go to the next line that matches",
        ),
        Binding(
            "N",
            "previous_match",
            "Previous",
            id="log.previous_match",
            show=False,
            tooltip="Go to the previous line that matches",
        ),
        Binding("w", "wrap", "Wrap", id="log.wrap", tooltip="Wrap long lines, or cut them"),
        Binding(
            "t",
            "timestamps",
            "Times",
            id="log.timestamps",
            show=False,
            tooltip="Show or hide the time of each line (UTC)",
        ),
        Binding(
            "o",
            "source",
            "Source",
            id="log.source",
            tooltip="Show the next source alone; after the last one, all",
        ),
        Binding(
            "e", "first_error", "First error", id="log.first_error", tooltip="Go to the first error"
        ),
        Binding(
            "f,G",
            "follow",
            "Follow",
            id="log.follow",
            tooltip="Go to the end of the log and stay there",
        ),
        Binding(
            "v",
            "mark",
            "Mark",
            id="log.mark",
            show=False,
            tooltip="Begin to mark lines, move to mark more; again to end it",
        ),
        Binding(
            "y",
            "copy",
            "Copy",
            id="log.copy",
            show=False,
            tooltip="Copy the marked lines, or those on the screen",
        ),
        Binding(
            "s",
            "save",
            "Save",
            id="log.save",
            show=False,
            tooltip="Save the marked lines, or the whole log, to a file",
        ),
        Binding(
            "escape",
            "close",
            "Close",
            id="log.close",
            show=False,
            tooltip="Unmark, or end the search, or close the bar",
        ),
    ]

    broken_streams: reactive[Mapping[str, str]] = reactive(dict, init=False)
    """The sources whose stream broke off, and why."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.perf_counter,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """``clock``: seconds, to measure how long a slice of work takes."""
        super().__init__(id=id, classes=classes)
        self._clock = clock
        self._name = ""
        self._feed: Feed | None = None
        self._generation = 0
        self._drawn: tuple[object, ...] = ()
        self._news: list[str] = []
        self._trouble = ""
        self._caught_up = False
        self._typed = ""
        self._looking_from: int | None = None
        self._worker: Worker[None] | None = None
        self._view = LogView()
        self._notice = Static(id="notice", markup=False)
        self._bar = LogBar()

    def compose(self) -> ComposeResult:
        yield self._view
        yield self._notice
        yield self._bar

    @property
    def view(self) -> LogView:
        """The lines themselves."""
        return self._view

    @property
    def feed(self) -> Feed | None:
        """The log that is open, as far as it was read and searched."""
        return self._feed

    def open(self, path: Path, name: str) -> None:
        """Show a log from its end, and follow it. ``name``: the run's id."""
        self.close_log()
        self._name = name
        self._feed = Feed(path, self._clock)
        self._view.show_log(self._feed.index)
        if self.is_mounted:
            self._tick()

    def close_log(self) -> None:
        """Show nothing."""
        if self._feed is not None:
            self._feed.index.close()
        self._feed, self._name, self._generation = None, "", 0
        self._typed, self._looking_from, self._caught_up = "", None, False
        self._news.clear()
        self._trouble = ""
        self._view.highlight(None)
        self._view.show_log(None)
        self._view.sources = True
        if self.is_mounted:
            self._bar.close()
            self._show_state()

    def on_mount(self) -> None:
        self.set_interval(_POLL_S, self._tick)
        self._tick()

    def on_unmount(self) -> None:
        if self._feed is not None:
            self._feed.index.close()

    # Reading -----------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Take in what came, and show it."""
        feed = self._feed
        if feed is None:
            self._show_state()
            return
        if not self._is_working():
            if feed.step(_SLICE_S):
                self._caught_up = False
                self._work_on()
            else:
                self._tell_caught_up(feed)
        self._show_state()

    def _is_working(self) -> bool:
        return self._worker is not None and not self._worker.is_finished

    def _work_on(self) -> None:
        self._worker = self.run_worker(
            self._work(), group="log-read", exclusive=True, exit_on_error=False
        )

    async def _work(self) -> None:
        """Read and search in slices until there is nothing left."""
        feed = self._feed
        while feed is not None and feed is self._feed and feed.step(_SLICE_S):
            self._look()
            await asyncio.sleep(_PAUSE_S)
        if feed is not None and feed is self._feed:
            self._look()
            self._tell_caught_up(feed)
            self._show_state()

    def _tell_caught_up(self, feed: Feed) -> None:
        if not self._caught_up and feed.reading >= 1:
            self._caught_up = True
            self.post_message(LogCaughtUp(feed.index.count, len(feed.index.errors)))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say so when work of ours ended in an error that nobody foresaw."""
        if event.state is WorkerState.ERROR and event.worker.group.startswith("log-"):
            event.stop()
            self._complain(f"The log panel stumbled: {shown(repr(event.worker.error))}.")

    # Showing -----------------------------------------------------------------------------------

    def _show_state(self) -> None:
        feed = self._feed
        if feed is not None:
            index = feed.index
            if index.generation != self._generation:
                self._begin_again(feed)
            if index.sentence != self._trouble:
                self._trouble = index.sentence
                if self._trouble:
                    self.post_message(LogTroubled(self._trouble))
                self._show_notice()
            state = (index.generation, index.count, index.scanned, len(feed.lineup))
            if state != self._drawn:
                self._drawn = state
                self._view.lines_changed()
                self.refresh_bindings()
        self._view.empty_text = self._empty_text()
        self.border_title = Content(self._title())
        self.border_subtitle = Content(self._subtitle())
        if self._bar.is_open and self._bar.mode is not BarMode.SAVE and self._typed:
            self._show_outcome()

    def _begin_again(self, feed: Feed) -> None:
        self._generation = feed.index.generation
        feed.forget_source()
        self._view.sources = True
        self._view.show_log(feed.index)
        self._view.show_lines(feed.lineup)
        self.post_message(LogTroubled(feed.index.restarted))
        self._say_news(feed.index.restarted)

    def _empty_text(self) -> str:
        feed = self._feed
        if feed is None:
            return "No log is open."
        if feed.index.count:
            done = feed.search is None or feed.search.done
            return "No line matches." if done else "No line matches yet; searching."
        return feed.index.sentence if self._is_unreadable(feed) else "No log lines yet."

    @staticmethod
    def _is_unreadable(feed: Feed) -> bool:
        return feed.index.state == "unreadable"

    def _title(self) -> str:
        return f"log {shown(self._name)}" if self._name else "log"

    def _subtitle(self) -> str:
        feed = self._feed
        if feed is None:
            return ""
        index, in_view = feed.index, len(feed.lineup)
        lines = f"{index.count:,} lines"
        if not isinstance(in_view, int) or in_view != index.count:
            lines = f"{in_view:,} of {lines}"
        parts = [
            f"source {feed.source_name}" if feed.source else "all sources",
            "marking" if self._view.marking else "following" if self._view.following else "paused",
            lines,
        ]
        if index.errors:
            parts.append(f"{len(index.errors):,} errors")
        if feed.reading < 1 and not self._caught_up:
            parts.append(f"reading {feed.reading:.0%}".replace("%", " %"))
        return " · ".join(parts)

    def _show_notice(self) -> None:
        lines = [
            f"stream of {shown(source)} broke off: {shown(reason)}"
            for source, reason in self.broken_streams.items()
        ]
        lines += self._news
        if self._trouble and self._feed is not None and self._feed.index.count:
            lines.append(self._trouble)
        self._notice.update(Content("\n".join(lines)))
        self._notice.set_class(bool(lines), "-said")

    def _say_news(self, sentence: str) -> None:
        """Say something for a while."""
        self._news.append(sentence)
        self._show_notice()

        def forget() -> None:
            if sentence in self._news:
                self._news.remove(sentence)
                self._show_notice()

        self.set_timer(_NEWS_S, forget)

    def watch_broken_streams(self, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        """Say which streams are gone, and which are back."""
        if not self.is_mounted:
            return
        for source in old:
            if source not in new:
                self._say_news(f"stream of {shown(source)} resumed")
        self._show_notice()

    def _complain(self, sentence: str) -> None:
        self.app.notify(sentence, severity="error", markup=False)

    # Searching ---------------------------------------------------------------------------------

    def action_search(self) -> None:
        self._ask_for_pattern()

    def action_filter(self) -> None:
        if self._feed is None or self._feed.search is None:
            if self._feed is not None:
                self._feed.only_matches = True
            self._ask_for_pattern()
        else:
            self._toggle_filter()

    @on(LogInput.FilterToggled)
    def _toggle_filter(self) -> None:
        if self._feed is None or self._bar.mode is BarMode.SAVE:
            return
        self._feed.only_matches = not self._feed.only_matches
        self._bar.show(self._pattern_mode(), self._typed)
        self._view.show_lines(self._feed.lineup)
        self._show_state()

    def _pattern_mode(self) -> BarMode:
        filtering = self._feed is not None and self._feed.only_matches
        return BarMode.FILTER if filtering else BarMode.SEARCH

    def _ask_for_pattern(self) -> None:
        self._bar.ask(self._pattern_mode(), self._typed)
        self._show_state()
        self.refresh_bindings()

    @on(Input.Changed)
    def _typed_on(self, event: Input.Changed) -> None:
        event.stop()
        if self._bar.mode is not BarMode.SAVE:
            self._search_for(event.value)

    def _search_for(self, text: str) -> None:
        feed = self._feed
        if feed is None:
            return
        self._typed, self._looking_from = text, None
        pattern = None
        try:
            pattern = Pattern(text) if text else None
            self._bar.say("")
        except PatternError as error:
            self._bar.say(shown(str(error)), wrong=True)
        feed.search_for(pattern)
        self._view.highlight(pattern)
        self._view.show_lines(feed.lineup)
        if pattern is not None:
            self._work_on()
        self._show_state()
        self.refresh_bindings()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        if self._bar.mode is BarMode.SAVE:
            self._save_to(event.value)
            return
        self._view.focus()
        if not event.value:
            self.action_close()
        elif self._feed is not None and self._feed.search is not None:
            on_screen = self._view.numbers_on_screen()
            self._looking_from = on_screen[0] - 1 if on_screen else -1
            self._look()

    def _look(self) -> None:
        """Go to the first match from where the search was asked for, once it is found."""
        feed, start = self._feed, self._looking_from
        if feed is None or feed.search is None or start is None:
            return
        number = feed.match_after(start)
        if number is None and feed.search.done:
            number = feed.match_after(-1)
        if number is not None:
            self._view.go_to(number)
        if number is not None or feed.search.done:
            self._looking_from = None
            self._show_state()

    def _show_outcome(self) -> None:
        search = self._feed.search if self._feed else None
        if search is None:
            return
        count = len(search.matches)
        text = f"{count:,} match" if count == 1 else f"{count:,} matches"
        current = self._view.current
        if current is not None:
            place = bisect_left(search.matches, current)
            if place < count and search.matches[place] == current:
                text = f"match {place + 1:,} of {count:,}"
        if not count:
            text = "no match"
        if not search.done:
            text += f", {search.progress:.0%} searched".replace("%", " %")
        self._bar.say(text)

    def action_next_match(self) -> None:
        self._go_to_match(1)

    def action_previous_match(self) -> None:
        self._go_to_match(-1)

    def _go_to_match(self, direction: int) -> None:
        feed = self._feed
        if feed is None or feed.search is None or not feed.search.matches:
            return
        self._looking_from = None
        matches, start = feed.search.matches, self._view.current
        on_screen = self._view.numbers_on_screen()
        if direction > 0:
            start = on_screen[0] - 1 if start is None else start
            number = feed.match_after(start)
            number = matches[0] if number is None else number
        else:
            start = on_screen[-1] + 1 if start is None else start
            number = feed.match_before(start)
            number = matches[-1] if number is None else number
        self._view.go_to(number)
        self._show_state()

    # The other keys ----------------------------------------------------------------------------

    def action_wrap(self) -> None:
        self._view.wrap = not self._view.wrap

    def action_timestamps(self) -> None:
        self._view.timestamps = not self._view.timestamps

    def action_source(self) -> None:
        feed = self._feed
        if feed is None:
            return
        feed.next_source()
        self._view.sources = feed.source is None
        self._view.show_lines(feed.lineup)
        self._work_on()
        self._show_state()
        self.refresh_bindings()

    def action_first_error(self) -> None:
        number = self._feed.first_error() if self._feed else None
        if number is None:
            self.app.notify("There is no error among the lines in view.", markup=False)
        else:
            self._view.go_to(number)

    def action_follow(self) -> None:
        self._view.follow()

    def action_mark(self) -> None:
        self._view.mark()

    def action_close(self) -> None:
        """Undo the innermost thing: a mark, the question where to save, the search."""
        if self._view.marked is not None and not self._bar.has_focus_within:
            self._view.unmark()
            return
        saving = self._bar.is_open and self._bar.mode is BarMode.SAVE
        self._view.focus()
        self._bar.close()
        if saving and self._typed:
            self._bar.show(self._pattern_mode(), self._typed)
        elif not saving:
            if self._feed is not None:
                self._feed.only_matches = False
            self._search_for("")
        self._show_state()
        self.refresh_bindings()

    def action_copy(self) -> None:
        feed, marked = self._feed, self._view.marked
        if feed is None:
            return
        if marked is not None and feed.count(*marked) > _MOST_COPIED_LINES:
            self._complain(
                f"{feed.count(*marked):,} lines are too many for the clipboard; save them with s."
            )
            return
        numbers = list(feed.numbers(*marked)) if marked else self._view.numbers_on_screen()
        text = "\n".join(map(self._view.text_of, numbers))
        if len(text) > _MOST_COPIED_CHARACTERS:
            self._complain("The lines are too long for the clipboard; save them with s.")
            return
        self.app.copy_to_clipboard(text)
        self._view.unmark()
        self.app.notify(f"{len(numbers):,} lines copied.", markup=False)
        self.post_message(LogCopied(len(numbers)))

    def action_save(self) -> None:
        name = shown(self._name).replace("/", "_") or "deployment"
        self._bar.ask(BarMode.SAVE, f"./{name}.log")
        self.refresh_bindings()

    def _save_to(self, value: str) -> None:
        feed = self._feed
        if feed is None or not value.strip():
            return
        marked = self._view.marked
        ranges = feed.ranges(*marked) if marked else iter([(0, feed.index.size)])
        path = Path(value.strip()).expanduser()
        self.run_worker(
            self._save(feed, ranges, path), group="log-save", exclusive=True, exit_on_error=False
        )

    async def _save(self, feed: Feed, ranges: Iterator[tuple[int, int]], path: Path) -> None:
        try:
            size = await save(feed.index, ranges, path, self._clock)
        except ProblemError as error:
            # The bar stays open, so that another name is a few keys away.
            self._complain(shown(str(error)))
            return
        if self._bar.mode is BarMode.SAVE:
            self._view.unmark()
            self.action_close()
        self.app.notify(f"Saved {size:,} bytes to {shown(str(path))}.", markup=False)
        self.post_message(LogSaved(path, size))

    @on(FollowingChanged)
    @on(MarkChanged)
    def _view_changed(self) -> None:
        self._show_state()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what is impossible now."""
        feed = self._feed
        lines = feed is not None and feed.index.count > 0
        match action:
            case "next_match" | "previous_match":
                possible = feed is not None and bool(feed.search and feed.search.matches)
            case "first_error":
                possible = feed is not None and bool(feed.index.errors)
            case "source":
                possible = feed is not None and bool(feed.index.sources)
            case "follow":
                possible = lines and not self._view.following
            case "copy" | "save" | "mark":
                possible = lines
            case "search" | "filter":
                possible = feed is not None
            case "close":
                possible = self._bar.is_open or self._view.marked is not None
            case _:
                possible = True
        return True if possible else None
