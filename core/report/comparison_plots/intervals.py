"""Every gating endpoint's overhead and interval against the target: the answer in one picture."""

from __future__ import annotations

from collections.abc import Iterator

from core.report.comparison_plots.frame import padded, span_of
from core.report.comparison_plots.svg import (
    VERDICT_CLASS,
    Anchor,
    Scale,
    figure,
    line,
    path,
    rectangle,
    shortened,
    text,
    tick_text,
    verdict_mark,
)
from core.report.comparison_words import SYMBOLS, target_text, verdict_text
from core.verdict.figures import percent_text, span_text
from core.verdict.model import (
    Comparison,
    Endpoint,
    Estimate,
    MeasurementComparison,
    Span,
    Verdict,
)

_WIDTH = 980
_PLOT = (110.0, 600.0)
_OVERHEAD_END, _INTERVAL_END, _VERDICT_START = 682, 816, 838
_TOP = 40
_ROW = 24
_BELOW = 84
_LONGEST_NAME = 60
_LONGEST_LABEL = 24

Row = tuple[MeasurementComparison, Endpoint, Estimate]


def interval_plot(comparison: Comparison) -> str:
    """Return the overhead of each gating endpoint with its 90 % interval, the interval that
    decides where that is wider, the noise floor and the target; empty where nothing was estimated.
    """
    groups = [(each, _rows(each)) for each in comparison.measurements]
    groups = [(each, rows) for each, rows in groups if rows]
    if not groups:
        return ""
    scale = _scale(comparison, [row for _, rows in groups for row in rows])
    lines = sum(1 + len(rows) for _, rows in groups)
    bottom = _TOP + lines * _ROW
    parts = [*_grid(comparison, scale, bottom), *_headers()]
    height = float(_TOP)
    for measurement, rows in groups:
        parts.append(text(0, height + 16, shortened(measurement.name, _LONGEST_NAME), "strong"))
        parts.append(_verdict(comparison, height + 16, measurement.verdict, "strong"))
        height += _ROW
        for row in rows:
            parts += _row(comparison, row, scale, height)
            height += _ROW
    parts += _key(comparison, bottom)
    return figure(
        _WIDTH,
        bottom + _BELOW,
        f"Overhead of {comparison.second.label} over {comparison.first.label}, with 90 % intervals",
        _description(comparison, groups),
        parts,
    )


def _rows(measurement: MeasurementComparison) -> list[Row]:
    return [
        (measurement, end, end.estimate)
        for end in measurement.endpoints
        if end.gating and end.estimate is not None
    ]


def _scale(comparison: Comparison, rows: list[Row]) -> Scale:
    """Return a scale that holds zero, the target and every overhead."""
    middles = [0.0, comparison.target_percent, *(row[2].overhead_percent for row in rows)]
    spans = [estimate.interval_percent for _, _, estimate in rows]
    spans += [estimate.decision_percent for _, _, estimate in rows]
    noise = (_noise(comparison, each.name, end) for each, end, _ in rows)
    spans += [span for span in noise if span is not None]
    ends = [end for span in spans for end in (span.low, span.high)]
    return Scale(*padded(*span_of(middles, ends), 0.04), *_PLOT)


def _grid(comparison: Comparison, scale: Scale, bottom: float) -> Iterator[str]:
    for value in scale.ticks(9):
        x = scale.at(value)
        yield line((x, _TOP), (x, bottom), "grid")
        yield text(x, bottom + 16, tick_text(value), "quiet", "middle")
    yield line((_PLOT[0], bottom), (_PLOT[1], bottom), "axis")
    yield line((scale.at(0), _TOP), (scale.at(0), bottom), "zero")
    target = scale.at(comparison.target_percent)
    yield line((target, _TOP - 6), (target, bottom), "target")
    # Beside the line where the words would run into the next column.
    anchor: Anchor = "middle" if target < _PLOT[1] - 40 else "end"
    yield text(target, _TOP - 10, f"target {target_text(comparison)}", "target", anchor)
    name = shortened(comparison.second.label, _LONGEST_LABEL)
    yield text(_PLOT[0], bottom + 34, f"\N{LEFTWARDS ARROW} {name} is better", "quiet")
    middle = sum(_PLOT) / 2
    yield text(middle, bottom + 34, "overhead, %", "quiet", "middle")
    yield text(_PLOT[1], bottom + 34, f"{name} is worse \N{RIGHTWARDS ARROW}", "quiet", "end")


