"""The per-scenario table of one result: one data structure, several renderings.

Blocks of one measurement stand in one row: the median of the good blocks and how far they spread.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.plan import Precision
from benchmark.results import MeasurementResult, Result, result_text
from core.report import cost_views, html
from core.report.costs import InferenceCost, RunCost, inference_cost
from core.report.expected import (
    NONE_PUBLISHED,
    ExpectedRange,
    expected_p90,
    expected_throughput,
    remark_on,
)
from core.text import columns, harmless, markdown_line, markdown_text
from core.verdict.descriptions import configuration_text, path_text

HEADERS = (
    "scenario",
    "batch",
    "path",
    "blocks",
    "throughput (samples/s)",
    "expected (samples/s)",
    "p50 (ms)",
    "p90 (ms)",
    "p99 (ms)",
    "marks",
)
_NUMBERS = tuple(range(HEADERS.index("blocks"), HEADERS.index("marks")))


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure over the good blocks."""

    median: float
    minimum: float
    maximum: float
    advisory: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement over its blocks."""

    name: str
    scenario: str
    batch_size: int
    path: str
    blocks: int
    void: int
    throughput: Figure | None
    p50: Figure | None
    p90: Figure | None
    p99: Figure | None
    latency_of: str
    """``query`` or ``batch``."""
    reasons: tuple[str, ...]
    expected: ExpectedRange | None = None
    """Throughput that was published for this GPU, precision and batch size, in samples/s."""
    expected_p90: ExpectedRange | None = None
    """The same of SingleStream's p90, in ms."""
    cost: InferenceCost | None = None
    """None: not known, or no good block."""


@dataclass(frozen=True, slots=True)
class ScenarioTable:
    """What is said of one result."""

    run_id: str
    leg: str
    device: str
    configuration: str
    hypervisor: str
    complete: bool
    notice: str
    rows: tuple[Row, ...]
    precision: str = ""
    published_remark: str = ""
    """What was published for this GPU and fits no row."""
    cost: RunCost | None = None
    """None: not known, and nothing is said of it."""

    def notes(self) -> tuple[str, ...]:
        """Return the sentences that belong under the table."""
        notes = [self.notice]
        if any(
            figure is not None and figure.advisory
            for row in self.rows
            for figure in (row.p50, row.p90, row.p99)
        ):
            notes.append("* advisory: fewer queries than early stopping asks for that percentile.")
        if any(row.latency_of == "batch" for row in self.rows):
            notes.append("Offline has one query; its latencies are those of a batch in the SUT.")
        if not self.complete:
            notes.append("The run did not measure everything it had planned.")
        notes += self._expectations()
        notes += [f"{row.name}: void: {reason}" for row in self.rows for reason in row.reasons]
        return tuple(notes)

    def _expectations(self) -> list[str]:
        notes = []
        if sources := dict.fromkeys(row.expected.source for row in self.rows if row.expected):
            notes.append(
                f"expected: published for this GPU at that batch size in {self.precision}, to read "
                f"beside the figure; not a target. Sources: {'; '.join(sources)}."
            )
        notes += [
            f"{row.name}: expected p90 {row.expected_p90} ms. Sources: {row.expected_p90.source}."
            for row in self.rows
            if row.expected_p90
        ]
        return notes + ([self.published_remark] if self.published_remark else [])


def scenario_table(result: Result, cost: RunCost | None = None) -> ScenarioTable:
    """Return the table of a result, with what its run cost where that is known."""
    names = dict.fromkeys(measurement.name for measurement in result.benchmarks)
    # A CPU may call itself anything.
    gpu = result.gpu_info.name if result.device == "cuda" else ""
    return ScenarioTable(
        run_id=result.run_id,
        leg=result.leg,
        device=result.gpu_info.name,
        configuration=configuration_text(result),
        hypervisor=str(result.attestation.hypervisor),
        complete=result.complete,
        notice=result.notice,
        rows=tuple(
            _row(
                [entry for entry in result.benchmarks if entry.name == name],
                gpu,
                result.configuration.precision,
                cost,
            )
            for name in names
        ),
        precision=str(result.configuration.precision),
        published_remark=remark_on(gpu),
        cost=cost,
    )


def render_text(table: ScenarioTable) -> str:
    """Return the table for a terminal."""
    rows = [row_cells(row) for row in table.rows]
    rule = ["-" * max(map(len, column)) for column in zip(HEADERS, *rows, strict=True)]
    lines = [*_heading(table), "", *columns([HEADERS, rule, *rows]), ""]
    lines += map(harmless, table.notes())
    if table.cost is not None:
        lines += ["", *cost_views.section_text(table.cost, _measured(table))]
    return "\n".join(lines) + "\n"


def render_markdown(table: ScenarioTable) -> str:
    """Return the table as Markdown; text from outside is escaped."""
    lines = [f"# Results of {markdown_text(table.run_id)}", ""]
    lines += [f"- {markdown_line(line)}" for line in _heading(table)[1:]]
    lines += ["", f"| {' | '.join(HEADERS)} |", f"|{' --- |' * len(HEADERS)}"]
    lines += [f"| {' | '.join(map(markdown_text, row_cells(row)))} |" for row in table.rows]
    lines += ["", *(f"{markdown_line(note)}\n" for note in table.notes())]
    if table.cost is not None:
        lines += cost_views.section_markdown(table.cost, _measured(table))
    return "\n".join(lines)


