"""Text from outside is data: nothing in it may steer a terminal."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence

_LONGEST_LINE = 20_000
# What GitHub's dialect gives a meaning beyond Markdown's: entities, strikes and fences, formulas,
# mentions, links without brackets; and what makes a line a list, a rule or a heading.
_ACTING = re.compile(r"[\\`*_\[\]<>#|&~$@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
_BEGINNING = re.compile(r"(\d{0,9})([-+=.)])")
_DECIMAL = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def harmless(text: str) -> str:
    """Return one printable line: control, escape, bidirectional, zero-width and unassigned
    characters become visible escapes, tabs become spaces, and a very long line is cut with a note.
    """
    if len(text) > _LONGEST_LINE:
        text = f"{text[:_LONGEST_LINE]} [{len(text) - _LONGEST_LINE} more characters]"
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def markdown_text(text: str) -> str:
    """Return text that Markdown shows as it is inside of a line: no markup, no link, no table cell
    and no HTML in it acts.
    """
    return _ACTING.sub(r"\\\g<0>", harmless(text.strip()))


def markdown_line(text: str) -> str:
    """Return the same as a paragraph or an entry of a list: nor does its beginning make it another
    thing.
    """
    safe = markdown_text(text)
    found = _BEGINNING.match(safe)
    return f"{found[1]}\\{safe[found.start(2) :]}" if found else safe


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one line a row, the cells of a column starting below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def duration(seconds: float) -> str:
    """Return ``45 s``, ``3 min 05 s`` or ``2 h 10 min``; ``?`` for what is no number."""
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def amount(done: float, total: float | None, unit: str) -> str:
    """Return ``3/8 layers``; bytes in the unit that fits the whole: ``1.5/20.0 MB``."""
    if unit != "bytes":
        return f"{done:g}{'' if total is None else f'/{total:g}'} {unit}".rstrip()
    whole = done if total is None else total
    scale, name = next(((size, name) for size, name in _DECIMAL if whole >= size), (1, "bytes"))
    digits = 0 if scale == 1 else 1 if scale < 1e9 else 2
    figures = [f"{value / scale:.{digits}f}" for value in (done, total) if value is not None]
    return f"{'/'.join(figures)} {name}"


def _visible(character: str) -> str:
    if character == "\t":
        return "    "
    # C*: controls, bidirectional marks and zero-width, surrogates, private use and unassigned;
    # Zl, Zp: line ends.
    category = unicodedata.category(character)
    if category.startswith("C") or category in ("Zl", "Zp"):
        code = ord(character)
        if code < 0x100:
            return f"\\x{code:02x}"
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return character
