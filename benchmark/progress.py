"""What the benchmark says while it runs: one JSON object a line on stdout.

Facts, in the past tense. The run process stores them unchanged, so every field must mean the same
to a reader who was not there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from benchmark.plan import Plan, Scenario
from benchmark.telemetry import GpuSample, HostSample
from benchmark.validation import Tolerant


class Started(Tolerant):
    """The benchmark began."""

    event: Literal["benchmark_started"] = "benchmark_started"
    plan: Plan
    measurements: int
    """How many measurement processes there will be, all blocks together."""


class Prepared(Tolerant):
    """Device, configuration, weights and attestation are known."""

    event: Literal["benchmark_prepared"] = "benchmark_prepared"
    device: str
    device_name: str
    """The GPU's name, or the CPU's with the words that it is one."""
    configuration: str
    """Precision, memory format and execution path, for people."""
    weights: str
    hypervisor: str
    hypervisor_reason: str


class ProbesFinished(Tolerant):
    """The probes before a block ended; their figures are in the result file."""

    event: Literal["probes_finished"] = "probes_finished"
    block: int
    seconds: float
    count: int
    """How many have figures."""
    problems: tuple[str, ...]
    """A clause for each reason why others have none: which, and why."""


class MeasurementStarted(Tolerant):
    """A measurement process was started."""

    event: Literal["measurement_started"] = "measurement_started"
    name: str
    scenario: Scenario
    batch_size: int
    block: int
    position: int
    """1 for the first of all."""
    total: int


class PhaseEntered(Tolerant):
    """A measurement process reached its next phase."""

    event: Literal["measurement_phase_entered"] = "measurement_phase_entered"
    name: str
    block: int
    phase: Literal["loading", "building", "checking", "warming up", "measuring", "collecting"]


class Progressed(Tolerant):
    """How far the measurement under way is; about twice a second."""

    event: Literal["measurement_progressed"] = "measurement_progressed"
    name: str
    block: int
    phase: str
    elapsed_s: float
    """Since the phase began."""
    samples_done: int
    samples_total: int | None
    samples_per_s: float | None
    latest_batch_ms: float | None
    remaining_s: float | None
    """Estimate until the whole benchmark ends."""
    gpu: GpuSample | None = None
    host: HostSample | None = None


class MeasurementFinished(Tolerant):
    """A measurement process ended; the figures are those of the result file."""

    event: Literal["measurement_finished"] = "measurement_finished"
    name: str
    block: int
    valid: bool | None
    """LoadGen's own word; null when it never finished."""
    void_reasons: tuple[str, ...]
    throughput_samples_per_s: float | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None


class Remarked(Tolerant):
    """Something a reader of the numbers should know."""

    event: Literal["remarked"] = "remarked"
    message: str


class Finished(Tolerant):
    """The result file was written."""

    event: Literal["benchmark_finished"] = "benchmark_finished"
    result_file: str
    complete: bool
    good: int
    void: int


class Failed(Tolerant):
    """The benchmark ended without a full result."""

    event: Literal["benchmark_failed"] = "benchmark_failed"
    sentence: str
    remedy: str
    exit_code: int


ProgressRecord = (
    Started
    | Prepared
    | ProbesFinished
    | MeasurementStarted
    | PhaseEntered
    | Progressed
    | MeasurementFinished
    | Remarked
    | Finished
    | Failed
)

Emit = Callable[[ProgressRecord], None]

_ADAPTER: TypeAdapter[ProgressRecord] = TypeAdapter(
    Annotated[ProgressRecord, Field(discriminator="event")]
)


def parse_progress(line: str | bytes) -> ProgressRecord:
    """Read one line. Raises pydantic's ValidationError when it is no progress record."""
    return _ADAPTER.validate_json(line)
