"""What has to be said about a log beside its lines."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content
from textual.widgets import Static

from tui.log.lines import shown

_NEWS_S = 8.0


class LogNotice(Static):
    """Streams that broke off, and other news. Takes no room while there is none."""

    DEFAULT_CSS = """
    LogNotice {
        height: auto;
        display: none;
        padding: 0 1;
        color: $text-warning;
        &.-said { display: block; }
    }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)
        self._streams: Mapping[str, str] = {}
        self._news: list[str] = []
        self._trouble = ""

    @property
    def text(self) -> str:
        """What it says."""
        return str(self.content)

    def show_streams(self, streams: Mapping[str, str]) -> None:
        """Say which streams are broken, and for a while which are so no more."""
        for source in self._streams:
            if source not in streams:
                self.say(f"stream of {shown(source)} resumed")
        self._streams = dict(streams)
        self._show()

    def show_trouble(self, sentence: str) -> None:
        """Say what is wrong, until it is something else or nothing."""
        self._trouble = sentence
        self._show()

    def say(self, sentence: str) -> None:
        """Say something for a while."""
        self._news.append(sentence)
        self._show()
        self.set_timer(_NEWS_S, self._forget_oldest)

    def clear(self) -> None:
        """Say nothing more of what was, except which streams are broken."""
        self._news.clear()
        self._trouble = ""
        self._show()

    def _forget_oldest(self) -> None:
        del self._news[:1]
        self._show()

    def _show(self) -> None:
        lines = [
            f"stream of {shown(source)} broke off: {shown(reason)}"
            for source, reason in self._streams.items()
        ]
        lines += [*self._news, self._trouble]
        text = "\n".join(filter(None, lines))
        if text != self.text:
            self.update(Content(text))
            self.set_class(bool(text), "-said")
