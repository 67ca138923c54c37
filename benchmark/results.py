"""The result file: its schema, its version, and reading it with suspicion.

``timestamp``, ``gpu_info`` and ``benchmarks`` are where the reference deployment had them.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, Field, ValidationError

from benchmark.attestation import Attestation
from benchmark.configuration import Configuration
from benchmark.correctness import Correctness
from benchmark.environment import Environment, GpuInfo
from benchmark.errors import ResultFileError
from benchmark.files import write_atomically
from benchmark.loadgen_log import LoadgenVerdict
from benchmark.model import WeightsRecord
from benchmark.percentiles import percentile_name
from benchmark.plan import LEG_PATTERN, RUN_ID_PATTERN, Execution, Plan, Scenario
from benchmark.probes.model import ProbeResult
from benchmark.telemetry import GpuIdentity, TelemetrySummary
from benchmark.validation import Record, sentence_of

SCHEMA_VERSION: Literal[1] = 1
RESULT_FILE = "benchmark_results.json"
NOTICE = "ResNet-50 v1.5; scenario names borrowed from MLPerf(R) Inference; not an MLPerf result."

# Reading is bounded: a result is some tens of kilobytes a measurement.
_LARGEST_FILE = 256 * 2**20
_DEEPEST = 50
"""Seven levels are what the schema has; what an engine says of itself may have a few more."""
_TOO_DEEP = f"it is nested more than {_DEEPEST} levels deep"


class Percentile(Record):
    """One percentile of the raw latencies."""

    name: str
    milliseconds: float
    supported: bool
    """False: advisory, there are fewer queries than LoadGen's early stopping asks for."""
    queries_needed: int


class Latency(Record):
    """Latencies in milliseconds, from the scheduled time."""

    of: Literal["query", "batch"]
    """Offline has a single query, so there a batch's time in the SUT stands for it."""
    count: int
    minimum_ms: float
    mean_ms: float
    maximum_ms: float
    percentiles: tuple[Percentile, ...]

    def milliseconds(self, percentile: float) -> Percentile | None:
        """Return one of the stored percentiles, by its fraction."""
        name = percentile_name(percentile)
        return next((entry for entry in self.percentiles if entry.name == name), None)


class WarmUp(Record):
    """What ran before LoadGen."""

    duration_s: float
    batches: int
    settled: bool
    samples_per_s: float
    """Median over the settled part, full batches back to back."""
    fastest_samples_per_s: float


class RawFile(Record):
    """A file beside the result, by its path from the result file's folder."""

    path: str
    sha256: str
    bytes: int
    holds: str
    """Its columns and units."""


class BatchSizes(Record):
    """How Server's dynamic batching filled its batches."""

    count: int
    mean: float
    largest: int


class MeasurementResult(Record):
    """One measurement: one scenario at one batch size in one process; null where it died before."""

    name: str
    scenario: Scenario
    batch_size: int
    block: int
    """1 for the first of the repeats."""
    execution: Execution
    host_to_device: bool
    started_at: AwareDatetime
    duration_s: float | None = None
    """LoadGen's timed part."""
    void: bool
    """Kept and shown, not used."""
    void_reasons: tuple[str, ...]
    remarks: tuple[str, ...]
    loadgen: LoadgenVerdict | None = None
    queries: int | None = None
    samples: int | None = None
    throughput_samples_per_s: float | None = None
    latency: Latency | None = None
    arrival_rate_qps: float | None = None
    latency_bound_ms: float | None = None
    maximum_wait_ms: float | None = None
    batch_sizes: BatchSizes | None = None
    warm_up: WarmUp | None = None
    correctness: Correctness | None = None
    engine: dict[str, Any] = Field(default_factory=dict)
    build_s: float | None = None
    """Loading, compiling and capturing, before the warm-up."""
    telemetry: TelemetrySummary | None = None
    raw_files: tuple[RawFile, ...] = ()


