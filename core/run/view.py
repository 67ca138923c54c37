"""A run as its events tell it. STATUS.md, `show`, the live display and the console are made of it;
none of them knows anything that is not in the stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from benchmark import progress
from core.run import events
from core.run.events import Event, RunState, Stage


class StageState(StrEnum):
    """Where a stage stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass
class StageView:
    """One stage."""

    stage: Stage
    state: StageState = StageState.WAITING
    started_at: datetime | None = None
    seconds: float | None = None
    summary: str = ""
    sentence: str = ""
    """What happened, when it failed."""
    remedy: str = ""
    progress: events.StageProgressed | None = None
    parts: dict[tuple[str, str], events.PartChanged] = field(default_factory=dict)
    """By kind and name, in the order in which they were first seen."""
    checks: list[events.StageChecked] = field(default_factory=list)


@dataclass
class ResourceView:
    """One resource, from intent to proof."""

    intended: events.ResourceIntended
    identity: str = ""
    """Empty while it is not known whether it was created."""
    proof: str = ""
    """Not empty: it is gone."""

    @property
    def exists(self) -> bool:
        """Return whether it is there, or may be."""
        return not self.proof


@dataclass
class RunView:
    """The state that follows from the events applied so far."""

    id: str = ""
    target: str = ""
    leg: str = ""
    profile: str = ""
    folder: str = ""
    command: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    state: RunState = RunState.CREATED
    created_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    sentence: str = ""
    remedy: str = ""
    stages: dict[Stage, StageView] = field(default_factory=dict)
    prepared: progress.Prepared | None = None
    total: int = 0
    current: progress.MeasurementStarted | None = None
    latest: progress.Progressed | None = None
    measurements: list[progress.MeasurementFinished] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    result_file: str = ""
    resources: dict[tuple[str, str], ResourceView] = field(default_factory=dict)
    """By kind and name, in the order of their creation."""
    proofs: dict[tuple[str, str], str] = field(default_factory=dict)
    """By kind and name: why it is known to be gone. The run's own process is no resource of it, and
    yet something that a teardown ends."""
    cost: events.CostMetered | None = None
    forecast: events.RunPlanned | None = None
    broken_streams: dict[str, events.LogStreamInterrupted] = field(default_factory=dict)
    stopping: bool = False
    teardown: events.TeardownStarted | None = None
    torn_down: events.TeardownFinished | None = None

    @classmethod
    def of(cls, stream: Iterable[Event]) -> RunView:
        """Return the view after all of these events."""
        view = cls()
        for event in stream:
            view.apply(event)
        return view

    def apply(self, event: Event) -> None:
        """Take one more event in."""
        record = event.record
        if event.stage is not None:
            self._apply_stage(self._stage(event.stage), event)
        match record:
            case events.RunCreated():
                self.id, self.created_at = event.run, event.time
                self.target, self.leg, self.profile = record.target, record.leg, record.profile
                self.folder, self.command = record.folder, record.command
                self.settings = record.settings
                self.stages = {stage: StageView(stage) for stage in record.stages}
            case events.RunStarted():
                self._start(record)
            case events.ResultsStored():
                self.result_file = record.result_file
            case events.StopRequested():
                self.stopping = True
            case events.CostMetered():
                self.cost = record
            case events.RunPlanned():
                self.forecast = record
            case events.RunFinished():
                self.state, self.exit_code = record.state, record.exit_code
                self.sentence, self.remedy = record.sentence, record.remedy
                self.finished_at = event.time
            case _:
                self._apply_resource(record)
                self._apply_benchmark(record)

    @property
    def tearing_down(self) -> bool:
        """Return whether a teardown was begun and has not said its end."""
        return self.teardown is not None and self.torn_down is None

    def _start(self, record: events.RunStarted) -> None:
        self.state = RunState.RUNNING
        if not record.resumed:
            return
        # What was under way when its process was killed is begun anew; nothing of it goes on.
        self.stopping = False
        self.current = self.latest = None
        self.broken_streams.clear()
        for view in self.stages.values():
            if view.state is StageState.RUNNING:
                self.stages[view.stage] = StageView(view.stage)

    def _stage(self, stage: Stage) -> StageView:
        return self.stages.setdefault(stage, StageView(stage))

    def _apply_stage(self, view: StageView, event: Event) -> None:
        match event.record:
            case events.StageStarted():
                # Again, as a teardown may: nothing of the time before counts.
                self.stages[view.stage] = StageView(
                    view.stage, StageState.RUNNING, started_at=event.time
                )
            case events.StageChecked():
                view.checks.append(event.record)
            case events.StageFinished():
                view.state, view.seconds = StageState.DONE, event.record.seconds
                view.summary = event.record.summary
            case events.StageFailed():
                view.state, view.seconds = StageState.FAILED, event.record.seconds
                view.summary = f"{event.record.sentence} {event.record.remedy}".strip()
                view.sentence, view.remedy = event.record.sentence, event.record.remedy
            case events.StageProgressed():
                view.progress = event.record
            case events.PartChanged():
                view.parts[event.record.kind, event.record.name] = event.record
            case events.StageStopped():
                view.state, view.seconds = StageState.STOPPED, event.record.seconds
            case _:
                return

    def _apply_resource(self, record: events.AnyRecord) -> None:
        match record:
            case events.ResourceIntended():
                self.resources[record.kind, record.name] = ResourceView(record)
            case events.ResourceCreated():
                if resource := self.resources.get((record.kind, record.name)):
                    resource.identity = record.identity
            case events.ResourceDeleted():
                self.proofs[record.kind, record.name] = record.proof
                if resource := self.resources.get((record.kind, record.name)):
                    resource.proof = record.proof
            case events.LogStreamInterrupted():
                self.broken_streams[record.source] = record
            case events.LogStreamResumed():
                self.broken_streams.pop(record.source, None)
            case events.TeardownStarted():
                self.teardown, self.torn_down = record, None
                self.proofs.clear()
            case events.TeardownFinished():
                self.torn_down = record
            case _:
                return

    def _apply_benchmark(self, record: events.AnyRecord) -> None:
        match record:
            case progress.Started():
                self.total = record.measurements
            case progress.Prepared():
                self.prepared = record
            case progress.MeasurementStarted():
                self.current, self.latest = record, None
            case progress.Progressed():
                self.latest = record
            case progress.MeasurementFinished():
                self.measurements.append(record)
                self.current = self.latest = None
            case progress.Remarked():
                self.remarks.append(record.message)
            case _:
                return
