"""LoadGen's own word and every raw latency are read from what LoadGen really writes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmark.errors import MeasurementError
from benchmark.loadgen import Load
from benchmark.loadgen_log import (
    DETAIL_FILE,
    SUMMARY_FILE,
    TRACE_FILE,
    read_queries,
    read_verdict,
)
from benchmark.percentiles import order_statistic
from tests.benchmark.loadgen_client import Worker, detail_of, multi_stream, server, single_stream

pytestmark = pytest.mark.xdist_group("loadgen")
CAPTURED = Path(__file__).with_name("loadgen_output")
"""Written by LoadGen 6.0.17 with a SUT that computes nothing; what a test does not need is gone."""


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a captured folder, to be broken."""
    copy = tmp_path / "measurement"
    shutil.copytree(CAPTURED / "server-12-invalid", copy)
    return copy


def test_a_valid_test_is_read_with_its_figures_and_early_stopping() -> None:
    verdict = read_verdict(CAPTURED / "singlestream-70-valid")
    assert verdict.valid
    assert verdict.invalid_reasons == ()
    assert verdict.version.startswith("6.0.17")
    assert verdict.summary["validity"] == "VALID"
    assert verdict.summary["query_count"] == 70.0
    assert "90.0th percentile estimate" in verdict.early_stopping
    assert "662 total queries" in verdict.early_stopping


@pytest.mark.parametrize(
    ("captured", "reason"),
    [
        ("server-12-invalid", "Early stopping not satisfied"),
        ("multistream-3x4-invalid", "Early stopping not satisfied"),
        ("offline-8-invalid", "Min duration not satisfied"),
    ],
)
def test_an_invalid_test_says_which_rule_it_broke(captured: str, reason: str) -> None:
    verdict = read_verdict(CAPTURED / captured)
    assert not verdict.valid
    assert verdict.invalid_reasons == (reason,)


def test_queries_are_read_in_the_order_of_arrival_and_from_when_they_were_due() -> None:
    times = read_queries(CAPTURED / "server-12-invalid" / TRACE_FILE)
    assert times.shape == (12, 3)
    assert times.dtype == numpy.int64
    due, issued, latency = times.T
    assert due[0] == 0
    assert (numpy.diff(due) >= 0).all()
    assert (issued >= 0).all()
    assert (latency >= issued).all()


def test_a_query_of_several_samples_ends_with_its_last_one() -> None:
    captured = CAPTURED / "multistream-3x4-invalid"
    times = read_queries(captured / TRACE_FILE)
    detail = detail_of(captured)
    assert len(times) == 3
    assert times[:, 2].max() == detail["result_max_query_latency_ns"]
    assert times[:, 2].min() == detail["result_min_query_latency_ns"]


def sample(query: int, due_us: float, issued: int, complete: int) -> str:
    return (
        f'{{"name":"Sample","ph":"b","ts":{due_us},"args":{{"query_seq":{query},'
        f'"issue_start_ns":{issued},"complete_ns":{complete}}}}},\n'
    )


def test_samples_may_stand_in_any_order_and_end_apart(tmp_path: Path) -> None:
    trace = tmp_path / TRACE_FILE
    trace.write_text(
        '{"traceEvents":[\n'
        + sample(1, 12.75, 30, 900)
        + sample(0, 10.5, 20, 400)
        + sample(0, 10.5, 20, 700)
        + sample(0, 10.5, 20, 500)
    )
    assert read_queries(trace).tolist() == [[0, 20, 700], [2250, 30, 900]]


