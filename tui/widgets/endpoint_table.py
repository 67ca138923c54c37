"""Every metric of every measurement in both legs, its overhead drawn against the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from core.report.comparison_words import SYMBOLS, endpoint_verdict_text
from core.text import harmless
from core.verdict.figures import percent_text, span_text, value_text
from tui.widgets.drawing import MUTED
from tui.widgets.overhead_scale import OverheadScale, scale_legend
from tui.widgets.sections import cut
from tui.widgets.verdict import verdict_style, verdict_text

if TYPE_CHECKING:
    from core.verdict.model import (
        Comparison,
        Endpoint,
        MeasurementComparison,
        MetricName,
        Span,
    )

# From here on there is room for the verdict's words.
_ROOMY = 120
_MOST_LABEL = {False: 9, True: 20}
_LEAST_BAR = 9
_MOST_BAR = 61

NoiseSpans = dict[tuple[str, "MetricName"], "Span"]


def endpoint_lines(found: Comparison, width: int) -> list[Content]:
    """Return the table for this many cells, with what its signs mean."""
    table = _Table(found, width)
    lines = [table.head()]
    for measurement in found.measurements:
        lines += [table.title(measurement), *table.remarks(measurement)]
        lines += [table.row(measurement, end) for end in measurement.endpoints]
    return [*lines, *(Content.styled(line, MUTED) for line in scale_legend(found))]


class _Table:
    """The columns, as wide as what stands in them."""

    def __init__(self, found: Comparison, width: int) -> None:
        self._found = found
        self._roomy = width >= _ROOMY
        self._gap = "  " if self._roomy else " "
        ends = [(each, end) for each in found.measurements for end in each.endpoints]
        rows = [self._headers(), *(self._texts(*row) for row in ends)]
        self._widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        room = width - sum(self._widths) - len(self._widths) * len(self._gap)
        # An odd number, so that zero has a cell of its own in the middle.
        bar = min(_MOST_BAR, room if room % 2 else room - 1)
        self._scale = OverheadScale(found.target_percent, bar) if bar >= _LEAST_BAR else None
        self._noise: NoiseSpans = {
            (row.measurement, row.metric): row.estimate.interval_percent
            for row in (found.noise.rows if found.noise else ())
        }

    def head(self) -> Content:
        """Return the columns' names."""
        scale = self._scale.heading() if self._scale is not None else ""
        return Content.styled(f"{self._aligned(self._headers())}{scale}".rstrip(), MUTED)

    def title(self, measurement: MeasurementComparison) -> Content:
        """Return which measurement it is; its name says scenario and batch size too."""
        what = f"{measurement.scenario}, batch {measurement.batch_size}, " if self._roomy else ""
        pairs = "pairs of " if measurement.paired else ""
        return Content.assemble(
            (harmless(measurement.name), "bold"),
            "  ",
            (
                verdict_text(measurement.verdict, allowed=bool(self._found.allowed)),
                verdict_style(measurement.verdict),
            ),
            (f"  {harmless(what + measurement.path)}; {pairs}{measurement.unit}s", MUTED),
        )

    def remarks(self, measurement: MeasurementComparison) -> list[Content]:
        """Return what is void, and what would settle an endpoint where there is no room to say it
        in the endpoint's own line.
        """
        remarks = [
            Content.styled(f"  ! {harmless(text)}", "$text-warning") for text in measurement.void
        ]
        more = [
            f"{end.metric} {end.further_blocks}"
            for end in measurement.endpoints
            if end.gating and end.further_blocks is not None
        ]
        if more and not self._roomy:
            words = (
                f"  more {measurement.unit}s of each leg that would settle it: {', '.join(more)}"
            )
            remarks.append(Content(words))
        return remarks

    def row(self, measurement: MeasurementComparison, end: Endpoint) -> Content:
        """Return one endpoint; one that only advises must not look as if it decided."""
        *figures, verdict = self._aligned_cells(self._texts(measurement, end))
        dim = "" if end.gating else MUTED
        line = Content.assemble(
            (self._gap.join((*figures, "")), dim),
            (f"{verdict}{self._gap}", verdict_style(end.verdict) if end.gating else dim),
        )
        if self._scale is None:
            return line
        return line + self._scale.bar(end, self._noise.get((measurement.name, end.metric)))

    def _headers(self) -> tuple[str, ...]:
        found = self._found
        legs = [cut(leg.label, _MOST_LABEL[self._roomy]) for leg in (found.first, found.second)]
        if legs[0] == legs[1]:
            legs = ["first", "second"]
        return ("", *legs, "overhead", "90 % interval", "verdict" if self._roomy else " ")

    def _texts(self, measurement: MeasurementComparison, end: Endpoint) -> tuple[str, ...]:
        name = f"{end.metric} ({end.unit})"
        if not self._roomy:
            name = end.unit if end.metric == "throughput" else f"{end.metric} {end.unit}"
        figures = [
            value_text(figure.median) if figure is not None else "-"
            for figure in (end.first, end.second)
        ]
        # Near the target there are as many digits as show on which side of it a figure is.
        target, estimate = self._found.target_percent, end.estimate
        overhead = interval = "-"
        if estimate is not None:
            overhead = f"{percent_text(estimate.overhead_percent, target)} %"
            interval = f"{span_text(estimate.interval_percent, target)} %"
        allowed = bool(self._found.allowed)
        words = endpoint_verdict_text(end, measurement.unit, allowed=allowed)
        sign = SYMBOLS[end.verdict] if end.verdict is not None else " "
        return (
            f"  {name}{'' if end.gating else ' *'}",
            *figures,
            overhead,
            interval,
            f"{sign} {words}" if self._roomy else sign,
        )

    def _aligned(self, cells: tuple[str, ...]) -> str:
        return self._gap.join((*self._aligned_cells(cells), ""))

    def _aligned_cells(self, cells: tuple[str, ...]) -> list[str]:
        last = len(cells) - 1
        return [
            cell.ljust(width) if place in (0, last) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, self._widths, strict=True))
        ]
