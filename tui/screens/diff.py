"""Two legs compared: the verdict, and everything that it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from core.text import harmless
from tui.commands import DIFF, bindings
from tui.comparing import RunsCompared, compare_runs, compare_words, same_leg
from tui.page import Page
from tui.widgets.comparison import comparison_content
from tui.widgets.drawing import MUTED
from tui.widgets.keys import Keys
from tui.widgets.title import Banner, Title
from tui.widgets.verdict import VerdictStrip

if TYPE_CHECKING:
    from core.report.comparisons import ComparisonReport
    from core.run.journal import Run

_LEAST_WIDTH = 40
_LONGEST_FAULT = 160


def _fault(error: Exception, command: str) -> str:
    """Return what is said of an error that is the program's own."""
    words = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_FAULT]
    return f"The comparison failed by a fault of the program ({words}). The same outside: {command}"


class DiffScreen(Page):
    """Two runs compared."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(DIFF)]

    def __init__(self, first: Run, second: Run) -> None:
        super().__init__()
        self._first = first
        self._second = second
        self._report: ComparisonReport | None = None

    def compose(self) -> ComposeResult:
        """Lay the page out."""
        yield Title()
        yield Banner()
        yield VerdictStrip()
        with VerticalScroll(id="diff"):
            yield Static(markup=False, id="diff-text")
        yield Keys()

    def on_mount(self) -> None:
        """Compare."""
        self.query_one(Banner).show("")
        self.query_one("#diff").focus()
        self._compare()

    @work(group="diff", exclusive=True, exit_on_error=False)
    async def _compare(self) -> None:
        first, second, settings = self._first, self._second, self.state.settings
        self.query_one(Title).show(
            "noise" if same_leg(first, second) else "diff",
            *(harmless(f"{run.id} ({run.leg})") for run in (first, second)),
        )
        self.query_one("#diff-text", Static).update(
            Content.styled("Reading both legs and their raw files ...", MUTED)
        )
        # Runs are known only where the settings are.
        assert settings is not None
        try:
            found = await compare_runs(first, second, settings, self.console_app.clock)
        except Exception as error:  # whatever it is, a page that goes on reading would hide it
            found = RunsCompared(first, second, None, _fault(error, self._command()))
        self.post_message(found)

    @on(RunsCompared)
    def _show(self, message: RunsCompared) -> None:
        if not self.is_whole:
            return
        self._report = message.report
        self.query_one(Banner).show(harmless(message.problem))
        self.query_one(VerdictStrip).show(message.report.comparison if message.report else None)
        self._draw()
        self.refresh_bindings()

    def on_resize(self) -> None:
        """Draw for the new width."""
        self._draw()

    def _draw(self) -> None:
        text = self.query_one("#diff-text", Static)
        if self._report is not None:
            width = max(_LEAST_WIDTH, self.size.width - 6)
            text.update(comparison_content(self._report, self._command, width))
        elif self.query_one(Banner).display:
            text.update(Content.styled("There is nothing to compare.", MUTED))

    def _command(self, *more: str) -> str:
        """Return the headless command that compares the same two."""
        words = compare_words(self._first, self._second, *more)
        return self.console_app.command_line(*words)

    # Commands.

    def action_swap(self) -> None:
        """Swap the legs."""
        self._first, self._second = self._second, self._first
        self._report = None
        self.query_one(VerdictStrip).show(None)
        self.refresh_bindings()
        self._compare()

    def action_write(self) -> None:
        """Ask for a file and write the reports there."""
        from tui.screens.export import ReportsScreen

        settings = self.state.settings
        if settings is not None:
            words = compare_words(self._first, self._second)
            self.app.push_screen(ReportsScreen(words, str(settings.results_dir / "comparison.md")))

    def action_export(self) -> None:
        """Ask for a file and write the diff there."""
        from tui.screens.export import ExportScreen

        name = f"{self._first.leg}-and-{self._second.leg}.html"
        self.app.push_screen(ExportScreen((self._first.id, self._second.id), name))

    def action_copy_command(self) -> None:
        """Copy the headless command."""
        self.console_app.copy(self._command(), "the command")

    def action_back(self) -> None:
        """Go back."""
        self.app.pop_screen()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what is impossible now."""
        if action in ("write", "export", "swap"):
            return True if self._report is not None else None
        return True

    def run_on_screen(self) -> Run | None:
        """Return the second leg's run."""
        return self._second
