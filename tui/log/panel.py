"""The log panel: a run's log, followed, searched, filtered, copied and saved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Input

from benchmark.errors import ProblemError
from tui.log import words
from tui.log.bar import BarMode, LogBar, LogInput
from tui.log.feed import Feed
from tui.log.index import LogState
from tui.log.keys import ACTIONS, KEYS, is_possible
from tui.log.lines import shown
from tui.log.messages import (
    FollowingChanged,
    LogCopied,
    LogSaved,
    LogTroubled,
    MarkChanged,
)
from tui.log.notice import LogNotice
from tui.log.reading import LogReader
from tui.log.saving import save
from tui.log.search import Pattern, PatternError
from tui.log.view import LogView

_COUNT_S = 1.0
# More than this is refused by terminals, and a clipboard is no place for it.
_MOST_COPIED_LINES = 5_000
_MOST_COPIED_CHARACTERS = 500_000


class LogPanel(LogReader):
    """One run's log."""

    DEFAULT_CSS = """
    LogPanel {
        height: 1fr;
        min-height: 3;
        border: round $border-blurred;
        border-title-color: $text;
        border-subtitle-color: $text-muted;
        &:focus-within { border: round $border; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]

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
        super().__init__(clock, id=id, classes=classes)
        self._run = ""
        self._generation = 0
        self._drawn: tuple[object, ...] = ()
        self._possible: list[str] = []
        self._titles = ("", "")
        self._counted = ""
        self._count_again_at = 0.0
        self._trouble = ""
        self._typed = ""
        self._looking_from: int | None = None
        self._view = LogView()
        self._notice = LogNotice()
        self._bar = LogBar()

    def compose(self) -> ComposeResult:
        yield self._view
        yield self._notice
        yield self._bar

    @property
    def view(self) -> LogView:
        """The lines themselves."""
        return self._view

    def open(self, path: Path, name: str) -> None:
        """Show a log from its end, and follow it. ``name``: the run's id."""
        self.close_log()
        self._run = name
        self._view.show_log(self._open_feed(path).index)
        if self.is_mounted:
            self._tick()

    def close_log(self) -> None:
        """Show nothing."""
        self._close_feed()
        self._run, self._generation, self._drawn = "", 0, ()
        self._typed, self._looking_from = "", None
        self._notice.clear()
        self._trouble = ""
        self._view.highlight(None)
        self._view.show_log(None)
        self._view.sources = True
        if self.is_mounted:
            self._bar.close()
            self.show_state()

    # Showing -----------------------------------------------------------------------------------

    def show_state(self) -> None:
        """Show what was read and found."""
        feed = self._feed
        if feed is not None:
            index = feed.index
            if index.generation != self._generation:
                self._begin_again(feed)
            # A log that is not there yet is no trouble: its run has only begun.
            trouble = "" if index.state is LogState.MISSING else index.sentence
            if trouble != self._trouble:
                self._trouble = trouble
                self._notice.show_trouble(trouble if index.count else "")
                if trouble:
                    self.post_message(LogTroubled(trouble))
            state = (index.generation, index.count, index.scanned, len(feed.lineup))
            if state != self._drawn:
                self._drawn = state
                self._view.lines_changed()
        self._view.empty_text = words.empty(feed)
        self._show_titles()
        if self._bar.is_open and self._bar.mode is not BarMode.SAVE and self._typed:
            self._show_outcome()
        # A footer is built anew each time, so only when something in it changes.
        possible = [action for action in ACTIONS if self.check_action(action, ())]
        if possible != self._possible:
            self._possible = possible
            self.refresh_bindings()

    def _begin_again(self, feed: Feed) -> None:
        self._generation, self._caught_up = feed.index.generation, False
        feed.forget_source()
        self._view.sources = True
        self._view.show_log(feed.index)
        self._view.show_lines(feed.lineup)
        self.post_message(LogTroubled(feed.index.restarted))
        self._notice.say(feed.index.restarted)

    def _show_titles(self) -> None:
        """A title that changes draws the whole panel anew, so lines are counted once a second."""
        view, feed = self._view, self._feed
        title = f"log {shown(self._run)}" if self._run else "log"
        state = words.standing(feed, marking=view.marking, following=view.following)
        if (title, state) == self._titles and self._clock() < self._count_again_at:
            return
        counts = words.counts(feed, reading=not self._caught_up)
        if (title, state, counts) != (*self._titles, self._counted):
            self.border_title = Content(title)
            self.border_subtitle = Content(" · ".join(filter(None, (state, counts))))
        self._titles, self._counted = (title, state), counts
        self._count_again_at = self._clock() + _COUNT_S

    def watch_broken_streams(self, streams: Mapping[str, str]) -> None:
        """Say which streams are gone, and which are back."""
        self._notice.show_streams(streams)

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
        self.show_state()

    def _pattern_mode(self) -> BarMode:
        filtering = self._feed is not None and self._feed.only_matches
        return BarMode.FILTER if filtering else BarMode.SEARCH

    def _ask_for_pattern(self) -> None:
        self._bar.ask(self._pattern_mode(), self._typed)
        self.show_state()

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
        self._show_other_lines(feed)

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
            self.look()

    def _show_other_lines(self, feed: Feed) -> None:
        """Show what is in view after a question has changed."""
        self._work_briefly(feed)
        self._view.show_lines(feed.lineup)
        self.show_state()

    def look(self) -> None:
        """Go to the first match from where the search was asked for, once it is found."""
        feed, start = self._feed, self._looking_from
        if feed is None or feed.search is None or start is None:
            return
        number = feed.match_after(start)
        if number is None and feed.search.done:
            # Who follows the end has what came before in mind.
            number = feed.match_before(start + 1)
        if number is not None:
            self._view.go_to(number)
        if number is not None or feed.search.done:
            self._looking_from = None
            self.show_state()

    def _show_outcome(self) -> None:
        if self._feed is not None and self._feed.search is not None:
            self._bar.say(words.outcome(self._feed.search, self._view.current))

    def action_next_match(self) -> None:
        self._go_to_match(forward=True)

    def action_previous_match(self) -> None:
        self._go_to_match(forward=False)

    def _go_to_match(self, *, forward: bool) -> None:
        feed, on_screen = self._feed, self._view.numbers_on_screen()
        if feed is None or feed.search is None or not feed.search.matches:
            return
        self._looking_from = None
        current = self._view.current
        if current is None:
            current = (on_screen[0] - 1 if forward else on_screen[-1] + 1) if on_screen else -1
        self._view.go_to(feed.match_round(current, forward=forward))
        self.show_state()

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
        self._show_other_lines(feed)

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
        self.show_state()

    def action_copy(self) -> None:
        feed, marked = self._feed, self._view.marked
        if feed is None:
            return
        if marked is not None and feed.count(*marked) > _MOST_COPIED_LINES:
            self.complain(
                f"{feed.count(*marked):,} lines are too many for the clipboard; save them with s."
            )
            return
        numbers = list(feed.numbers(*marked)) if marked else self._view.numbers_on_screen()
        text = "\n".join(map(self._view.text_of, numbers))
        if len(text) > _MOST_COPIED_CHARACTERS:
            self.complain("The lines are too long for the clipboard; save them with s.")
            return
        self.app.copy_to_clipboard(text)
        self._view.unmark()
        self.app.notify(f"Copied {words.counted(len(numbers), 'line')}.", markup=False)
        self.post_message(LogCopied(len(numbers)))

    def action_save(self) -> None:
        name = shown(self._run).replace("/", "_") or "deployment"
        self._bar.ask(BarMode.SAVE, f"./{name}.log")
        self.show_state()

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
            self.complain(shown(str(error)))
            return
        if self._bar.mode is BarMode.SAVE:
            self._view.unmark()
            self.action_close()
        self.app.notify(f"Saved {size:,} bytes to {shown(str(path))}.", markup=False)
        self.post_message(LogSaved(path, size))

    @on(FollowingChanged)
    @on(MarkChanged)
    def _view_changed(self) -> None:
        self.show_state()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what is impossible now."""
        view = self._view
        if action == "close":
            # Not greyed out: Escape is the page's then.
            return self._bar.is_open or view.marked is not None
        possible = is_possible(action, self._feed, following=view.following)
        return True if possible else None
