"""Two results beside each other as a document: for a terminal, as Markdown, HTML, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict

from core.report import html, side_by_side_costs
from core.report.scenarios import figure_text, spreadsheet_text, terminal_json
from core.report.side_by_side import NOTE, DifferenceRow, Leg, Side, SideBySide
from core.report.side_by_side_costs import CostPair, leg_text, per_million_text
from core.text import columns, harmless, markdown_text

_VERSION = 1
_TITLE = "Side by side"
_NUMBERS = (2, 3, 4, 5)
_COST_NUMBERS = (1, 2, 3)
_CSV_HEADERS = (
    *("measurement", "scenario", "batch_size", "path", "metric", "unit"),
    *(
        f"{side}_{name}"
        for side in ("first", "second")
        for name in ("leg", "run", "median", "minimum", "maximum", "advisory", "blocks", "void")
    ),
    *("difference_percent", "smallest_percent", "largest_percent", "pairs", "marks"),
)


def render_text(found: SideBySide) -> str:
    """Return both legs for a terminal."""
    headers = _headers(found)
    rows = [list(map(harmless, _cells(row))) for row in found.rows]
    rule = ["-" * max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    lines = [*_heading(found), "", *columns([headers, rule, *rows]), ""]
    lines += [f"Warning: {harmless(warning)}" for warning in found.warnings]
    lines += map(harmless, found.notes())
    if found.cost is not None:
        rows = [_cost_headers(found), *_cost_rows(found.cost)]
        lines += ["", *_cost_heading(found, found.cost)]
        lines += ["", *columns([list(map(harmless, row)) for row in rows])] if rows[1:] else []
        lines += ["", *map(harmless, found.cost.notes())]
    return "\n".join(lines) + "\n"


def render_markdown(found: SideBySide) -> str:
    """Return both legs as Markdown; text from outside is escaped."""
    headers = _headers(found)
    lines = [f"# {_TITLE}", ""]
    lines += [f"- {markdown_text(line)}" for line in _heading(found)]
    if found.warnings:
        lines += ["", "## Warnings", ""]
        lines += [f"- {markdown_text(warning)}" for warning in found.warnings]
    lines += ["", f"| {' | '.join(map(markdown_text, headers))} |", f"|{' --- |' * len(headers)}"]
    lines += [f"| {' | '.join(map(markdown_text, _cells(row)))} |" for row in found.rows]
    lines += ["", *(f"{markdown_text(note)}\n" for note in found.notes())]
    if found.cost is not None:
        lines += _cost_markdown(found, found.cost)
    return "\n".join(lines)


def _cost_markdown(found: SideBySide, cost: CostPair) -> list[str]:
    lines = [f"## {side_by_side_costs.TITLE}", ""]
    lines += [f"- {markdown_text(line)}" for line in _cost_heading(found, cost)]
    if cost.rows:
        headers = _cost_headers(found)
        lines += ["", f"| {' | '.join(map(markdown_text, headers))} |"]
        lines.append(f"|{' --- |' * len(headers)}")
        lines += [f"| {' | '.join(map(markdown_text, row))} |" for row in _cost_rows(cost)]
    return [*lines, "", *(f"{markdown_text(note)}\n" for note in cost.notes())]


def render_html(found: SideBySide) -> str:
    """Return both legs as an HTML document of its own."""
    warnings = [html.heading("Warnings"), html.items(found.warnings, "warnings")]
    return html.page(
        f"{_TITLE}: {found.first.label} and {found.second.label}",
        [
            html.items(_heading(found)),
            *(warnings if found.warnings else ()),
            html.table(_headers(found), map(_cells, found.rows), _NUMBERS),
            html.items(found.notes(), "notes"),
            *(_cost_html(found, found.cost) if found.cost else ()),
        ],
    )


def _cost_html(found: SideBySide, cost: CostPair) -> list[str]:
    table = html.table(_cost_headers(found), _cost_rows(cost), _COST_NUMBERS) if cost.rows else ""
    return [
        html.heading(side_by_side_costs.TITLE),
        html.items(_cost_heading(found, cost)),
        table,
        html.items(cost.notes(), "notes"),
    ]


def render_csv(found: SideBySide) -> str:
    """Return one line a measurement and metric, for a spreadsheet."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV_HEADERS)
    for row in found.rows:
        writer.writerow(
            (
                *map(spreadsheet_text, (row.measurement, row.scenario)),
                *(row.batch_size, spreadsheet_text(row.path), row.metric, row.unit),
                *_csv_side(found.first, row.first),
                *_csv_side(found.second, row.second),
                *(row.difference_percent, row.smallest_percent, row.largest_percent, row.pairs),
                spreadsheet_text("; ".join(row.marks)),
            )
        )
    return stream.getvalue()


