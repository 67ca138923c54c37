"""Is the ``auto`` configuration the fastest honest one? On a CPU: against eager fp32 under the same
allocator, OpenVINO (bf16 hint) and ONNX Runtime, in one process, in turn.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.configuration import Configuration, detect_hardware, resolve
from benchmark.dataset import load_samples
from benchmark.engine import make_engine
from benchmark.model import build
from benchmark.plan import Execution, MemoryFormat, Precision, load_profile
from benchmark.process import settle_process
from tests.performance.pairs import Outcome, interleave, ratio, spread

if TYPE_CHECKING:
    import torch

_ROUNDS = 9
_SECONDS = 3.0
_BATCH_SIZES = (1, 8, 32)


def check() -> Iterator[Outcome]:
    import torch

    plan = load_profile("reference")
    auto = resolve(plan, detect_hardware())
    if auto.on_gpu:
        print("a GPU is there; the bounds are about a CPU: nothing to check", flush=True)
        return
    settle_process(auto)
    eager = auto.model_copy(
        update={"precision": Precision.FP32, "memory_format": MemoryFormat.CONTIGUOUS}
    )
    model = build(None, plan.seeds.data)
    samples = load_samples("synthetic", max(_BATCH_SIZES), plan.seeds.data)
    print(f"auto is {auto.precision}, {auto.memory_format}, {auto.execution}", flush=True)
    for batch_size in _BATCH_SIZES:
        with torch.inference_mode():
            programs: dict[str, Callable[[], Any]] = {
                "auto": _ours(model, samples, auto, auto.execution, batch_size),
                "eager": _ours(model, samples, eager, Execution.EAGER, batch_size),
            }
        programs["openvino"] = _openvino(model, samples[:batch_size], auto.threads)
        programs["onnxruntime"] = _onnxruntime(model, samples[:batch_size], auto.threads)
        yield from _outcomes(programs, batch_size, auto)


def _outcomes(
    programs: dict[str, Callable[[], Any]], batch_size: int, auto: Configuration
) -> Iterator[Outcome]:
    rates = interleave(
        {name: _rate_of(program, batch_size) for name, program in programs.items()}, _ROUNDS
    )
    decisive = batch_size == 8
    native_bf16 = auto.precision is Precision.BF16
    if decisive and not native_bf16:
        print("no native bf16 here: the bound of 2.3 against eager fp32 cannot apply", flush=True)
    for name, least in (
        ("eager", 2.3 if decisive and native_bf16 else None),
        ("openvino", 0.9 if decisive else None),
        ("onnxruntime", None),
    ):
        yield Outcome(
            f"batch {batch_size}, auto / {name}",
            ratio(rates["auto"], rates[name]),
            least=least,
            details=f"{spread(rates['auto'], 'samples/s')} against "
            f"{spread(rates[name], 'samples/s')}",
        )


def _rate_of(program: Callable[[], Any], batch_size: int) -> Callable[[], float]:
    for _ in range(2):
        program()

    def rate() -> float:
        started = time.perf_counter()
        count = 0
        while count == 0 or time.perf_counter() - started < _SECONDS:
            program()
            count += batch_size
        return count / (time.perf_counter() - started)

    return rate


def _ours(
    model: torch.nn.Module,
    samples: torch.Tensor,
    configuration: Configuration,
    execution: Execution,
    batch_size: int,
) -> Callable[[], Any]:
    import torch

    engine = make_engine(model, samples, configuration, execution, batch_size, any_size=False)

    def program() -> None:
        with torch.inference_mode():
            engine.finish(engine.submit(range(batch_size)))

    return program


def _openvino(model: torch.nn.Module, samples: torch.Tensor, threads: int) -> Callable[[], Any]:
    import openvino

    batch = samples.permute(0, 3, 1, 2).contiguous()
    converted = openvino.convert_model(model, example_input=batch)
    converted.reshape(list(batch.shape))
    compiled = openvino.Core().compile_model(
        converted,
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            # Where the CPU has no bf16 units OpenVINO itself falls back to fp32.
            "INFERENCE_PRECISION_HINT": "bf16",
        },
    )
    request = compiled.create_infer_request()
    values = batch.numpy()
    return lambda: request.infer([values])


def _onnxruntime(model: torch.nn.Module, samples: torch.Tensor, threads: int) -> Callable[[], Any]:
    import onnxruntime
    import torch

    batch = samples.permute(0, 3, 1, 2).contiguous()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        torch.onnx.export(model, (batch,), str(path), dynamo=False, input_names=["images"])
        session = onnxruntime.InferenceSession(str(path), options)
    values = batch.numpy()
    return lambda: session.run(None, {"images": values})
