"""The bar below the log: what to search for, or where to save."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Label


class BarMode(StrEnum):
    """What the bar asks for."""

    SEARCH = "search"
    FILTER = "filter"
    SAVE = "save"


_PROMPTS = {BarMode.SEARCH: "/", BarMode.FILTER: "&", BarMode.SAVE: "save to"}


class LogInput(Input):
    """The bar's line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+f", "toggle_filter", "Only matches", show=True, id="log.toggle_filter"),
    ]

    @dataclass
    class FilterToggled(Message):
        """Show only what matches, or everything again."""

    def action_toggle_filter(self) -> None:
        self.post_message(self.FilterToggled())


class LogBar(Horizontal):
    """A prompt, a line to type in, and what comes of it."""

    DEFAULT_CSS = """
    LogBar {
        height: 1;
        display: none;
        background: $panel;
        &.-open { display: block; }
        & > #prompt { padding: 0 1; color: $text-accent; text-style: bold; }
        & > LogInput { width: 1fr; min-width: 12; background: transparent; }
        & > #outcome { padding: 0 1; max-width: 60%; color: $text-muted; }
        & > #outcome.-wrong { color: $text-error; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._prompt = Label(id="prompt", markup=False)
        self._input = LogInput(compact=True, select_on_focus=False)
        self._outcome = Label(id="outcome", markup=False)
        self._mode = BarMode.SEARCH

    def compose(self) -> ComposeResult:
        yield self._prompt
        yield self._input
        yield self._outcome

    @property
    def mode(self) -> BarMode:
        """What it asks for."""
        return self._mode

    @property
    def is_open(self) -> bool:
        """Whether it is on the screen."""
        return self.has_class("-open")

    @property
    def outcome(self) -> str:
        """What came of it."""
        return str(self._outcome.content)

    def ask(self, mode: BarMode, value: str) -> None:
        """Open and ask."""
        self.show(mode, value)
        self._input.focus()

    def show(self, mode: BarMode, value: str) -> None:
        """Open without taking the focus."""
        self._mode = mode
        self._prompt.update(Content(_PROMPTS[mode]))
        with self._input.prevent(Input.Changed):
            self._input.value = value
        self._input.cursor_position = len(value)
        self.say("")
        self.add_class("-open")

    def say(self, outcome: str, *, wrong: bool = False) -> None:
        """Say what came of it."""
        self._outcome.update(Content(outcome))
        self._outcome.set_class(wrong, "-wrong")

    def close(self) -> None:
        """Leave the screen."""
        self.remove_class("-open")
