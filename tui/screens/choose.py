"""A short list to choose from; what is chosen goes to the clipboard."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from core.text import harmless
from tui.page import Page
from tui.widgets.drawing import MUTED


class ChooseScreen(Page):
    """Labels, each with the text that is copied."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close")]

    def __init__(self, title: str, options: list[tuple[str, str]]) -> None:
        super().__init__(classes="dialog")
        self._title = title
        self._options = options

    def compose(self) -> ComposeResult:
        """Lay the list out."""
        with Vertical(classes="box"):
            yield Static(self._title, markup=False, classes="box-title")
            yield OptionList(
                *(
                    Option(Content.assemble(harmless(label), "\n", (harmless(text), MUTED)))
                    for label, text in self._options
                )
            )
            yield Static("Enter copies it, Escape closes", markup=False, classes="hint")

    @on(OptionList.OptionSelected)
    def _copy(self, message: OptionList.OptionSelected) -> None:
        self.console_app.copy(self._options[message.option_index][1], "the command")
        self.dismiss()

    def action_close(self) -> None:
        """Close the list."""
        self.dismiss()
