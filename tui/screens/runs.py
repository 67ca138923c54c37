"""The list of runs; on a machine without any, what this machine is and the next step."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import DataTable, Static

from core.text import duration, harmless
from tui.commands import RUNS, bindings
from tui.page import Page
from tui.widgets.drawing import MARKS, MUTED
from tui.widgets.keys import Keys
from tui.widgets.title import Banner, Title

if TYPE_CHECKING:
    from core.run.events import RunState
    from core.run.journal import Run
    from core.targets.machine import Finding

# The id says target and leg too: what comes after it may be cut off on a narrow terminal.
_COLUMNS = ("", "state", "run", "profile", "took", "spent", "created (UTC)", "target", "leg")


class RunsScreen(Page):
    """Where the console opens."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(RUNS)]
    # The table is hidden at first, and would take the first page's keys.
    AUTO_FOCUS = ""

    def __init__(self) -> None:
        super().__init__()
        self._marked: str | None = None
        self._shown: object = None
        self._asked = False

    def compose(self) -> ComposeResult:
        """Lay the page out."""
        yield Title()
        yield Banner()
        yield Static("Reading the journal ...", id="waiting", markup=False)
        with Vertical(id="first"):
            yield Static(markup=False, id="first-text")
        yield DataTable(id="runs", cursor_type="row", zebra_stripes=False)
        yield Static(markup=False, id="run-details")
        yield Keys()

    def on_mount(self) -> None:
        """Begin with nothing known."""
        table = self.query_one(DataTable)
        for name in _COLUMNS:
            table.add_column(name, key=name)
        for name in ("#first", "#runs", "#run-details"):
            self.query_one(name).display = False
        self.query_one(Banner).show("")
        self.query_one(Title).show("runs")

    def state_changed(self) -> None:
        """Show the runs, or the first page."""
        runs = self.state.runs
        self.query_one(Banner).show(self.state.refusal)
        waiting = self.query_one("#waiting", Static)
        waiting.display = runs is None
        if self.state.refusal:
            waiting.update("No run can be shown now; it is tried again all the time.")
        self.query_one("#runs").display = bool(runs)
        self.query_one("#run-details").display = bool(runs)
        first = runs is not None and not runs
        self.query_one("#first").display = first
        if first and not self._asked:
            self._asked = True
            self.query_one("#first-text", Static).update("Looking at this machine ...")
            self._look_at_machine()
        shown = (runs, self._marked, self.state.spent)
        if runs and self._shown != shown:
            self._shown = shown
            self._fill(runs)
        if runs is not None:
            active = sum(not state.ended for _run, state in runs)
            self.query_one(Title).show("runs", f"{len(runs)} in the journal", f"{active} under way")

    def _fill(self, runs: tuple[tuple[Run, RunState], ...]) -> None:
        table = self.query_one(DataTable)
        before = self._selected()
        first_time = table.row_count == 0
        table.clear()
        for run, state in runs:
            sign, style = MARKS[state]
            # Themes name their colours for content; a table's cells are rich's.
            colour = self.app.theme_variables.get(style.removeprefix("$"), "")
            took = run.finished_at - run.created_at if run.finished_at else None
            table.add_row(
                Text("◆" if run.id == self._marked else " "),
                Text(f"{sign} {state}", style=colour if colour.startswith("#") else ""),
                Text(harmless(run.id)),
                Text(harmless(run.profile)),
                Text(duration(took.total_seconds()) if took else ""),
                Text(self.state.spent.get(run.id, ""), justify="right"),
                Text(f"{run.created_at:%Y-%m-%d %H:%M}"),
                Text(harmless(run.target)),
                Text(harmless(run.leg)),
                key=run.id,
            )
        if before is not None and (row := self._row_of(before.id)) is not None:
            table.move_cursor(row=row, animate=False)
        if first_time:
            table.focus()
        self._show_details()

    def _row_of(self, run_id: str) -> int | None:
        ids = [run.id for run, _state in self.state.runs or ()]
        return ids.index(run_id) if run_id in ids else None

    def _selected(self) -> Run | None:
        table = self.query_one(DataTable)
        if not table.row_count or not table.is_valid_row_index(table.cursor_row):
            return None
        key = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value
        found = self.state.run_named(str(key))
        return found[0] if found else None

    @on(DataTable.RowHighlighted)
    def _show_details(self) -> None:
        run = self._selected()
        if run is None:
            return
        found = self.state.run_named(run.id)
        state = found[1] if found else run.state
        spent = self.state.spent.get(run.id, "")
        code = "" if run.exit_code is None else f", exit code {run.exit_code}"
        self.query_one("#run-details", Static).update(
            Content.assemble(
                (f"{harmless(run.id)}\n", "bold"),
                f"{state}{code}, target {harmless(run.target)}, leg {harmless(run.leg)}"
                f"{f', spent {spent}' if spent else ''}\n",
                (harmless(str(run.folder)), MUTED),
            )
        )
        self.refresh_bindings()

    # The first page.

    @work(group="machine", exclusive=True, exit_on_error=False)
    async def _look_at_machine(self) -> None:
        from tui.background import in_background

        console = self.console_app

        def look() -> tuple[Finding, ...]:
            from core.targets.machine import findings

            return (console.look_at_machine or findings)(console.environment)

        found = await in_background(look)
        self.query_one("#first-text", Static).update(first_page(found))

    # Commands.

    @on(DataTable.RowSelected)
    def action_open(self) -> None:
        """Open the selected run, or take the first page's next step."""
        from tui.screens.run import RunScreen

        run = self._selected()
        if run is not None:
            self.app.push_screen(RunScreen(run))
        elif not self.state.runs:
            self.console_app.action_start_run()

    def action_results(self) -> None:
        """Open the selected run's results."""
        from tui.screens.results import ResultsScreen

        if (run := self._selected()) is not None:
            self.app.push_screen(ResultsScreen(run))

    def action_mark(self) -> None:
        """Mark the selected run as the first leg of a diff, or take the mark away."""
        run = self._selected()
        if run is not None:
            self._marked = None if self._marked == run.id else run.id
            self.state_changed()

    def action_diff(self) -> None:
        """Open the diff of the marked run, else the latest baseline, and the selected one."""
        pair = self._pair()
        if pair is not None:
            self.open_diff(*pair)

    def _pair(self) -> tuple[Run, Run] | None:
        run = self._selected()
        if run is None:
            return None
        marked = self.state.run_named(self._marked) if self._marked else None
        first = marked[0] if marked else self.baseline_for(run)
        return (first, run) if first is not None and first.id != run.id else None

    def action_stop(self) -> None:
        """Interrupt the selected run, once it was confirmed."""
        from tui.screens.confirm import stop_run

        if (run := self._selected()) is not None:
            stop_run(self.console_app, run)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what is impossible now."""
        run = self._selected() if self.is_mounted else None
        if action in ("results", "mark"):
            return True if run is not None else None
        if action == "diff":
            return True if run is not None and self._pair() is not None else None
        if action == "stop":
            found = self.state.run_named(run.id) if run is not None else None
            return True if found is not None and not found[1].ended else None
        return True

    def run_on_screen(self) -> Run | None:
        """Return the selected run."""
        return self._selected() if self.is_mounted else None


def first_page(found: tuple[Finding, ...]) -> Content:
    """Return what is said where there is no run yet."""
    lines: list[Content | str] = [
        Content.styled("What does a hypervisor layer really cost a GPU workload?", "bold"),
        "",
        "There are no runs yet. This machine:",
        "",
    ]
    for finding in found:
        sign, style = ("✓", "$success") if finding.found else ("·", MUTED)
        lines.append(
            Content.assemble("  ", (sign, style), f" {finding.name:<18}", harmless(finding.detail))
        )
        if finding.remedy:
            lines.append(Content.styled(f"{'':<22}{harmless(finding.remedy)}", MUTED))
    able = next((finding.found for finding in found if finding.name == "benchmark"), False)
    step = (
        "Enter  set up a first run here; time and cost are shown before it starts"
        if able
        else "Enter  open the form; measuring here needs the benchmark installed first"
    )
    lines += ["", Content.styled(step, "bold $primary"), "?      keys and commands"]
    return Content("\n").join(Content(line) if isinstance(line, str) else line for line in lines)
