"""Asks where a report goes; the ending is the format."""

from __future__ import annotations

import shlex
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

_FORMATS = {".html": "html", ".md": "markdown", ".csv": "csv", ".json": "json"}


class ExportScreen(Page):
    """A file's name, and the headless command that writes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close")]

    def __init__(self, runs: tuple[str, ...], name: str) -> None:
        super().__init__(classes="dialog")
        self._runs = runs
        self._name = name

    def compose(self) -> ComposeResult:
        """Lay the question out."""
        with Vertical(classes="box"):
            yield Static("Export to which file?", markup=False, classes="box-title")
            yield Input(self._name, id="export-file")
            yield Static(markup=False, id="export-command")
            yield Static(
                "The ending is the format: .html, .md, .csv or .json. Enter writes it, Escape "
                "closes.",
                markup=False,
                classes="hint",
            )

    def on_mount(self) -> None:
        """Focus the name."""
        self.query_one(Input).focus()
        self._explain()

    def _arguments(self) -> list[str] | None:
        file = self.query_one(Input).value.strip()
        wanted = next((name for end, name in _FORMATS.items() if file.endswith(end)), None)
        if wanted is None or not file:
            return None
        return ["show", *self._runs, f"--{wanted}", "--output", file]

    @on(Input.Changed)
    def _explain(self) -> None:
        arguments = self._arguments()
        text = (
            Content.styled("No format has that ending.", "$text-warning")
            if arguments is None
            else Content.styled(
                harmless(shlex.join(["gpubench-tui", "--no-ui", *arguments])), MUTED
            )
        )
        self.query_one("#export-command", Static).update(text)

    @on(Input.Submitted)
    def _write(self) -> None:
        arguments = self._arguments()
        if arguments is not None:
            self.console_app.headless("export", arguments)

    def on_headless_answered(self, message: HeadlessAnswered) -> None:
        """Close when it was written, stay and say why when not."""
        if message.purpose != "export":
            return
        message.stop()
        if message.code == 0:
            self.console_app.say(f"Wrote {self.query_one(Input).value}.")
            self.dismiss()
            return
        lines = message.err.strip().splitlines() or [f"It ended with status {message.code}."]
        self.query_one("#export-command", Static).update(
            Content.styled(harmless(lines[-1].removeprefix("gpubench-tui: ")), "$text-error")
        )

    def action_close(self) -> None:
        """Write nothing."""
        self.dismiss()
