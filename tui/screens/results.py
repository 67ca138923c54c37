"""The results of one run: figures, plots, evidence and files."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import DataTable, Static, TabbedContent, TabPane

from core.text import harmless
from tui.background import in_background
from tui.commands import RESULTS, bindings
from tui.comparing import RunsCompared, compare_runs, same_leg
from tui.page import Page
from tui.screens.evidence import evidence_content, files_content
from tui.widgets.drawing import MUTED
from tui.widgets.keys import Keys
from tui.widgets.plots import Plot
from tui.widgets.title import Banner, Title
from tui.widgets.verdict import verdict_style, verdict_text

if TYPE_CHECKING:
    from benchmark.results import MeasurementResult, Result
    from core.report.costs import RunCost
    from core.report.curves import LatencyDistribution, ThroughputSeries
    from core.report.scenarios import Row, ScenarioTable
    from core.run.journal import Run

# Only where it is known what the run cost.
_PER_MILLION = "USD per million inferences"
# The report's columns, the most wanted first: a narrow terminal cuts the last ones off.
_COLUMNS = {
    "scenario": "scenario",
    "batch": "batch",
    "throughput (samples/s)": "samples/s",
    "p50 (ms)": "p50 ms",
    "p90 (ms)": "p90 ms",
    "p99 (ms)": "p99 ms",
    "marks": "marks",
    _PER_MILLION: "$/million",
    "expected (samples/s)": "expected samples/s",
    "path": "path",
    "blocks": "blocks",
}
_FIGURES = ("batch", "throughput (samples/s)", "p50 (ms)", "p90 (ms)", "p99 (ms)", _PER_MILLION)
# Between two rows of somebody who holds a key down.
_WALKING_S = 0.1
_PANES = ("figures", "plots", "evidence", "files")


@dataclass
class ResultRead(Message):
    """The result file was read, or not."""

    result: Result | None
    problem: str
    cost: RunCost | None = None


@dataclass
class CurvesRead(Message):
    """A measurement's raw data was read, or not."""

    measurement: str
    latencies: LatencyDistribution | None
    throughput: ThroughputSeries | None
    problem: str


