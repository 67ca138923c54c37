"""The frame of a plot with two axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.report.comparison_plots.svg import Scale, line, text, tick_text

_MOST_REACH = 1.5


def frame(x: Scale, y: Scale, x_label: str, y_label: str, *, most_x: int = 9) -> str:
    """Return the axes of two scales: a grid line for each value of ``y``, ticks and labels."""
    parts = []
    for value in y.ticks(5):
        level = y.at(value)
        parts.append(line((x.start, level), (x.end, level), "grid"))
        parts.append(text(x.start - 6, level + 4, tick_text(value), "quiet", "end"))
    parts.append(line((x.start, y.start), (x.end, y.start), "axis"))
    for value in x.ticks(most_x):
        across = x.at(value)
        parts.append(line((across, y.start), (across, y.start + 4), "axis"))
        parts.append(text(across, y.start + 17, tick_text(value), "quiet", "middle"))
    parts.append(text((x.start + x.end) / 2, y.start + 34, x_label, "quiet", "middle"))
    parts.append(text(x.start - 6, y.end - 10, y_label, "quiet", "start"))
    return "\n".join(parts)


def padded(low: float, high: float, share: float = 0.05) -> tuple[float, float]:
    """Return a range with some air on both sides, and with a width also where all is one value."""
    air = (high - low) * share or abs(high) * share or 1.0
    return low - air, high + air


def span_of(middles: Sequence[float], ends: Sequence[float]) -> tuple[float, float]:
    """Return a range that holds all ``middles`` and of the ``ends`` as much as leaves those apart:
    an interval of a few noisy blocks can be a hundred times as wide, or have no end.
    """
    low, high = _finite(middles)
    lowest, highest = _finite([*ends, low, high])
    reach = high - low
    return max(lowest, low - _MOST_REACH * reach), min(highest, high + _MOST_REACH * reach)


def _finite(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    return min(finite), max(finite)