def render_json(found: SideBySide) -> str:
    """Return the whole data structure."""
    document = {
        "kind": "side_by_side",
        "version": _VERSION,
        "note": NOTE,
        **asdict(found),
    }
    if found.cost is None:
        del document["cost"]
    return terminal_json(json.dumps(document, indent=1, allow_nan=False)) + "\n"


def _heading(found: SideBySide) -> list[str]:
    legs = (("first", found.first), ("second", found.second))
    return [
        f"{place}: leg {harmless(leg.name)}, run {harmless(leg.run_id)}, under {leg.hypervisor}, "
        f"on {harmless(leg.device)}; {harmless(leg.configuration)}"
        for place, leg in legs
    ]


def _cost_heading(found: SideBySide, cost: CostPair) -> list[str]:
    legs = ((found.first, cost.first), (found.second, cost.second))
    return [f"cost of {harmless(leg.label)}: {harmless(leg_text(spent))}" for leg, spent in legs]


def _cost_headers(found: SideBySide) -> list[str]:
    name, unit, difference = side_by_side_costs.HEADERS
    return [name, *(f"{leg.label} ({unit})" for leg in (found.first, found.second)), difference]


def _cost_rows(cost: CostPair) -> list[list[str]]:
    return [
        [
            row.measurement,
            per_million_text(row.first_usd_per_million),
            per_million_text(row.second_usd_per_million),
            percent_text(row.difference_percent),
        ]
        for row in cost.rows
    ]


def _headers(found: SideBySide) -> list[str]:
    labels = (found.first.label, found.second.label)
    return ["measurement", "metric", *labels, "difference (%)", "over blocks (%)", "marks"]


def _cells(row: DifferenceRow) -> list[str]:
    return [
        row.measurement,
        f"{row.metric} ({row.unit})",
        *(_side(side) for side in row.sides),
        percent_text(row.difference_percent),
        _spread(row),
        ", ".join(row.marks) or "valid",
    ]


def percent_text(percent: float | None) -> str:
    """Return a difference with its sign and without its unit, as a table's cell shows it."""
    # Neither side of zero rounds to a zero with a minus.
    return "-" if percent is None else f"{round(percent, 2) or 0.0:+,.2f}"


def _side(side: Side | None) -> str:
    if side is None:
        return "-"
    text = figure_text(side.figure)
    return f"({text})" if side.figure is not None and not side.usable else text


def _spread(row: DifferenceRow) -> str:
    if row.smallest_percent is None:
        return "-"
    ends = (percent_text(row.smallest_percent), percent_text(row.largest_percent))
    return f"{' to '.join(ends)} ({row.pairs} pairs)"


def _csv_side(leg: Leg, side: Side | None) -> Iterable[object]:
    figure = side.figure if side else None
    return (
        *map(spreadsheet_text, (leg.name, leg.run_id)),
        *((figure.median, figure.minimum, figure.maximum) if figure else (None,) * 3),
        figure.advisory if figure else None,
        *((side.blocks, side.void_blocks) if side else (0, 0)),
    )
