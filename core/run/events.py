"""The one stream of typed events. The journal stores it; every view is made of it.

Facts in the past tense. What the benchmark says (benchmark.progress) is part of the stream as it
was said.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from benchmark import progress
from benchmark.validation import Tolerant
from core.run.cost_events import BilledItem as BilledItem
from core.run.cost_events import BillingEnded as BillingEnded
from core.run.cost_events import BillingStarted as BillingStarted
from core.run.cost_events import CostMetered as CostMetered
from core.run.cost_events import CostWarned as CostWarned
from core.run.cost_events import ForecastStep as ForecastStep
from core.run.cost_events import RunPlanned as RunPlanned


class Stage(StrEnum):
    """The steps that a run can have, in the order in which people think of them."""

    PREFLIGHT = "preflight"
    CLUSTER = "cluster"
    DRIVERS = "drivers"
    IMAGE = "image"
    JOB = "job"
    RESULTS = "results"
    TEARDOWN = "teardown"


class RunState(StrEnum):
    """Where a run stands. ``died`` is never stored: it is seen by the missing process."""

    CREATED = "created"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    DIED = "died"

    @property
    def ended(self) -> bool:
        return self not in (RunState.CREATED, RunState.RUNNING)


class RunCreated(Tolerant):
    """The run was written down; nothing was started yet."""

    event: Literal["run_created"] = "run_created"
    target: str
    leg: str
    profile: str
    folder: str
    stages: tuple[Stage, ...]
    command: str
    """The headless command that does the same."""
    note: str = ""
    """Where the plan's Server arrival rates come from, if from another run."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Every setting as the run's own process and its teardown must have it."""


class RunStarted(Tolerant):
    """The run's own process is at work."""

    event: Literal["run_started"] = "run_started"
    pid: int
    version: str
    resumed: bool = False
    """A process before it was killed; this one goes on from the journal."""


class StageStarted(Tolerant):
    """A stage began."""

    event: Literal["stage_started"] = "stage_started"


class StageChecked(Tolerant):
    """A stage looked at one condition."""

    event: Literal["stage_checked"] = "stage_checked"
    name: str
    passed: bool
    detail: str
    remedy: str = ""
    required: bool = True
    """False: worth knowing, stops nothing."""


class StageFinished(Tolerant):
    """A stage did its work."""

    event: Literal["stage_finished"] = "stage_finished"
    seconds: float
    summary: str


class StageFailed(Tolerant):
    """A stage failed; the run ends."""

    event: Literal["stage_failed"] = "stage_failed"
    seconds: float
    sentence: str
    remedy: str


class StageStopped(Tolerant):
    """A stage was stopped before its end because the run ends."""

    event: Literal["stage_stopped"] = "stage_stopped"
    seconds: float


class StopRequested(Tolerant):
    """Somebody asked the run to end."""

    event: Literal["stop_requested"] = "stop_requested"
    reason: str
    is_failure: bool = False
    """It was the run's own watch, for a limit that is reached: the run fails with this reason."""
    remedy: str = ""


class StageProgressed(Tolerant):
    """How far a stage is that does not measure: an image's bytes, a cluster's operations."""

    event: Literal["stage_progressed"] = "stage_progressed"
    done: float
    total: float | None
    unit: str
    """What is counted: ``bytes``, ``nodes`` ..."""
    detail: str = ""


class PartChanged(Tolerant):
    """One of several things that a stage works on or waits for changed: a node whose driver is
    installed, a layer of an image, the Job, its pod.
    """

    event: Literal["part_changed"] = "part_changed"
    kind: str
    """``node``, ``layer``, ``job``, ``pod`` ..."""
    name: str
    """Unique among the stage's parts of that kind."""
    state: Literal["waiting", "working", "ready", "failed", "gone"]
    """waiting: for something that ``detail`` names; working: it makes progress by itself."""
    detail: str
    """What it does, or why it waits, in words."""
    done: float | None = None
    total: float | None = None
    unit: str = ""


class ResourceIntended(Tolerant):
    """Something that costs money or outlives its creator is about to be created."""

    event: Literal["resource_intended"] = "resource_intended"
    kind: str
    """``process``, ``cluster``, ``node pool``, ``disk``, ``image``, ``job``, ``domain`` ..."""
    name: str
    """Unique among the run's resources of that kind."""
    location: str = ""
    """Where it is: zone, namespace, host; for a process its host and boot."""
    usd_per_hour: float = 0.0
    delete_command: str
    """What removes it by hand."""


