"""Asks where a document goes, and shows the headless command that writes it there."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
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


class _FileScreen(Page):
    """A file's name, and the headless command that writes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close")]
    QUESTION: ClassVar[str]
    HINT: ClassVar[str]
    WRONG_ENDING: ClassVar[str]
    WRITTEN: ClassVar[tuple[int, ...]] = (0,)
    """The exit codes with which the file was written."""

    def __init__(self, name: str) -> None:
        super().__init__(classes="dialog")
        self._name = name
        self._asked = False

    @abstractmethod
    def arguments(self, file: str) -> list[str] | None:
        """Return the words of the command that writes ``file``; None for a wrong ending."""

    def compose(self) -> ComposeResult:
        """Lay the question out."""
        with Vertical(classes="box"):
            yield Static(self.QUESTION, markup=False, classes="box-title")
            yield Input(self._name, id="export-file")
            yield Static(markup=False, id="export-command")
            yield Static(f"{self.HINT} Enter writes, Escape closes.", markup=False, classes="hint")

    def on_mount(self) -> None:
        """Focus the name."""
        self.query_one(Input).focus()
        self._explain()

    def _file(self) -> str:
        # A home that is not known stays as it was typed.
        return os.path.expanduser(self.query_one(Input).value.strip())

    @on(Input.Changed)
    def _explain(self) -> None:
        arguments = self.arguments(self._file())
        text = (
            Content.styled(self.WRONG_ENDING, "$text-warning")
            if arguments is None
            else Content.styled(harmless(self.console_app.command_line(*arguments)), MUTED)
        )
        self.query_one("#export-command", Static).update(text)

    @on(Input.Submitted)
    def _write(self) -> None:
        arguments = self.arguments(self._file())
        if arguments is not None and not self._asked:
            self._asked = True
            self.console_app.headless(arguments, self)

    def on_headless_answered(self, message: HeadlessAnswered) -> None:
        """Close when it was written, stay and say why when not."""
        message.stop()
        if not self.is_whole:
            return
        self._asked = False
        if message.code in self.WRITTEN:
            self.console_app.say(f"Wrote {os.path.abspath(self._file())}.")
            self.dismiss()
            return
        self.query_one("#export-command", Static).update(
            Content.styled(message.sentence, "$text-error")
        )

    def action_close(self) -> None:
        """Write nothing."""
        self.dismiss()


class ExportScreen(_FileScreen):
    """Writes a run's results, or two runs compared, as one document."""

    QUESTION = "Export to which file?"
    HINT = "The ending is the format: .html, .md, .csv, .json or .txt."
    WRONG_ENDING = "No format has that ending."

    def __init__(self, runs: tuple[str, ...], name: str) -> None:
        super().__init__(name)
        self._runs = runs

    def arguments(self, file: str) -> list[str] | None:
        """Return the words of ``show``; the ending is the format."""
        from core.report.export import format_of

        if format_of(Path(file)) is None:
            return None
        return ["show", *self._runs, "--output", file]


class ReportsScreen(_FileScreen):
    """Writes the reports of a comparison: Markdown, JSON and HTML."""

    QUESTION = "Write the reports: where does the Markdown go?"
    HINT = "JSON and HTML go beside it. Reports that are there are replaced."
    WRONG_ENDING = "The Markdown report ends in .md."
    # The others are verdicts.
    WRITTEN = (0, 3, 4)

    def __init__(self, words: Sequence[str], name: str) -> None:
        super().__init__(name)
        self._words = words

    def arguments(self, file: str) -> list[str] | None:
        """Return the words of ``compare``."""
        return [*self._words, "--output", file] if file.endswith(".md") else None
