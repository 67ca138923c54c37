"""The tables of a comparison that a sceptic turns to: blocks, spreads, methods and p-values."""

from __future__ import annotations

from core.report.comparison_words import verdict_text
from core.report.document import Table
from core.verdict.figures import probability_text, span_text, value_text
from core.verdict.model import (
    CONFIDENCE,
    Comparison,
    Endpoint,
    Estimate,
    LegFigure,
    MeasurementComparison,
)


def measurement_table(comparison: Comparison) -> Table:
    """Return a row a measurement: how its blocks were set against each other, and its verdict."""
    first, second = comparison.first.label, comparison.second.label
    headers = (
        *("measurement", "scenario", "batch", "path", "queries a block", "compared"),
        *(f"good blocks of {first}", f"good blocks of {second}", "void", "verdict"),
    )
    rows = tuple(
        (
            *(each.name, each.scenario, str(each.batch_size), each.path),
            "-" if each.queries is None else f"{each.queries:,}",
            f"pairs of {each.unit}s" if each.paired else f"{each.unit}s",
            *map(str, _blocks(each)),
            str(len(each.void)),
            verdict_text(each.verdict, allowed=bool(comparison.allowed)),
        )
        for each in comparison.measurements
    )
    return Table("Measurements", headers, rows, (2, 4, 6, 7, 8))


def endpoint_table(comparison: Comparison) -> Table:
    """Return a row an endpoint: both legs' ranges over blocks, and what the verdict rests on."""
    first, second = comparison.first.label, comparison.second.label
    target = comparison.target_percent
    alpha = comparison.look.alpha if comparison.look else (1 - CONFIDENCE) / 2
    headers = (
        *("measurement", "metric", f"{first}, least to most", f"{second}, least to most"),
        *("method", "degrees of freedom", "unit to unit (%)", "bootstrap interval (%)"),
        *("p (below target)", "p (above target)"),
    )
    rows = tuple(
        (
            each.name,
            f"{end.metric} ({end.unit})",
            *(_range(figure) for figure in (end.first, end.second)),
            *_statistics(end.estimate, target, alpha),
        )
        for each in comparison.measurements
        for end in each.endpoints
    )
    return Table("Endpoints", headers, rows, (2, 3, 5, 6, 7, 8, 9))


def _blocks(measurement: MeasurementComparison) -> tuple[int, int]:
    def most(figures: list[LegFigure | None]) -> int:
        return max((figure.blocks for figure in figures if figure is not None), default=0)

    ends: tuple[Endpoint, ...] = measurement.endpoints
    return most([end.first for end in ends]), most([end.second for end in ends])


def _range(figure: LegFigure | None) -> str:
    if figure is None:
        return "-"
    return f"{value_text(figure.minimum)} to {value_text(figure.maximum)}"


def _statistics(estimate: Estimate | None, target: float, alpha: float) -> tuple[str, ...]:
    if estimate is None:
        return ("-",) * 6
    return (
        estimate.method,
        f"{estimate.degrees_of_freedom:.1f}",
        value_text(estimate.noise_percent),
        span_text(estimate.bootstrap_percent, target),
        *(probability_text(found, alpha) for found in (estimate.p_within, estimate.p_exceeds)),
    )
