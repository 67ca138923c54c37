"""What is drawn with characters: bars, courses, and the panels' words."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from textual.content import Content

from benchmark.plan import Scenario
from benchmark.progress import MeasurementFinished, MeasurementStarted, Progressed, Started
from benchmark.telemetry import GpuSample, HostSample
from core.run import events
from core.run.events import AnyRecord, Event, RunState, Stage
from core.run.view import RunView
from core.text import harmless
from tests.core.records import HOSTILE, texts
from tests.core.runs import NOON, small_plan
from tests.tui.stand_ins import is_harmless
from tui.state import Followed
from tui.widgets.cost_panel import cost_content
from tui.widgets.drawing import bar, columns, money, sparkline
from tui.widgets.machine_panels import telemetry_content
from tui.widgets.measurement_panel import measurement_content
from tui.widgets.stage_panel import stage_content

# Whatever a damaged journal can hold: JSON as Python reads it knows NaN and infinity.
any_float = st.floats(allow_nan=True, allow_infinity=True)
widths = st.integers(0, 120)


class TestBar:
    @given(done=any_float, total=st.none() | any_float, width=widths)
    def test_it_always_has_exactly_its_width(
        self, done: float, total: float | None, width: int
    ) -> None:
        assert bar(done, total, width).cell_length == width

    @pytest.mark.parametrize(
        ("done", "total", "full"),
        [(0, 10, 0), (5, 10, 5), (10, 10, 10), (99, 10, 10), (-3, 10, 0), (5, None, 0), (5, 0, 0)],
    )
    def test_it_is_as_full_as_the_share(self, done: float, total: float | None, full: int) -> None:
        assert bar(done, total, 10).plain == "━" * full + "─" * (10 - full)


class TestSparkline:
    @given(values=st.lists(st.none() | any_float, max_size=80), width=widths)
    @example(values=[1.7e308, -1.7e308, 5e-324, 0.0], width=4)
    @example(values=[5e-324, 0.0], width=2)
    def test_it_always_has_exactly_its_width(self, values: list[float | None], width: int) -> None:
        assert len(sparkline(values, width)) == width

    def test_it_reaches_from_the_least_to_the_greatest(self) -> None:
        assert sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8) == "▁▂▃▄▅▆▇█"

    def test_the_last_values_are_shown_and_a_missing_one_is_a_gap(self) -> None:
        assert sparkline([9, 9, 0, None, 10], 3) == "▁ █"

    def test_few_values_stand_at_the_right_where_now_is(self) -> None:
        assert sparkline([1, 2], 5) == "   ▁█"

    def test_a_flat_course_is_neither_low_nor_high(self) -> None:
        assert sparkline([7, 7, 7], 3) == "▄▄▄"

    def test_what_is_no_number_is_a_gap(self) -> None:
        assert sparkline([1, math.nan, math.inf, 2], 4) == "▁  █"


class TestColumns:
    @given(values=st.lists(st.floats(0, 1e300), max_size=60), height=st.integers(1, 12))
    def test_every_line_has_one_cell_a_value(self, values: list[float], height: int) -> None:
        lines = columns(values, height)
        assert len(lines) == height
        assert {len(line) for line in lines} == {len(values)}

    @given(values=st.lists(st.floats(0, 1e300), min_size=1, max_size=60))
    def test_what_is_there_is_seen_and_what_is_not_is_not(self, values: list[float]) -> None:
        bottom = columns(values, 5)[-1]
        assert [cell != " " for cell in bottom] == [value > 0 for value in values]

    def test_the_greatest_reaches_the_top(self) -> None:
        assert columns([1, 4, 2], 2) == [" █ ", "▄██"]


@pytest.mark.parametrize(
    ("usd", "text"),
    [(0, "$0.00"), (0.54, "$0.54"), (1234.5, "$1,234.50"), (0.0213, "$0.0213"), (0.1, "$0.10")],
)
def test_money_is_cents_and_finer_below_ten(usd: float, text: str) -> None:
    assert money(usd) == text


def assert_prints(content: Content) -> None:
    """Only text, in lines."""
    assert is_harmless(content.plain.replace("\n", ""))


def followed(*records: AnyRecord, stage: Stage | None = None, target: str = "gke") -> Followed:
    """A run whose events are these."""
    created = events.RunCreated(
        target=target,
        leg="baseline",
        profile="quick",
        folder="/nowhere",
        stages=(Stage.CLUSTER, Stage.JOB),
        command="",
    )
    found = Followed("run", 1, RunView(), RunState.RUNNING)
    for number, record in enumerate((created, *records), start=1):
        event = Event(number, "run", NOON, stage, 0, record)
        found.view.apply(event)
        found.billing.take(event)
    return found


def cost(**values: Any) -> events.CostMetered:
    fields = {"usd_per_hour": 0.54, "spent_usd": 0.1, "projected_usd": None, "budget_usd": None}
    return events.CostMetered(source="table of 2026-05-04", **(fields | values))


def cost_text(found: Followed) -> str:
    return cost_content(found, NOON, 60).plain


class TestCost:
    def test_a_local_run_says_that_nothing_is_billed(self) -> None:
        assert "Nothing is billed" in cost_text(followed(target="local"))

    def test_a_run_in_the_cloud_without_a_figure_says_that_there_is_none(self) -> None:
        assert cost_text(followed()) == "No cost was reported yet."

    def test_rate_spent_projection_and_source_are_there(self) -> None:
        text = cost_text(followed(cost(projected_usd=0.29)))
        for part in ("$0.54 per hour", "$0.10", "$0.29, teardown included", "table of 2026-05-04"):
            assert part in text

    @pytest.mark.parametrize(
        ("spent", "share", "full", "style"),
        [
            (0.5, "50%", 12, "$success"),
            (0.8, "80%", 19, "$warning"),
            (0.95, "95%", 23, "$error"),
            (3.0, "300%", 24, "$error"),
        ],
    )
    def test_the_budget_is_a_bar_that_warns(
        self, spent: float, share: str, full: int, style: str
    ) -> None:
        content = cost_content(followed(cost(spent_usd=spent, budget_usd=1.0)), NOON, 60)
        line = next(line for line in content.split() if "━" in line.plain)
        # The shares at which it warns are marks on it.
        assert f" {share} of $1.00" in line.plain
        assert line.plain.count("━") + line.plain.count("┿") == full
        assert line.plain.count("┿") + line.plain.count("┼") == 3
        assert style in {str(span.style) for span in line.spans}

    @given(spent=any_float, budget=st.none() | any_float, rate=any_float, source=texts)
    def test_whatever_stands_in_the_journal_is_shown(
        self, spent: float, budget: float | None, rate: float, source: str
    ) -> None:
        figures = {"spent_usd": spent, "projected_usd": spent, "usd_per_hour": rate}
        record = cost(**figures, budget_usd=budget).model_copy(update={"source": source})
        assert_prints(cost_content(followed(record), NOON, 60))


def progressed(**values: Any) -> Progressed:
    fields: dict[str, Any] = {
        "name": "server-b8",
        "block": 1,
        "phase": "measuring",
        "elapsed_s": 4.0,
        "samples_done": 50,
        "samples_total": 100,
        "samples_per_s": 12.5,
        "latest_batch_ms": 80.0,
        "remaining_s": 90.0,
    }
    return Progressed(**(fields | values))


STARTED = MeasurementStarted(
    name="server-b8", scenario=Scenario.SERVER, batch_size=8, block=1, position=2, total=4
)


class TestTelemetry:
    def test_without_a_sample_it_says_so(self) -> None:
        assert telemetry_content(followed(), 40).plain == "No samples yet."

    def test_a_gpu_has_lines_of_its_own_and_a_value_not_given_is_no_zero(self) -> None:
        run = followed()
        for clock in (1000, 1590, None):
            gpu = GpuSample(time_s=1, sm_clock_mhz=clock, power_watts=69.4, throttle_reasons=())
            run.samples.append(progressed(gpu=gpu, host=HostSample(time_s=1, cpu_percent=12)))
        lines = telemetry_content(run, 40).plain.splitlines()
        assert lines[0].startswith("GPU clock")
        assert lines[0].split()[-1] == "-"
        assert lines[1].endswith("69 W")
        assert {len(line) for line in lines} == {40}

    def test_what_holds_the_clocks_is_said(self) -> None:
        run = followed()
        gpu = GpuSample(time_s=1, throttle_reasons=("sw_power_cap", "hw_thermal_slowdown"))
        run.samples.append(progressed(gpu=gpu))
        assert "clocks: sw_power_cap, hw_thermal_slowdown" in telemetry_content(run, 40).plain

    @given(values=st.lists(st.none() | any_float, min_size=1, max_size=20), width=widths)
    def test_values_that_cannot_be_break_nothing(
        self, values: list[float | None], width: int
    ) -> None:
        run = followed()
        run.samples.extend(progressed(host=HostSample(time_s=1, load_1m=value)) for value in values)
        assert_prints(telemetry_content(run, width))


def stage_text(run: Followed, stage: Stage, after_s: float = 0) -> str:
    now = NOON + timedelta(seconds=after_s)
    content = stage_content(run, run.view.stages[stage], now, width=60, room=10)
    assert_prints(content)
    return content.plain


class TestStage:
    def test_a_stage_that_waits_says_how_long_it_usually_takes(self) -> None:
        run = followed()
        assert stage_text(run, Stage.CLUSTER).strip() == "· waiting"
        run.history = {Stage.CLUSTER: 330.0}
        assert "usually 5 min 30 s" in stage_text(run, Stage.CLUSTER)

    def test_one_that_runs_says_what_is_left_until_it_takes_longer_than_usual(self) -> None:
        run = followed(events.StageStarted(), stage=Stage.CLUSTER)
        run.history = {Stage.CLUSTER: 330.0}
        assert "30 s  about 5 min 00 s left, by earlier runs" in stage_text(run, Stage.CLUSTER, 30)
        assert "left" not in stage_text(run, Stage.CLUSTER, 400)

    def test_progress_with_a_total_is_a_bar_and_without_one_a_count(self) -> None:
        known = events.StageProgressed(done=3, total=6, unit="layers", detail="pushing")
        text = stage_text(
            followed(events.StageStarted(), known, stage=Stage.CLUSTER), Stage.CLUSTER
        )
        assert f"{'━' * 12}{'─' * 12} 3/6 layers  pushing" in text
        unknown = known.model_copy(update={"total": None})
        text = stage_text(
            followed(events.StageStarted(), unknown, stage=Stage.CLUSTER), Stage.CLUSTER
        )
        assert f"{'─' * 24} 3 layers" in text

    def test_the_job_counts_measurements_and_a_part_of_the_one_under_way(self) -> None:
        run = followed(
            events.StageStarted(),
            Started(plan=small_plan(), measurements=4),
            MeasurementFinished(
                name="offline-b1",
                block=1,
                valid=True,
                void_reasons=(),
                throughput_samples_per_s=1,
                p50_ms=1,
                p90_ms=1,
                p99_ms=1,
            ),
            STARTED,
            progressed(),
            stage=Stage.JOB,
        )
        text = stage_text(run, Stage.JOB)
        assert f"{'━' * 9}{'─' * 15} 1/4 measurements" in text
        assert "about 1 min 30 s left" in text

    def test_a_stage_of_a_run_that_died_is_no_running_one(self) -> None:
        run = followed(events.StageStarted(), stage=Stage.CLUSTER)
        run.state = RunState.DIED
        assert "✗ died" in stage_text(run, Stage.CLUSTER, 30)

    def test_a_failure_says_why_what_helps_and_which_key(self) -> None:
        failed = events.StageFailed(seconds=3, sentence="No quota.", remedy="Ask for one.")
        text = stage_text(followed(failed, stage=Stage.CLUSTER), Stage.CLUSTER)
        assert text.splitlines()[1:] == [
            "No quota.",
            "Ask for one.",
            "R runs it again, p opens the log",
        ]

    @given(number=any_float, total=st.none() | any_float, text=texts)
    def test_whatever_stands_in_the_journal_is_shown(
        self, number: float, total: float | None, text: str
    ) -> None:
        for record in (
            events.StageProgressed(done=number, total=total, unit=text, detail=text),
            events.StageProgressed(done=number, total=total, unit="bytes", detail=text),
            events.PartChanged(kind=text, name=text, state="waiting", detail=text),
            events.StageFinished(seconds=number, summary=text),
            events.StageFailed(seconds=number, sentence=text, remedy=text),
            progressed(phase=text, remaining_s=total, elapsed_s=number, samples_per_s=total),
        ):
            run = followed(events.StageStarted(), STARTED, record, stage=Stage.JOB)
            run.history = {Stage.JOB: number}
            if isinstance(record, Progressed):
                run.samples.append(record)
            stage_text(run, Stage.JOB, 1)
            assert_prints(measurement_content(run, 60))


@pytest.mark.parametrize("text", HOSTILE)
def test_harmless_twice_is_harmless_once(text: str) -> None:
    assert harmless(harmless(text)) == harmless(text)
