"""A whole result, as short as one can be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from benchmark.attestation import classify
from benchmark.attestation.model import Evidence, EvidenceStatus
from benchmark.configuration import Configuration
from benchmark.correctness import Correctness
from benchmark.environment import CpuInfo, Environment, gpu_info
from benchmark.loadgen_log import LoadgenVerdict
from benchmark.model import WeightsRecord
from benchmark.plan import Allocator, Execution, MemoryFormat, Precision, Scenario, make_plan
from benchmark.results import (
    BatchSizes,
    Latency,
    MeasurementResult,
    Percentile,
    RawFile,
    Result,
    WarmUp,
    seal,
)

STARTED = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


def environment() -> Environment:
    return Environment(
        hostname="host",
        kernel="Linux 6.1",
        operating_system=None,
        boot_id=None,
        python="3.11.7",
        torch="2.13.0",
        torch_build="built with care",
        torchvision="0.28.0",
        loadgen="6.0.17",
        cuda=None,
        cudnn=None,
        gpu=None,
        compute_capability=None,
        gpu_memory_bytes=None,
        cpu=CpuInfo(
            model="A CPU",
            architecture="x86_64",
            count=2,
            usable=2,
            governor=None,
            microcode=None,
        ),
        memory_bytes=2**34,
        container_image=None,
    )


def measurement(**changes: Any) -> MeasurementResult:
    values: dict[str, Any] = {
        "name": "server-b8",
        "scenario": Scenario.SERVER,
        "batch_size": 8,
        "block": 1,
        "execution": Execution.EAGER,
        "host_to_device": True,
        "started_at": STARTED,
        "duration_s": 12.5,
        "void": False,
        "void_reasons": (),
        "remarks": (),
        "loadgen": LoadgenVerdict(version="6.0.17", valid=True, summary={"validity": "VALID"}),
        "queries": 100,
        "samples": 100,
        "throughput_samples_per_s": 8.0,
        "latency": Latency(
            of="query",
            count=100,
            minimum_ms=1.0,
            mean_ms=2.0,
            maximum_ms=3.0,
            percentiles=(
                Percentile(name="p50", milliseconds=2.0, supported=True, queries_needed=11),
            ),
        ),
        "arrival_rate_qps": 8.25,
        "latency_bound_ms": 15.0,
        "maximum_wait_ms": 2.0,
        "batch_sizes": BatchSizes(count=50, mean=2.0, largest=8),
        "warm_up": WarmUp(
            duration_s=2.0,
            batches=3,
            settled=True,
            samples_per_s=11.0,
            fastest_samples_per_s=12.0,
        ),
        "correctness": Correctness(
            samples=4, relative_error=1e-6, tolerance=3e-4, top1_agreement=None
        ),
        "engine": {"batch_norm_folded": False},
        "build_s": 0.5,
        "telemetry": None,
        "raw_files": (
            RawFile(
                path="measurements/server-b8-block1/latencies.npy",
                sha256="0" * 64,
                bytes=2528,
                holds="times",
            ),
        ),
    }
    return MeasurementResult(**{**values, **changes})


def result(**changes: Any) -> Result:
    values: dict[str, Any] = {
        "run_id": "run",
        "leg": "baseline",
        "timestamp": STARTED,
        "started_at": STARTED,
        "complete": True,
        "device": "cpu",
        "gpu_info": gpu_info(environment()),
        "plan": make_plan(
            {
                "scenarios": [{"scenario": "Server", "batch_sizes": [8], "query_count": 100}],
                "server": {"arrival_rates": {"server-b8": 8.25}},
            },
            "the test's plan",
        ),
        "configuration": Configuration(
            device="cpu",
            precision=Precision.FP32,
            memory_format=MemoryFormat.CHANNELS_LAST,
            execution=Execution.EAGER,
            allocator=Allocator.RETAIN,
            threads=2,
        ),
        "weights": WeightsRecord(origin="random", trained=False, path=None, sha256="1" * 64),
        "environment": environment(),
        "gpu": None,
        "attestation": classify(
            [Evidence.of("/sys/hypervisor/type", EvidenceStatus.PRESENT, b"xen\n")]
        ),
        "benchmarks": (measurement(),),
    }
    return seal({**values, **changes})
