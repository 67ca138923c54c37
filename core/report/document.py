"""What a document says, before it is known in which format: sections of sentences and tables.

Text in them is as it came; each format escapes it in its own way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Table:
    """A table; every row has as many cells as there are headers."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...] = ()
    """The places of the columns that are set to the right."""
    stacked: bool = False
    """Cells hold sentences: a terminal gets one line a cell, below each other."""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a document, under its heading."""

    key: str
    """A name that stays, for what goes beside the section in one format only."""
    title: str
    lines: tuple[str, ...] = ()
    """A list of facts or sentences."""
    prose: str = ""
    """A paragraph."""
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences under all that."""
    kind: Literal["facts", "warnings"] = "facts"
    """Of the lines."""
