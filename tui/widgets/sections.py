"""A document's sections as a page shows them: sentences, and tables that fit the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from core.text import harmless
from tui.widgets.drawing import MUTED

if TYPE_CHECKING:
    from core.report.document import Section, Table

_INDENT = "  "
_GAPS = ("  ", " ")
_BOTH = "both"
# In a column of facts.
_MOST_LABEL = 24
_LEAST_ROOM = 20


def heading(title: str) -> Content:
    """Return a section's heading."""
    return Content.styled(harmless(title), "bold $primary")


def section_lines(section: Section, width: int) -> list[Content]:
    """Return a section for this many cells."""
    style, sign = ("$text-warning", "! ") if section.kind == "warnings" else ("", "")
    lines = [heading(section.title)]
    lines += [Content.styled(f"{sign}{harmless(line)}", style) for line in section.lines]
    if section.prose:
        lines.append(Content(harmless(section.prose)))
    for table in section.tables:
        lines += [Content(""), *table_lines(table, width)]
    return [*lines, *(Content.styled(harmless(note), MUTED) for note in section.notes)]


def table_lines(table: Table, width: int) -> list[Content]:
    """Return a table: its columns beside each other where there is room for them, else what stands
    in a row below each other.
    """
    title = Content.styled(harmless(table.title), MUTED)
    if table.stacked:
        return [title, *_facts(table, width)]
    rows = [tuple(map(harmless, row)) for row in (table.headers, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for gap in _GAPS:
        if len(_INDENT) + sum(widths) + len(gap) * (len(widths) - 1) <= width:
            head, *lines = [_INDENT + gap.join(_set(row, widths, table)).rstrip() for row in rows]
            return [title, Content.styled(head, MUTED), *map(Content, lines)]
    return [title, *_records(table, width)]


def _set(row: tuple[str, ...], widths: list[int], table: Table) -> list[str]:
    return [
        cell.rjust(width) if place in table.numbers else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _facts(table: Table, width: int) -> Iterator[Content]:
    """One line a cell, and one for cells that say the same."""
    names = _column([row[0] for row in table.rows])
    labels = _column([*table.headers[1:], _BOTH])
    for name, (_, *cells) in zip(names, table.rows, strict=True):
        alike = len(set(cells)) == 1
        shown = [(labels[-1], cells[0])] if alike else zip(labels[:-1], cells, strict=True)
        for label, cell in shown:
            before = f"{_INDENT}{name}{_GAPS[0]}{label}{_GAPS[0]}"
            lines = _wrapped(cell, width - len(before))
            yield Content.assemble((before, MUTED), lines[0])
            yield from (Content(f"{' ' * len(before)}{line}") for line in lines[1:])
            name = " " * len(name)


def _records(table: Table, width: int) -> Iterator[Content]:
    """A row's first words as its title, the rest with their columns' names below."""
    first_number = min(table.numbers, default=1)
    lead = max(1, min(2, first_number))
    for row in table.rows:
        yield Content(f"{_INDENT}{harmless(', '.join(row[:lead]))}")
        rest = zip(table.headers[lead:], row[lead:], strict=True)
        for line in _wrapped("; ".join(map(": ".join, rest)), width - 2 * len(_INDENT)):
            yield Content.styled(f"{2 * _INDENT}{line}", MUTED)


def _column(texts: Sequence[str]) -> list[str]:
    """Return texts cut and filled up to the same width."""
    cut_texts = [cut(text, _MOST_LABEL) for text in texts]
    width = max(map(len, cut_texts))
    return [text.ljust(width) for text in cut_texts]


def cut(text: str, width: int) -> str:
    """Return a line of at most ``width`` characters."""
    safe = harmless(text)
    return safe if len(safe) <= width else f"{safe[: width - 1]}…"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(harmless(text), max(_LEAST_ROOM, width)) or [""]
