"""Asks where a report goes; the ending is the format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from core.text import harmless
from tui.messages import HeadlessAnswered
from tui.page import Page
from tui.widgets.drawing import MUTED


class ExportScreen(Page):
    """A file's name, and the headless command that writes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close")]

    def __init__(self, runs: tuple[str, ...], name: str) -> None:
        super().__init__(classes="dialog")
        self._runs = runs
        self._name = name
        self._asked = False

    def compose(self) -> ComposeResult:
        """Lay the question out."""
        with Vertical(classes="box"):
            yield Static("Export to which file?", markup=False, classes="box-title")
            yield Input(self._name, id="export-file")
            yield Static(markup=False, id="export-command")
            yield Static(
                "The ending is the format: .html, .md, .csv, .json or .txt. Enter writes it, "
                "Escape closes.",
                markup=False,
                classes="hint",
            )

    def on_mount(self) -> None:
        """Focus the name."""
        self.query_one(Input).focus()
        self._explain()

    def _file(self) -> Path:
        text = self.query_one(Input).value.strip()
        # A home that is not known stays as it was typed.
        return Path(os.path.abspath(os.path.expanduser(text)))

    def _arguments(self) -> list[str] | None:
        from core.report.export import format_of

        text = self.query_one(Input).value.strip()
        if format_of(Path(text)) is None:
            return None
        return ["show", *self._runs, "--output", os.path.expanduser(text)]

    @on(Input.Changed)
    def _explain(self) -> None:
        arguments = self._arguments()
        text = (
            Content.styled("No format has that ending.", "$text-warning")
            if arguments is None
            else Content.styled(harmless(self.console_app.command_line(*arguments)), MUTED)
        )
        self.query_one("#export-command", Static).update(text)

    @on(Input.Submitted)
    def _write(self) -> None:
        arguments = self._arguments()
        if arguments is not None and not self._asked:
            self._asked = True
            self.console_app.headless(arguments, self)

    def on_headless_answered(self, message: HeadlessAnswered) -> None:
        """Close when it was written, stay and say why when not."""
        message.stop()
        if not self.is_whole:
            return
        self._asked = False
        if message.code == 0:
            self.console_app.say(f"Wrote {self._file()}.")
            self.dismiss()
            return
        self.query_one("#export-command", Static).update(
            Content.styled(message.sentence, "$text-error")
        )

    def action_close(self) -> None:
        """Write nothing."""
        self.dismiss()
