"""One measurement: load, build, check, warm up, run LoadGen, collect."""

from __future__ import annotations

import statistics
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.configuration import Configuration, detect_hardware, resolve_execution
from benchmark.correctness import Correctness, check, reference_logits
from benchmark.engine import Engine, make_engine
from benchmark.errors import MeasurementError, writing
from benchmark.files import file_sha256
from benchmark.loadgen import Batches, Load, run_load
from benchmark.loadgen_log import TRACE_FILE, LoadgenVerdict, read_queries, read_verdict
from benchmark.percentiles import REPORTED, order_statistic, percentile_name, queries_needed
from benchmark.plan import Execution, Scenario, WarmUpPlan
from benchmark.process import quiet_collector, settle_process
from benchmark.protocol import PROGRESS_FILE, MeasureSpec, Parent, ProgressFile
from benchmark.results import BatchSizes, Latency, Percentile, RawFile, WarmUp
from benchmark.telemetry import settled
from benchmark.validation import Record

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_INTERVAL_S = 0.25
_SETTLED_INTERVALS = 6
# A queue that grows without end passes any bound; 50 full batches is beyond every stable one.
_LATENCY_BOUND_BATCHES = 50
_LEAST_LATENCY_BOUND_MS = 15.0
_CPU_SIZES_WARMED_SINGLY = 8

LATENCIES_FILE = "latencies.npy"
BATCHES_FILE = "batches.npy"


class Outcome(Record):
    """What one measurement process found; the session adds telemetry and judgement."""

    loadgen: LoadgenVerdict
    queries: int
    samples: int
    duration_s: float
    throughput_samples_per_s: float
    latency: Latency
    arrival_rate_qps: float | None
    latency_bound_ms: float | None
    maximum_wait_ms: float | None
    batch_sizes: BatchSizes
    warm_up: WarmUp
    correctness: Correctness
    execution: Execution
    engine: dict[str, Any]
    build_s: float
    window: tuple[float, float]
    """CLOCK_MONOTONIC seconds around the timed part."""
    raw_files: tuple[RawFile, ...]
    """Paths are relative to the measurement's folder."""


def measure(spec: MeasureSpec, folder: Path, parent: Parent) -> Outcome:
    """Measure once.

    Raises:
        CorrectnessError: the configuration computes something else than fp32 eager.
        MeasurementError: LoadGen left no result.
    """
    import torch

    from benchmark.dataset import load_samples

    plan, measurement, configuration = spec.plan, spec.measurement, spec.configuration
    parent.say("phase", phase="loading")
    settle_process(configuration)
    progress = ProgressFile(folder / PROGRESS_FILE, create=True)
    samples = load_samples(plan.dataset, plan.sample_count, plan.seeds.data)
    model = _load_model(spec)
    with torch.inference_mode():
        reference = reference_logits(model, samples, configuration)
        parent.say("phase", phase="building")
        build_started = time.monotonic()
        execution = _execution_of(spec)
        any_size = measurement.scenario is Scenario.SERVER
        engine = make_engine(
            model,
            samples,
            configuration,
            execution,
            measurement.batch_size,
            any_size=any_size,
            host_to_device=measurement.host_to_device,
        )
        engine.finish(engine.submit(range(measurement.batch_size)))
        build_s = time.monotonic() - build_started
        parent.say("phase", phase="checking")
        correctness = check(
            engine,
            reference,
            configuration.precision,
            min(measurement.batch_size, len(reference)) if any_size else measurement.batch_size,
            trained=spec.weights.trained,
        )
        parent.say("phase", phase="warming up")
        if any_size:
            # A size that nothing was compiled or chosen for would cost seconds when it first comes.
            every_size = configuration.on_gpu or execution is Execution.COMPILE
            _touch_sizes(engine, measurement.batch_size, every=every_size)
        # Offline keeps several batches on their way, and its rate decides how many samples it gets.
        depth = engine.depth if measurement.scenario is Scenario.OFFLINE else 1
        warmed = warm_up(
            engine, measurement.batch_size, plan.warm_up, progress, configuration, depth
        )
        load = make_load(spec, warmed)
        progress.reset()
        quiet_collector()
        parent.say("phase", phase="measuring", total=load.samples)
        window_start = time.monotonic()
        batches = run_load(load, engine, folder, progress.count)
        window_end = time.monotonic()
    parent.say("phase", phase="collecting")
    return _collect(
        folder, load, batches,
        warm_up=warmed, correctness=correctness, execution=execution, engine=engine.describe(),
        build_s=build_s, window=(window_start, window_end),
    )  # fmt: skip


