"""A comparison as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from core.report.comparison_sections import sections
from core.report.comparison_words import (
    SYMBOLS,
    allowed_mark,
    headline,
    layers_text,
    table_mark,
    title,
    when,
)
from core.report.comparisons import ComparisonReport
from core.report.document import Section, Table
from core.text import markdown_line, markdown_text


def render_markdown(report: ComparisonReport) -> str:
    """Return the report as Markdown; text from outside is escaped."""
    comparison = report.comparison
    verdict = f"{SYMBOLS[comparison.verdict]} {str(comparison.verdict).capitalize()}"
    lines = [f"# {markdown_text(title(comparison))}", ""]
    if mark := allowed_mark(comparison):
        lines += [f"> **{markdown_text(mark)}**", ""]
    lines += [f"**{verdict}: {markdown_text(headline(comparison))}**", ""]
    lines += [markdown_line(comparison.reason), "", markdown_line(layers_text(comparison))]
    short = table_mark(comparison)
    for section in sections(report):
        lines += ["", f"## {markdown_text(section.title)}", *_section(section, short)]
    lines += ["", f"Report of {when(report.written_at)}."]
    return "\n".join(lines) + "\n"


def _section(section: Section, mark: str) -> Iterator[str]:
    if section.lines:
        yield ""
        yield from (f"- {markdown_line(line)}" for line in section.lines)
    if section.prose:
        yield from ("", markdown_line(section.prose))
    for table in section.tables:
        yield ""
        if len(section.tables) > 1:
            yield from (f"### {markdown_text(table.title)}", "")
        if mark:
            yield from (f"> **{markdown_text(mark)}**", "")
        yield from _table(table)
    if section.notes:
        yield ""
        yield from (f"- {markdown_line(note)}" for note in section.notes)


def _table(table: Table) -> Iterator[str]:
    yield _row(table.headers)
    sides = ("---:" if place in table.numbers else "---" for place in range(len(table.headers)))
    yield f"| {' | '.join(sides)} |"
    yield from map(_row, table.rows)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(markdown_text, cells))} |"
