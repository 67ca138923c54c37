"""Bars, sparklines and marks as text; pure functions, colours by meaning."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.content import Content

from core.text import harmless

MUTED = "$foreground 60%"
FAINT = "$foreground 25%"
"""Not $text-muted: that is a colour for style sheets, and white in content."""

_EIGHTHS = " ▁▂▃▄▅▆▇█"

MARKS = {
    "waiting": ("·", MUTED),
    "created": ("·", MUTED),
    "running": ("▶", "$primary"),
    "done": ("✓", "$success"),
    "failed": ("✗", "$error"),
    "died": ("✗", "$error"),
    "stopped": ("■", "$warning"),
    "interrupted": ("■", "$warning"),
    "skipped": ("-", MUTED),
}
"""A state's sign and colour; the sign alone tells it too."""

PART_MARKS = {
    "waiting": ("○", "$warning"),
    "working": ("▶", "$primary"),
    "ready": ("✓", "$success"),
    "failed": ("✗", "$error"),
    "gone": ("-", MUTED),
}
"""The same for a part of a stage: one that waits wants to be seen, a stage that waits does not."""


def mark(state: str) -> Content:
    """Return a state's sign."""
    sign, style = MARKS.get(state, ("?", ""))
    return Content.styled(sign, style)


def bar(done: float, total: float | None, width: int, style: str = "$primary") -> Content:
    """Return a bar of this many cells; a total that is not known gives an empty one."""
    share = min(1.0, max(0.0, done / total)) if total else 0.0
    full = round(share * width)
    return Content.assemble(("━" * full, style), ("─" * (width - full), FAINT))


def sparkline(values: Sequence[float | None], width: int) -> str:
    """Return the last ``width`` values as blocks, from the least to the greatest of them; a value
    that is missing is a gap.
    """
    if width <= 0:
        return ""
    shown = list(values)[-width:]
    known = [value for value in shown if value is not None and math.isfinite(value)]
    if not known:
        return " " * width
    low, high = min(known), max(known)
    # Of the halves: between two figures that a float just holds there is more than it holds.
    span = high / 2 - low / 2

    def block(value: float | None) -> str:
        if value is None or not math.isfinite(value):
            return " "
        # A flat line stands in the middle: it is neither low nor high.
        level = 4 if span == 0 else 1 + round((value / 2 - low / 2) / span * 7)
        return _EIGHTHS[level]

    return "".join(map(block, shown)).rjust(width)


def columns(values: Sequence[float], height: int) -> list[str]:
    """Return a column chart of one cell a value, from zero to the greatest, top line first."""
    greatest = max(values, default=0.0)
    if greatest <= 0:
        return [" " * len(values)] * height
    eighths = [round(value / greatest * height * 8) for value in values]
    # What is there must be seen, however little.
    eighths = [
        max(1, count) if value > 0 else 0 for count, value in zip(eighths, values, strict=True)
    ]
    return [
        "".join(_EIGHTHS[min(8, max(0, count - row * 8))] for count in eighths)
        for row in reversed(range(height))
    ]


def money(usd: float) -> str:
    """Return an amount: cents, and finer below ten cents."""
    return f"${usd:,.2f}" if abs(usd) >= 0.1 or usd == 0 else f"${usd:.4f}"


def prices_line(source: str) -> Content:
    """Return where prices are from; that they are not today's is to be seen."""
    style = "$text-warning" if "shipped" in source else MUTED
    return Content.styled(harmless(f"prices: {source}"), style)
