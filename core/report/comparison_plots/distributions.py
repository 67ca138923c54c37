"""How the latencies of both legs lie, laid over each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from core.report.comparison_plots.frame import frame
from core.report.comparison_plots.svg import (
    Point,
    Scale,
    figure,
    legend,
    line,
    path,
    shortened,
    text,
)
from core.verdict.figures import value_text
from core.verdict.model import Comparison, MeasurementComparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.verdict.binning import LatencyHistogram
    from core.verdict.raw import RawEvidenceOfLegs

_WIDTH, _HEIGHT = 760, 360
_X, _Y = (56.0, 744.0), (278.0, 100.0)
_BINS = 160
# Beyond this ratio the short latencies of a linear axis all fall into its first bins.
_LOGARITHMIC_FROM = 5
# A thousandth at each end can be far away from all the rest.
_TAIL = 0.001
_LONGEST_LABEL = 24

Leg = tuple[str, str, "LatencyHistogram"]


def distribution_plot(
    comparison: Comparison, measurement: MeasurementComparison, evidence: RawEvidenceOfLegs
) -> str:
    """Return one measurement's latencies in both legs, all blocks of a leg together, with the
    medians of the blocks' percentiles; empty where no raw latencies are there.
    """
    found = (
        (
            "first",
            shortened(comparison.first.label, _LONGEST_LABEL),
            evidence.first.latencies(measurement.name),
        ),
        (
            "second",
            shortened(comparison.second.label, _LONGEST_LABEL),
            evidence.second.latencies(measurement.name),
        ),
    )
    legs: list[Leg] = [(kind, label, each) for kind, label, each in found if each is not None]
    if not legs:
        return ""
    x = _latency_scale([each for _, _, each in legs])
    edges = _plot_edges(x)
    shares = [_shares(each, edges) for _, _, each in legs]
    y = Scale(0, max(float(each.max()) for each in shares) * 1.05 or 1.0, *_Y)
    of = "batches" if measurement.latency_of == "batch" else "queries"
    parts = [
        frame(x, y, f"latency, ms{' (logarithmic)' if x.logarithmic else ''}", f"% of {of} a bin"),
    ]
    for (kind, _, _), share in zip(legs, shares, strict=True):
        parts += _outline(kind, x, y, edges, share)
    for row, (kind, label, each) in enumerate(legs):
        medians = _medians(measurement, kind)
        values = "".join(f", {name} {value_text(value)}" for name, value in medians)
        words = f"{label}: {each.total:,} {of}{values}{' ms' if medians else ''}"
        parts.append(legend((_X[0], 14.0 + 18 * row), [(kind, words)]))
        parts += _ticks(medians, kind, x, 70.0 - 13 * (len(legs) - 1 - row))
    parts.append(text(_X[0], _HEIGHT - 24, _beyond(legs, x, of), "quiet"))
    note = f"{_BINS} bins. Vertical lines: medians of the blocks' percentiles."
    parts.append(text(_X[0], _HEIGHT - 8, note, "quiet"))
    title = f"Latencies of {measurement.name}, {' and '.join(label for _, label, _ in legs)}"
    return figure(_WIDTH, _HEIGHT, title, _description(comparison, measurement), parts)


def _latency_scale(histograms: list[LatencyHistogram]) -> Scale:
    import numpy

    ends = []
    for each in histograms:
        edges, reached = each.edges_ms(), numpy.cumsum(each.counts) / each.total
        ends.append(float(edges[numpy.searchsorted(reached, _TAIL)]))
        ends.append(float(edges[1 + numpy.searchsorted(reached, 1 - _TAIL)]))
    low, high = min(ends), max(ends)
    return Scale(low, high, *_X, logarithmic=high / low >= _LOGARITHMIC_FROM)


def _plot_edges(x: Scale) -> NDArray[Any]:
    import numpy

    spaced = numpy.geomspace if x.logarithmic else numpy.linspace
    edges: NDArray[Any] = spaced(x.low, x.high, _BINS + 1)
    return edges


def _shares(counted: LatencyHistogram, edges: NDArray[Any]) -> NDArray[Any]:
    """Return how many per cent of the latencies are in each bin of the plot. Latencies are spread
    evenly over the fixed bins, of which a bin of the plot may hold parts.
    """
    import numpy

    below = numpy.concatenate(([0], numpy.cumsum(counted.counts))) / counted.total
    shares: NDArray[Any] = 100 * numpy.diff(numpy.interp(edges, counted.edges_ms(), below))
    return shares


def _outline(
    kind: str, x: Scale, y: Scale, edges: NDArray[Any], shares: NDArray[Any]
) -> Iterator[str]:
    steps: list[Point] = []
    for left, right, share in zip(edges[:-1], edges[1:], shares, strict=True):
        level = y.at(float(share))
        steps += [(x.at(float(left)), level), (x.at(float(right)), level)]
    yield path([(x.start, y.start), *steps, (x.end, y.start)], f"area {kind}", closed=True)
    yield path(steps, f"{kind} bold")


def _medians(measurement: MeasurementComparison, kind: str) -> list[tuple[str, float]]:
    """Return a leg's percentiles in ms as the table has them: medians of its blocks."""
    legs = [
        (end.metric, end.first if kind == "first" else end.second) for end in measurement.endpoints
    ]
    return [
        (metric, leg.median) for metric, leg in legs if metric != "throughput" and leg is not None
    ]


def _ticks(medians: list[tuple[str, float]], kind: str, x: Scale, level: float) -> Iterator[str]:
    """Mark percentiles with lines down to the axis, and name those whose names have room."""
    taken = x.start
    for name, value in medians:
        if not x.low <= value <= x.high:
            continue
        across = x.at(value)
        yield line((across, level), (across, _Y[0]), f"{kind} thin")
        if across - 12 >= taken:
            yield text(across, level - 3, name, "quiet", "middle")
            taken = across + 14


def _beyond(legs: list[Leg], x: Scale, of: str) -> str:
    import numpy

    outside = []
    for _, label, each in legs:
        centres = (each.edges_ms()[:-1] + each.edges_ms()[1:]) / 2
        left_out = (centres < x.low) | (centres > x.high)
        count = int(numpy.array(each.counts)[left_out].sum())
        outside.append(f"{count:,} of {label}")
    longest = max(float(each.edges_ms()[-1]) for _, _, each in legs)
    return (
        f"{of.capitalize()} outside the axis: {', '.join(outside)}; the longest: "
        f"{value_text(longest)} ms."
    )


def _description(comparison: Comparison, measurement: MeasurementComparison) -> str:
    said = [
        f"{endpoint.metric}: {value_text(endpoint.first.median)} ms in {comparison.first.label}, "
        f"{value_text(endpoint.second.median)} ms in {comparison.second.label}."
        for endpoint in measurement.endpoints
        if endpoint.metric != "throughput" and endpoint.first and endpoint.second
    ]
    return " ".join(["Histograms of all raw latencies.", *said])