def _execution_of(spec: MeasureSpec) -> Execution:
    """Return the execution path of one measurement, ``auto`` resolved."""
    if spec.measurement.execution is spec.plan.execution:
        return spec.configuration.execution
    return resolve_execution(
        spec.measurement.execution, spec.configuration.on_gpu, detect_hardware()
    )


def _load_model(spec: MeasureSpec) -> torch.nn.Module:
    """Build the session's model and make sure that it is the one that was prepared.

    Raises:
        MeasurementError: the weights changed since.
    """
    from benchmark.model import build, weights_sha256

    path = Path(spec.weights.path) if spec.weights.path else None
    model = build(path, spec.plan.seeds.data)
    if weights_sha256(model) != spec.weights.sha256:
        raise MeasurementError(
            "The weights changed while the benchmark ran.", "Leave the weights file alone."
        )
    return model


def make_load(spec: MeasureSpec, warmed: WarmUp) -> Load:
    """Return what LoadGen is told, the rates taken from the warm-up where the plan leaves them."""
    plan, measurement = spec.plan, spec.measurement
    server = measurement.scenario is Scenario.SERVER
    batch_ms = measurement.batch_size / warmed.samples_per_s * 1e3
    return Load(
        scenario=measurement.scenario,
        batch_size=measurement.batch_size,
        duration_s=measurement.duration_s,
        # The fastest of the warm-up, so that the samples do not run out before the duration.
        expected_rate=warmed.fastest_samples_per_s
        if measurement.scenario is Scenario.OFFLINE
        else None,
        query_count=measurement.query_count,
        arrival_rate=(spec.arrival_rate or plan.server.load * warmed.samples_per_s)
        if server
        else None,
        latency_bound_ms=(
            plan.server.latency_bound_ms
            or max(_LEAST_LATENCY_BOUND_MS, _LATENCY_BOUND_BATCHES * batch_ms)
        )
        if server
        else None,
        percentile=plan.server.percentile,
        maximum_wait_ms=plan.server.maximum_wait_ms,
        sample_count=plan.sample_count,
        seeds=plan.seeds,
    )


def warm_up(
    engine: Engine,
    batch_size: int,
    plan: WarmUpPlan,
    progress: ProgressFile,
    configuration: Configuration,
    depth: int,
) -> WarmUp:
    """Run full batches, ``depth`` of them on their way, until throughput and clock have settled."""
    rates: list[float] = []
    clocks: list[float] = []
    started = time.monotonic()
    batch_count = 0
    steady = False
    on_the_way: deque[int] = deque()
    while (elapsed := time.monotonic() - started) < plan.maximum_s:
        if elapsed >= plan.minimum_s and steady:
            break
        interval_started = time.perf_counter_ns()
        in_interval = 0
        while in_interval == 0 or time.perf_counter_ns() - interval_started < _INTERVAL_S * 1e9:
            batch_started = time.perf_counter_ns()
            on_the_way.append(engine.submit(range(batch_size)))
            if len(on_the_way) == depth:
                engine.finish(on_the_way.popleft())
            progress.count(batch_size, time.perf_counter_ns() - batch_started)
            in_interval += 1
        seconds = (time.perf_counter_ns() - interval_started) / 1e9
        batch_count += in_interval
        rates.append(in_interval * batch_size / seconds)
        clocks.extend(_gpu_clock(configuration))
        steady = settled(rates, _SETTLED_INTERVALS, plan.tolerance) and (
            not clocks or settled(clocks, _SETTLED_INTERVALS, plan.tolerance)
        )
    while on_the_way:
        engine.finish(on_the_way.popleft())
    # The first interval still pays for what is made on first use.
    counted = rates[1:] or rates
    return WarmUp(
        duration_s=time.monotonic() - started,
        batches=batch_count,
        settled=steady,
        samples_per_s=statistics.median(counted[-_SETTLED_INTERVALS:]),
        fastest_samples_per_s=max(counted),
    )


