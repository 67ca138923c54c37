"""What a program says of something on screen: `kubectl describe` and the like."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from core.text import harmless
from tui.background import headless_command
from tui.commands import OUTPUT, bindings
from tui.page import Page
from tui.widgets.drawing import MUTED
from tui.widgets.keys import Keys
from tui.widgets.title import Title

if TYPE_CHECKING:
    from core.report.equivalents import Equivalent

# What only looks is not waited for longer.
_PATIENCE_S = 30.0
# More than that nobody reads here, and laying it out would be felt.
_MOST_LINES = 2000


class OutputScreen(Page):
    """Runs commands that only look, and shows their words."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(OUTPUT)]

    def __init__(self, commands: Sequence[Equivalent]) -> None:
        super().__init__()
        self._commands = commands

    def compose(self) -> ComposeResult:
        """Lay the page out."""
        yield Title()
        with VerticalScroll(id="output"):
            yield Static("Asking ...", markup=False, id="output-text")
        yield Keys()

    def on_mount(self) -> None:
        """Ask."""
        self.query_one(Title).show(", ".join(command.label for command in self._commands))
        self.query_one("#output").focus()
        self._ask()

    def action_again(self) -> None:
        """Ask again."""
        self._ask()

    def action_close(self) -> None:
        """Go back."""
        self.dismiss()

    def action_copy_command(self) -> None:
        """Copy the commands."""
        self.console_app.copy("\n".join(map(self._line, self._commands)), "the commands")

    def _line(self, entry: Equivalent) -> str:
        """Return a command as it is typed."""
        if entry.own:
            return self.console_app.command_line(*entry.command)
        return shlex.join(entry.command)

    def _program(self, entry: Equivalent) -> Sequence[str]:
        """Return a command as it is started."""
        if entry.own:
            return headless_command([*entry.command, *self.console_app.places()])
        return entry.command

    @work(group="output", exclusive=True, exit_on_error=False)
    async def _ask(self) -> None:
        parts = []
        for entry in self._commands:
            parts.append(Content.styled(f"$ {harmless(self._line(entry))}", "bold"))
            try:
                answer = await self.console_app.run_command(self._program(entry), _PATIENCE_S)
            except TimeoutError:
                parts.append(
                    Content.styled(
                        f"No answer within {_PATIENCE_S:.0f} s; F5 asks again.", "$text-error"
                    )
                )
                continue
            except OSError as error:
                parts.append(
                    Content.styled(
                        f"{harmless(entry.command[0])} cannot be run here: {error.strerror}. "
                        "Install it, or copy the command with c.",
                        "$text-error",
                    )
                )
                continue
            lines = (answer.out + answer.err).splitlines()
            parts += [Content(harmless(line)) for line in lines[:_MOST_LINES]]
            if len(lines) > _MOST_LINES:
                parts.append(Content.styled(f"{len(lines) - _MOST_LINES} more lines", MUTED))
            parts.append(Content(""))
        self.query_one("#output-text", Static).update(Content("\n").join(parts))
