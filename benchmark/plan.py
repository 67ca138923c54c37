"""What is measured: the plan, which is stored with a run and travels unchanged to the SUT.

A profile is a plan in TOML. The sizes of the ``reference`` profile are far below MLPerf Inference's
(DESIGN.md section 2): scenario names are borrowed, results are not MLPerf results.
"""

from __future__ import annotations

import tomllib
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from benchmark.errors import PlanError
from benchmark.validation import Record, sentence_of, validate_typed

SHIPPED_PROFILES = ("reference", "quick")

# Labels of results; both are also names of folders.
LEG_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,40}$"
RUN_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$"

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=100_000_000)]
BatchSize = Annotated[int, Field(ge=1, le=4096)]


def _can_name_something(value: str) -> str:
    if not value or "\0" in value:
        raise ValueError("must not be empty or hold a NUL character")
    return value


Name = Annotated[str, AfterValidator(_can_name_something)]
Rate = Annotated[float, Field(gt=0, le=10_000_000, allow_inf_nan=False)]


class Scenario(StrEnum):
    """LoadGen's scenarios, with LoadGen's meaning."""

    OFFLINE = "Offline"
    SERVER = "Server"
    SINGLE_STREAM = "SingleStream"
    MULTI_STREAM = "MultiStream"


class Execution(StrEnum):
    """How the model's operators reach the device."""

    AUTO = "auto"
    EAGER = "eager"
    JIT = "jit"
    GRAPH = "graph"
    COMPILE = "compile"


class Precision(StrEnum):
    """The number format of weights and activations."""

    AUTO = "auto"
    FP32 = "fp32"
    TF32 = "tf32"
    FP16 = "fp16"
    BF16 = "bf16"


class MemoryFormat(StrEnum):
    """The layout of weights and activations."""

    AUTO = "auto"
    CHANNELS_LAST = "channels_last"
    CONTIGUOUS = "contiguous"


class Allocator(StrEnum):
    """What the C library does with freed memory; it decides a factor of two on a CPU."""

    AUTO = "auto"
    RETAIN = "retain"
    SYSTEM = "system"


class ScenarioPlan(Record):
    """One scenario at several batch sizes, along one or more execution paths."""

    scenario: Scenario
    batch_sizes: tuple[BatchSize, ...] = Field(default=(1,), min_length=1)
    duration_s: Seconds | None = None
    """Offline only: the SUT runs batches for at least this long."""
    query_count: Count | None = None
    """Every other scenario: how many queries LoadGen issues."""
    executions: tuple[Execution, ...] = Field(default=(), max_length=5)
    """Execution paths to measure apart from each other; empty means the plan's own."""
    host_to_device: tuple[bool, ...] = Field(default=(True,), min_length=1, max_length=2)
    """Whether a sample is copied to the device inside the timed part (a GPU only)."""

    @model_validator(mode="after")
    def _sizes_fit_the_scenario(self) -> Self:
        if self.scenario is Scenario.OFFLINE:
            if self.duration_s is None or self.query_count is not None:
                raise ValueError("Offline takes duration_s (seconds) and no query_count")
        elif self.query_count is None or self.duration_s is not None:
            raise ValueError(f"{self.scenario} takes query_count and no duration_s")
        if self.scenario is Scenario.SINGLE_STREAM and set(self.batch_sizes) != {1}:
            raise ValueError("SingleStream has one sample a query: batch_sizes must be [1]")
        return self


class Measurement(Record):
    """One scenario at one batch size along one path: what one process measures."""

    scenario: Scenario
    batch_size: BatchSize
    duration_s: Seconds | None
    query_count: Count | None
    execution: Execution
    host_to_device: bool
    name: str
    """Unique in the plan, and a folder name: ``offline-b8``."""


class WarmUpPlan(Record):
    """Warm-up runs until throughput (and the GPU's clock) have settled."""

    minimum_s: Seconds = 2.0
    maximum_s: Seconds = 20.0
    tolerance: float = Field(default=0.05, gt=0, lt=1)
    """Settled means: the last batch times spread less than this around their median."""

    @model_validator(mode="after")
    def _maximum_is_not_below_minimum(self) -> Self:
        if self.maximum_s < self.minimum_s:
            raise ValueError("maximum_s must not be below minimum_s")
        return self


class ServerPlan(Record):
    """How Server is loaded and how its SUT batches."""

    load: float = Field(default=0.6, gt=0, lt=1)
    """Arrival rate as a fraction of the same batch size's Offline rate in this run."""
    arrival_rates: dict[str, Rate] = Field(default_factory=dict)
    """Arrival rates by measurement (``server-b8``) in queries/s, taken from the first leg so that
    both carry the same load; one that is absent gets ``load`` times its Offline rate."""
    maximum_wait_ms: float = Field(default=2.0, ge=0, le=10_000, allow_inf_nan=False)
    """How long a sample may wait for others to fill its batch while the SUT is idle."""
    percentile: float = Field(default=0.99, ge=0.5, lt=1)
    """The percentile of LoadGen's latency bound; 0.99 needs at least 459 queries to be VALID."""
    latency_bound_ms: Seconds | None = None
    """LoadGen's latency bound. Absent: 50 times the full batch's time, at least 15 ms, which only a
    queue that grows without end exceeds."""


