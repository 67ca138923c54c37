"""A run's cost as its events tell it, and as a section of its report."""

from __future__ import annotations

import csv
import io
import unicodedata
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.results import WarmUp
from core.report.costs import RunCost, cost_of, dollars, inference_cost
from core.report.export import FORMATS, Format, render_result
from core.run.cost_events import BilledItem, BillingEnded, BillingStarted
from core.run.events import Event
from tests.core.costs import SOURCE, after, deleted, ended, event, metered, session, started
from tests.core.outcomes import measurement, result
from tests.core.records import HOSTILE

figures = st.floats()
moments = st.datetimes(timezones=st.none() | st.just(UTC))
billings = st.builds(
    BillingStarted,
    kind=st.just("node"),
    name=st.just("n"),
    usd_per_hour=figures,
    items=st.lists(
        st.builds(BilledItem, what=st.just("it"), usd_per_hour=figures, source=st.just(SOURCE)),
        max_size=2,
    ).map(tuple),
    since=moments,
    minimum_s=st.integers(-(2**63), 2**63),
)


def cost(*found: Event, now: float = 7200) -> RunCost:
    told = cost_of(found or session(), after(now))
    assert told is not None
    return told


class TestFolding:
    """Lines from events."""

    def test_every_thing_is_a_line_from_when_to_when(self) -> None:
        lines = {line.kind: line for line in cost().lines}
        assert (lines["cluster"].since, lines["cluster"].until) == (after(0), after(3600))
        assert (lines["node"].since, lines["node"].until) == (after(1200), after(3000))
        assert lines["node"].usd == pytest.approx(0.27)
        assert lines["node"].billed_s == 1800
        assert lines["node"].items[0].source == SOURCE

    def test_the_total_is_the_sum_by_kind(self) -> None:
        found = cost()
        assert found.usd == pytest.approx(0.10 + 0.27 + 0.005)
        assert [kind for kind, _usd in found.by_kind] == ["node", "cluster", "disk"]
        assert sum(usd for _kind, usd in found.by_kind) == pytest.approx(found.usd)
        assert (found.open, found.usd_per_hour) == ((), 0)
        assert found.text == "$0.3750"
        assert found.source == "shipped prices as of 2026-11-22"

    def test_what_was_never_ended_is_billed_still(self) -> None:
        found = cost(*session()[:4], now=3600)
        assert [line.kind for line in found.open] == ["cluster", "node"]
        assert found.usd_per_hour == pytest.approx(0.64)
        assert found.text == "$0.4650 and growing"
        assert any("Billed still" in note and "node gpu-1" in note for note in found.notes())

    def test_a_parents_end_is_the_end_at_the_latest(self) -> None:
        node = event(started("node", "n", 0.54, parent="cluster c"))
        early = event(ended("node", "n", 60))
        gone = event(deleted("cluster", "c"), 600)
        assert cost(node, gone).lines[0].until == after(600)
        assert cost(node, early, gone).lines[0].until == after(60)

    def test_a_second_one_of_the_same_name_is_a_line_of_its_own(self) -> None:
        found = cost(
            event(started("cluster", "c", 0.36), 0),
            event(deleted("cluster", "c"), 1000),
            event(started("cluster", "c", 0.36, 2000), 2000),
            event(ended("cluster", "c", 2500), 2500),
        )
        assert [line.until for line in found.lines] == [after(1000), after(2500)]
        assert found.usd == pytest.approx(0.15)

    def test_no_price_is_said_and_never_a_zero(self) -> None:
        nothing = cost(event(started("node", "n", 0, priced=False)))
        assert nothing.text == "no price known"
        assert "$0" not in " ".join([nothing.text, *nothing.notes()])
        some = cost(*session(), event(started("node", "odd", 0, priced=False)))
        assert some.text == "at least $0.3750 and growing"
        assert any("No price is known of node odd" in note for note in some.notes())

    def test_the_free_tier_is_named_for_a_zonal_cluster_and_not_for_a_regional_one(self) -> None:
        for name, credited in (("zonal cluster fee", True), ("regional cluster fee", False)):
            items: Any = [{"what": name, "usd_per_hour": 0.1, "source": SOURCE}]
            found = cost(event(started("cluster", "c", 0.1, items=items)))
            assert any("$74.40" in note for note in found.notes()) == credited
            assert found.usd > 0

    def test_a_run_of_which_nothing_was_billed_has_no_cost(self) -> None:
        assert cost_of([], after(0)) is None
        assert cost_of([event(deleted("job", "j")), event(metered(0.0))], after(0)) is None

    def test_without_lines_the_last_metered_total_stands(self) -> None:
        found = cost(event(metered(0.2), 10, 5), event(metered(0.1), 5, 2))
        assert (found.usd, found.as_of, found.lines) == (0.2, after(10), ())

    def test_lines_come_before_what_was_metered(self) -> None:
        assert cost(*session(), event(metered(99.0), 0, 9)).usd == pytest.approx(0.375)

    @given(st.randoms(use_true_random=False), st.integers(0, 9000))
    def test_order_and_repetition_of_events_say_nothing(self, random: Any, now: int) -> None:
        again = session() + session()
        random.shuffle(again)
        first, second = cost(now=now), cost(*again, now=now)
        assert (first.lines, first.usd, first.by_kind) == (second.lines, second.usd, second.by_kind)

    @given(st.integers(0, 9000), st.integers(0, 9000), st.integers(0, 7))
    def test_a_cost_never_falls_with_time(self, one: int, other: int, known: int) -> None:
        found = session()[: known + 1]
        early, late = sorted((one, other))
        assert cost(*found, now=early).usd <= cost(*found, now=late).usd

    @settings(deadline=None)
    @given(first=billings, until=moments, spent=figures, at=st.integers(-(10**9), 10**9))
    def test_whatever_figures_and_times_stand_in_the_stream_can_be_folded(
        self, first: BillingStarted, until: datetime, spent: float, at: int
    ) -> None:
        end = BillingEnded(kind=first.kind, name=first.name, until=until)
        said = metered(0.1).model_copy(update={"spent_usd": spent})
        for found in ([first], [first, end], [end, first, said], [said]):
            told = cost_of([event(record, at) for record in found], after(9e8))
            if told is None:
                assert first not in found
                continue
            assert 0 <= told.usd < float("inf")
            assert "nan" not in told.text

    @pytest.mark.parametrize("usd", [float("nan"), float("inf"), -1.0, 1e300])
    def test_a_price_that_cannot_be_is_no_price(self, usd: float) -> None:
        assert cost(event(started("node", "n", usd))).text == "no price known"

    def test_times_of_any_zone_are_the_same_instant(self) -> None:
        since = datetime.fromisoformat("2026-05-04T05:00:00-07:00")
        naive = datetime.fromisoformat("2026-05-04T12:00:00")
        for time in (since, naive):
            (line,) = cost(event(started("node", "n", 1.0, since=time))).lines
            assert f"{line.since:%H:%M}" == "12:00"


