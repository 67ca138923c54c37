"""Each block's own overhead, so that it is seen what the interval rests on."""

from __future__ import annotations

from collections.abc import Iterator

from core.report.comparison_plots.frame import frame, padded, span_of
from core.report.comparison_plots.svg import (
    Point,
    Scale,
    disc,
    figure,
    line,
    rectangle,
    shortened,
    square,
    text,
)
from core.report.comparison_words import target_text
from core.verdict.figures import percent_text, span_text
from core.verdict.model import BlockPoint, Comparison, Endpoint, MeasurementComparison

_WIDTH = 760
_PANEL = (380.0, 216.0)
_TOP = 22.0
_ACROSS = 2
_LONGEST_LABEL = 24


def blocks_plot(comparison: Comparison, measurement: MeasurementComparison) -> str:
    """Return a panel for each endpoint: the overhead of each pair of blocks (or of each block
    against the first leg's geometric mean), their mean with its 90 % interval, and the target;
    empty where no endpoint has points.
    """
    ends = [end for end in measurement.endpoints if end.points]
    if not ends:
        return ""
    parts = list(_key(comparison, measurement))
    for number, end in enumerate(ends):
        column, row = number % _ACROSS, number // _ACROSS
        corner = (column * _PANEL[0], _TOP + row * _PANEL[1])
        parts += _panel(comparison, measurement, end, corner)
    height = _TOP + -(-len(ends) // _ACROSS) * _PANEL[1]
    return figure(
        _WIDTH,
        height,
        f"Overhead of {measurement.name} by {measurement.unit}",
        _description(comparison, ends),
        parts,
    )


def _key(comparison: Comparison, measurement: MeasurementComparison) -> Iterator[str]:
    y = 16.0
    unit = measurement.unit
    if measurement.paired:
        yield disc((10, y - 4), 3.5, "mark second")
        yield text(20, y, f"one pair of {unit}s")
        x = 150.0
    else:
        yield disc((10, y - 4), 3.5, "mark first")
        yield text(20, y, f"{unit} of {shortened(comparison.first.label, _LONGEST_LABEL)}")
        yield square((220, y - 4), 3.5, "mark second")
        yield text(230, y, f"{unit} of {shortened(comparison.second.label, _LONGEST_LABEL)}")
        x = 440.0
    yield line((x, y - 4), (x + 22, y - 4), "bold zero")
    yield rectangle((x, y - 10), (x + 22, y + 2), "band")
    yield text(x + 28, y, "mean, 90 % interval")
    yield line((x + 160, y - 4), (x + 184, y - 4), "target")
    yield text(x + 190, y, f"target {target_text(comparison)}")


def _panel(
    comparison: Comparison, measurement: MeasurementComparison, endpoint: Endpoint, corner: Point
) -> Iterator[str]:
    left, top = corner
    start, end, bottom = left + 52, left + _PANEL[0] - 14, top + _PANEL[1] - 48
    estimate, target = endpoint.estimate, comparison.target_percent
    middles = [0.0, target, *(point.overhead_percent for point in endpoint.points)]
    ends = (
        [] if estimate is None else [estimate.interval_percent.low, estimate.interval_percent.high]
    )
    x = Scale(0.5, _most(endpoint.points) + 0.5, start, end)
    y = Scale(*padded(*span_of(middles, ends), 0.08), bottom, top + 30)
    marked = "" if endpoint.gating else " (advisory)"
    if estimate is not None:
        band = estimate.interval_percent
        yield rectangle((start, y.at(band.low)), (end, y.at(band.high)), "band")
    unit = f"pair of {measurement.unit}s" if measurement.paired else measurement.unit
    yield frame(x, y, unit, f"{endpoint.metric}{marked}: overhead, %", most_x=6)
    yield line((start, y.at(0)), (end, y.at(0)), "zero")
    yield line((start, y.at(target)), (end, y.at(target)), "target")
    if estimate is not None:
        mean = y.at(estimate.overhead_percent)
        yield line((start, mean), (end, mean), "bold zero")
    yield from _points(endpoint.points, x, y)


def _most(points: tuple[BlockPoint, ...]) -> int:
    """Return how many places the axis needs: those of the leg that has more blocks."""
    legs = [point.leg for point in points]
    return max(legs.count(leg) for leg in set(legs))


def _points(points: tuple[BlockPoint, ...], x: Scale, y: Scale) -> Iterator[str]:
    seen = {"pair": 0, "first": 0, "second": 0}
    for point in points:
        seen[point.leg] += 1
        at = (x.at(seen[point.leg]), y.at(point.overhead_percent))
        hint = f"{point.label}: {percent_text(point.overhead_percent)} %"
        if point.leg == "pair":
            yield disc(at, 3.5, "mark second", hint)
        elif point.leg == "first":
            yield disc((at[0] - 2, at[1]), 3.5, "mark first", hint)
        else:
            yield square((at[0] + 2, at[1]), 3.2, "mark second", hint)


def _description(comparison: Comparison, ends: list[Endpoint]) -> str:
    lines = (0.0, comparison.target_percent)
    said = [f"Target: {target_text(comparison)}."]
    for end in ends:
        points = [point.overhead_percent for point in end.points if point.leg != "first"]
        if points:
            said.append(
                f"{end.metric}: {len(points)} points between {percent_text(min(points))} and "
                f"{percent_text(max(points))} %."
            )
        if end.estimate is not None:
            said.append(f"90 % interval {span_text(end.estimate.interval_percent, *lines)} %.")
    return " ".join(said)
