"""LoadGen and its three kinds of SUT. LoadGen aborts the process on a signal or an exception in a
callback, so all of this runs in a child process of one measurement.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmark.engine import Engine
from benchmark.plan import Scenario, Seeds
from benchmark.validation import Record

LOADGEN_MARGIN = 1.1
"""LoadGen issues this much more than the expected rate times the duration in Offline."""

# A short run's speed strays further from its warm-up's, and too few samples make it INVALID.
_SHORT_S = 10.0
_SHORT_MARGIN = 1.4


def offline_margin(duration_s: float) -> float:
    """Return how many times the expected samples Offline issues."""
    return LOADGEN_MARGIN if duration_s >= _SHORT_S else _SHORT_MARGIN


class Load(Record):
    """What LoadGen is told; every field ends up in its settings."""

    scenario: Scenario
    batch_size: int
    duration_s: float | None = None
    expected_rate: float | None = None
    """Offline: samples/s, which decides how many samples are issued."""
    query_count: int | None = None
    arrival_rate: float | None = None
    """Server: queries/s."""
    latency_bound_ms: float | None = None
    percentile: float = 0.99
    maximum_wait_ms: float = 0.0
    sample_count: int
    seeds: Seeds

    @property
    def samples(self) -> int:
        """How many samples LoadGen will issue."""
        if self.scenario is Scenario.OFFLINE:
            assert self.duration_s is not None
            assert self.expected_rate is not None
            wanted = offline_margin(self.duration_s) * self.expected_rate * self.duration_s
            return max(1, -(-int(wanted) // self.batch_size)) * self.batch_size
        assert self.query_count is not None
        per_query = self.batch_size if self.scenario is Scenario.MULTI_STREAM else 1
        return self.query_count * per_query


class Batches:
    """When each batch started and ended (ns, ``perf_counter``) and how many samples it held."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int]] = []

    def add(self, started: int, ended: int, size: int) -> None:
        self.rows.append((started, ended, size))


Count = Callable[[int, int], None]
"""Called with (samples done, the last batch's nanoseconds); must cost next to nothing."""


def run_load(load: Load, engine: Engine, folder: Path, count: Count) -> Batches:
    """Run one LoadGen test and leave its logs in ``folder``.

    An exception in the SUT ends this process: LoadGen cannot be unwound.
    """
    import mlperf_loadgen as loadgen

    batches = Batches()
    sut_class = {Scenario.OFFLINE: _Offline, Scenario.SERVER: _Server}.get(load.scenario, _Stream)
    sut = sut_class(load, engine, batches, count, loadgen)
    handle = loadgen.ConstructSUT(_guarded(sut.issue), lambda: None)
    library = loadgen.ConstructQSL(
        load.sample_count, load.sample_count, lambda _indices: None, lambda _indices: None
    )
    try:
        sut.start(
            lambda: loadgen.StartTestWithLogSettings(
                handle, library, _settings(load, loadgen), _log_settings(load, folder, loadgen)
            )
        )
    finally:
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(handle)
    return batches


def loadgen_version() -> str:
    """Return the version of the installed LoadGen package."""
    from importlib.metadata import version

    return version("mlcommons-loadgen")


class _Sut:
    def __init__(
        self, load: Load, engine: Engine, batches: Batches, count: Count, loadgen: Any
    ) -> None:
        self._load = load
        self._engine = engine
        self._batches = batches
        self._count = count
        self._complete = loadgen.QuerySamplesComplete
        self._response = loadgen.QuerySampleResponse

    def start(self, test: Callable[[], None]) -> None:
        """Run the whole test on this thread; the callbacks come on it too."""
        test()

    def _compute(self, samples: Sequence[Any]) -> None:
        started = time.perf_counter_ns()
        self._engine.finish(self._engine.submit([sample.index for sample in samples]))
        ended = time.perf_counter_ns()
        self._complete([self._response(sample.id, 0, 0) for sample in samples])
        self._batches.add(started, ended, len(samples))
        self._count(len(samples), ended - started)


class _Stream(_Sut):
    """SingleStream and MultiStream: a query is a batch, completed inside the callback.

    A hop to another thread would add 33-38 microseconds a query, completing inline adds 2
    (FACTS.md section 9).
    """

    def issue(self, samples: Sequence[Any]) -> None:
        self._compute(samples)


