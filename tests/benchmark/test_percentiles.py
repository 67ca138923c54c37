"""Percentiles are LoadGen's, and supported where LoadGen's early stopping would support them."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.percentiles import (
    CONFIDENCE,
    REPORTED,
    order_statistic,
    percentile_name,
    queries_needed,
)


def chance_of_at_most_one_above(count: int, percentile: float) -> float:
    """Return the binomial probability directly."""
    return math.fsum(
        math.comb(count, above) * (1 - percentile) ** above * percentile ** (count - above)
        for above in (0, 1)
    )


@pytest.mark.parametrize(("percentile", "queries"), [(0.9, 64), (0.99, 662)])
def test_loadgens_published_counts_are_met(percentile: float, queries: int) -> None:
    assert queries_needed(percentile) == queries


@pytest.mark.parametrize(
    ("percentile", "queries"), list(zip(REPORTED, (11, 64, 130, 662, 6636), strict=True))
)
def test_the_documented_counts_hold(percentile: float, queries: int) -> None:
    assert queries_needed(percentile) == queries


@given(st.floats(0.5, 0.9995))
def test_the_count_is_the_smallest_that_the_binomial_allows(percentile: float) -> None:
    count = queries_needed(percentile)
    assert chance_of_at_most_one_above(count, percentile) <= (1 - CONFIDENCE) * (1 + 1e-9)
    assert chance_of_at_most_one_above(count - 1, percentile) > (1 - CONFIDENCE) * (1 - 1e-9)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300), st.integers(0, 1000))
def test_an_order_statistic_is_the_value_with_that_share_below_it(
    values: list[int], thousandths: int
) -> None:
    ordered = sorted(values)
    index = min(math.floor(len(ordered) * Fraction(thousandths, 1000)), len(ordered) - 1)
    assert order_statistic(numpy.array(ordered), thousandths / 1000) == ordered[index]


@pytest.mark.parametrize(("percentile", "index"), [(0.9, 90), (0.29, 29), (0.57, 57)])
def test_binary_fractions_do_not_shift_an_order_statistic(percentile: float, index: int) -> None:
    # 0.29 * 100 is 28.999999999999996 in binary.
    assert order_statistic(numpy.arange(100), percentile) == index


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=50))
def test_percentiles_grow_and_lie_among_the_values(values: list[float]) -> None:
    ordered = numpy.sort(numpy.array(values))
    found = [order_statistic(ordered, percentile) for percentile in REPORTED]
    assert found == sorted(found)
    assert set(found) <= set(values)


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        order_statistic(numpy.array([]), 0.5)


def test_percentiles_are_named_as_people_name_them() -> None:
    assert [percentile_name(percentile) for percentile in REPORTED] == [
        "p50",
        "p90",
        "p95",
        "p99",
        "p99.9",
    ]
