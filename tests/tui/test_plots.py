"""Histograms and courses: every cell where it belongs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.report.curves import LatencyDistribution, PercentilePosition, ThroughputSeries
from tui.widgets.plots import distribution_plot, series_plot


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
