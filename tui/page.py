"""What every page of the console is: a screen that shows the console's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.screen import Screen
from textual.worker import Worker

if TYPE_CHECKING:
    from core.run.journal import Run
    from tui.app import Console
    from tui.state import ConsoleState

NARROW = 120
"""Below this many columns a page shows tabs instead of columns (``-narrow`` in the style sheet)."""


class Page(Screen[None]):
    """A screen over the console's state."""

    @property
    def console_app(self) -> Console:
        """The app, by its own type."""
        return cast("Console", self.app)

    @property
    def state(self) -> ConsoleState:
        """What the console knows."""
        return self.console_app.state

    _most_children = 0

    @property
    def is_whole(self) -> bool:
        """Whether the page has its widgets: it loses them, one by one, some messages before it ends
        itself.
        """
        count = len(self.children)
        self._most_children = max(self._most_children, count)
        return self.is_attached and 0 < count == self._most_children

    def state_changed(self) -> None:
        """Show the state; called at most some times a second."""

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say so when work of this page ended in an error that nobody foresaw."""
        self.console_app.on_worker_state_changed(event)

    def baseline_for(self, run: Run) -> Run | None:
        """Return what a run is laid beside where nothing else was chosen."""
        return self.state.latest_of("baseline", but=run.id)

    def open_diff(self, first: Run | None, second: Run) -> None:
        """Open the diff of two runs; nothing where there is no first."""
        from tui.screens.diff import DiffScreen

        if first is not None:
            self.app.push_screen(DiffScreen(first, second))

    def run_on_screen(self) -> Run | None:
        """Return the run that the page is about, for what works everywhere."""
        return None
