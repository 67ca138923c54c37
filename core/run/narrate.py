"""Says events in words, a line each; figures always with their unit."""

from __future__ import annotations

from datetime import datetime

from benchmark import progress
from core.run import events
from core.run.events import Event
from core.text import amount, duration, harmless

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
    if device := _device(record):
        parts.append(device)
    return ", ".join(parts)


def _device(record: progress.Progressed) -> str:
    """Return what the GPU does, without one the CPU; nothing where nobody asked it."""
    gpu, host = record.gpu, record.host
    figures: tuple[tuple[float | None, str], ...] = ()
    if gpu is not None:
        figures = (
            (gpu.sm_clock_mhz, "MHz"),
            (gpu.power_watts, "W"),
            (gpu.temperature_celsius, "°C"),
            (gpu.utilization_percent, "%"),
        )
    elif host is not None:
        figures = ((host.cpu_percent, "%"), (host.steal_percent, "% steal"))
    known = [f"{value:.0f} {unit}" for value, unit in figures if value is not None]
    return f"{'CPU' if gpu is None else 'GPU'} {' '.join(known)}" if known else ""


def _stage_progress(event: Event, record: events.StageProgressed) -> str:
    figures = amount(record.done, record.total, record.unit)
    return f"[{event.stage}] {figures} {record.detail}".rstrip()


def _part_progress(event: Event, record: events.PartChanged) -> str:
    words = f"[{event.stage}] {record.kind} {record.name}: {record.detail}"
    if record.done is None:
        return words
    return f"{words} {amount(record.done, record.total, record.unit)}".rstrip()


def _cost(record: events.CostMetered) -> str:
    parts = [f"Cost: ${record.spent_usd:.4f} so far at ${record.usd_per_hour:.4f} per hour"]
    if record.projected_usd is not None:
        parts.append(f"about ${record.projected_usd:.4f} at the end")
    if record.budget_usd is not None:
        parts.append(f"budget ${record.budget_usd:.2f}")
    return f"{', '.join(parts)} (prices: {record.source})"


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
        self._said: dict[str, datetime] = {}

    def lines(self, event: Event) -> list[str]:
        """Return the lines to print for one event, none for most progress."""
        record = event.record
        match record:
            case progress.Progressed():
                text = self._progress(event, record)
            case events.StageProgressed():
                text = self._now_and_then(f"{event.stage}", event, _stage_progress(event, record))
            case events.PartChanged() if record.done is not None:
                text = self._now_and_then(
                    f"{record.kind} {record.name}", event, _part_progress(event, record)
                )
            case events.CostMetered():
                text = self._now_and_then("cost", event, _cost(record))
            case _:
                text = sentence(event)
        return [f"{event.time:%H:%M:%S} {harmless(text)}"] if text else []

    def _now_and_then(self, what: str, event: Event, text: str) -> str:
        before = self._said.get(what)
        if before is not None and (event.time - before).total_seconds() < _PROGRESS_EVERY_S:
            return ""
        self._said[what] = event.time
        return text

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
        case events.RunStarted() if record.resumed:
            return f"Resumed by process {record.pid}"
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


def _forecast(record: events.RunPlanned) -> str:
    steps = "; ".join(
        f"{step.name} {duration(step.seconds)} from {duration(step.starts_s)} on (${step.usd:.4f})"
        for step in record.steps
    )
    cost = "a price is not known" if record.usd is None else f"${record.usd:.4f}"
    limit = "" if record.budget_usd is None else f" of a budget of ${record.budget_usd:.2f}"
    return f"Expected: {duration(record.seconds)}, {cost}{limit} (prices: {record.source}). {steps}"


def _matters(record: events.PartChanged) -> bool:
    # Every step of an image begins and ends, mostly at once: that it is done is enough.
    return record.kind not in ("step", "layer") or record.state in ("ready", "failed")


def _resource_sentence(record: events.AnyRecord) -> str:
    match record:
        case events.PartChanged() if record.done is None and _matters(record):
            return f"{record.kind} {record.name}: {record.detail}"
        case events.CostWarned():
            return (
                f"{record.share:.0%} of the budget is spent, the teardown counted in: "
                f"${record.spent_usd:.4f} so far of ${record.budget_usd:.2f}"
            )
        case events.BillingStarted():
            return (
                f"{record.kind} {record.name} is billed ${record.usd_per_hour:.4f} an hour since "
                f"{record.since:%H:%M:%S}"
            )
        case events.BillingEnded():
            return f"{record.kind} {record.name} is billed no longer"
        case events.RunPlanned():
            return _forecast(record)
        case events.ResourceIntended():
            return f"Creating {record.kind} {record.name} ({record.location})"
        case events.ResourceCreated():
            return f"{record.kind} {record.name} is there"
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
        case progress.ProbesFinished():
            problems = "".join(f"; {problem}" for problem in record.problems)
            return f"Block {record.block}: {record.count} probes in {record.seconds} s{problems}"
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
