"""The SUTs keep LoadGen's rules and the engine's: batches, order, every sample, no hang."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.loadgen import Load
from benchmark.loadgen_log import TRACE_FILE, read_queries, read_verdict
from tests.benchmark.loadgen_client import (
    SAMPLE_COUNT,
    Answer,
    Worker,
    detail_of,
    multi_stream,
    offline,
    run_once,
    server,
    single_stream,
)

pytestmark = pytest.mark.xdist_group("loadgen")
with_real_loadgen = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as started:
        yield started


def check_bookkeeping(answer: Answer) -> None:
    """The progress counter and the batch times tell of the same batches as the engine saw."""
    sizes = [len(batch) for batch in answer.batches]
    assert answer.counted == sizes
    assert [size for _started, _ended, size in answer.rows] == sizes
    assert all(started <= ended for started, ended, _size in answer.rows)
    assert all(0 <= index < SAMPLE_COUNT for batch in answer.batches for index in batch)


@with_real_loadgen
@given(
    batch_size=st.integers(1, 40),
    rate=st.floats(0.1, 400),
    duration_s=st.floats(0.01, 3),
    depth=st.integers(1, 4),
)
def test_offline_sends_exactly_the_promised_samples_in_whole_batches(
    worker: Worker,
    tmp_path_factory: pytest.TempPathFactory,
    batch_size: int,
    rate: float,
    duration_s: float,
    depth: int,
) -> None:
    load = offline(batch_size, rate, duration_s)
    folder = tmp_path_factory.mktemp("offline")
    answer = worker.run(load, folder, depth)
    assert {len(batch) for batch in answer.batches} == {batch_size}
    assert sum(len(batch) for batch in answer.batches) == load.samples
    assert load.samples > rate * duration_s - 1
    assert answer.most_on_the_way == min(depth, len(answer.batches))
    check_bookkeeping(answer)


@with_real_loadgen
@given(
    batch_size=st.integers(1, 12),
    queries=st.integers(1, 200),
    rate=st.sampled_from([2_000.0, 20_000.0, 200_000.0]),
    wait_ms=st.sampled_from([0.0, 0.5, 5.0]),
)
def test_server_completes_every_query_in_batches_no_larger_than_allowed(
    worker: Worker,
    tmp_path_factory: pytest.TempPathFactory,
    batch_size: int,
    queries: int,
    rate: float,
    wait_ms: float,
) -> None:
    folder = tmp_path_factory.mktemp("server")
    answer = worker.run(server(batch_size, queries, rate, wait_ms), folder)
    assert all(1 <= len(batch) <= batch_size for batch in answer.batches)
    assert sum(len(batch) for batch in answer.batches) == queries
    assert len(read_queries(folder / TRACE_FILE)) == queries
    check_bookkeeping(answer)


def test_server_puts_what_waits_together_into_one_batch(worker: Worker, tmp_path: Path) -> None:
    # A rate so high and a wait so long that only the batch size can end a batch.
    answer = worker.run(server(8, 64, rate=1_000_000, wait_ms=10_000), tmp_path)
    assert [len(batch) for batch in answer.batches] == [8] * 8


@with_real_loadgen
@given(queries=st.integers(1, 200))
def test_singlestream_sends_one_sample_a_query(
    worker: Worker, tmp_path_factory: pytest.TempPathFactory, queries: int
) -> None:
    folder = tmp_path_factory.mktemp("single")
    answer = worker.run(single_stream(queries), folder)
    assert [len(batch) for batch in answer.batches] == [1] * queries
    assert read_verdict(folder).valid is (queries >= 64)
    check_bookkeeping(answer)


@with_real_loadgen
@given(batch_size=st.integers(1, 16), queries=st.integers(1, 40))
def test_multistream_sends_a_query_as_one_batch(
    worker: Worker, tmp_path_factory: pytest.TempPathFactory, batch_size: int, queries: int
) -> None:
    load = multi_stream(batch_size, queries)
    folder = tmp_path_factory.mktemp("multi")
    answer = worker.run(load, folder)
    assert [len(batch) for batch in answer.batches] == [batch_size] * queries
    assert load.samples == batch_size * queries
    assert len(read_queries(folder / TRACE_FILE)) == queries
    check_bookkeeping(answer)


def test_the_same_seeds_give_the_same_samples_and_the_same_schedule(
    worker: Worker, tmp_path: Path
) -> None:
    schedules = []
    indices = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        answer = worker.run(server(1, 50, rate=2000), folder)
        schedules.append(read_queries(folder / TRACE_FILE)[:, 0].tolist())
        indices.append(answer.batches)
    assert schedules[0] == schedules[1]
    assert indices[0] == indices[1]


def test_loadgen_is_told_the_seeds_and_the_rate_of_the_plan(worker: Worker, tmp_path: Path) -> None:
    load = server(4, 10, rate=1234)
    worker.run(load, tmp_path)
    detail = detail_of(tmp_path)
    assert detail["effective_target_qps"] == 1234
    assert detail["effective_schedule_rng_seed"] == load.seeds.schedule
    assert detail["effective_sample_index_rng_seed"] == load.seeds.sample_index
    assert detail["effective_qsl_rng_seed"] == load.seeds.qsl
    assert detail["effective_target_latency_ns"] == 1_000_000_000


@pytest.mark.parametrize(
    "load",
    [offline(4, 100, 1), server(4, 100), single_stream(100), multi_stream(4, 100)],
    ids=lambda load: str(load.scenario),
)
def test_an_engine_that_fails_ends_the_process_with_a_traceback(load: Load, tmp_path: Path) -> None:
    ended = run_once(load, tmp_path, fail_at=3)
    assert ended.returncode != 0
    assert "Traceback" in ended.stderr
    assert "the device caught fire" in ended.stderr
    assert ended.stdout == ""
