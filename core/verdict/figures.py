"""Figures as text: enough digits that none changes sides of what it is held against."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.verdict.model import Span

_DIGITS = 2
_MOST_DIGITS = 9
_SIGNIFICANT = 4
_LARGEST = 1e9
"""From here on, as below its inverse, a figure is damage or nonsense, and is written short."""


def percent_text(percent: float | None, *lines: float) -> str:
    """Return a percentage with its sign and without its unit, as a table's cell shows it: with two
    decimals, or as many more as keep it on its own side of each of ``lines``.
    """
    if percent is None or math.isnan(percent):
        return "-"
    if math.isinf(percent):
        return "+inf" if percent > 0 else "-inf"
    if abs(percent) >= _LARGEST:
        return f"{percent:+.{_SIGNIFICANT}g}"
    rounded, digits = _rounded(percent, lines, _DIGITS)
    return f"{rounded:+,.{digits}f}"


def span_text(span: Span | None, *lines: float) -> str:
    """Return both ends of an interval in per cent, each on its own side of ``lines``."""
    if span is None:
        return "-"
    return f"{percent_text(span.low, *lines)} to {percent_text(span.high, *lines)}"


def probability_text(probability: float, level: float) -> str:
    """Return a p-value with four decimals, or as many more as keep it on its own side of the level
    that it is held against.
    """
    if 0 <= probability < 0.0001 < level:
        return "< 0.0001"
    rounded, digits = _rounded(probability, (level,), _SIGNIFICANT)
    return f"{rounded:.{digits}f}"


def value_text(value: float) -> str:
    """Return a figure with two decimals, or as many more as make four significant digits."""
    if not math.isfinite(value) or value == 0:
        return f"{value:.{_DIGITS}f}"
    if not 1 / _LARGEST < abs(value) < _LARGEST:
        return f"{value:.{_SIGNIFICANT}g}"
    digits = _SIGNIFICANT - 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{min(max(digits, _DIGITS), _MOST_DIGITS)}f}"


def _rounded(value: float, lines: Sequence[float], fewest: int) -> tuple[float, int]:
    """Return a value with the fewest decimals that keep it on its side of the lines, and those."""
    for digits in range(fewest, _MOST_DIGITS):
        # Neither side of zero rounds to a zero with a minus.
        rounded = round(value, digits) or 0.0
        if all(_side(rounded, line) == _side(value, line) for line in lines):
            return rounded, digits
    return round(value, _MOST_DIGITS) or 0.0, _MOST_DIGITS


def _side(value: float, line: float) -> int:
    # Two floats that differ in their last digits only are the same figure.
    if math.isclose(value, line, rel_tol=1e-12, abs_tol=1e-12):
        return 0
    return 1 if value > line else -1
