"""A comparison as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.report.comparison_sections import sections
from core.report.comparison_words import (
    SYMBOLS,
    allowed_mark,
    headline,
    table_mark,
    title,
    when,
)
from core.report.comparisons import ComparisonReport
from core.report.document import Section, Table
from core.text import markdown_text

# What markdown_text leaves as it is and GitHub's dialect gives a meaning: entities, strikes and
# fences, formulas, links without brackets; and what makes a line a list, a rule or a heading.
_ACTING = re.compile(r"[&~$@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
_BEGINNING = re.compile(r"(\d{0,9})([-+=.)])")


def render_markdown(report: ComparisonReport) -> str:
    """Return the report as Markdown; text from outside is escaped."""
    comparison = report.comparison
    verdict = f"{SYMBOLS[comparison.verdict]} {str(comparison.verdict).capitalize()}"
    lines = [f"# {_cell(title(comparison))}", ""]
    if mark := allowed_mark(comparison):
        lines += [f"> **{_cell(mark)}**", ""]
    lines += [f"**{verdict}: {_cell(headline(comparison))}**", "", _line(comparison.reason)]
    short = table_mark(comparison)
    for section in sections(report):
        lines += ["", f"## {_cell(section.title)}", *_section(section, short)]
    lines += ["", f"Report of {when(report.written_at)}."]
    return "\n".join(lines) + "\n"


def _section(section: Section, mark: str) -> Iterator[str]:
    if section.lines:
        yield ""
        yield from (f"- {_line(line)}" for line in section.lines)
    if section.prose:
        yield from ("", _line(section.prose))
    for table in section.tables:
        yield ""
        if len(section.tables) > 1:
            yield from (f"### {_cell(table.title)}", "")
        if mark:
            yield from (f"> **{_cell(mark)}**", "")
        yield from _table(table)
    if section.notes:
        yield ""
        yield from (f"- {_line(note)}" for note in section.notes)


def _table(table: Table) -> Iterator[str]:
    yield _row(table.headers)
    sides = ("---:" if place in table.numbers else "---" for place in range(len(table.headers)))
    yield f"| {' | '.join(sides)} |"
    yield from map(_row, table.rows)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _line(text: str) -> str:
    """Return text that is a paragraph or an entry of a list, and no other thing."""
    safe = _cell(text)
    found = _BEGINNING.match(safe)
    return f"{found[1]}\\{safe[found.start(2) :]}" if found else safe


def _cell(text: str) -> str:
    return _ACTING.sub(r"\\\g<0>", markdown_text(text.strip()))