class ResultsScreen(Page):
    """What a run found."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(RESULTS)]

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self._result: Result | None = None
        self._rows: tuple[Row, ...] = ()

    def compose(self) -> ComposeResult:
        """Lay the page out."""
        yield Title()
        yield Banner()
        with TabbedContent(initial="figures"):
            with TabPane("1 Figures", id="figures"):
                yield Static(markup=False, id="result-head")
                yield Static(markup=False, id="result-verdict")
                yield DataTable(id="figures-table", cursor_type="row")
                yield Static(markup=False, id="row-note")
                yield Static(markup=False, id="result-notes")
            with TabPane("2 Plots", id="plots"), VerticalScroll():
                yield Plot("latency")
                yield Plot("throughput over time")
            with TabPane("3 Evidence", id="evidence"), VerticalScroll():
                yield Static(markup=False, id="evidence-text")
            with TabPane("4 Files", id="files"), VerticalScroll():
                yield Static(markup=False, id="files-text")
        yield Keys()

    def on_mount(self) -> None:
        """Read the file."""
        self.query_one(Banner).show("")
        self.query_one(Title).show(harmless(self._run.id), "results")
        self._read()

    @work(group="result", exclusive=True, exit_on_error=False)
    async def _read(self) -> None:
        costs_of = self.console_app.costs_of

        def read() -> ResultRead:
            from benchmark.errors import ProblemError
            from benchmark.results import RESULT_FILE, read_result

            try:
                result = read_result(self._run.folder / RESULT_FILE)
            except ProblemError as problem:
                return ResultRead(None, str(problem))
            return ResultRead(result, "", costs_of(self._run.id)[0])

        self.post_message(await in_background(read))

    @on(ResultRead)
    def _show(self, message: ResultRead) -> None:
        if not self.is_whole:
            return
        self.query_one(Banner).show(harmless(message.problem))
        if message.result is None:
            for plot in self.query(Plot):
                plot.show_sentence("There is no result to plot.")
            return
        from core.report.scenarios import scenario_table

        self._result = message.result
        table = scenario_table(message.result, message.cost)
        self._rows = table.rows
        self._show_figures(table)
        self.query_one("#evidence-text", Static).update(evidence_content(message.result))
        self.query_one("#files-text", Static).update(
            files_content(message.result, self._run.folder)
        )
        self.query_one("#figures-table").focus()
        self.refresh_bindings()
        baseline = self.baseline_for(self._run)
        self.query_one("#result-verdict").display = baseline is not None
        if baseline is not None:
            self._compare(baseline)

    @work(group="verdict", exclusive=True, exit_on_error=False)
    async def _compare(self, baseline: Run) -> None:
        settings = self.state.settings
        self.query_one("#result-verdict", Static).update(
            Content.styled(harmless(f"against {baseline.id}: comparing ..."), MUTED)
        )
        # Runs are known only where the settings are.
        assert settings is not None
        self.post_message(await compare_runs(baseline, self._run, settings, self.console_app.clock))

    @on(RunsCompared)
    def _show_verdict(self, message: RunsCompared) -> None:
        if self.is_whole:
            self.query_one("#result-verdict", Static).update(against_line(message))

    def _show_figures(self, table: ScenarioTable) -> None:
        self.query_one("#result-head", Static).update(
            Content.assemble(
                (f"leg {harmless(table.leg)}", "bold"),
                f", under {harmless(table.hypervisor)}\n",
                (harmless(table.device), MUTED),
                (f"\n{harmless(table.configuration)}", MUTED),
                *(_cost_line(table.cost) if table.cost is not None else ()),
            )
        )
        names = [name for name in _COLUMNS if name != _PER_MILLION or table.cost is not None]
        grid = self.query_one("#figures-table", DataTable)
        grid.clear(columns=True)
        for name in names:
            grid.add_column(_cell(name, _COLUMNS[name]))
        warning = self.app.theme_variables.get("warning", "")
        for row in table.rows:
            texts = _texts(row)
            style = warning if row.void else ""
            grid.add_row(*(_cell(name, texts[name], style) for name in names), key=row.name)
        self.query_one("#result-notes", Static).update(
            Content.styled(harmless_lines((*table.notes(), *_cost_notes(table))), MUTED)
        )

    @on(DataTable.RowHighlighted)
    def _plot_row(self, message: DataTable.RowHighlighted) -> None:
        if self._result is None or message.row_key.value is None:
            return
        # The raw data of the first good block; of the first where all are void.
        name = message.row_key.value
        blocks = [entry for entry in self._result.benchmarks if entry.name == name]
        chosen = next((entry for entry in blocks if not entry.void), blocks[0])
        self._read_curves(chosen)
        row = next((row for row in self._rows if row.name == name), None)
        if row is not None:
            self.query_one("#row-note", Static).update(row_note(row))

    @work(group="curves", exclusive=True, exit_on_error=False)
    async def _read_curves(self, measurement: MeasurementResult) -> None:
        # Each reading is a thread and may be large: who walks through the rows wants the last.
        await asyncio.sleep(_WALKING_S)
        folder = self._run.folder
        name = f"{measurement.name}, block {measurement.block}"

        def read() -> CurvesRead:
            from benchmark.errors import ProblemError
            from core.report.curves import latency_curve, throughput_curve

            try:
                return CurvesRead(
                    name,
                    latency_curve(folder, measurement),
                    throughput_curve(folder, measurement),
                    "",
                )
            except ProblemError as problem:
                return CurvesRead(name, None, None, str(problem))

        self.post_message(await in_background(read))

    @on(CurvesRead)
    def _show_curves(self, message: CurvesRead) -> None:
        if not self.is_whole:
            return
        latency, throughput = self.query(Plot).results(Plot)
        latency.show_title(f"latency: {message.measurement}")
        throughput.show_title(f"throughput over time: {message.measurement}")
        if message.problem:
            latency.show_sentence(harmless(message.problem))
            throughput.show_sentence("")
            return
        latency.show_distribution(message.latencies)
        throughput.show_series(message.throughput)

    # Commands.

    def _activate(self, number: int) -> None:
        name = _PANES[number - 1]
        self.query_one(TabbedContent).active = name
        # The arrow keys are the pane's then.
        inner = "#figures-table" if name == "figures" else f"#{name} VerticalScroll"
        self.call_after_refresh(self.query_one(inner).focus)

    def action_pane_1(self) -> None:
        """Show the figures."""
        self._activate(1)

    def action_pane_2(self) -> None:
        """Show the plots."""
        self._activate(2)

    def action_pane_3(self) -> None:
        """Show the evidence."""
        self._activate(3)

    def action_pane_4(self) -> None:
        """Show the files."""
        self._activate(4)

    def action_diff(self) -> None:
        """Open the diff against the latest baseline."""
        self.open_diff(self.baseline_for(self._run), self._run)

    def action_export(self) -> None:
        """Ask for a file and write the results there."""
        from tui.screens.export import ExportScreen

        self.app.push_screen(ExportScreen((self._run.id,), f"{self._run.id}.html"))

    def action_copy_command(self) -> None:
        """Copy the headless command."""
        self.console_app.copy(self.console_app.command_line("show", self._run.id), "the command")

    def action_back(self) -> None:
        """Go back."""
        self.app.pop_screen()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what is impossible now."""
        if action == "export":
            return True if self._result is not None else None
        if action == "diff":
            first = self.baseline_for(self._run)
            return True if self._result is not None and first is not None else None
        return True

    def run_on_screen(self) -> Run | None:
        """Return the run."""
        return self._run


