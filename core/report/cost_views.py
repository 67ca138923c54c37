"""The cost of a run as a section of its report: for a terminal, as Markdown or HTML."""

from __future__ import annotations

from collections.abc import Sequence

from core.report import html
from core.report.costs import InferenceCost, RunCost, dollars
from core.text import columns, harmless, markdown_line, markdown_text

TITLE = "Cost of this run"
HEADERS = ("scenario", "batch", "path", "USD per hour", "USD per million inferences")
PER_MILLION_NOTE = (
    "USD per million inferences: what everything that the run had billed cost an hour while the "
    "measurement ran, divided by its throughput. What ran before the measurements (cluster, "
    "drivers, image) and after them (collection, teardown) is in the run's total only."
)
NOT_METERED = "Network traffic, image storage and image builds are not metered."
_NUMBERS = (3, 4)

Measured = tuple[str, str, str, InferenceCost]
"""Scenario, batch, path and what its inferences cost."""


def summary(cost: RunCost) -> str:
    """Return the total and its parts."""
    parts = ", ".join(f"{harmless(kind)} {dollars(usd)}" for kind, usd in cost.by_kind)
    return f"{cost.text} ({parts})" if parts else cost.text


def section_text(cost: RunCost, measured: Sequence[Measured]) -> list[str]:
    """Return the section's lines for a terminal."""
    lines = [f"{TITLE}: {summary(cost)}", ""]
    if measured:
        rows = [_cells(entry) for entry in measured]
        rule = ["-" * max(map(len, column)) for column in zip(HEADERS, *rows, strict=True)]
        lines += [*columns([HEADERS, rule, *rows]), ""]
    return lines + [harmless(note) for note in notes(cost, measured)]


def section_markdown(cost: RunCost, measured: Sequence[Measured]) -> list[str]:
    """Return the section's lines as Markdown; text from outside is escaped."""
    lines = [f"## {TITLE}", "", markdown_line(summary(cost)), ""]
    if measured:
        lines += [f"| {' | '.join(HEADERS)} |", f"|{' --- |' * len(HEADERS)}"]
        lines += [f"| {' | '.join(map(markdown_text, _cells(entry)))} |" for entry in measured]
        lines.append("")
    return lines + [f"{markdown_line(note)}\n" for note in notes(cost, measured)]


def section_html(cost: RunCost, measured: Sequence[Measured]) -> list[str]:
    """Return the section's parts as HTML."""
    rows = html.table(HEADERS, map(_cells, measured), _NUMBERS) if measured else ""
    return [
        html.heading(TITLE),
        html.items([summary(cost)]),
        rows,
        html.items(notes(cost, measured), "notes"),
    ]


def notes(cost: RunCost, measured: Sequence[Measured]) -> list[str]:
    """Return the sentences that belong under the section."""
    return [*([PER_MILLION_NOTE] if measured else []), *cost.notes(), NOT_METERED]


def _cells(entry: Measured) -> list[str]:
    scenario, batch, path, found = entry
    return [
        scenario,
        batch,
        path,
        dollars(found.usd_per_hour),
        dollars(found.usd_per_million),
    ]
