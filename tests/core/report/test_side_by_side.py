"""Two legs beside each other: the arithmetic, what is left out of it, and what is warned of."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmark.attestation.model import Attestation, Hypervisor
from benchmark.environment import GpuInfo
from benchmark.plan import Execution, Scenario
from benchmark.results import MeasurementResult, Result
from core.report.side_by_side import (
    METRICS,
    NOTE,
    DifferenceRow,
    SideBySide,
    overhead_percent,
    side_by_side,
)
from tests.core.outcomes import latency, measurement, result
from tests.core.runs import small_plan

THROUGHPUT, *LATENCIES = METRICS
XEN = Attestation(hypervisor=Hypervisor.XEN_HVM)
figures = st.floats(0.01, 1e6)


def legs(
    first: list[MeasurementResult], second: list[MeasurementResult], **values: Any
) -> SideBySide:
    return side_by_side(baseline(*first), xen(*second, **values))


def baseline(*measurements: MeasurementResult, **values: Any) -> Result:
    return result(*measurements, **values)


def xen(*measurements: MeasurementResult, **values: Any) -> Result:
    fields = {"run_id": "20260504-130000-local-xen-abcd", "leg": "xen", "attestation": XEN}
    return result(*measurements, **(fields | values))


def blocks(rates: list[float], **values: Any) -> list[MeasurementResult]:
    return [measurement(rate, 1 / rate, block=n, **values) for n, rate in enumerate(rates, 1)]


def row_of(found: SideBySide, metric: str = "throughput") -> DifferenceRow:
    (row,) = [row for row in found.rows if row.metric == metric]
    return row


class TestDifference:
    """Positive always means that the second leg is worse."""

    def test_a_fifth_less_throughput_and_a_fifth_more_latency_are_both_twenty(self) -> None:
        found = legs([measurement(100, 10.0)], [measurement(80, 12.0)])
        assert [row.metric for row in found.rows] == ["throughput", "p50", "p90", "p99"]
        for row in found.rows:
            assert row.difference_percent == pytest.approx(20)
            assert row.unit == ("samples/s" if row.metric == "throughput" else "ms")

    @given(figures, figures)
    def test_its_sign_says_which_is_worse(self, first: float, second: float) -> None:
        throughput = overhead_percent(THROUGHPUT, first, second)
        assert throughput is not None
        assert (throughput > 0) == (1 - second / first > 0)
        assert throughput == pytest.approx(100 * (first - second) / first)
        for metric in LATENCIES:
            assert overhead_percent(metric, first, second) == pytest.approx(-throughput)

    @given(figures, figures, st.floats(0.1, 100))
    def test_it_has_no_unit(self, first: float, second: float, scale: float) -> None:
        for metric in METRICS:
            percent = overhead_percent(metric, first, second)
            scaled = overhead_percent(metric, first * scale, second * scale)
            assert scaled == pytest.approx(percent, abs=1e-6)

    @given(figures)
    def test_a_leg_against_itself_is_zero(self, figure: float) -> None:
        for metric in METRICS:
            assert overhead_percent(metric, figure, figure) == 0

    @pytest.mark.parametrize(("first", "second"), [(0.0, 1.0), (0.0, 0.0), (5e-324, 1e300)])
    def test_what_cannot_be_divided_has_none(self, first: float, second: float) -> None:
        assert overhead_percent(LATENCIES[0], first, second) is None

    @given(st.lists(st.tuples(figures, figures), min_size=2, max_size=7))
    def test_the_difference_of_medians_lies_between_the_pairs(
        self, rates: list[tuple[float, float]]
    ) -> None:
        first, second = ([pair[place] for pair in rates] for place in (0, 1))
        found = legs(blocks(first), blocks(second))
        for row in found.rows:
            assert row.pairs == len(rates)
            assert row.smallest_percent is not None
            assert row.largest_percent is not None
            assert row.difference_percent is not None
            slack = 1e-6 * max(1.0, abs(row.smallest_percent), abs(row.largest_percent))
            assert row.smallest_percent - slack <= row.difference_percent
            assert row.difference_percent <= row.largest_percent + slack
        expected = 100 * (1 - statistics.median(second) / statistics.median(first))
        assert row_of(found).difference_percent == pytest.approx(expected)
        paired = [100 * (1 - b / a) for a, b in rates]
        assert row_of(found).smallest_percent == pytest.approx(min(paired))
        assert row_of(found).largest_percent == pytest.approx(max(paired))

    @given(figures, figures)
    def test_swapping_the_legs_undoes_it(self, first: float, second: float) -> None:
        assume(0.001 < first / second < 1000)
        one = row_of(legs([measurement(first)], [measurement(second)])).difference_percent
        other = row_of(legs([measurement(second)], [measurement(first)])).difference_percent
        assert one is not None
        assert other is not None
        assert (1 - one / 100) * (1 - other / 100) == pytest.approx(1)


class TestBlocks:
    """Only good blocks count, and only those of one number are a pair."""

    def test_a_single_pair_has_no_range(self) -> None:
        row = row_of(legs(blocks([10]), blocks([8])))
        assert (row.pairs, row.smallest_percent, row.largest_percent) == (1, None, None)
        assert row.difference_percent == pytest.approx(20)

    def test_a_void_block_leaves_its_pair(self) -> None:
        spoilt = [
            *blocks([8, 6]),
            measurement(9999, block=3, void_reasons=("the GPU was too hot",)),
        ]
        row = row_of(legs(blocks([10, 10, 10]), spoilt))
        assert row.pairs == 2
        assert row.smallest_percent == pytest.approx(20)
        assert row.largest_percent == pytest.approx(40)
        assert row.difference_percent == pytest.approx(30)
        assert row.marks == ("1 of 3 void in xen",)

    def test_blocks_of_other_numbers_are_no_pair(self) -> None:
        late = [measurement(8, block=number) for number in (3, 4)]
        row = row_of(legs(blocks([10, 10]), late))
        assert (row.pairs, row.smallest_percent) == (0, None)
        assert row.difference_percent == pytest.approx(20)


class TestWhatIsNotComputed:
    """No figure, no difference; but everything is shown."""

    def test_a_leg_that_is_all_void_is_shown_and_not_used(self) -> None:
        row = row_of(legs(blocks([10]), blocks([5], void_reasons=("it was shared",))))
        assert row.difference_percent is None
        assert row.second is not None
        assert row.second.figure is not None
        assert row.second.figure.median == 5
        assert not row.second.usable
        assert row.marks == ("1 of 1 void in xen",)

    def test_a_measurement_of_one_leg_alone_is_marked_in_both_directions(self) -> None:
        other = measurement(5, name="server-b8", scenario=Scenario.SERVER, batch_size=8)
        found = legs(blocks([10]), [other])
        marks = {(row.measurement, row.marks) for row in found.rows}
        assert marks == {
            ("singlestream-b1", ("missing in xen",)),
            ("server-b8", ("missing in baseline",)),
        }
        assert all(row.difference_percent is None for row in found.rows)

    def test_a_missing_percentile_is_marked(self) -> None:
        found = legs([measurement(10)], [measurement(9, latency=None)])
        assert row_of(found).difference_percent == pytest.approx(10)
        row = row_of(found, "p90")
        assert (row.difference_percent, row.marks) == (None, ("no figure in xen",))

    def test_two_measurements_that_only_share_a_name_are_not_set_against_each_other(self) -> None:
        found = legs([measurement(10)], [measurement(5, batch_size=8)])
        assert all(row.difference_percent is None for row in found.rows)
        assert row_of(found).marks == ("not the same measurement in both",)

    def test_an_advisory_figure_is_marked_and_explained(self) -> None:
        advisory = measurement(10, latency=latency(1, supported=False))
        found = legs([measurement(10)], [advisory])
        assert row_of(found, "p99").marks == ("advisory",)
        assert row_of(found, "p50").marks == ()
        assert any("advisory" in note for note in found.notes())
        firm = legs([measurement(10)], [measurement(10)])
        assert not any("advisory" in note for note in firm.notes())


def test_it_says_that_it_is_no_verdict() -> None:
    notes = legs(blocks([10]), blocks([9])).notes()
    assert NOTE in notes
    assert "no interval and no verdict" in NOTE
    assert any("not an MLPerf result" in note for note in notes)


def test_legs_of_one_name_are_told_apart() -> None:
    found = side_by_side(baseline(), baseline(run_id="other"))
    assert (found.first.label, found.second.label) == ("baseline (first)", "baseline (second)")
    assert (found.first.name, found.second.run_id) == ("baseline", "other")
    assert legs([], []).second.label == "xen"


class TestWarnings:
    """What speaks against comparing is said, one sentence each; what agrees is not mentioned."""

    def test_two_legs_that_agree_have_none(self) -> None:
        assert legs(blocks([10]), blocks([9])).warnings == ()

    @pytest.mark.parametrize("hypervisor", [Hypervisor.KVM, Hypervisor.UNKNOWN])
    def test_a_xen_leg_without_xen(self, hypervisor: Hypervisor) -> None:
        found = legs([], [], attestation=Attestation(hypervisor=hypervisor))
        (warning,) = found.warnings
        assert "is not attested as Xen" in warning
        assert str(hypervisor) in warning

    @pytest.mark.parametrize("hypervisor", [kind for kind in Hypervisor if kind.is_xen])
    def test_a_baseline_under_xen(self, hypervisor: Hypervisor) -> None:
        under_xen = baseline(attestation=Attestation(hypervisor=hypervisor))
        (warning,) = side_by_side(under_xen, xen()).warnings
        assert "is no baseline" in warning

    def test_a_baseline_under_nobody_knows_what(self) -> None:
        unknown = baseline(attestation=Attestation(hypervisor=Hypervisor.UNKNOWN))
        (warning,) = side_by_side(unknown, xen()).warnings
        assert "does not know which hypervisor" in warning

    @pytest.mark.parametrize("place", [0, 1])
    def test_an_incomplete_leg(self, place: int) -> None:
        results = (baseline(complete=place != 0), xen(complete=place != 1))
        (warning,) = side_by_side(*results).warnings
        assert warning.startswith(("baseline", "xen")[place])
        assert "did not measure everything" in warning

    def test_another_device(self) -> None:
        other = GpuInfo(name="Tesla T4", cuda_version=None, total_memory_gb=None)
        (warning,) = legs([], [], gpu_info=other).warnings
        assert "CPU: A CPU and Tesla T4" in warning

    def test_another_configuration_names_the_fields(self) -> None:
        changed = result().configuration.model_copy(
            update={"threads": 4, "execution": Execution.JIT}
        )
        (warning,) = legs([], [], configuration=changed).warnings
        assert "execution eager and jit" in warning
        assert "threads 2 and 4" in warning
        assert "precision" not in warning

    def test_other_weights(self) -> None:
        weights = result().weights.model_copy(update={"sha256": "1" * 64, "origin": "file"})
        (warning,) = legs([], [], weights=weights).warnings
        assert "random and file" in warning

    def test_another_plan_names_what_differs(self) -> None:
        plan = small_plan(repeats=3, server={"load": 0.7})
        (warning,) = legs([], [], plan=plan).warnings
        assert "repeats 1 and 3" in warning
        assert "server.load 0.6 and 0.7" in warning

    def test_a_plan_of_another_name_that_took_over_the_rates_is_the_same(self) -> None:
        server = {"scenario": "Server", "query_count": 9}
        first = small_plan(scenarios=[server])
        second = small_plan(
            profile="mine",
            description="mine too",
            scenarios=[server],
            server={"arrival_rates": {"server-b1": 5.0}},
        )
        assert side_by_side(baseline(plan=first), xen(plan=second)).warnings == ()

    def test_another_arrival_rate(self) -> None:
        def server(rate: float) -> MeasurementResult:
            return measurement(5, name="server-b1", scenario=Scenario.SERVER, arrival_rate_qps=rate)

        assert legs([server(5.0)], [server(5.0)]).warnings == ()
        (warning,) = legs([server(5.0)], [server(6.5)]).warnings
        assert "5.00 and 6.50 queries/s" in warning

    def test_another_path(self) -> None:
        found = legs([measurement(5)], [measurement(5, execution=Execution.JIT)])
        (warning,) = found.warnings
        assert "(eager and jit): singlestream-b1" in warning
        assert row_of(found).path == "eager / jit"

    def test_a_run_beside_itself(self) -> None:
        (warning,) = side_by_side(baseline(), baseline()).warnings
        assert "the same run" in warning
