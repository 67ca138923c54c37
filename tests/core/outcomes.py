"""Results that no benchmark measured, for what reads them."""

from __future__ import annotations

from typing import Any

from benchmark.attestation.model import Attestation, Hypervisor
from benchmark.configuration import Configuration
from benchmark.environment import CpuInfo, Environment, GpuInfo
from benchmark.model import WeightsRecord
from benchmark.plan import Allocator as AllocatorChoice
from benchmark.plan import Execution, MemoryFormat, Precision, Scenario
from benchmark.results import Latency, MeasurementResult, Percentile, Result, seal
from tests.core.runs import NOON, small_plan

_ENVIRONMENT: dict[str, Any] = {
    "hostname": "host",
    "kernel": "6.1",
    "python": "3.11",
    "torch": "2.9",
    "torch_build": "cpu",
    "torchvision": "0.24",
    "loadgen": "6.0",
}


def latency(milliseconds: float, *, supported: bool = True, of: Any = "query") -> Latency:
    """Percentiles that are easy to tell apart: p90 is ten times p50, p99 a hundred times."""
    return Latency(
        of=of,
        count=64,
        minimum_ms=milliseconds,
        mean_ms=milliseconds,
        maximum_ms=milliseconds * 100,
        percentiles=tuple(
            Percentile(
                name=name,
                milliseconds=milliseconds * factor,
                supported=supported or name != "p99",
                queries_needed=64,
            )
            for name, factor in (("p50", 1), ("p90", 10), ("p99", 100))
        ),
    )


def measurement(
    throughput: float | None, milliseconds: float = 1.0, *, block: int = 1, **values: Any
) -> MeasurementResult:
    """One measurement; with ``void_reasons`` it is void."""
    fields: dict[str, Any] = {
        "name": "singlestream-b1",
        "scenario": Scenario.SINGLE_STREAM,
        "batch_size": 1,
        "block": block,
        "execution": Execution.EAGER,
        "host_to_device": True,
        "started_at": NOON,
        "void_reasons": (),
        "remarks": (),
        "throughput_samples_per_s": throughput,
        "latency": None if throughput is None else latency(milliseconds),
        "queries": 64,
        "samples": 64,
    }
    fields |= values
    return MeasurementResult(**fields, void=bool(fields["void_reasons"]))


def result(*measurements: MeasurementResult, **values: Any) -> Result:
    """A whole result of these measurements."""
    cpu = CpuInfo(
        model="A CPU", architecture="x86_64", count=2, usable=2, governor=None, microcode=None
    )
    absent = {
        name: None
        for name, field in Environment.model_fields.items()
        if field.is_required() and name not in _ENVIRONMENT
    }
    fields: dict[str, Any] = {
        "run_id": "20260504-120000-local-baseline-abcd",
        "leg": "baseline",
        "timestamp": NOON,
        "started_at": NOON,
        "complete": True,
        "device": "cpu",
        "gpu_info": GpuInfo(name="CPU: A CPU", cuda_version=None, total_memory_gb=None),
        "plan": small_plan(),
        "configuration": Configuration(
            device="cpu",
            precision=Precision.FP32,
            memory_format=MemoryFormat.CONTIGUOUS,
            execution=Execution.EAGER,
            allocator=AllocatorChoice.SYSTEM,
            threads=2,
        ),
        "weights": WeightsRecord(origin="random", trained=False, path=None, sha256="0" * 64),
        "environment": Environment(**(absent | _ENVIRONMENT | {"cpu": cpu})),
        "gpu": None,
        "attestation": Attestation(hypervisor=Hypervisor.KVM),
        "benchmarks": measurements,
    }
    return seal(fields | values)