def _gpu_clock(configuration: Configuration) -> list[float]:
    """Return the GPU's SM clock in MHz, or nothing where there is none to read."""
    if not configuration.on_gpu:
        return []
    import torch

    try:
        return [float(torch.cuda.clock_rate(configuration.device))]
    except Exception:  # torch wraps NVML's many refusals in as many types; none matters here
        return []


def _touch_sizes(engine: Engine, batch_size: int, *, every: bool) -> None:
    """Run the sizes that dynamic batching will form: a first use prepares kernels for the shape."""
    singly = batch_size if every else _CPU_SIZES_WARMED_SINGLY
    sizes = {size for size in range(1, batch_size + 1) if size <= singly or size % 8 == 0}
    for size in sorted(sizes):
        engine.finish(engine.submit(range(size)))


def _collect(folder: Path, load: Load, batches: Batches, **found: Any) -> Outcome:
    import numpy

    verdict = read_verdict(folder)
    rows = numpy.array(batches.rows, dtype=numpy.int64)
    rows[:, :2] -= rows[0, 0]
    raw = [_save(folder / BATCHES_FILE, rows, "int64 [batches, 3]: started ns, ended ns, samples")]
    samples = int(rows[:, 2].sum())
    if load.scenario is Scenario.OFFLINE:
        latencies = rows[:, 1] - rows[:, 0]
        queries = 1
        elapsed_ns = int(rows[-1, 1])
    else:
        times = read_queries(folder / TRACE_FILE)
        holds = "int64 [queries, 3]: due ns, issued ns after due, latency ns from due"
        raw.append(_save(folder / LATENCIES_FILE, times, holds))
        (folder / TRACE_FILE).unlink()
        latencies = times[:, 2]
        queries = len(times)
        elapsed_ns = int((times[:, 0] + times[:, 2]).max())
    server = load.scenario is Scenario.SERVER
    throughput = _throughput(load, verdict, samples, elapsed_ns)
    return Outcome(
        loadgen=verdict,
        queries=queries,
        samples=samples,
        duration_s=samples / throughput,
        throughput_samples_per_s=throughput,
        latency=summarize_latencies(latencies, offline=load.scenario is Scenario.OFFLINE),
        arrival_rate_qps=load.arrival_rate,
        latency_bound_ms=load.latency_bound_ms,
        maximum_wait_ms=load.maximum_wait_ms if server else None,
        batch_sizes=BatchSizes(
            count=len(rows), mean=float(rows[:, 2].mean()), largest=int(rows[:, 2].max())
        ),
        raw_files=tuple(raw),
        **found,
    )


def _throughput(load: Load, verdict: LoadgenVerdict, samples: int, elapsed_ns: int) -> float:
    """Return LoadGen's own samples/s; for MultiStream it has none, so the elapsed time decides."""
    key = {
        Scenario.OFFLINE: "samples_per_second",
        Scenario.SERVER: "completed_samples_per_sec",
        Scenario.SINGLE_STREAM: "qps_with_loadgen_overhead",
    }.get(load.scenario)
    if key is None:
        return samples / (elapsed_ns / 1e9)
    try:
        return float(verdict.summary[key])
    except (KeyError, ValueError) as error:
        raise MeasurementError(f"LoadGen's log has no {key}.") from error


def summarize_latencies(nanoseconds: NDArray[Any], *, offline: bool) -> Latency:
    """Return the figures of raw latencies in ns, each percentile marked as supported or not."""
    import numpy

    ordered = numpy.sort(nanoseconds)
    return Latency(
        of="batch" if offline else "query",
        count=len(ordered),
        minimum_ms=float(ordered[0]) / 1e6,
        mean_ms=float(ordered.mean()) / 1e6,
        maximum_ms=float(ordered[-1]) / 1e6,
        percentiles=tuple(
            Percentile(
                name=percentile_name(percentile),
                milliseconds=order_statistic(ordered, percentile) / 1e6,
                supported=len(ordered) >= queries_needed(percentile),
                queries_needed=queries_needed(percentile),
            )
            for percentile in REPORTED
        ),
    )


def _save(path: Path, rows: NDArray[Any], holds: str) -> RawFile:
    import numpy

    with writing(path):
        numpy.save(path, rows, allow_pickle=False)
    return RawFile(path=path.name, sha256=file_sha256(path), bytes=path.stat().st_size, holds=holds)
