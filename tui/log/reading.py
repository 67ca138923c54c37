"""Reading and searching a log behind a widget, in slices, five times a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from textual.containers import Vertical
from textual.worker import Worker, WorkerState

from tui.log.feed import Feed
from tui.log.index import LogState
from tui.log.lines import shown
from tui.log.messages import LogCaughtUp
from tui.log.slices import SLICE_S, give_way

# A repaint costs more than lines do.
_POLL_S = 0.2


class LogReader(Vertical):
    """A widget whose log is read on while it is mounted."""

    def __init__(
        self, clock: Callable[[], float], *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._clock = clock
        self._feed: Feed | None = None
        self._worker: Worker[None] | None = None
        self._caught_up = False

    @property
    def feed(self) -> Feed | None:
        """The log that is open, as far as it was read and searched."""
        return self._feed

    def show_state(self) -> None:
        """Show what was read and found."""
        raise NotImplementedError

    def look(self) -> None:
        """See whether what was being looked for is found: called between slices."""
        raise NotImplementedError

    def complain(self, sentence: str) -> None:
        """Tell the user that something did not work."""
        self.app.notify(sentence, severity="error", markup=False)

    def on_mount(self) -> None:
        self.set_interval(_POLL_S, self._tick)
        self._tick()

    def on_unmount(self) -> None:
        if self._feed is not None:
            self._feed.index.close()

    def _open_feed(self, path: Path) -> Feed:
        self._feed = Feed(path, self._clock)
        return self._feed

    def _close_feed(self) -> None:
        if self._feed is not None:
            self._feed.index.close()
        self._feed, self._caught_up = None, False

    def _tick(self) -> None:
        """Take in what came, and show it."""
        working = self._worker is not None and not self._worker.is_finished
        if self._feed is not None and not working:
            self._work_briefly(self._feed)
            self._tell_caught_up(self._feed)
        self.show_state()

    def _work_briefly(self, feed: Feed) -> None:
        """Do one slice at once, which is all there is to do of a small log; go on with the rest."""
        if feed.step(SLICE_S):
            self._worker = self.run_worker(
                self._work(feed), group="log-read", exclusive=True, exit_on_error=False
            )

    async def _work(self, feed: Feed) -> None:
        """Read and search in slices until there is nothing left."""
        more = True
        while more:
            await give_way(self._clock)
            if feed is not self._feed:
                return
            more = feed.step(SLICE_S)
            self.look()
        self._tell_caught_up(feed)

    def _tell_caught_up(self, feed: Feed) -> None:
        if not self._caught_up and feed.index.state is LogState.READING and feed.reading >= 1:
            self._caught_up = True
            self.post_message(LogCaughtUp(feed.index.count, len(feed.index.errors)))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say so when work of ours ended in an error that nobody foresaw."""
        if event.state is WorkerState.ERROR and event.worker.group.startswith("log-"):
            event.stop()
            self.complain(f"The log panel stumbled: {shown(repr(event.worker.error))}.")
