"""A comparison for a spreadsheet: one line an endpoint, every figure as it was computed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from core.report.comparison_words import allowed_keys
from core.report.comparisons import ComparisonReport
from core.report.scenarios import spreadsheet_text
from core.verdict.model import (
    Comparison,
    Endpoint,
    LegFigure,
    LegSummary,
    MeasurementComparison,
    Span,
)

Cells = Mapping[str, object]

_ESTIMATE = (
    *("method", "overhead_percent", "interval_low_percent", "interval_high_percent"),
    *("deciding_low_percent", "deciding_high_percent", "ratio", "ratio_low", "ratio_high"),
    *("standard_error_log", "degrees_of_freedom", "noise_percent", "bootstrap_low_percent"),
    *("bootstrap_high_percent", "p_within", "p_exceeds"),
)
_FIGURE = ("median", "geometric_mean", "minimum", "maximum", "blocks")
_HEADERS = (
    *("measurement", "scenario", "batch_size", "path", "latency_of", "paired", "statistical_unit"),
    *("metric", "unit", "verdict", "gating", "advisory", *_ESTIMATE, "further_blocks"),
    *(f"{leg}_{name}" for leg in ("first", "second") for name in ("leg", "runs", *_FIGURE)),
    *("target_percent", "question", "overall_verdict", "conditions", "allowed", "look", "looks"),
)


def render_csv(report: ComparisonReport) -> str:
    """Return a header and one line an endpoint; what was allowed stands in every line."""
    comparison = report.comparison
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _HEADERS, lineterminator="\n")
    writer.writeheader()
    whole = _whole(comparison)
    for measurement in comparison.measurements:
        for endpoint in measurement.endpoints:
            cells = {
                **_measurement(measurement),
                **_endpoint(endpoint),
                **_leg("first", comparison.first, endpoint.first),
                **_leg("second", comparison.second, endpoint.second),
                **whole,
            }
            writer.writerow({name: _cell(value) for name, value in cells.items()})
    return stream.getvalue()


def _whole(comparison: Comparison) -> Cells:
    look = comparison.look
    return {
        "target_percent": comparison.target_percent,
        "question": str(comparison.question),
        "overall_verdict": str(comparison.verdict),
        "conditions": "; ".join(comparison.conditions),
        "allowed": "; ".join(allowed_keys(comparison)),
        "look": look.number if look else 1,
        "looks": look.of if look else 1,
    }


def _measurement(measurement: MeasurementComparison) -> Cells:
    return {
        "measurement": measurement.name,
        "scenario": measurement.scenario,
        "batch_size": measurement.batch_size,
        "path": measurement.path,
        "latency_of": measurement.latency_of,
        "paired": measurement.paired,
        "statistical_unit": measurement.unit,
    }


def _endpoint(endpoint: Endpoint) -> Cells:
    return {
        "metric": endpoint.metric,
        "unit": endpoint.unit,
        "verdict": None if endpoint.verdict is None else str(endpoint.verdict),
        "gating": endpoint.gating,
        "advisory": endpoint.advisory,
        "further_blocks": endpoint.further_blocks,
        **_estimate(endpoint),
    }


def _estimate(endpoint: Endpoint) -> Cells:
    found = endpoint.estimate
    if found is None:
        return {}
    return {
        "method": found.method,
        "overhead_percent": found.overhead_percent,
        **_span("interval_{}_percent", found.interval_percent),
        **_span("deciding_{}_percent", found.decision_percent),
        "ratio": found.ratio,
        **_span("ratio_{}", found.ratio_interval),
        "standard_error_log": found.standard_error,
        "degrees_of_freedom": found.degrees_of_freedom,
        "noise_percent": found.noise_percent,
        **_span("bootstrap_{}_percent", found.bootstrap_percent),
        "p_within": found.p_within,
        "p_exceeds": found.p_exceeds,
    }


def _span(name: str, span: Span | None) -> Cells:
    if span is None:
        return {}
    return {name.format("low"): span.low, name.format("high"): span.high}


def _leg(place: str, leg: LegSummary, figure: LegFigure | None) -> Cells:
    figures = {name: getattr(figure, name) for name in _FIGURE} if figure else {}
    cells = {"leg": leg.name, "runs": "; ".join(leg.runs), **figures}
    return {f"{place}_{name}": value for name, value in cells.items()}


def _cell(value: object) -> object:
    return spreadsheet_text(value) if isinstance(value, str) else value