loads = st.one_of(
    st.builds(server, st.integers(1, 8), st.integers(1, 150), st.just(20_000.0)),
    st.builds(single_stream, st.integers(1, 150)),
    st.builds(multi_stream, st.integers(1, 8), st.integers(1, 60)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(load=server(1, 1))
@given(load=loads)
def test_percentiles_of_the_raw_latencies_are_loadgens_own_to_the_nanosecond(
    worker: Worker, tmp_path_factory: pytest.TempPathFactory, load: Load
) -> None:
    folder = tmp_path_factory.mktemp("load")
    worker.run(load, folder)
    assert read_verdict(folder).summary["query_count"] == load.query_count
    ordered = numpy.sort(read_queries(folder / TRACE_FILE)[:, 2])
    detail = detail_of(folder)
    per_query = "per_query_" if load.scenario == "MultiStream" else ""
    assert len(ordered) == load.query_count
    for percentile in (50, 90, 95, 97, 99, 99.9):
        expected = detail[f"result_{percentile:.2f}_percentile_{per_query}latency_ns"]
        assert order_statistic(ordered, percentile / 100) == expected
    shutil.rmtree(folder)


@pytest.mark.parametrize("missing", [DETAIL_FILE, SUMMARY_FILE])
def test_a_missing_log_is_a_measurement_error(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(MeasurementError, match=missing):
        read_verdict(folder)


def test_a_missing_trace_is_a_measurement_error(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="cannot be read"):
        read_queries(tmp_path / TRACE_FILE)


def test_logs_that_stop_before_the_result_are_a_measurement_error(folder: Path) -> None:
    lines = (folder / DETAIL_FILE).read_text().splitlines(keepends=True)
    until = next(n for n, line in enumerate(lines) if "result_validity" in line)
    (folder / DETAIL_FILE).write_text("".join(lines[:until]))
    with pytest.raises(MeasurementError, match="LoadGen wrote no result"):
        read_verdict(folder)


@pytest.mark.parametrize(
    "entry",
    [
        '{"key": "result_validity", "value":',
        "not JSON at all",
    ],
)
def test_a_cut_line_in_the_detail_log_is_a_measurement_error(folder: Path, entry: str) -> None:
    with (folder / DETAIL_FILE).open("a") as stream:
        stream.write(f":::MLLOG {entry}")
    with pytest.raises(MeasurementError, match="cannot be read"):
        read_verdict(folder)


def test_lines_that_are_not_loadgens_entries_change_nothing(folder: Path) -> None:
    before = read_verdict(folder)
    with (folder / DETAIL_FILE).open("a") as stream:
        stream.write('chatter\n:::MLLOG [1]\n:::MLLOG {"key": "x", "metadata": null}\n')
    assert read_verdict(folder) == before


@pytest.mark.parametrize(
    "line",
    [
        '{"name":"Sample","ph":"b","ts":1.0,"args":{"query_seq":1,',
        '{"name":"Sample","ph":"b","ts":1.0},',
        '{"name":"Sample","ph":"b","ts":1.0,"args":{"query_seq":1,"issue_start_ns":2}},',
        '{"name":"Sample","ph":"b","ts":"soon","args":{"query_seq":1,"issue_start_ns":2,'
        '"complete_ns":3}},',
        '{"name":"Sample","ph":"b","ts":NaN,"args":{"query_seq":1,"issue_start_ns":2,'
        '"complete_ns":3}},',
        '[{"name":"Sample","ph":"b"}],',
    ],
)
def test_a_broken_sample_in_the_trace_is_a_measurement_error(folder: Path, line: str) -> None:
    with (folder / TRACE_FILE).open("a") as stream:
        stream.write(line)
    with pytest.raises(MeasurementError, match="cannot be read"):
        read_queries(folder / TRACE_FILE)


def test_a_trace_without_queries_is_a_measurement_error(folder: Path) -> None:
    (folder / TRACE_FILE).write_text('{"traceEvents":[\n')
    with pytest.raises(MeasurementError, match="holds no query"):
        read_queries(folder / TRACE_FILE)


@given(st.data())
def test_logs_cut_anywhere_are_read_or_are_a_measurement_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    source = CAPTURED / "server-12-invalid"
    folder = tmp_path_factory.getbasetemp() / "cut"
    folder.mkdir(exist_ok=True)
    for name in (DETAIL_FILE, SUMMARY_FILE, TRACE_FILE):
        content = (source / name).read_bytes()
        (folder / name).write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(MeasurementError):
        assert read_verdict(folder).summary["validity"] == "INVALID"
    with suppress(MeasurementError):
        assert 1 <= len(read_queries(folder / TRACE_FILE)) <= 12