class _Offline(_Sut):
    """One query with every sample, in batches of exactly the batch size, a few on their way."""

    def issue(self, samples: Sequence[Any]) -> None:
        engine = self._engine
        on_the_way: deque[tuple[int, int, Sequence[Any]]] = deque()
        for batch in _slices(samples, self._load.batch_size):
            if len(on_the_way) == engine.depth:
                self._finish(*on_the_way.popleft())
            started = time.perf_counter_ns()
            on_the_way.append((engine.submit([s.index for s in batch]), started, batch))
        while on_the_way:
            self._finish(*on_the_way.popleft())

    def _finish(self, ticket: int, started: int, batch: Sequence[Any]) -> None:
        self._engine.finish(ticket)
        ended = time.perf_counter_ns()
        self._complete([self._response(sample.id, 0, 0) for sample in batch])
        self._batches.add(started, ended, len(batch))
        self._count(len(batch), ended - started)


class _Server(_Sut):
    """Dynamic batching: whatever has arrived, up to the batch size, goes on together.

    LoadGen runs on a thread of its own so that the model keeps the thread it was warmed up on (an
    OpenMP pool and a CUDA stream belong to a thread).
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def issue(self, samples: Sequence[Any]) -> None:
        for sample in samples:
            self._arrived.put(sample)

    def start(self, test: Callable[[], None]) -> None:
        def issue_all() -> None:
            try:
                test()
            finally:
                self._arrived.put(None)

        issuer = threading.Thread(target=_guarded(issue_all), name="loadgen")
        issuer.start()
        _guarded(self._serve)()
        issuer.join()

    def _serve(self) -> None:
        while (first := self._arrived.get()) is not None:
            self._compute(self._fill([first]))

    def _fill(self, batch: list[Any]) -> list[Any]:
        deadline = time.perf_counter() + self._load.maximum_wait_ms / 1e3
        while len(batch) < self._load.batch_size:
            remaining = deadline - time.perf_counter()
            try:
                if remaining > 0:
                    sample = self._arrived.get(timeout=remaining)
                else:
                    sample = self._arrived.get_nowait()
            except queue.Empty:
                break
            if sample is None:
                # LoadGen ends only after every sample is complete, so none can be waiting here.
                self._arrived.put(None)
                break
            batch.append(sample)
        return batch


def _slices(samples: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def _guarded(function: Callable[..., None]) -> Callable[..., None]:
    def guarded(*arguments: Any) -> None:
        try:
            function(*arguments)
        except BaseException:
            # LoadGen's C++ would abort without a word of what happened.
            traceback.print_exc()
            os._exit(70)

    return guarded


def _settings(load: Load, loadgen: Any) -> Any:
    settings = loadgen.TestSettings()
    settings.scenario = getattr(loadgen.TestScenario, load.scenario.value)
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.qsl_rng_seed = load.seeds.qsl
    settings.sample_index_rng_seed = load.seeds.sample_index
    settings.schedule_rng_seed = load.seeds.schedule
    settings.min_duration_ms = 0
    if load.scenario is Scenario.OFFLINE:
        assert load.duration_s is not None
        settings.min_duration_ms = int(load.duration_s * 1000)
        # The count, a whole number of batches, must be the larger of LoadGen's two limits.
        settings.offline_expected_qps = load.samples / load.duration_s / LOADGEN_MARGIN * 0.999
        settings.min_query_count = load.samples
        return settings
    settings.min_query_count = load.query_count
    settings.max_query_count = load.query_count
    if load.scenario is Scenario.SERVER:
        assert load.latency_bound_ms is not None
        settings.server_target_qps = load.arrival_rate
        settings.server_target_latency_ns = int(load.latency_bound_ms * 1e6)
        settings.server_target_latency_percentile = load.percentile
    if load.scenario is Scenario.MULTI_STREAM:
        settings.multi_stream_samples_per_query = load.batch_size
    return settings


def _log_settings(load: Load, folder: Path, loadgen: Any) -> Any:
    output = loadgen.LogOutputSettings()
    output.outdir = str(folder)
    output.copy_summary_to_stdout = False
    settings = loadgen.LogSettings()
    settings.log_output = output
    # The trace alone has each query's scheduled time; Offline has one query and up to millions of
    # samples at 1.2 kB each, and keeps its batch times instead.
    settings.enable_trace = load.scenario is not Scenario.OFFLINE
    return settings