def harmless_lines(lines: tuple[str, ...]) -> str:
    """Return sentences below each other."""
    return "\n".join(map(harmless, lines))


def row_note(row: Row) -> Content:
    """Return what was published of a row's measurement, beside what was measured."""
    from core.report.costs import dollars
    from core.report.expected import NONE_PUBLISHED

    expected = str(row.expected) if row.expected else NONE_PUBLISHED
    text = f"{row.name}: expected samples/s: {expected}"
    if row.expected_p90:
        text += f"; expected p90: {row.expected_p90} ms"
    if row.cost is not None:
        # The table's own column of it may be beyond a narrow terminal.
        text += f"; {dollars(row.cost.usd_per_million)} per million inferences"
    return Content(harmless(text))


def against_line(found: RunsCompared) -> Content:
    """Return what a run shows against another one, in a line; the diff says why."""
    against = harmless(f"against {found.first.id}: ")
    if found.report is None:
        return Content.styled(f"{against}{harmless(found.problem)}", MUTED)
    question = "A/A " if same_leg(found.first, found.second) else ""
    verdict = found.report.comparison.verdict
    return Content.assemble(
        f"{question}{against}",
        (verdict_text(verdict), f"bold {verdict_style(verdict)}"),
        ("; d says why", MUTED),
    )


def _cost_line(cost: RunCost) -> tuple[str | tuple[str, str], ...]:
    from core.report.cost_views import summary

    return ("\ncost ", (harmless(summary(cost)), "bold"))


def _cost_notes(table: ScenarioTable) -> tuple[str, ...]:
    from core.report.cost_views import notes

    if table.cost is None:
        return ()
    measured = [
        (row.scenario, str(row.batch_size), row.path, row.cost) for row in table.rows if row.cost
    ]
    return tuple(notes(table.cost, measured))


def _texts(row: Row) -> dict[str, str]:
    """Return a row's cells by the reports' names of their columns."""
    from core.report.costs import dollars
    from core.report.scenarios import HEADERS, row_cells

    texts = dict(zip(HEADERS, row_cells(row), strict=True))
    cost = dollars(row.cost.usd_per_million) if row.cost is not None else "-"
    return {name: _short(text, row) for name, text in texts.items()} | {_PER_MILLION: cost}


def _short(text: str, row: Row) -> str:
    """Return a cell's text; of a single block a narrow table says the same in a word."""
    return "void" if row.blocks == 1 and text == "1 of 1 void" else text


def _cell(header: str, text: str, style: str = "") -> Text:
    return Text(harmless(text), style, justify="right" if header in _FIGURES else "left")
