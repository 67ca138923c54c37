"""Two legs beside each other, metric by metric, against the 5 % line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from core.text import harmless
from tui.background import in_background
from tui.commands import DIFF, bindings
from tui.page import Page
from tui.widgets.difference import side_by_side_content
from tui.widgets.drawing import MUTED
from tui.widgets.keys import Keys
from tui.widgets.title import Banner, Title

if TYPE_CHECKING:
    from core.report.side_by_side import SideBySide
    from core.run.journal import Run


@dataclass
class SideBySideRead(Message):
    """Both result files were read, or not."""

    found: SideBySide | None
    problem: str


class DiffScreen(Page):
    """Two runs beside each other."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(DIFF)]

    def __init__(self, first: Run, second: Run) -> None:
        super().__init__()
        self._first = first
        self._second = second
        self._found: SideBySide | None = None

    def compose(self) -> ComposeResult:
        """Lay the page out."""
        yield Title()
        yield Banner()
        with VerticalScroll(id="diff"):
            yield Static("Reading both results ...", markup=False, id="diff-text")
        yield Keys()

    def on_mount(self) -> None:
        """Read both files."""
        self.query_one(Banner).show("")
        self.query_one("#diff").focus()
        self._read()

    @work(group="diff", exclusive=True, exit_on_error=False)
    async def _read(self) -> None:
        first, second = self._first, self._second
        self.query_one(Title).show(
            "diff", harmless(f"{first.id} ({first.leg})"), harmless(f"{second.id} ({second.leg})")
        )

        costs_of = self.console_app.costs_of

        def read() -> SideBySideRead:
            from benchmark.errors import ProblemError
            from benchmark.results import RESULT_FILE, read_result
            from core.report.side_by_side import side_by_side

            try:
                results = [read_result(run.folder / RESULT_FILE) for run in (first, second)]
                costs = costs_of(first.id, second.id)
                found = side_by_side(results[0], results[1], (costs[0], costs[1]))
            except ProblemError as problem:
                return SideBySideRead(None, str(problem))
            return SideBySideRead(found, "")

        self.post_message(await in_background(read))

    @on(SideBySideRead)
    def _show(self, message: SideBySideRead) -> None:
        if not self.is_whole:
            return
        self._found = message.found
        self.query_one(Banner).show(harmless(message.problem))
        self._draw()
        self.refresh_bindings()

    def on_resize(self) -> None:
        """Draw for the new width."""
        self._draw()

    def _draw(self) -> None:
        text = self.query_one("#diff-text", Static)
        if self._found is not None:
            text.update(side_by_side_content(self._found, max(40, self.size.width - 6)))
        elif self.query_one(Banner).display:
            text.update(Content.styled("There is nothing to lay side by side.", MUTED))

    def action_swap(self) -> None:
        """Swap the legs."""
        self._first, self._second = self._second, self._first
        self._read()

    def action_export(self) -> None:
        """Ask for a file and write the diff there."""
        from tui.screens.export import ExportScreen

        name = f"{self._first.leg}-and-{self._second.leg}.html"
        self.app.push_screen(ExportScreen((self._first.id, self._second.id), name))

    def action_copy_command(self) -> None:
        """Copy the headless command."""
        command = self.console_app.command_line("show", self._first.id, self._second.id)
        self.console_app.copy(command, "the command")

    def action_back(self) -> None:
        """Go back."""
        self.app.pop_screen()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what is impossible now."""
        if action in ("export", "swap"):
            return True if self._found is not None else None
        return True

    def run_on_screen(self) -> Run | None:
        """Return the second leg's run."""
        return self._second
