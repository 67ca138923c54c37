"""Says events in words, a line each; figures always with their unit."""

from __future__ import annotations

from datetime import datetime

from benchmark import progress
from core.run import events
from core.run.events import Event
from core.text import duration, harmless

_PROGRESS_EVERY_S = 10.0


def progress_text(record: progress.Progressed) -> str:
    """Return how far the measurement under way is."""
    parts = [f"{record.name}: {record.phase}"]
    if record.samples_total:
        parts.append(f"{record.samples_done}/{record.samples_total} samples")
    if record.samples_per_s is not None:
        parts.append(f"{record.samples_per_s:.1f} samples/s")
    if record.remaining_s is not None:
        parts.append(f"about {duration(record.remaining_s)} left in all")
    return ", ".join(parts)


def finished_text(record: progress.MeasurementFinished) -> str:
    """Return a measurement's figures."""
    parts = [f"{record.name} (block {record.block})"]
    if record.throughput_samples_per_s is not None:
        parts.append(f"{record.throughput_samples_per_s:.2f} samples/s")
    parts += [
        f"{label} {value:.2f} ms"
        for label, value in (
            ("p50", record.p50_ms),
            ("p90", record.p90_ms),
            ("p99", record.p99_ms),
        )
        if value is not None
    ]
    if record.void_reasons:
        parts.append(f"VOID: {'; '.join(record.void_reasons)}")
    return harmless(", ".join(parts))


class Narrator:
    """Turns a stream into lines; says progress only so often."""

    def __init__(self) -> None:
        self._said_at: datetime | None = None
        self._phase = ""

    def lines(self, event: Event) -> list[str]:
        """Return the lines to print for one event, none for most progress."""
        record = event.record
        text = self._progress(event, record) if isinstance(record, progress.Progressed) else None
        if text is None:
            text = sentence(event)
        return [f"{event.time:%H:%M:%S} {harmless(text)}"] if text else []

    def _progress(self, event: Event, record: progress.Progressed) -> str:
        phase = f"{record.name}/{record.block}/{record.phase}"
        due = (
            phase != self._phase
            or self._said_at is None
            or (event.time - self._said_at).total_seconds() >= _PROGRESS_EVERY_S
        )
        if not due:
            return ""
        self._phase, self._said_at = phase, event.time
        return progress_text(record)


def sentence(event: Event) -> str:
    """Return what an event says to a person; empty for what only a display needs."""
    record = event.record
    match record:
        case events.RunCreated():
            return (
                f"Run {event.run}: target {record.target}, leg {record.leg}, "
                f"profile {record.profile}. Folder: {record.folder}. {record.note}"
            ).rstrip()
        case events.StageStarted():
            return f"[{event.stage}] started"
        case events.StageChecked() if not record.passed:
            kind = "not met" if record.required else "note"
            return f"[{event.stage}] {kind}: {record.name}: {record.detail}. {record.remedy}"
        case events.StageFinished():
            return f"[{event.stage}] done in {duration(record.seconds)}: {record.summary}"
        case events.StageFailed():
            return f"[{event.stage}] failed: {record.sentence} {record.remedy}"
        case events.StageStopped():
            return f"[{event.stage}] stopped after {duration(record.seconds)}"
        case events.StopRequested():
            return f"Asked to stop ({record.reason})"
        case events.RunFinished():
            words = (record.sentence, record.remedy, f"({duration(record.seconds)})")
            return " ".join(filter(None, words))
        case _:
            return _resource_sentence(record) or _benchmark_sentence(record)


def _resource_sentence(record: events.AnyRecord) -> str:
    match record:
        case events.ResourceIntended():
            return f"Creating {record.kind} {record.name} ({record.location})"
        case events.ResourceDeleted():
            return f"{record.kind} {record.name} is gone: {record.proof}"
        case events.LogStreamInterrupted():
            return f"The log of {record.source} broke off: {record.reason}"
        case events.LogStreamResumed():
            return f"The log of {record.source} goes on after {duration(record.seconds)}"
        case events.TeardownStarted():
            return f"Teardown: {', '.join(record.resources) or 'nothing to remove'}"
        case events.TeardownFinished() if record.left:
            names = "; ".join(
                f"{left.kind} {left.name}: {left.reason}. {left.delete_command}"
                for left in record.left
            )
            return f"Teardown ended, and this may be left: {names}"
        case events.TeardownFinished():
            return f"Teardown ended: nothing is left ({duration(record.seconds)})"
        case _:
            return ""


def _benchmark_sentence(record: events.AnyRecord) -> str:
    match record:
        case progress.Prepared():
            return (
                f"Device: {record.device_name}. Configuration: {record.configuration}; "
                f"weights {record.weights}. Hypervisor: {record.hypervisor}. "
                f"{record.hypervisor_reason}"
            )
        case progress.MeasurementStarted():
            return (
                f"[{record.position}/{record.total}] {record.scenario}, batch "
                f"{record.batch_size}, block {record.block}"
            )
        case progress.MeasurementFinished():
            return finished_text(record)
        case progress.Remarked():
            return f"Note: {record.message}"
        case _:
            return ""
