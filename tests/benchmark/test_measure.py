"""A measurement's load comes from the plan and the warm-up, its figures from the raw latencies."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.loadgen import Load
from benchmark.measure import make_load, summarize_latencies
from benchmark.percentiles import REPORTED, percentile_name, queries_needed
from benchmark.plan import make_plan
from benchmark.protocol import MeasureSpec, ProgressFile
from benchmark.results import WarmUp
from tests.benchmark.builders import result

SCENARIOS = [
    {"scenario": "Offline", "batch_sizes": [8], "duration_s": 30},
    {"scenario": "Server", "batch_sizes": [8], "query_count": 100},
    {"scenario": "SingleStream", "query_count": 64},
    {"scenario": "MultiStream", "batch_sizes": [8], "query_count": 64},
]
WARMED = WarmUp(
    duration_s=2.0, batches=9, settled=True, samples_per_s=100.0, fastest_samples_per_s=110.0
)


def load_of(position: int, arrival_rate: float | None = None, **server: Any) -> Load:
    plan = make_plan({"scenarios": SCENARIOS, "server": server}, "the test's plan")
    spec = MeasureSpec(
        plan=plan,
        configuration=result().configuration,
        weights=result().weights,
        measurement=plan.measurements()[position],
        arrival_rate=arrival_rate,
    )
    return make_load(spec, WARMED)


def test_offline_expects_the_fastest_rate_so_that_its_samples_last() -> None:
    load = load_of(0)
    assert load.expected_rate == 110.0
    assert load.duration_s == 30
    assert load.samples >= 30 * 110
    assert load.samples % 8 == 0


def test_server_takes_the_given_rate_before_its_own() -> None:
    assert load_of(1, arrival_rate=42.0).arrival_rate == 42.0


def test_server_without_a_given_rate_takes_its_share_of_the_warm_ups() -> None:
    assert load_of(1, load=0.5).arrival_rate == 50.0


def test_servers_latency_bound_is_the_plans_or_many_batches() -> None:
    assert load_of(1, latency_bound_ms=20.0).latency_bound_ms == 20.0
    own = load_of(1).latency_bound_ms
    assert own is not None
    assert own >= 10 * (8 / 100.0 * 1000)


@pytest.mark.parametrize("position", [2, 3])
def test_the_streams_have_neither_rate_nor_bound(position: int) -> None:
    load = load_of(position, arrival_rate=42.0)
    assert (load.arrival_rate, load.latency_bound_ms, load.expected_rate) == (None, None, None)
    assert load.query_count == 64


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=1000))
def test_figures_of_latencies_are_those_of_the_sorted_values(nanoseconds: list[int]) -> None:
    found = summarize_latencies(numpy.array(nanoseconds, dtype=numpy.int64), offline=False)
    ordered = sorted(nanoseconds)
    assert found.of == "query"
    assert found.count == len(ordered)
    assert found.minimum_ms == ordered[0] / 1e6
    assert found.maximum_ms == ordered[-1] / 1e6
    assert math.isclose(found.mean_ms, math.fsum(ordered) / len(ordered) / 1e6, rel_tol=1e-9)
    assert [entry.name for entry in found.percentiles] == [percentile_name(p) for p in REPORTED]
    for percentile, entry in zip(REPORTED, found.percentiles, strict=True):
        assert entry.supported is (len(ordered) >= queries_needed(percentile))
        assert entry.queries_needed == queries_needed(percentile)
        assert found.milliseconds(percentile) == entry
        above = sum(value / 1e6 > entry.milliseconds for value in ordered)
        assert above <= len(ordered) * (1 - percentile) + 1e-9


def test_offlines_latencies_are_called_those_of_batches() -> None:
    assert summarize_latencies(numpy.array([1]), offline=True).of == "batch"


def test_progress_counts_are_seen_from_the_other_side(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    writer = ProgressFile(path, create=True)
    reader = ProgressFile(path, create=False)
    assert reader.read() == (0, 0)
    writer.count(8, 1_500_000)
    writer.count(3, 900_000)
    assert reader.read() == (11, 900_000)
    writer.reset()
    assert reader.read() == (0, 0)
    writer.count(1, 5)
    assert reader.read() == (1, 5)
    writer.close()
    reader.close()


def test_progress_of_a_child_that_has_not_started_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ProgressFile(tmp_path / "absent", create=False)
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="length"):
        ProgressFile(tmp_path / "empty", create=False)