def _headers() -> Iterator[str]:
    yield text(_OVERHEAD_END, _TOP - 10, "overhead, %", "quiet", "end")
    yield text(_INTERVAL_END, _TOP - 10, "90 % interval", "quiet", "end")
    yield text(_VERDICT_START, _TOP - 10, "verdict", "quiet")


def _row(comparison: Comparison, row: Row, scale: Scale, top: float) -> Iterator[str]:
    measurement, endpoint, estimate = row
    middle, baseline = top + _ROW / 2, top + 16
    kind = VERDICT_CLASS[endpoint.verdict or Verdict.INCONCLUSIVE]
    noise = _noise(comparison, measurement.name, endpoint)
    if noise is not None:
        corner, other = (scale.at(noise.low), top + 2), (scale.at(noise.high), top + _ROW - 2)
        yield rectangle(corner, other, "band")
    yield text(16, baseline, str(endpoint.metric))
    if estimate.decision_percent != estimate.interval_percent:
        yield from _bar(scale, estimate.decision_percent, middle, f"mark {kind}")
    yield from _bar(scale, estimate.interval_percent, middle, f"bar {kind}")
    yield verdict_mark((scale.at(estimate.overhead_percent), middle), endpoint.verdict)
    lines = (0.0, comparison.target_percent)
    overhead = percent_text(estimate.overhead_percent, *lines)
    yield text(_OVERHEAD_END, baseline, overhead, anchor="end")
    interval = span_text(estimate.interval_percent, *lines)
    yield text(_INTERVAL_END, baseline, interval, anchor="end")
    yield _verdict(comparison, baseline, endpoint.verdict)


def _bar(scale: Scale, span: Span, y: float, kind: str) -> Iterator[str]:
    """Draw an interval, with the point of an arrow where it goes on beyond the scale."""
    low, high = scale.at(span.low), scale.at(span.high)
    yield line((low, y), (high, y), kind)
    for value, x, outward in ((span.low, low, -1), (span.high, high, 1)):
        if not scale.low <= value <= scale.high:
            tip = [(x, y - 5), (x + 7 * outward, y), (x, y + 5)]
            yield path(tip, kind.replace("bar", "mark"), closed=True)


def _verdict(
    comparison: Comparison, baseline: float, verdict: Verdict | None, weight: str = ""
) -> str:
    words = verdict_text(verdict, allowed=bool(comparison.allowed))
    if verdict is None:
        return text(_VERDICT_START, baseline, words, f"quiet {weight}".strip())
    words = f"{SYMBOLS[verdict]} {words}"
    return text(_VERDICT_START, baseline, words, f"{VERDICT_CLASS[verdict]} {weight}".strip())


def _noise(comparison: Comparison, measurement: str, endpoint: Endpoint) -> Span | None:
    rows = comparison.noise.rows if comparison.noise is not None else ()
    return next(
        (
            row.estimate.interval_percent
            for row in rows
            if (row.measurement, row.metric) == (measurement, endpoint.metric)
        ),
        None,
    )


def _key(comparison: Comparison, bottom: float) -> Iterator[str]:
    words = "mark: overhead; thick bar: its 90 % interval"
    if comparison.look is not None:
        words += "; thin bar: the interval that decides at this look"
    if comparison.noise is not None:
        what = "A/A" if comparison.noise.source == "A/A" else "halves of one leg"
        words += f"; grey band: noise floor ({what})"
    yield text(0, bottom + 58, words, "quiet")
    shapes = (Verdict.WITHIN, Verdict.EXCEEDS, Verdict.INCONCLUSIVE)
    x = 6.0
    for verdict in shapes:
        yield verdict_mark((x, bottom + 72), verdict)
        yield text(x + 12, bottom + 76, str(verdict), "quiet")
        x += 120


def _description(
    comparison: Comparison, groups: list[tuple[MeasurementComparison, list[Row]]]
) -> str:
    lines = (0.0, comparison.target_percent)
    said = [
        f"{measurement.name} {end.metric}: {percent_text(estimate.overhead_percent, *lines)} %, "
        f"90 % interval {span_text(estimate.interval_percent, *lines)} %, "
        f"{verdict_text(end.verdict, allowed=bool(comparison.allowed))}."
        for measurement, rows in groups
        for _, end, estimate in rows
    ]
    return f"Target: {target_text(comparison)}. " + " ".join(said)
