"""A comparison for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.report.comparison_sections import sections
from core.report.comparison_words import (
    allowed_mark,
    headline,
    layers_text,
    table_mark,
    title,
    when,
)
from core.report.comparisons import ComparisonReport
from core.report.document import Section, Table
from core.text import columns, harmless


def render_text(report: ComparisonReport) -> str:
    """Return the whole report for a terminal, the verdict in its first line."""
    mark = table_mark(report.comparison)
    lines = [*verdict_lines(report)]
    for section in sections(report):
        lines += ["", *_section(section, mark)]
    lines += ["", f"Report of {when(report.written_at)}."]
    return "\n".join(lines) + "\n"


def render_summary(report: ComparisonReport, keys: Sequence[str]) -> str:
    """Return the verdict and the sections of these keys, for a terminal."""
    mark = table_mark(report.comparison)
    lines = [*verdict_lines(report)]
    for section in sections(report):
        if section.key in keys:
            lines += ["", *_section(section, mark)]
    return "\n".join(lines) + "\n"


def verdict_lines(report: ComparisonReport) -> Iterator[str]:
    """Return what a report begins with: the verdict, its reason, the layers, what was allowed."""
    comparison = report.comparison
    yield harmless(title(comparison))
    yield ""
    yield harmless(f"{str(comparison.verdict).capitalize()}: {headline(comparison)}")
    yield harmless(comparison.reason)
    yield harmless(layers_text(comparison))
    if mark := allowed_mark(comparison):
        yield harmless(f"Warning: {mark}")


def _section(section: Section, mark: str) -> Iterator[str]:
    heading = harmless(section.title)
    yield heading
    yield "-" * len(heading)
    yield from (f"- {harmless(line)}" for line in section.lines)
    if section.prose:
        yield harmless(section.prose)
    for place, table in enumerate(section.tables):
        if place or section.lines:
            yield ""
        if mark:
            yield harmless(mark)
        yield from _stacked(table) if table.stacked else _table(table)
    if section.notes:
        yield ""
    yield from map(harmless, section.notes)


def _table(table: Table) -> list[str]:
    rows = [list(map(harmless, row)) for row in (table.headers, *table.rows)]
    for place in table.numbers:
        width = max(len(row[place]) for row in rows)
        for row in rows:
            row[place] = row[place].rjust(width)
    rule = ["-" * max(map(len, column)) for column in zip(*rows, strict=True)]
    return columns([rows[0], rule, *rows[1:]])


def _stacked(table: Table) -> Iterator[str]:
    names = [harmless(row[0]) for row in table.rows]
    for place, header in enumerate(table.headers[1:], 1):
        yield harmless(header)
        cells = [harmless(row[place]) for row in table.rows]
        yield from (f"  {line}" for line in columns(list(zip(names, cells, strict=True))))
