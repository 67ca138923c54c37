"""The scale of overheads: zero, the target's line, the noise floor, an interval and its middle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from textual.content import Content

from tui.widgets.drawing import FAINT, MUTED
from tui.widgets.verdict import verdict_style

if TYPE_CHECKING:
    from core.verdict.model import Comparison, Endpoint, Span

_ZERO, _TARGET = "│", "┊"
# The lines stay to be seen: whether an interval crosses them is the question.
_CROSSED = {_ZERO: "┼", _TARGET: "┿", "┼": "┼", "┿": "┿"}


class OverheadScale:
    """``width`` cells, an odd number, from minus to plus twice the target."""

    def __init__(self, target_percent: float, width: int) -> None:
        self._target = target_percent
        self._width = width
        self._middle = width // 2

    def cell(self, percent: float) -> int:
        """Return where an overhead stands. What lies beyond stands at the edge, and only what is
        on a line stands on it: rounding changes no side.
        """
        share = min(1.0, max(-1.0, percent / (2 * self._target)))
        place = self._middle + round(share * self._middle)
        for line in (0.0, self._target):
            there = self._middle + round(line / (2 * self._target) * self._middle)
            # Floats that differ in their last digits are the same number of per cent.
            if math.isclose(percent, line, rel_tol=1e-12, abs_tol=1e-12):
                place = there
            elif percent < line:
                place = min(place, there - 1)
            else:
                place = max(place, there + 1)
        return place

    def heading(self) -> str:
        """Return the figures of the scale, each above its cell."""
        line = [" "] * self._width
        low, target = f"-{2 * self._target:g} %", f"{self._target:g} %"
        beside = max(self._middle + 2, self.cell(self._target) - len(target) // 2)
        for place, text in ((0, low), (self._middle, "0"), (beside, target)):
            line[place : place + len(text)] = text
        return "".join(line[: self._width]).rstrip()

    def bar(self, endpoint: Endpoint, noise: Span | None) -> Content:
        """Return an endpoint's interval on the scale, over the noise floor's; advisory ones are
        dim.
        """
        cells: list[tuple[str, str]] = [("·", FAINT)] * self._width
        if noise is not None:
            self._draw(cells, noise, "░", MUTED)
        cells[self._middle] = (_ZERO, MUTED)
        cells[self.cell(self._target)] = (_TARGET, "$warning")
        found = endpoint.estimate
        if found is None:
            return Content.assemble(*cells)
        line = "$primary" if endpoint.gating else MUTED
        self._draw(cells, found.decision_percent, "─", line)
        self._draw(cells, found.interval_percent, "━", line)
        percent = found.overhead_percent
        sign = "●" if abs(percent) <= 2 * self._target else "▶" if percent > 0 else "◀"
        cells[self.cell(percent)] = (
            sign,
            verdict_style(endpoint.verdict) if endpoint.gating else MUTED,
        )
        return Content.assemble(*cells)

    def _draw(self, cells: list[tuple[str, str]], span: Span, sign: str, style: str) -> None:
        for place in range(self.cell(span.low), self.cell(span.high) + 1):
            cells[place] = (_CROSSED.get(cells[place][0], sign), style)
        for percent, arrow in ((span.low, "◀"), (span.high, "▶")):
            if sign != "░" and abs(percent) > 2 * self._target:
                cells[self.cell(percent)] = (arrow, style)


def scale_legend(found: Comparison) -> list[str]:
    """Return what the signs on a comparison's scale mean."""
    signs = [f"{_ZERO} zero", f"{_TARGET} target", "● overhead", "━ 90 % interval"]
    if found.look is not None:
        signs.append("─ what decides at this look")
    if found.noise is not None:
        signs.append(f"░ noise floor ({found.noise.source})")
    return ["   ".join((*signs, "◀ ▶ beyond the scale"))]