class TestInferences:
    """Dollars per million inferences."""

    def test_it_is_the_rate_over_the_throughput(self) -> None:
        block = measurement(1000, started_at=after(2000), duration_s=60.0)
        found = inference_cost(cost(), [block], 1000)
        assert found is not None
        assert found.usd_per_hour == pytest.approx(0.65)
        # A million inferences take 1000 s.
        assert found.usd_per_million == pytest.approx(0.65 * 1000 / 3600)

    def test_a_rate_that_changed_meanwhile_is_its_mean_from_start_to_end(self) -> None:
        warm_up = WarmUp(
            duration_s=50.0, batches=1, settled=True, samples_per_s=1, fastest_samples_per_s=1
        )
        block = measurement(
            10, started_at=after(1100), build_s=50.0, warm_up=warm_up, duration_s=100.0
        )
        found = inference_cost(cost(), [block], 10)
        assert found is not None
        assert found.usd_per_hour == pytest.approx((0.10 + 0.65) / 2)

    @pytest.mark.parametrize("throughput", [None, 0.0])
    def test_without_throughput_there_is_none(self, throughput: float | None) -> None:
        assert inference_cost(cost(), [measurement(1, started_at=after(2000))], throughput) is None

    def test_outside_of_everything_billed_there_is_none(self) -> None:
        assert inference_cost(cost(), [measurement(1, started_at=after(9000))], 1) is None

    def test_beside_something_without_a_price_there_is_none(self) -> None:
        odd = cost(*session(), event(started("node", "odd", 0, 2500, priced=False)))
        assert inference_cost(odd, [measurement(1, started_at=after(2600))], 1) is None
        assert inference_cost(odd, [measurement(1, started_at=after(2000))], 1) is not None

    @given(st.floats(0.1, 1e6), st.floats(0.1, 1e6))
    def test_the_faster_the_cheaper(self, one: float, other: float) -> None:
        slow, fast = sorted((one, other))
        blocks = [measurement(1, started_at=after(2000))]
        found = [inference_cost(cost(), blocks, rate) for rate in (slow, fast)]
        assert found[0] is not None
        assert found[1] is not None
        assert found[0].usd_per_million >= found[1].usd_per_million > 0


