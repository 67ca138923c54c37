"""Percentiles as LoadGen computes them, and how many queries one needs to be shown.

LoadGen reports the sample at index floor(p * n) of the sorted latencies. Its early-stopping rule
(mlcommons/inference_policies, inference_rules.adoc, "Early Stopping") supports an estimate of
percentile p at confidence c = 0.99 when a run of n queries with one query above the estimate would
still be unlikely (1 - c) under a true percentile below p.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIDENCE = 0.99
REPORTED = (0.50, 0.90, 0.95, 0.99, 0.999)


def percentile_name(percentile: float) -> str:
    """Return ``p99.9`` for 0.999."""
    return f"p{percentile * 100:g}"


@cache
def queries_needed(percentile: float) -> int:
    """Return how many queries support ``percentile``: 11, 64, 130, 662 and 6636 for REPORTED.

    The smallest n with P(at most one of n queries is above the percentile) <= 1 - CONFIDENCE.
    """
    low, high = 2, 4
    while not _supports(high, percentile):
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        if _supports(middle, percentile):
            high = middle
        else:
            low = middle + 1
    return low


def _supports(count: int, percentile: float) -> bool:
    none_above = percentile**count
    one_above = count * (1 - percentile) * percentile ** (count - 1)
    return none_above + one_above <= 1 - CONFIDENCE


def order_statistic(sorted_values: NDArray[Any], percentile: float) -> float:
    """Return LoadGen's percentile of values in ascending order.

    Raises:
        ValueError: there are no values.
    """
    if len(sorted_values) == 0:
        raise ValueError("a percentile needs at least one value")
    # The small term undoes binary fractions: 0.999 * 1000 must be index 999.
    index = min(int(len(sorted_values) * percentile + 1e-9), len(sorted_values) - 1)
    return float(sorted_values[index])
