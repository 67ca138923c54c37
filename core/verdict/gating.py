"""Which metrics a verdict rests on, and why the others only advise: one rule, for a comparison and
for a history.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low

from benchmark.percentiles import queries_needed
from benchmark.results import MeasurementResult
from core.verdict.model import Metric

TAIL_QUERIES = 10_000
"""Fewer queries leave p99 to fewer than a hundred of them: it advises (DESIGN.md section 6)."""
_TAIL = 0.99


def advisory(metric: Metric, groups: Sequence[Sequence[MeasurementResult]]) -> str:
    """Return why a metric only advises, as a clause; empty where it does not. ``groups``: the good
    blocks of each leg, or of each run; the group with the fewest queries decides.
    """
    if metric.percentile is None:
        return ""
    # Every good block has the plan's queries. How many batches Offline has depends on its speed,
    # and no single slow block may take a percentile out of the verdict.
    counts = [
        median_low(entry.latency.count if entry.latency is not None else 0 for entry in group)
        for group in groups
        if group
    ]
    if not counts:
        return ""
    fewest = min(counts)
    needed = queries_needed(metric.percentile)
    latencies = [entry.latency for group in groups for entry in group if entry.latency is not None]
    kind = "batches" if any(latency.of == "batch" for latency in latencies) else "queries"
    if fewest < needed:
        return f"{metric.name} takes {needed:,} {kind}, and a block has {fewest:,}"
    if metric.percentile == _TAIL and fewest < TAIL_QUERIES:
        return f"{metric.name} gates from {TAIL_QUERIES:,} {kind} on, and a block has {fewest:,}"
    return ""
