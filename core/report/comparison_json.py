"""A comparison as JSON: every figure as it was computed, nothing rounded."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from datetime import datetime
from typing import Any

from core.report.comparison_method import method_text
from core.report.comparison_words import allowed_keys, allowed_mark, further_text, headline
from core.report.comparisons import ComparisonReport
from core.report.scenarios import terminal_json

VERSION = 1
"""Of the JSON document; another where a reader of the one before would go wrong."""


def render_json(report: ComparisonReport) -> str:
    """Return the whole of the comparison with its cost. The names are those of
    ``core.verdict.model``; times are ISO 8601, and a number that JSON does not have (an interval
    without an end) is null.
    """
    comparison = report.comparison
    document = {
        "kind": "comparison",
        "version": VERSION,
        "written_at": report.written_at,
        "headline": headline(comparison),
        "allowed": allowed_keys(comparison),
        "allowed_mark": allowed_mark(comparison),
        "further_text": further_text(comparison, report.cost),
        "method": method_text(comparison),
        "notes": comparison.notes(),
        **asdict(comparison),
        "cost": None if report.cost is None else asdict(report.cost),
    }
    return terminal_json(json.dumps(_plain(document), indent=1, allow_nan=False)) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