class Result(Record):
    """Everything needed to judge a run."""

    schema_version: Literal[1] = SCHEMA_VERSION
    notice: str = NOTICE
    run_id: str = Field(pattern=RUN_ID_PATTERN)
    leg: str = Field(pattern=LEG_PATTERN)
    timestamp: AwareDatetime
    """When the result was written."""
    started_at: AwareDatetime
    complete: bool
    """Whether every measurement of the plan is in it."""
    device: Literal["cpu", "cuda"]
    gpu_info: GpuInfo
    plan: Plan
    configuration: Configuration
    weights: WeightsRecord
    environment: Environment
    gpu: GpuIdentity | None
    attestation: Attestation
    benchmarks: tuple[MeasurementResult, ...]
    probes: tuple[ProbeResult, ...] = ()
    """What the operations below the model cost, by block; empty where the plan asked for none."""
    content_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Over the rest of the file, keys sorted: shows whether it was edited after it was written."""

    def arrival_rates(self) -> dict[str, float]:
        """Return the Server arrival rates that this run used, by measurement, in queries/s."""
        return {
            measurement.name: measurement.arrival_rate_qps
            for measurement in self.benchmarks
            if measurement.arrival_rate_qps is not None
        }


def content_sha256(document: dict[str, Any]) -> str:
    """Return the hash of a result's content, its own hash field left out."""
    rest = {key: value for key, value in document.items() if key != "content_sha256"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def seal(fields: dict[str, Any]) -> Result:
    """Return the result with these fields and the hash of its content."""
    draft = Result.model_validate({**fields, "content_sha256": "0" * 64})
    return draft.model_copy(update={"content_sha256": content_sha256(_document_of(draft))})


def write_result(result: Result, path: Path) -> None:
    """Write atomically. Raises DiskFullError or OutputError."""
    write_atomically(path, result_text(result))


def result_text(result: Result) -> str:
    """Return the file's content."""
    return json.dumps(_document_of(result), indent=1) + "\n"


def _document_of(result: Result) -> dict[str, Any]:
    """Return the file's content. A field that version 1 had not from the start is left out where
    it says nothing: a file from before it must keep its hash when it is written again.
    """
    document = result.model_dump(mode="json")
    if not result.probes:
        del document["probes"]
    if not result.plan.probes:
        del document["plan"]["probes"]
    return document


def read_result(path: Path) -> Result:
    """Read and check a result file.

    Raises:
        ResultFileError: missing, unreadable, not JSON, of another version, not in the schema, with
            figures that cannot be, or edited after it was written.
    """
    document = _read_document(path)
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ResultFileError(
            f"{path} has schema_version {version!r:.40}, and this program reads {SCHEMA_VERSION}.",
            "Use the version of gpubench-tui that wrote it."
            if isinstance(version, int)
            else "It is not a result file of gpubench-tui.",
        )
    try:
        result = Result.model_validate(document)
    except ValidationError as error:
        raise ResultFileError(
            f"{path} is not a valid result file: {sentence_of(error)}."
        ) from error
    if content_sha256(document) != result.content_sha256:
        raise ResultFileError(
            f"{path} was edited after it was written: its content does not match content_sha256.",
            "Use the file that the benchmark wrote.",
        )
    _check_figures(result, path)
    return result


def result_json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the result file."""
    schema = Result.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:gpubench-tui:benchmark-results:1",
        **schema,
    }


def _read_document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            # A device has no size and no end, so the size alone is no bound.
            large = path.stat().st_size > _LARGEST_FILE
            data = b"" if large else stream.read(_LARGEST_FILE + 1)
        if large or len(data) > _LARGEST_FILE:
            raise ResultFileError(
                f"{path} is larger than {_LARGEST_FILE >> 20} MiB, which no result file is."
            )
        text = data.decode("utf-8")
    except OSError as error:
        raise ResultFileError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ResultFileError(f"{path} is not a result file: it is not UTF-8 text.") from error
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
        _check_depth(document)
        # Half of a surrogate pair can be escaped in JSON, and nothing could write it again.
        json.dumps(document, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ResultFileError(f"{path} is not a result file: {_TOO_DEEP}.") from error
    except ValueError as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise ResultFileError(f"{path} is not a result file: {reason}.") from error
    if not isinstance(document, dict):
        raise ResultFileError(f"{path} is not a result file: it holds no JSON object.")
    return document


def _check_depth(document: Any) -> None:
    """Raise ValueError for a document so deep that whatever walks through it might not return."""
    level = [document]
    for _ in range(_DEEPEST):
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it holds {name}, which is not JSON")


def _check_figures(result: Result, path: Path) -> None:
    for measurement in result.benchmarks:
        figures: list[float | None] = [
            measurement.throughput_samples_per_s,
            measurement.duration_s,
            measurement.arrival_rate_qps,
        ]
        latency = measurement.latency
        if latency is not None:
            figures += [latency.minimum_ms, latency.mean_ms, latency.maximum_ms]
            figures += [entry.milliseconds for entry in latency.percentiles]
        if any(figure is not None and not 0 <= figure < math.inf for figure in figures):
            raise ResultFileError(
                f"{path} is not a valid result file: {measurement.name} has a negative or endless "
                "figure."
            )
