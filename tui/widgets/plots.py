"""Plots of cells: a histogram with its percentiles, and a course over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from core.text import duration, harmless
from tui.widgets.drawing import MUTED, columns

if TYPE_CHECKING:
    from core.report.curves import LatencyDistribution, ThroughputSeries

_HEIGHT = 7
_AXIS = 10


def distribution_plot(found: LatencyDistribution, width: int, height: int = _HEIGHT) -> Content:
    """Return a histogram: counts upward, milliseconds to the right, percentiles marked below."""
    cells, owners = _stretched([float(count) for count in found.counts], width - _AXIS)
    lines = _with_axis(columns(cells, height), max(found.counts, default=0))
    lines.append(_percentile_marks(found, owners))
    low, high = f"{found.edges_ms[0]:,.2f} ms", f"{found.edges_ms[-1]:,.2f} ms"
    axis = f"{low}{high:>{max(1, len(cells) - len(low))}}"
    lines.append(Content.styled(f"{'':<{_AXIS}}{axis}", MUTED))
    figures = ", ".join(
        f"{entry.name} {entry.milliseconds:,.2f} ms{'' if entry.supported else ' *'}"
        for entry in found.percentiles
    )
    what = "queries" if found.of == "query" else "batches"
    lines.append(Content(f"{found.total:,} {what}, {found.scale} axis: {figures}"))
    return Content("\n").join(lines)


def series_plot(found: ThroughputSeries, width: int, height: int = _HEIGHT) -> Content:
    """Return throughput upward from zero, time to the right."""
    cells, _owners = _stretched(list(found.samples_per_s), width - _AXIS)
    lines = _with_axis(columns(cells, height), max(found.samples_per_s, default=0.0))
    end = duration(found.duration_s)
    axis = f"0 s{end:>{max(1, len(cells) - 3)}}"
    lines.append(Content.styled(f"{'':<{_AXIS}}{axis}", MUTED))
    lines.append(
        Content(
            f"samples/s in bins of {found.bin_s:.2f} s; {found.samples:,} samples in "
            f"{found.batches:,} batches"
        )
    )
    return Content("\n").join(lines)


def _stretched(values: list[float], room: int) -> tuple[list[float], list[int]]:
    """Return the values, each as many cells wide as fit, and which value each cell is of."""
    if not values:
        return [], []
    times = max(1, room // len(values))
    owners = [index for index in range(len(values)) for _ in range(times)]
    return [values[index] for index in owners], owners


def _with_axis(rows: list[str], greatest: float) -> list[Content]:
    labels = [_label(greatest), *[""] * (len(rows) - 2), "0"]
    return [
        Content.assemble((f"{label:>{_AXIS - 2}} │", MUTED), (row, "$primary"))
        for label, row in zip(labels, rows, strict=True)
    ]


def _label(value: float) -> str:
    """Return a figure for the axis, which has room for eight characters."""
    if value >= 1_000_000:
        return f"{value:.2g}"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def _percentile_marks(found: LatencyDistribution, owners: list[int]) -> Content:
    line = [" "] * (len(owners) + 4)
    for entry in found.percentiles:
        bins = [
            index
            for index in range(len(found.counts))
            if entry.milliseconds >= found.edges_ms[index]
        ]
        if not bins or bins[-1] not in owners:
            continue
        place = owners.index(bins[-1])
        label = f"▲{entry.name[1:]}"
        if all(cell == " " for cell in line[max(0, place - 1) : place + len(label)]):
            line[place : place + len(label)] = label
    return Content.styled(f"{'':<{_AXIS}}{''.join(line).rstrip()}", "$accent")


class Plot(Static):
    """A plot that is drawn for the width that it has."""

    def __init__(self, title: str) -> None:
        super().__init__(markup=False, classes="panel plot")
        self.border_title = title
        self._distribution: LatencyDistribution | None = None
        self._series: ThroughputSeries | None = None
        self._sentence = ""

    def show_title(self, title: str) -> None:
        """Say what it is a plot of."""
        # As text a title would be read as markup.
        self.border_title = Content(harmless(title))

    def show_distribution(self, found: LatencyDistribution | None) -> None:
        """Show a distribution."""
        self._distribution, self._series, self._sentence = found, None, "No raw latencies are kept."
        self._draw()

    def show_series(self, found: ThroughputSeries | None) -> None:
        """Show a course."""
        self._distribution, self._series = None, found
        self._sentence = "No record of its batches is kept."
        self._draw()

    def show_sentence(self, sentence: str) -> None:
        """Show why there is no plot."""
        self._distribution = self._series = None
        self._sentence = sentence
        self._draw()

    def on_resize(self) -> None:
        """Draw for the new width."""
        self._draw()

    def _draw(self) -> None:
        width = max(20, self.content_size.width)
        if self._distribution is not None:
            self.update(distribution_plot(self._distribution, width))
        elif self._series is not None:
            self.update(series_plot(self._series, width))
        else:
            self.update(Content.styled(self._sentence, MUTED))