def render_html(table: ScenarioTable) -> str:
    """Return the table as an HTML document of its own."""
    return html.page(
        f"Results of {table.run_id}",
        [
            html.items(_heading(table)[1:]),
            html.table(HEADERS, map(row_cells, table.rows), _NUMBERS),
            html.items(table.notes(), "notes"),
            *(cost_views.section_html(table.cost, _measured(table)) if table.cost else ()),
        ],
    )


def render_csv(result: Result, cost: RunCost | None = None) -> str:
    """Return one line a measurement and block, for a spreadsheet; nothing is summed up. The last
    columns are there only where it is known what the run cost.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        (
            *("run", "leg", "device", "hypervisor", "scenario", "batch_size", "execution"),
            *("host_to_device", "block", "void", "void_reasons", "throughput_samples_per_s"),
            *("p50_ms", "p90_ms", "p95_ms", "p99_ms", "p99.9_ms", "queries", "samples"),
            *(("usd_per_hour", "usd_per_million_inferences") if cost else ()),
        )
    )
    for entry in result.benchmarks:
        percentiles = {
            found.name: found.milliseconds
            for found in (entry.latency.percentiles if entry.latency else ())
        }
        writer.writerow(
            (
                *map(spreadsheet_text, (result.run_id, result.leg, result.gpu_info.name)),
                *(result.attestation.hypervisor.value, entry.scenario.value, entry.batch_size),
                *(entry.execution.value, entry.host_to_device, entry.block, entry.void),
                *(spreadsheet_text("; ".join(entry.void_reasons)), entry.throughput_samples_per_s),
                *(percentiles.get(name) for name in ("p50", "p90", "p95", "p99", "p99.9")),
                *(entry.queries, entry.samples),
                *(_csv_cost(cost, entry) if cost else ()),
            )
        )
    return stream.getvalue()


def render_json(result: Result) -> str:
    """Return the result file's content."""
    return terminal_json(result_text(result))


def terminal_json(text: str) -> str:
    """Return JSON that means the same and has no control character: of them all, JSON's own escapes
    leave DEL as it is.
    """
    return text.replace("\x7f", "\\u007f")


def _measured(table: ScenarioTable) -> list[cost_views.Measured]:
    return [
        (row.scenario, str(row.batch_size), row.path, row.cost) for row in table.rows if row.cost
    ]


def _csv_cost(cost: RunCost, entry: MeasurementResult) -> tuple[float | None, float | None]:
    blocks = [] if entry.void else [entry]
    found = inference_cost(cost, blocks, entry.throughput_samples_per_s)
    return (found.usd_per_hour, found.usd_per_million) if found else (None, None)


def _row(
    blocks: Sequence[MeasurementResult], gpu: str, precision: Precision, cost: RunCost | None
) -> Row:
    first = blocks[0]
    good = [block for block in blocks if not block.void]
    # A void measurement is shown, not used: alone in its row, its own figures stand there.
    throughput = figure_of(good or blocks, None)
    return Row(
        name=first.name,
        scenario=str(first.scenario),
        batch_size=first.batch_size,
        path=path_text(first),
        blocks=len(blocks),
        void=len(blocks) - len(good),
        throughput=throughput,
        p50=figure_of(good or blocks, 0.5),
        p90=figure_of(good or blocks, 0.9),
        p99=figure_of(good or blocks, 0.99),
        latency_of=next((block.latency.of for block in blocks if block.latency), "query"),
        reasons=tuple(
            dict.fromkeys(
                f"block {block.block}: {reason}"
                for block in blocks
                for reason in block.void_reasons
            )
        ),
        expected=expected_throughput(gpu, first.scenario, first.batch_size, precision),
        expected_p90=expected_p90(gpu, first.scenario, first.batch_size, precision),
        cost=inference_cost(cost, good, throughput.median) if cost and throughput else None,
    )


def figure_of(blocks: Sequence[MeasurementResult], percentile: float | None) -> Figure | None:
    """Return a percentile in ms over blocks, or for None their throughput in samples/s; None where
    no block has it.
    """
    values: list[float] = []
    advisory = False
    for block in blocks:
        if percentile is None:
            if block.throughput_samples_per_s is not None:
                values.append(block.throughput_samples_per_s)
        elif block.latency and (found := block.latency.milliseconds(percentile)):
            values.append(found.milliseconds)
            advisory = advisory or not found.supported
    if not values:
        return None
    return Figure(statistics.median(values), min(values), max(values), advisory)


def _heading(table: ScenarioTable) -> list[str]:
    return [
        f"Run {harmless(table.run_id)}",
        f"leg {harmless(table.leg)}, under {table.hypervisor}",
        f"measured on: {harmless(table.device)}",
        f"configuration: {harmless(table.configuration)}",
    ]


def row_cells(row: Row) -> list[str]:
    marks = f"{row.void} of {row.blocks} void" if row.void else "valid"
    return [
        row.scenario,
        str(row.batch_size),
        row.path,
        str(row.blocks),
        figure_text(row.throughput),
        str(row.expected or NONE_PUBLISHED),
        *(figure_text(figure) for figure in (row.p50, row.p90, row.p99)),
        marks,
    ]


def figure_text(figure: Figure | None) -> str:
    """Return a figure as a table's cell shows it: median, spread over the blocks, advisory mark."""
    if figure is None:
        return "-"
    text = f"{figure.median:,.2f}"
    if figure.maximum > figure.minimum:
        text += f" ({figure.minimum:,.2f} to {figure.maximum:,.2f})"
    return f"{text} *" if figure.advisory else text


def spreadsheet_text(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    safe = harmless(text)
    return f"'{safe}" if safe[:1] in ("=", "+", "-", "@") else safe