class ResourceCreated(Tolerant):
    """It is there."""

    event: Literal["resource_created"] = "resource_created"
    kind: str
    name: str
    identity: str
    """What its provider knows it by; for a process ``pid:start time``."""


class ResourceDeleted(Tolerant):
    """It is gone, and that was asked for and answered, not assumed."""

    event: Literal["resource_deleted"] = "resource_deleted"
    kind: str
    name: str
    proof: str
    """Who was asked and what the answer was."""


class LogStreamInterrupted(Tolerant):
    """A source of log lines went away before its end."""

    event: Literal["log_stream_interrupted"] = "log_stream_interrupted"
    source: str
    reason: str


class LogStreamResumed(Tolerant):
    """The source is back; its lines go on where they broke off."""

    event: Literal["log_stream_resumed"] = "log_stream_resumed"
    source: str
    seconds: float
    """How long it was away."""


class TeardownStarted(Tolerant):
    """Everything that the run left is being removed."""

    event: Literal["teardown_started"] = "teardown_started"
    resources: tuple[str, ...]
    """``kind name``, in the order of removal."""


class Left(Tolerant):
    """What a teardown could not prove gone."""

    kind: str
    name: str
    reason: str
    delete_command: str


class TeardownFinished(Tolerant):
    """The teardown came to its end."""

    event: Literal["teardown_finished"] = "teardown_finished"
    left: tuple[Left, ...]
    """Empty: nothing is left, each proved by a ``resource_deleted``."""
    seconds: float


class ResultsStored(Tolerant):
    """The result file was checked and stands where it belongs."""

    event: Literal["results_stored"] = "results_stored"
    result_file: str
    latest: str
    """The leg's folder, which now leads to this run."""
    good: int
    void: int


class RunFinished(Tolerant):
    """The run ended; only a teardown may follow."""

    event: Literal["run_finished"] = "run_finished"
    state: RunState
    exit_code: int
    seconds: float
    sentence: str
    remedy: str = ""


class Unrecognised(Tolerant):
    """An event of a newer version: it is passed on as it is and means nothing here."""

    event: str


RunRecord = (
    RunCreated
    | RunStarted
    | StageStarted
    | StageChecked
    | StageFinished
    | StageFailed
    | StageStopped
    | StopRequested
    | StageProgressed
    | PartChanged
    | ResourceIntended
    | ResourceCreated
    | ResourceDeleted
    | CostMetered
    | BillingStarted
    | BillingEnded
    | CostWarned
    | RunPlanned
    | LogStreamInterrupted
    | LogStreamResumed
    | TeardownStarted
    | TeardownFinished
    | ResultsStored
    | RunFinished
)
KnownRecord = RunRecord | progress.ProgressRecord
AnyRecord = KnownRecord | Unrecognised

_ADAPTER: TypeAdapter[KnownRecord] = TypeAdapter(
    Annotated[KnownRecord, Field(discriminator="event")]
)


def _record(document: dict[str, Any]) -> AnyRecord:
    try:
        return _ADAPTER.validate_python(document)
    except ValidationError as error:
        if any(detail["type"] == "union_tag_invalid" for detail in error.errors()):
            return Unrecognised.model_validate(document)
        raise


@dataclass(frozen=True, slots=True)
class Event:
    """A record with its place: which run, which stage, when, and how far the log was then."""

    sequence: int
    """1 for the run's first event, without gaps."""
    run: str
    time: datetime
    stage: Stage | None
    log_position: int
    """Bytes of deployment.log that were written before."""
    record: AnyRecord

    def to_line(self) -> str:
        """Return the event as the one JSON line that the journal stores and stdout prints."""
        return json.dumps(
            {
                "sequence": self.sequence,
                "run": self.run,
                "time": self.time.isoformat(timespec="milliseconds"),
                "stage": self.stage,
                "log_position": self.log_position,
                **self.record.model_dump(mode="json"),
            },
            ensure_ascii=True,
            separators=(",", ":"),
        )


def parse_event(line: str) -> Event:
    """Read one line back. Raises ValueError when it is no event."""
    document: dict[str, Any] = json.loads(line)
    if not isinstance(document, dict):
        raise ValueError("an event is a JSON object")
    try:
        return Event(
            sequence=int(document.pop("sequence")),
            run=str(document.pop("run")),
            time=datetime.fromisoformat(document.pop("time")),
            stage=Stage(stage) if (stage := document.pop("stage")) is not None else None,
            log_position=int(document.pop("log_position")),
            record=_record(document),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"an event lacks {error}") from error
