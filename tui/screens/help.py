"""Every command with its key as it is now, and the headless command that does the same."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.commands import ALL
from tui.page import Page
from tui.widgets.drawing import MUTED
from tui.widgets.keys import Keys
from tui.widgets.title import Title

_KEY = 10
_TEXT = 64
_ID = 22


class HelpScreen(Page):
    """The keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark", "close", "Back")]

    def compose(self) -> ComposeResult:
        """Lay the page out."""
        yield Title()
        with VerticalScroll(id="help"):
            yield Static(markup=False, id="help-text")
        yield Keys()

    def on_mount(self) -> None:
        """Show the commands, by where they work."""
        self.query_one(Title).show("help")
        self.query_one("#help").focus()
        self.query_one("#help-text", Static).update(self._content())

    def _content(self) -> Content:
        from tui.log.panel import LogPanel

        keys = self.console_app.console_settings.keys
        lines: list[Content] = []
        for place, commands in ALL.items():
            lines += [Content.styled(place, "bold $primary")]
            for command in commands:
                key = keys.get(command.id, command.key)
                lines.append(self._line(key, command.id, command.help, command.headless))
            lines.append(Content(""))
        lines.append(Content.styled("Log panel", "bold $primary"))
        for binding in LogPanel.BINDINGS:
            if isinstance(binding, Binding) and binding.id:
                text = binding.tooltip or binding.description
                lines.append(self._line(keys.get(binding.id, binding.key), binding.id, text, ""))
        lines += [
            Content(""),
            Content("ctrl+p opens the palette: what is possible now, and the themes."),
            Content(
                'Keys are changed in the configuration file: [console.keys], "run.stop" = "X".'
            ),
            Content("For a screen reader: gpubench-tui --no-ui follow says everything in lines."),
        ]
        return Content("\n").join(lines)

    def _line(self, key: str, name: str, text: str, headless: str) -> Content:
        shown = ", ".join(self.app.get_key_display(part) for part in _bindings(key))
        same = f"--no-ui {headless}" if headless else ""
        # What a narrow terminal cuts off is the least wanted.
        return Content.assemble(
            (f"{shown:>{_KEY}}  ", "bold"),
            f"{text:<{_TEXT}}",
            (f"{name:<{_ID}}{same}", MUTED),
        )

    def action_close(self) -> None:
        """Go back."""
        self.dismiss()


def _bindings(keys: str) -> list[Binding]:
    return [Binding(key.strip(), "", "") for key in keys.split(",") if key.strip()]
