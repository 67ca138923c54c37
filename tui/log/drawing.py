"""A row of the screen as segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.segment import Segment
from rich.style import Style

from tui.log.rows import LaidLine, Piece

StyleOf = Callable[[str], Style]
"""The style of a part: text, time, source, match, current-match."""


def draw(laid: LaidLine, piece: Piece, *, current: bool, style_of: StyleOf) -> list[Segment]:
    """Return the segments of a piece of a line. ``current``: its matches were gone to."""
    segments = [Segment(" " * piece.pad, style_of("text"))] if piece.pad else []
    place = piece.start
    for end, part in _parts(laid, piece.end, "current-match" if current else "match"):
        if end > place:
            segments.append(Segment(laid.text[place : min(end, piece.end)], style_of(part)))
            place = end
        if place >= piece.end:
            break
    return segments


def _parts(laid: LaidLine, end: int, match: str) -> Iterator[tuple[int, str]]:
    """Return what a line's text is made of: where each part ends, and what it is."""
    yield laid.time_end, "time"
    yield laid.source_end, "source"
    for start, stop in laid.spans(end):
        yield start, "text"
        yield stop, match
    yield end, "text"
