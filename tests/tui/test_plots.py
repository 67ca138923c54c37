"""The diff's scale, histograms and courses: every cell where it belongs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.report.curves import LatencyDistribution, PercentilePosition, ThroughputSeries
from core.report.side_by_side import DifferenceRow, Leg, Side, SideBySide
from tests.core.records import texts
from tests.tui.stand_ins import is_harmless
from tui.widgets.difference import difference_bar, side_by_side_content
from tui.widgets.plots import distribution_plot, series_plot


def difference(
    percent: float | None, smallest: float | None = None, largest: float | None = None
) -> DifferenceRow:
    return DifferenceRow(
        *("server-b8", "Server", 8, "eager", "p50", "ms"),
        first=Side(None, 1, 0),
        second=Side(None, 1, 0),
        difference_percent=percent,
        smallest_percent=smallest,
        largest_percent=largest,
        pairs=0 if smallest is None else 2,
        marks=(),
    )


percents = st.floats(allow_nan=False, allow_infinity=False)
bar_widths = st.integers(6, 30).map(lambda half: 2 * half + 1)


class TestDifferenceBar:
    @given(
        percent=st.none() | percents,
        span=st.none() | st.tuples(percents, percents),
        width=bar_widths,
    )
    def test_it_always_has_exactly_its_width(
        self, percent: float | None, span: tuple[float, float] | None, width: int
    ) -> None:
        smallest, largest = sorted(span) if span else (None, None)
        shown = difference_bar(difference(percent, smallest, largest), width)
        assert shown.cell_length == len(shown.plain) == width

    @given(percent=percents, width=bar_widths)
    def test_the_sign_tells_the_direction_and_what_lies_beyond_the_scale(
        self, percent: float, width: int
    ) -> None:
        shown = difference_bar(difference(percent), width).plain
        sign = "●" if abs(percent) <= 10 else "▶" if percent > 0 else "◀"
        assert shown.count(sign) == 1
        place, middle = shown.index(sign), width // 2
        if abs(percent) > 10:
            assert place == (width - 1 if percent > 0 else 0)
        # Half a cell is what rounding may take.
        elif place != middle:
            assert (place > middle) == (percent > 0)

    @given(width=bar_widths)
    def test_zero_is_in_the_middle_and_the_line_at_five_percent(self, width: int) -> None:
        shown = difference_bar(difference(None), width).plain
        assert shown[width // 2] == "│"
        assert abs(shown.index("┊") - (width // 2) * 1.5) <= 0.5
        assert shown.count("┊") == 1
        assert difference_bar(difference(5.0), width).plain.index("●") == shown.index("┊")

    def test_a_whole_scale_is_drawn_as_expected(self) -> None:
        shown = difference_bar(difference(2.0, -3.0, 7.0), 21).plain
        assert shown == "·······━━━┼━●━━┿━━···"

    @given(
        label=texts,
        percent=st.none() | percents,
        width=st.integers(40, 200),
    )
    def test_the_whole_diff_only_prints(
        self, label: str, percent: float | None, width: int
    ) -> None:
        leg = Leg(label, label, label, label, label, label, True)
        found = SideBySide(leg, leg, (difference(percent),), (label,), label)
        assert is_harmless(side_by_side_content(found, width).plain.replace("\n", ""))

    def test_figures_scale_and_bars_stand_below_each_other(self) -> None:
        leg = Leg("baseline", "baseline", "id", "Tesla T4", "kvm", "fp32", True)
        found = SideBySide(leg, leg, (difference(5.0), difference(0.0)), (), "notice")
        for width in (74, 100, 190):
            lines = side_by_side_content(found, width).plain.splitlines()
            head = next(line for line in lines if "overhead" in line)
            five, zero = (line for line in lines if "●" in line)
            assert head[five.index("●") - 1 :].startswith("5 %")
            assert head[zero.index("●")] == "0"
            assert max(map(len, (head, five, zero))) <= width


def distribution(counts: list[int], percentiles: list[float]) -> LatencyDistribution:
    edges = tuple(1.0 + index for index in range(len(counts) + 1))
    names = ("p50", "p90", "p99")
    return LatencyDistribution(
        of="query",
        scale="linear",
        edges_ms=edges,
        counts=tuple(counts),
        total=sum(counts),
        minimum_ms=edges[0],
        maximum_ms=edges[-1],
        percentiles=tuple(
            PercentilePosition(name, 1.0 + share * len(counts), name != "p99")
            for name, share in zip(names, sorted(percentiles), strict=True)
        ),
    )


counts = st.lists(st.integers(0, 10**9), min_size=1, max_size=48)
shares = st.lists(st.floats(0, 1), min_size=3, max_size=3)


class TestPlots:
    @given(counts=counts, percentiles=shares, width=st.integers(60, 200))
    def test_every_line_of_a_distribution_fits(
        self, counts: list[int], percentiles: list[float], width: int
    ) -> None:
        lines = distribution_plot(distribution(counts, percentiles), width).plain.splitlines()
        # The last line is a sentence, which wraps.
        assert max(map(len, lines[:-1])) <= width

    def test_percentiles_are_marked_in_their_order_at_their_bins(self) -> None:
        found = distribution([1] * 40, [0.25, 0.5, 0.75])
        lines = distribution_plot(found, 50).plain.splitlines()
        marks = next(line for line in lines if "▲" in line)
        assert marks.index("▲50") < marks.index("▲90") < marks.index("▲99")
        assert [marks.index(f"▲{name}") for name in (50, 90, 99)] == [20, 30, 40]

    def test_a_percentile_with_too_few_queries_is_marked(self) -> None:
        text = distribution_plot(distribution([1] * 4, [0.1, 0.5, 0.9]), 60).plain
        assert "p50 1.40 ms, p90 3.00 ms, p99 4.60 ms *" in text

    @given(
        values=st.lists(st.floats(0, 1e12), max_size=60),
        width=st.integers(60, 200),
        seconds=st.floats(0.1, 1e6),
    )
    def test_every_line_of_a_course_fits(
        self, values: list[float], width: int, seconds: float
    ) -> None:
        found = ThroughputSeries(seconds / 60, tuple(values), seconds, 100, 10)
        lines = series_plot(found, width).plain.splitlines()
        assert max(map(len, lines[:-1])) <= width
