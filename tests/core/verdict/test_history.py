"""A plan's runs over time: which belong together, what is pointed out, what stands beside it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.attestation.model import Hypervisor
from benchmark.results import Result
from core.verdict.history import History, Series, StoredRun, history_of, too_few
from core.verdict.surroundings import Difference
from tests.core.verdict.scene import NAME, STARTED, a_result, resealed

NOISE = (0.0, 0.004, -0.003, 0.002, -0.004, 0.003, -0.001, 0.001)


def a_run(day: int, factor: float = 1.0, **changes: Any) -> Result:
    """Three blocks on one day; runs differ by NOISE, blocks of a run by one per cent."""
    level = 200 * factor * (1 + NOISE[day % len(NOISE)])
    values = changes.pop("throughput", [level * block for block in (0.99, 1.0, 1.01)])
    return a_result(values, started_at=STARTED + timedelta(days=day), **changes)


def history(results: Sequence[Result], anchor: Result | None = None) -> History:
    stored = [StoredRun(result, "local") for result in results]
    return history_of(StoredRun(anchor, "local") if anchor else stored[0], stored)


def series(found: History, metric: str, measurement: str = NAME) -> Series:
    (one,) = [
        each for each in found.series if (each.metric, each.measurement) == (metric, measurement)
    ]
    return one


def ids(found: History) -> list[str]:
    return [run.id for run in found.runs]


class TestChange:
    """What is pointed out."""

    def test_a_step_is_pointed_out_with_size_interval_and_what_else_changed(self) -> None:
        driver = {"gpu": {"driver_version": "560.28"}}
        found = history([a_run(day) for day in range(4)] + [a_run(4, 0.95, **driver)])
        assert found.changed_runs == (4,)
        (change,) = series(found, "throughput").changes
        assert change.percent == pytest.approx(-5, abs=0.6)
        assert change.interval_percent is not None
        assert change.interval_percent.low < change.percent < change.interval_percent.high < 0
        assert change.worse
        assert 0 < change.p_value < change.adjusted_p_value <= 0.05
        assert (change.runs_before, change.runs_after) == (4, 1)
        assert found.runs[4].differences == (Difference("driver", "550.90.07", "560.28"),)

    def test_a_latency_that_rises_is_worse_and_one_that_falls_better(self) -> None:
        for factor, worse in ((0.95, True), (1.05, False)):
            found = history([a_run(day) for day in range(4)] + [a_run(4, factor)])
            (change,) = series(found, "p50").changes
            assert (change.percent > 0, change.worse) == (worse, worse)

    def test_runs_that_differ_as_they_always_do_are_not_pointed_out(self) -> None:
        found = history([a_run(day) for day in range(8)])
        assert found.changed_runs == ()
        assert found.tests == 3 * 5

    def test_the_noise_is_that_of_the_runs_and_not_of_their_blocks(self) -> None:
        """Blocks that agree to a tenth of a per cent say nothing of runs that differ by five."""
        levels = (200, 210, 195, 205, 190, 208)
        results = [
            a_run(day, throughput=[level, level * 1.001, level * 0.999])
            for day, level in enumerate(levels)
        ]
        found = history(results)
        assert found.changed_runs == ()
        noise = series(found, "throughput")
        assert noise.noise_percent == pytest.approx(
            100 * numpy.std(numpy.log(levels), ddof=1), rel=1e-3
        )
        assert noise.block_noise_percent == pytest.approx(0.1, rel=1e-2)

    @pytest.mark.parametrize("runs", [1, 2, 3])
    def test_with_fewer_than_three_runs_before_only_that_is_said(self, runs: int) -> None:
        found = history([a_run(day) for day in range(runs - 1)] + [a_run(runs - 1, 0.5)])
        assert found.changed_runs == ()
        assert "lack what changes from run to run" in too_few(found)
        assert (series(found, "throughput").next_run is None) == (runs < 3)

    def test_from_the_fourth_run_on_a_change_is_looked_for(self) -> None:
        found = history([a_run(day) for day in range(3)] + [a_run(3, 0.5)])
        assert too_few(found) == ""
        assert found.changed_runs == (3,)

    def test_an_advisory_percentile_is_shown_and_not_pointed_out(self) -> None:
        found = history([a_run(day) for day in range(4)] + [a_run(4, 0.8)])
        p99 = series(found, "p99")
        assert p99.advisory
        assert p99.changes == ()
        assert (p99.noise_percent, p99.next_run) == (None, None)
        assert len(p99.figures) == 5

    def test_of_steady_histories_at_most_one_in_twenty_and_of_steps_nine_in_ten(self) -> None:
        generator = random.Random(5)

        def levels(step: float) -> list[Result]:
            return [
                a_run(
                    day,
                    throughput=[
                        200 * math.exp(generator.gauss(0, 0.01) + (step if day == 5 else 0.0))
                        for _block in range(5)
                    ],
                )
                for day in range(6)
            ]

        steady = [bool(history(levels(0.0)).changed_runs) for _ in range(20)]
        stepped = [5 in history(levels(math.log(0.95))).changed_runs for _ in range(20)]
        assert sum(steady) <= 1
        assert sum(stepped) >= 18


class TestFigures:
    """What stands in a row."""

    def test_a_run_s_figure_is_the_geometric_mean_with_its_t_interval(self) -> None:
        values = [100.0, 110.0, 105.0]
        (figure,) = series(history([a_run(0, throughput=values)]), "throughput").figures
        logs = numpy.log(values)
        low, high = stats.t.interval(0.90, 2, loc=logs.mean(), scale=stats.sem(logs))
        assert figure.value == pytest.approx(numpy.exp(logs.mean()), rel=1e-12)
        assert figure.interval is not None
        assert (figure.interval.low, figure.interval.high) == pytest.approx(
            (math.exp(low), math.exp(high)), rel=1e-9
        )

    def test_the_next_run_is_expected_about_the_level_since_the_last_change(self) -> None:
        results = [a_run(day, 1.0 if day < 4 else 0.9) for day in range(8)]
        found = series(history(results), "throughput")
        assert found.next_run is not None
        assert found.next_run.low < 180 < found.next_run.high < 190

    def test_a_block_that_is_void_by_its_mark_or_its_evidence_is_not_used(self) -> None:
        marked = a_run(0, throughput=[100.0, 100.0, 900.0], void={3: "shared the GPU"})
        entries = [
            entry.model_copy(update={"void": False, "void_reasons": ()})
            if entry.block < 3
            else entry.model_copy(
                update={
                    "void": False,
                    "void_reasons": (),
                    "telemetry": entry.telemetry.model_copy(
                        update={"throttle_reason_samples": {"hw_thermal_slowdown": 50}}
                    )
                    if entry.telemetry
                    else None,
                }
            )
            for entry in marked.benchmarks
        ]
        for result in (marked, resealed(marked, benchmarks=tuple(entries))):
            found = history([result])
            (figure,) = series(found, "throughput").figures
            assert figure.value == pytest.approx(100.0)
            assert figure.blocks == 2
            assert (found.runs[0].blocks, found.runs[0].void) == (2, 1)

    def test_a_run_whose_blocks_are_all_void_leaves_a_gap(self) -> None:
        results = [a_run(day) for day in range(3)]
        results[1] = a_run(1, void={1: "heat", 2: "heat", 3: "heat"})
        found = history(results)
        assert [figure.run for figure in series(found, "throughput").figures] == [0, 2]
        assert len(found.runs) == 3

    def test_figures_at_the_ends_of_what_a_number_can_be_break_nothing(self) -> None:
        results = [a_run(day, throughput=[1e-300, 1e300], p50_ms=[1.0, 1.0]) for day in range(5)]
        found = series(history(results), "throughput")
        assert found.figures[0].interval is not None
        assert math.isfinite(found.figures[0].interval.high)


class TestBelonging:
    """Which runs make one history."""

    def test_runs_of_another_leg_target_or_plan_are_passed_over(self) -> None:
        own = a_run(0)
        strangers = [
            StoredRun(a_run(1, leg="xen"), "local"),
            StoredRun(a_run(2), "kubernetes"),
            StoredRun(a_run(3, plan={"sample_count": 512}), "local"),
            StoredRun(a_result({"offline-b8": [100.0]}), "local"),
        ]
        found = history_of(StoredRun(own, "local"), strangers)
        assert (ids(found), found.left_out) == ([own.run_id], ())

    def test_a_plan_s_name_repeats_and_arrival_rates_do_not_make_it_another(self) -> None:
        rates = {"arrival_rates": {"server-b8": 50.0}}
        one, other = (
            a_result(
                {"server-b8": [50.0] * blocks},
                started_at=STARTED + timedelta(days=blocks),
                plan={"profile": name, "description": name, "server": server},
            )
            for blocks, name, server in ((2, "mine", {}), (3, "yours", rates))
        )
        found = history([one, other])
        assert len(found.runs) == 2
        assert found.profiles == ("mine", "yours")

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"complete": False}, "did not measure everything"),
            ({"environment": {"gpu": "NVIDIA L4"}}, "GPU is NVIDIA L4, not Tesla T4"),
            ({"configuration": {"threads": 8}}, "number of threads is 8, not 4"),
            ({"configuration": {"precision": "fp32"}}, "precision is fp32, not fp16"),
        ],
    )
    def test_a_run_of_the_plan_that_measured_otherwise_is_left_out_and_named(
        self, changes: dict[str, Any], words: str
    ) -> None:
        found = history([a_run(0), a_run(1, **changes)])
        assert len(found.runs) == 1
        (sentence,) = found.left_out
        assert words in sentence
        assert "20260702" in sentence

    @pytest.mark.parametrize(
        ("changes", "name"),
        [
            ({"gpu": {"driver_version": "1"}}, "driver"),
            ({"gpu": {"persistence_mode": False}}, "persistence"),
            ({"gpu": {"uuid": "GPU-2"}}, "gpu_uuid"),
            ({"environment": {"torch": "2.11"}}, "torch"),
            ({"environment": {"kernel": "Linux 6.6"}}, "kernel"),
            ({"environment": {"container_image": None}}, "image"),
            ({"environment": {"hostname": "another"}}, "host"),
            ({"environment": {"boot_id": "another"}}, "boot"),
            ({"environment": {"cpu": {"mitigations": {}}}}, "mitigation of spectre_v2"),
            ({"hypervisor": Hypervisor.KVM}, "hypervisor"),
        ],
    )
    def test_what_may_change_by_itself_is_told_beside_the_run(
        self, changes: dict[str, Any], name: str
    ) -> None:
        found = history([a_run(0), a_run(1, **changes), a_run(2, **changes)])
        assert name in [each.name for each in found.runs[1].differences]
        assert [run.differences for run in (found.runs[0], found.runs[2])] == [(), ()]

    def test_another_load_of_server_is_told_and_a_rate_that_wavers_is_not(self) -> None:
        results = [
            a_result(
                {"server-b8": [50.0]},
                started_at=STARTED + timedelta(days=day),
                measured={"arrival_rate_qps": rate},
            )
            for day, rate in enumerate((50.0, 50.2, 60.0))
        ]
        found = history(results)
        assert found.runs[1].differences == ()
        (difference,) = found.runs[2].differences
        assert str(difference) == "arrival rate of server-b8 50.20 queries/s -> 60.00 queries/s"

    @settings(max_examples=20)
    @given(st.permutations(range(6)))
    def test_the_order_in_which_runs_are_found_changes_nothing(self, order: list[int]) -> None:
        results = [a_run(day, 1.0 if day < 4 else 0.9) for day in range(6)]
        found = history([results[index] for index in order], results[0])
        assert found == history([*results, results[2]], results[0])
