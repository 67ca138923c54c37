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


class RunStarted(Tolerant):
    """The run's own process is at work."""

    event: Literal["run_started"] = "run_started"
    pid: int
    version: str


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


class ResultsStored(Tolerant):
    """The result file was checked and stands where it belongs."""

    event: Literal["results_stored"] = "results_stored"
    result_file: str
    latest: str
    """The leg's folder, which now leads to this run."""
    good: int
    void: int


class RunFinished(Tolerant):
    """The run ended; nothing follows."""

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
