"""What a stage works on or waits for, part by part: layers, nodes, the Job and its pod."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from core.text import amount, harmless
from tui.widgets.drawing import MUTED, PART_MARKS, bar

if TYPE_CHECKING:
    from core.run.events import PartChanged

_BAR = 24
_LEAST_BAR = 6
# A sentence of Kubernetes' about a hundred nodes is cut after so many lines.
_MOST_LINES = 6
_INDENT = 2
# What is wrong, or waits for something, before what is at work, and that before what is done.
_RANKS = {"failed": 0, "waiting": 1, "working": 2, "ready": 4, "gone": 5}
# A layer waits for no more than its turn.
_RANK_OF_TURN = 3
_LINES_OF_ATTEMPT = 3
_LEAST_LINES = 3


def part_lines(parts: Sequence[PartChanged], width: int, room: int) -> list[Content]:
    """Return the parts as lines of at most ``width`` cells, about ``room`` lines in all.

    Where they do not fit, those at work stay, in the order in which they were, and the rest is
    counted; but what was tried, and why that was in vain, is always told.
    """
    tried = [part for part in parts if part.kind == "attempt"]
    lines = [line for part in tried for line in _drawn(part, _Columns([], width), width)]
    others = [part for part in parts if part.kind != "attempt"]
    left = max(_LEAST_LINES, room - len(lines)) if tried else room
    return [*lines, *_fitting(others, width, left)]


def _fitting(parts: Sequence[PartChanged], width: int, room: int) -> list[Content]:
    columns = _Columns(parts, width)
    drawn = [_drawn(part, columns, width) for part in parts]
    if sum(map(len, drawn)) <= room:
        return [line for lines in drawn for line in lines]
    ranked = sorted(range(len(parts)), key=lambda place: _rank(parts[place]))
    kept: set[int] = set()
    # The last line counts what is left out.
    left = room - 1
    for place in ranked:
        if kept and len(drawn[place]) > left:
            break
        kept.add(place)
        left -= len(drawn[place])
    lines = [line for place in sorted(kept) for line in drawn[place]]
    missing = [part for place, part in enumerate(parts) if place not in kept]
    return [*lines, _more(missing, width)] if missing else lines


def _rank(part: PartChanged) -> int:
    turn = part.kind == "layer" and part.state == "waiting"
    return _RANK_OF_TURN if turn else _RANKS[part.state]


def _more(missing: Sequence[PartChanged], width: int) -> Content:
    counts = Counter(part.state for part in missing)
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    line = Content.styled(f"  and {len(missing)} more: {states}", MUTED)
    return line.truncate(width, ellipsis=True)


class _Columns:
    """How wide name, bar and figures of the parts with an amount are, one below the other."""

    def __init__(self, parts: Sequence[PartChanged], width: int) -> None:
        counted = [part for part in parts if part.done is not None]
        self.figures = max((len(_figures(part)) for part in counted), default=0)
        room = max(_LEAST_BAR, width - _INDENT - self.figures - 2)
        longest = max((Content(harmless(part.name)).cell_length for part in counted), default=0)
        self.name = min(longest, max(1, room - _LEAST_BAR))
        self.bar = max(0, min(_BAR, room - self.name))


def _drawn(part: PartChanged, columns: _Columns, width: int) -> list[Content]:
    sign = Content.assemble(PART_MARKS[part.state], " ")
    if part.done is not None:
        line = Content.assemble(
            sign,
            Content(harmless(part.name)).truncate(columns.name, ellipsis=True, pad=True),
            " ",
            bar(part.done, part.total, columns.bar),
            f" {_figures(part):>{columns.figures}}",
        )
        detail = Content.styled(f"  {_cut(part.detail, width)}", MUTED)
        # The bar says most of it; half a word would say nothing.
        fits = line.cell_length + detail.cell_length <= width
        return [line + detail if fits else line.truncate(max(1, width), ellipsis=True)]
    room = max(1, width - _INDENT)
    name = harmless(f"{part.kind} {part.name}")
    most = _LINES_OF_ATTEMPT if part.kind == "attempt" else _MOST_LINES
    why = _cut(part.detail, room * most)
    style = {"failed": "$text-error", "waiting": "$text-warning"}.get(part.state, "")
    text = Content.assemble(_cut(name, room * 2), *((": ", (why, style)) if why else ()))
    lines = text.wrap(room)
    if len(lines) > most:
        last = lines[most - 1].truncate(room - 1)
        lines = [*lines[: most - 1], last + "…"]
    return [sign + lines[0], *(Content(" " * _INDENT) + line for line in lines[1:])]


def _figures(part: PartChanged) -> str:
    assert part.done is not None
    return _cut(amount(part.done, part.total, part.unit), 24)


def _cut(text: str, most: int) -> str:
    safe = harmless(text)
    return safe if len(safe) <= most else f"{safe[: most - 1]}…"