def measured(**values: Any) -> Any:
    return result(measurement(1000, started_at=after(2000), duration_s=60.0), **values)


class TestReports:
    """The section in every format, and nothing where nothing is known."""

    @pytest.mark.parametrize("form", FORMATS)
    def test_no_known_cost_changes_nothing(self, form: Format) -> None:
        found = measured()
        assert render_result(found, form, None) == render_result(found, form)
        text = render_result(found, form)
        for word in ("Cost", "cost", "USD", "usd", "$"):
            assert word not in text

    @pytest.mark.parametrize("form", ["text", "markdown", "html"])
    def test_a_report_says_the_total_its_parts_and_each_measurements_million(
        self, form: Format
    ) -> None:
        text = render_result(measured(), form, cost()).replace("\\", "")
        assert "Cost of this run" in text
        assert "$0.3750 (node $0.2700, cluster $0.1000, disk $0.0050)" in text
        assert "USD per million inferences" in text
        assert "$0.1806" in text
        assert "shipped prices as of 2026-11-22" in text
        assert "monthly credit of $74.40" in text
        assert "divided by its throughput" in text

    def test_json_stays_the_result_file(self) -> None:
        assert render_result(measured(), "json", cost()) == render_result(measured(), "json")

    def test_a_spreadsheet_has_the_figures_of_good_blocks(self) -> None:
        found = result(
            measurement(1000, started_at=after(2000), block=1),
            measurement(1000, started_at=after(2000), block=2, void_reasons=("hot",)),
        )
        lines = list(csv.DictReader(io.StringIO(render_result(found, "csv", cost()))))
        assert float(lines[0]["usd_per_hour"]) == pytest.approx(0.65)
        assert float(lines[0]["usd_per_million_inferences"]) == pytest.approx(0.65 / 3.6)
        assert lines[1]["usd_per_million_inferences"] == ""

    def test_void_measurements_have_no_cost(self) -> None:
        found = result(measurement(1000, started_at=after(2000), void_reasons=("hot",)))
        text = render_result(found, "text", cost())
        assert "Cost of this run" in text
        assert "USD per million" not in text

    @pytest.mark.parametrize("text", [*HOSTILE, "a | b", "<b>", "=1+1"])
    def test_names_and_sources_act_in_no_format(self, text: str) -> None:
        items: Any = [{"what": text, "usd_per_hour": 1.0, "source": text}]
        bad = event(started(text, text, 1.0, items=items))
        hostile = cost(bad)
        for form in FORMATS:
            document = render_result(measured(), form, hostile)
            found = {unicodedata.category(c) for c in document.replace("\n", "")}
            assert not found & {"Cc", "Cf", "Cs", "Zl", "Zp"}
            if form == "html":
                assert "<script" not in document
                assert "<img" not in document
                assert "<b>" not in document


@pytest.mark.parametrize(
    ("usd", "text"),
    [(0.375, "$0.3750"), (12.345, "$12.35"), (1234.5, "$1,234.50"), (0.00001234, "$0.0000123")],
)
def test_dollars_show_what_tells_amounts_apart(usd: float, text: str) -> None:
    assert dollars(usd) == text
