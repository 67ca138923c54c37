"""Figures as text: none of them may change sides of what it is held against."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.verdict.figures import percent_text, probability_text, span_text, value_text
from core.verdict.model import Span

percentages = st.floats(-1e6, 1e6)
near_the_target = st.floats(-1e-4, 1e-4).map(lambda step: 5 + step)


def read(text: str) -> float:
    return float(text.replace(",", ""))


class TestPercent:
    """Two decimals, or as many more as are needed."""

    @given(st.one_of(percentages, near_the_target), st.sampled_from([5.0, 2.5, 10.0]))
    def test_no_percentage_is_shown_on_the_other_side_of_the_target(
        self, percent: float, target: float
    ) -> None:
        assume(abs(percent - target) > 1e-8)
        shown = read(percent_text(percent, target))
        assert (shown < target) == (percent < target)
        assert (shown > target) == (percent > target)

    @given(st.one_of(percentages, near_the_target))
    def test_it_has_its_sign_and_at_least_two_decimals_and_is_never_minus_zero(
        self, percent: float
    ) -> None:
        shown = percent_text(percent, 5.0)
        assert shown[0] in "+-"
        assert len(shown.partition(".")[2]) >= 2
        assert read(shown) == pytest.approx(percent, abs=0.006)
        assert not (shown.startswith("-") and read(shown) == 0)

    @pytest.mark.parametrize(
        ("percent", "shown"),
        [
            (4.96, "+4.96"),
            (4.996, "+4.996"),
            (5.0004, "+5.0004"),
            (5.0, "+5.00"),
            (5.006, "+5.01"),
            (4.9999999999999, "+5.00"),
            (-0.001, "+0.00"),
            (1234.5, "+1,234.50"),
            (None, "-"),
            (math.nan, "-"),
            (math.inf, "+inf"),
            (-math.inf, "-inf"),
            (8.21004e69, "+8.21e+69"),
        ],
    )
    def test_of_each_kind(self, percent: float | None, shown: str) -> None:
        assert percent_text(percent, 5.0) == shown

    def test_a_target_with_a_rounding_error_is_the_target(self) -> None:
        assert percent_text(7.0, 100 * 0.07) == "+7.00"

    def test_it_keeps_the_side_of_every_line(self) -> None:
        assert percent_text(0.0004, 5.0, 0.0) == "+0.0004"
        assert span_text(Span(-0.0004, 4.999), 5.0, 0.0) == "-0.0004 to +4.999"
        assert span_text(None, 5.0) == "-"


@given(st.floats(0, 1), st.sampled_from([0.05, 0.0061]))
def test_no_p_value_is_shown_on_the_other_side_of_its_level(p_value: float, level: float) -> None:
    assume(abs(p_value - level) > 1e-8)
    shown = probability_text(p_value, level)
    if shown == "< 0.0001":
        assert p_value < 0.0001
    else:
        assert (float(shown) < level) == (p_value < level)
        assert float(shown) == pytest.approx(p_value, abs=0.00006)


@given(st.floats(1e-300, 1e300))
def test_a_figure_has_four_significant_digits(value: float) -> None:
    shown = value_text(value)
    # The most decimals are nine.
    assert read(shown) == pytest.approx(value, rel=0.00051, abs=1e-9)
    assert len(shown) < 15


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0.00"), (1234.5, "1,234.50"), (4.0, "4.000"), (0.0123, "0.01230"), (2e-30, "2e-30")],
)
def test_a_figure_has_at_least_two_decimals(value: float, shown: str) -> None:
    assert value_text(value) == shown