class Seeds(Record):
    """LoadGen's three random streams and the seed of synthetic images and weights."""

    sample_index: int = Field(default=1, ge=0, lt=2**63)
    schedule: int = Field(default=2, ge=0, lt=2**63)
    qsl: int = Field(default=3, ge=0, lt=2**63)
    data: int = Field(default=4, ge=0, lt=2**63)


class Plan(Record):
    """Everything that decides what is measured. ``auto`` is resolved beside the device, once."""

    profile: str = Field(default="custom", min_length=1, max_length=100)
    description: str = Field(default="", max_length=400)
    model: Literal["resnet50-v1.5"] = "resnet50-v1.5"
    scenarios: tuple[ScenarioPlan, ...] = Field(min_length=1)
    repeats: int = Field(default=1, ge=1, le=1000)
    """Blocks: each measurement runs in this many fresh processes."""
    probes: bool = False
    """Whether launches, copies, page faults and their like are timed alone before each block."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$")
    precision: Precision = Precision.AUTO
    memory_format: MemoryFormat = MemoryFormat.AUTO
    execution: Execution = Execution.AUTO
    allocator: Allocator = Allocator.AUTO
    threads: int = Field(default=0, ge=0, le=1024)
    """CPU threads of the model; 0 means one for each CPU this process may use."""
    weights: Name = "auto"
    """``auto`` (pretrained if it can be had, else random), ``pretrained``, ``random`` or a path."""
    dataset: Name = "synthetic"
    """``synthetic`` or a folder of images."""
    sample_count: Count = 256
    """Samples in the QSL. MLPerf uses 1,024 for ResNet-50."""
    server: ServerPlan = ServerPlan()
    warm_up: WarmUpPlan = WarmUpPlan()
    seeds: Seeds = Seeds()

    @model_validator(mode="after")
    def _measurements_are_possible(self) -> Self:
        names = [measurement.name for measurement in self.measurements()]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"the same measurement stands twice: {', '.join(repeated)}")
        servers = {m.name for m in self.measurements() if m.scenario is Scenario.SERVER}
        if strangers := sorted(self.server.arrival_rates.keys() - servers):
            raise ValueError(f"server.arrival_rates names no Server measurement: {strangers[0]}")
        for scenario_plan in self.scenarios:
            largest = max(scenario_plan.batch_sizes)
            if largest > self.sample_count:
                raise ValueError(
                    f"{scenario_plan.scenario} has batch size {largest}, larger than the QSL "
                    f"(sample_count = {self.sample_count})"
                )
        return self

    def measurements(self) -> tuple[Measurement, ...]:
        """Return one block's measurements in the order in which they run."""
        return tuple(
            Measurement(
                scenario=scenario_plan.scenario,
                batch_size=batch_size,
                duration_s=scenario_plan.duration_s,
                query_count=scenario_plan.query_count,
                execution=execution or self.execution,
                host_to_device=host_to_device,
                name=_measurement_name(scenario_plan, batch_size, execution, host_to_device),
            )
            for scenario_plan in self.scenarios
            for execution in scenario_plan.executions or (None,)
            for host_to_device in scenario_plan.host_to_device
            for batch_size in scenario_plan.batch_sizes
        )


def _measurement_name(
    scenario_plan: ScenarioPlan, batch_size: int, execution: Execution | None, copies: bool
) -> str:
    parts = [str(scenario_plan.scenario).lower(), f"b{batch_size}"]
    if execution is not None:
        parts.append(str(execution))
    if not copies:
        parts.append("resident")
    return "-".join(parts)


def load_profile(name_or_path: str) -> Plan:
    """Return the plan of a shipped profile or of a TOML file.

    Raises:
        PlanError: no such profile or file, not TOML, or a plan that cannot be run.
    """
    if name_or_path in SHIPPED_PROFILES:
        return _parse(shipped_profile_text(name_or_path), f"profile {name_or_path}")
    path = Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
        raise PlanError(
            f"Profile {name_or_path} cannot be read: {reason}.",
            f"Name a TOML file or one of: {', '.join(SHIPPED_PROFILES)}.",
        ) from error
    return _parse(text, name_or_path)


def shipped_profile_text(name: str) -> str:
    """Return the TOML text of a profile that ships with the program."""
    return (resources.files("benchmark") / "profiles" / f"{name}.toml").read_text(encoding="utf-8")


def make_plan(values: dict[str, Any], source: str) -> Plan:
    """Return the plan with these field values.

    Raises:
        PlanError: with every field that is wrong, in one sentence.
    """
    try:
        return validate_typed(Plan, values)
    except ValidationError as error:
        raise PlanError(f"{source} cannot be run: {sentence_of(error)}.") from error


def _parse(text: str, source: str) -> Plan:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{source} is not valid TOML: {error}.") from error
    except RecursionError as error:
        raise PlanError(f"{source} is not a plan: it is nested too deeply.") from error
    return make_plan(values, source)
