"""What the harness costs: the real LoadGen and SUTs against a bare PyTorch loop over the same
program, batch and threads, in one process.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmark.configuration import Configuration, detect_hardware, resolve
from benchmark.dataset import load_samples
from benchmark.engine import Engine, make_engine
from benchmark.loadgen import Load, run_load
from benchmark.loadgen_log import read_queries, read_verdict
from benchmark.model import build, prepare
from benchmark.plan import Execution, Scenario, load_profile
from benchmark.process import settle_process
from tests.performance.pairs import Outcome, interleave, ratio, spread

_SAMPLES = 64
_OFFLINE_ROUNDS = 9
_OFFLINE_SECONDS = 8.0
# Batch 1 drifts by a tenth within seconds on a shared machine, so its turns are short and many.
_STREAM_ROUNDS = 31
_STREAM_QUERIES = 24


def check() -> Iterator[Outcome]:
    import torch

    plan = load_profile("reference")
    configuration = resolve(plan, detect_hardware())
    settle_process(configuration)
    model = build(None, plan.seeds.data)
    samples = load_samples("synthetic", _SAMPLES, plan.seeds.data)
    execution = Execution.EAGER
    where = f"{configuration.device}, {configuration.precision}, {execution}"
    with torch.inference_mode():
        for batch_size in (8, 32):
            engine = make_engine(
                model, samples, configuration, execution, batch_size, any_size=False
            )
            bare = _bare_loop(model, samples, configuration, batch_size)
            yield _offline(engine, bare, batch_size, where)
        engine = make_engine(model, samples, configuration, execution, 1, any_size=False)
        yield from _single_stream(
            engine, _bare_loop(model, samples, configuration, 1), configuration, where
        )


def _bare_loop(
    model: object, samples: object, configuration: Configuration, batch_size: int
) -> Callable[[], None]:
    """Return one pass of the loop that a person would write: input in, logits out, on the host."""
    import torch

    assert isinstance(model, torch.nn.Module)
    assert isinstance(samples, torch.Tensor)
    prepared = prepare(model, configuration, fold_batch_norm=False)
    dtype = next(prepared.parameters()).dtype
    batch = samples[:batch_size].to(dtype).permute(0, 3, 1, 2)
    if not configuration.on_gpu:
        return lambda: prepared(batch)
    pinned = samples[:batch_size].to(dtype).pin_memory().permute(0, 3, 1, 2)
    return lambda: prepared(pinned.to(configuration.device, non_blocking=True)).cpu()


def _offline(engine: Engine, bare: Callable[[], None], batch_size: int, where: str) -> Outcome:
    for _ in range(2):
        bare()
    started = time.perf_counter()
    bare()
    rate = batch_size / (time.perf_counter() - started)

    def bare_rate() -> float:
        started = time.perf_counter()
        count = 0
        while count == 0 or time.perf_counter() - started < _OFFLINE_SECONDS:
            bare()
            count += batch_size
        return count / (time.perf_counter() - started)

    def harness_rate() -> float:
        load = Load(
            scenario=Scenario.OFFLINE,
            batch_size=batch_size,
            duration_s=_OFFLINE_SECONDS,
            expected_rate=rate,
            sample_count=_SAMPLES,
            seeds=load_profile("reference").seeds,
        )
        with tempfile.TemporaryDirectory() as folder:
            run_load(load, engine, Path(folder), lambda _samples, _nanoseconds: None)
            return float(read_verdict(Path(folder)).summary["samples_per_second"])

    harness_rate()
    figures = interleave({"harness": harness_rate, "bare": bare_rate}, _OFFLINE_ROUNDS)
    return Outcome(
        f"Offline batch {batch_size}, throughput / bare loop ({where})",
        ratio(figures["harness"], figures["bare"]),
        least=0.98,
        details=f"{spread(figures['harness'], 'samples/s')} against "
        f"{spread(figures['bare'], 'samples/s')}",
    )


def _single_stream(
    engine: Engine, bare: Callable[[], None], configuration: Configuration, where: str
) -> Iterator[Outcome]:
    for _ in range(5):
        bare()

    def bare_p50() -> float:
        times = []
        for _ in range(_STREAM_QUERIES):
            started = time.perf_counter_ns()
            bare()
            times.append(time.perf_counter_ns() - started)
        return statistics.median(times) / 1e6

    def harness_p50() -> float:
        load = Load(
            scenario=Scenario.SINGLE_STREAM,
            batch_size=1,
            query_count=_STREAM_QUERIES,
            sample_count=_SAMPLES,
            seeds=load_profile("reference").seeds,
        )
        with tempfile.TemporaryDirectory() as folder:
            run_load(load, engine, Path(folder), lambda _samples, _nanoseconds: None)
            queries = read_queries(Path(folder) / "mlperf_log_trace.json")
        return float(statistics.median(queries[:, 2].tolist())) / 1e6

    harness_p50()
    figures = interleave({"harness": harness_p50, "bare": bare_p50}, _STREAM_ROUNDS)
    details = f"{spread(figures['harness'], 'ms')} against {spread(figures['bare'], 'ms')}"
    on_gpu = configuration.on_gpu
    yield Outcome(
        f"SingleStream p50 / bare loop ({where})",
        ratio(figures["harness"], figures["bare"]),
        most=None if on_gpu else 1.02,
        details=details,
    )
    if on_gpu:
        extra = statistics.median(
            (a - b) * 1e3 for a, b in zip(figures["harness"], figures["bare"], strict=True)
        )
        yield Outcome(f"SingleStream p50 beyond the bare loop, us ({where})", extra, most=10)
