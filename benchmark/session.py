"""A session: prepare once, then every measurement of the plan in a process of its own.

The session's process never imports torch. It samples telemetry beside the measuring process, and
after every measurement the result file on disk is whole, so that a stop keeps what there is.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from benchmark import attestation
from benchmark.child import (
    OUTCOME_FILE,
    PROGRESS_FILE,
    SPEC_FILE,
    MeasureSpec,
    Prepared,
    PrepareSpec,
    ProgressFile,
)
from benchmark.environment import GpuInfo, gpu_info
from benchmark.errors import InputError, MeasurementError, ProblemError, WorkError, writing
from benchmark.estimate import Estimate
from benchmark.files import write_atomically
from benchmark.measure import Outcome
from benchmark.plan import Measurement, Plan, Scenario
from benchmark.progress import (
    Emit,
    Finished,
    MeasurementFinished,
    MeasurementStarted,
    PhaseEntered,
    Progressed,
    Remarked,
    Started,
)
from benchmark.progress import Prepared as PreparedRecord
from benchmark.results import RESULT_FILE, MeasurementResult, Result, seal, write_result
from benchmark.telemetry import (
    HostSource,
    NvmlSource,
    NvmlUnavailable,
    Sampler,
    Telemetry,
    TelemetryError,
    Window,
    remarks,
    void_reasons,
)

TICK_S = 0.5
MEASUREMENTS_FOLDER = "measurements"
_TELEMETRY_FILE = "telemetry.jsonl"


class Interrupted(Exception):
    """The session was asked to stop."""


@dataclass
class StopSwitch:
    """Turned by SIGTERM or SIGINT; whoever runs a child process watches it."""

    turned: bool = False
    child: subprocess.Popen[str] | None = None

    def listen(self) -> None:
        """Take SIGTERM and SIGINT over. Call on the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._turn)

    def _turn(self, _number: int, _frame: FrameType | None) -> None:
        self.turned = True
        if self.child is not None:
            end_group(self.child)


def end_group(child: subprocess.Popen[str]) -> None:
    """Kill a child and what it started: LoadGen knows no gentle end."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@dataclass
class Session:
    """Runs a plan into ``output``."""

    plan: Plan
    output: Path
    run_id: str
    leg: str
    emit: Emit
    stop: StopSwitch = field(default_factory=StopSwitch)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def run(self) -> Result:
        """Run everything and return the result that is on disk.

        Raises:
            Interrupted: asked to stop; finished measurements are on disk.
            InputError, WorkError: see their classes.
        """
        measurements = self.plan.measurements()
        total = len(measurements) * self.plan.repeats
        self.emit(Started(plan=self.plan, measurements=total))
        _make_folder(self.output)
        started_at = self.clock()
        prepared = self._prepare()
        gpu = self._open_gpu(prepared)
        try:
            judge = _Judge(self, prepared, gpu, started_at)
            judge.announce()
            estimate = Estimate(self.plan)
            for block in range(1, self.plan.repeats + 1):
                for measurement in measurements:
                    judge.add(self._measure(measurement, block, total, judge, estimate))
            return judge.finish()
        finally:
            if gpu is not None:
                gpu.close()

    def _prepare(self) -> Prepared:
        folder = self.output / ".prepare"
        self._run_child(folder, PrepareSpec(plan=self.plan), lambda _message: None, lambda: None)
        prepared = Prepared.model_validate_json((folder / OUTCOME_FILE).read_bytes())
        for name in (OUTCOME_FILE, SPEC_FILE):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
        return prepared

    def _open_gpu(self, prepared: Prepared) -> NvmlSource | None:
        if not prepared.configuration.on_gpu:
            return None
        try:
            return NvmlSource.open(int(prepared.configuration.device.partition(":")[2]))
        except (NvmlUnavailable, TelemetryError) as error:
            self.emit(Remarked(message=f"No GPU telemetry: {error}"))
            return None

    def _measure(
        self,
        measurement: Measurement,
        block: int,
        total: int,
        judge: _Judge,
        estimate: Estimate,
    ) -> MeasurementResult:
        position = len(judge.results) + 1
        self.emit(
            MeasurementStarted(
                name=measurement.name,
                scenario=measurement.scenario,
                batch_size=measurement.batch_size,
                block=block,
                position=position,
                total=total,
            )
        )
        folder = self.output / MEASUREMENTS_FOLDER / f"{measurement.name}-block{block}"
        spec = MeasureSpec(
            plan=self.plan,
            configuration=judge.prepared.configuration,
            weights=judge.prepared.weights,
            measurement=measurement,
            arrival_rate=judge.arrival_rate(measurement),
        )
        started_at = self.clock()
        _make_folder(folder)
        # An earlier session in the same output folder; the sampler overwrites nothing.
        (folder / _TELEMETRY_FILE).unlink(missing_ok=True)
        watch = _Watch(self, measurement, block, folder, estimate)
        sampler = Sampler(judge.gpu, HostSource(), path=folder / _TELEMETRY_FILE)
        estimate.begin(measurement, spec.arrival_rate)
        death = ""
        with sampler:
            watch.sampler = sampler
            try:
                self._run_child(folder, spec, watch.hear, watch.tick)
            except MeasurementError as error:
                death = error.sentence
            finally:
                watch.close()
        telemetry = sampler.stop()
        estimate.end()
        outcome = None
        if not death:
            outcome = Outcome.model_validate_json((folder / OUTCOME_FILE).read_bytes())
            (folder / OUTCOME_FILE).unlink()
        return judge.result_of(measurement, block, started_at, folder, outcome, telemetry, death)

    def _run_child(
        self,
        folder: Path,
        spec: PrepareSpec | MeasureSpec,
        hear: Callable[[dict[str, Any]], None],
        tick: Callable[[], None],
    ) -> None:
        """Run one child process to its end.

        Raises:
            Interrupted: the stop switch was turned.
            MeasurementError: the child died without a word.
            InputError, WorkError: the child said so.
        """
        _make_folder(folder)
        write_atomically(folder / SPEC_FILE, spec.model_dump_json(indent=1))
        if self.stop.turned:
            raise Interrupted
        child = subprocess.Popen(
            # -P: the user's working directory may hold a package of the same name.
            [sys.executable, "-P", "-m", "benchmark.child", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=_child_environment(self.plan),
            # A group of its own: a terminal's Ctrl-C must reach the session alone, and a stop
            # must reach the compilers that the child has started.
            start_new_session=True,
        )
        self.stop.child = child
        if self.stop.turned:
            end_group(child)
        failure: ProblemError | None = None
        for message in _messages(child, tick):
            if message.get("kind") == "failed":
                failure = _failure_of(message)
            else:
                hear(message)
        status = child.wait()
        self.stop.child = None
        if self.stop.turned:
            raise Interrupted
        if failure is not None:
            raise failure
        if status != 0:
            raise MeasurementError(f"The measurement process {_ending(status)}.")


class _Watch:
    """Turns what a measurement child says and counts into progress records."""

    def __init__(
        self,
        session: Session,
        measurement: Measurement,
        block: int,
        folder: Path,
        estimate: Estimate,
    ) -> None:
        self._session = session
        self._measurement = measurement
        self._block = block
        self._folder = folder
        self._estimate = estimate
        self._phase = "loading"
        self._phase_started = time.monotonic()
        self._total: int | None = None
        self._counters: ProgressFile | None = None
        self.sampler: Sampler | None = None

    def hear(self, message: dict[str, Any]) -> None:
        if message.get("kind") != "phase":
            return
        self._phase = message["phase"]
        self._phase_started = time.monotonic()
        self._total = message.get("total")
        self._estimate.phase(self._phase)
        self._session.emit(
            PhaseEntered(
                name=self._measurement.name,
                block=self._block,
                phase=message["phase"],
            )
        )

    def tick(self) -> None:
        done, nanoseconds = self._read()
        elapsed = time.monotonic() - self._phase_started
        measuring = self._phase == "measuring"
        latest = self.sampler.latest() if self.sampler else None
        rate = done / elapsed if measuring and done and elapsed > 0 else None
        self._session.emit(
            Progressed(
                name=self._measurement.name,
                block=self._block,
                phase=self._phase,
                elapsed_s=round(elapsed, 3),
                samples_done=done if measuring else 0,
                samples_total=self._total,
                samples_per_s=round(rate, 3) if rate else None,
                latest_batch_ms=round(nanoseconds / 1e6, 4) if nanoseconds else None,
                remaining_s=self._estimate.remaining(done, self._total),
                gpu=latest.gpu if latest else None,
                host=latest.host if latest else None,
            )
        )

    def close(self) -> None:
        if self._counters is not None:
            self._counters.close()
        (self._folder / PROGRESS_FILE).unlink(missing_ok=True)

    def _read(self) -> tuple[int, int]:
        if self._counters is None:
            path = self._folder / PROGRESS_FILE
            try:
                self._counters = ProgressFile(path, create=False)
            except (OSError, ValueError):
                return 0, 0
        return self._counters.read()


class _Judge:
    """Collects results, decides what is void, and keeps the result file on disk whole."""

    def __init__(
        self,
        session: Session,
        prepared: Prepared,
        gpu: NvmlSource | None,
        started_at: datetime,
    ) -> None:
        self._session = session
        self.prepared = prepared
        self.gpu = gpu
        self._identity = gpu.identity() if gpu is not None else None
        self._started_at = started_at
        self._attestation = attestation.collect(
            nvml_virtualization=self._identity.virtualization_mode if self._identity else None
        )
        self.results: list[MeasurementResult] = []
        self._rates: dict[tuple[Any, ...], float] = {}
        self._offline: dict[tuple[Any, ...], float] = {}

    def announce(self) -> None:
        configuration, weights = self.prepared.configuration, self.prepared.weights
        self._session.emit(
            PreparedRecord(
                device="cuda" if configuration.on_gpu else "cpu",
                device_name=self._gpu_info().name,
                configuration=(
                    f"{configuration.precision}, {configuration.memory_format}, "
                    f"{configuration.execution}, {configuration.threads} thread(s)"
                ),
                weights=weights.origin,
                hypervisor=str(self._attestation.hypervisor),
                hypervisor_reason=" ".join(self._attestation.explanation[:2]),
            )
        )
        if weights.note:
            self._session.emit(Remarked(message=f"Random weights: {weights.note}."))
        for contradiction in self._attestation.contradictions:
            self._session.emit(Remarked(message=f"Attestation: {contradiction}"))

    def arrival_rate(self, measurement: Measurement) -> float | None:
        """Return the given rate, an earlier block's, or the load times the Offline rate."""
        if measurement.scenario is not Scenario.SERVER:
            return None
        server = self._session.plan.server
        key = _path_of(measurement)
        given = server.arrival_rates.get(measurement.batch_size) or self._rates.get(key)
        if given is not None:
            return given
        offline = self._offline.get(key)
        return server.load * offline if offline is not None else None

    def result_of(
        self,
        measurement: Measurement,
        block: int,
        started_at: datetime,
        folder: Path,
        outcome: Outcome | None,
        telemetry: Telemetry,
        death: str,
    ) -> MeasurementResult:
        window = Window(start_s=outcome.window[0], end_s=outcome.window[1]) if outcome else None
        reasons = list(void_reasons(telemetry, window))
        if death:
            reasons.append(death.removesuffix("."))
        if outcome and not outcome.loadgen.valid:
            why = "; ".join(outcome.loadgen.invalid_reasons) or "it gave no reason"
            reasons.append(f"LoadGen called it INVALID: {why}")
        notes = list(remarks(telemetry, window))
        if outcome and not outcome.warm_up.settled:
            notes.append("throughput had not settled when the warm-up's time was over")
        relative = folder.relative_to(self._session.output)
        values = outcome.model_dump(exclude={"window", "execution", "raw_files"}) if outcome else {}
        return MeasurementResult(
            **{**_NOTHING, **values},
            name=measurement.name,
            scenario=measurement.scenario,
            batch_size=measurement.batch_size,
            block=block,
            execution=outcome.execution if outcome else measurement.execution,
            host_to_device=measurement.host_to_device,
            started_at=started_at,
            void=bool(reasons),
            void_reasons=tuple(reasons),
            remarks=tuple(notes),
            telemetry=telemetry.summary(window),
            raw_files=tuple(
                raw.model_copy(update={"path": str(relative / raw.path)})
                for raw in (outcome.raw_files if outcome else ())
            ),
        )

    def add(self, result: MeasurementResult) -> None:
        self.results.append(result)
        key = (result.batch_size, self._asked(result), result.host_to_device)
        if result.scenario is Scenario.OFFLINE and result.throughput_samples_per_s:
            self._offline.setdefault(key, result.throughput_samples_per_s)
        if result.arrival_rate_qps:
            self._rates.setdefault(key, result.arrival_rate_qps)
        self._session.emit(_finished_record(result))
        self._write(complete=False)

    def finish(self) -> Result:
        result = self._write(complete=True)
        good = sum(not measurement.void for measurement in self.results)
        if good == 0:
            reasons = self.results[0].void_reasons
            raise WorkError(
                f"No measurement can be used; the first is void because {reasons[0]}.",
                "The run's log has each one's reason.",
            )
        self._session.emit(
            Finished(
                result_file=str(self._session.output / RESULT_FILE),
                complete=True,
                good=good,
                void=len(self.results) - good,
            )
        )
        return result

    def _asked(self, result: MeasurementResult) -> str:
        """Return the execution path by the plan's word for it, as :func:`_path_of` has it."""
        asked = {m.name: m.execution for m in self._session.plan.measurements()}
        return str(asked[result.name])

    def _gpu_info(self) -> GpuInfo:
        return gpu_info(self.prepared.environment)

    def _write(self, *, complete: bool) -> Result:
        session, prepared = self._session, self.prepared
        result = seal(
            {
                "run_id": session.run_id,
                "leg": session.leg,
                "timestamp": session.clock(),
                "started_at": self._started_at,
                "complete": complete,
                "device": "cuda" if prepared.configuration.on_gpu else "cpu",
                "gpu_info": self._gpu_info(),
                "plan": session.plan,
                "configuration": prepared.configuration,
                "weights": prepared.weights,
                "environment": prepared.environment,
                "gpu": self._identity,
                "attestation": self._attestation,
                "benchmarks": tuple(self.results),
            }
        )
        write_result(result, session.output / RESULT_FILE)
        return result


_NOTHING: dict[str, Any] = {
    "duration_s": None,
    "loadgen": None,
    "queries": None,
    "samples": None,
    "throughput_samples_per_s": None,
    "latency": None,
    "arrival_rate_qps": None,
    "latency_bound_ms": None,
    "maximum_wait_ms": None,
    "batch_sizes": None,
    "warm_up": None,
    "correctness": None,
    "engine": {},
    "build_s": None,
}


def _path_of(measurement: Measurement) -> tuple[Any, ...]:
    return (measurement.batch_size, str(measurement.execution), measurement.host_to_device)


def _finished_record(result: MeasurementResult) -> MeasurementFinished:
    def shown(percentile: float) -> float | None:
        found = result.latency.milliseconds(percentile) if result.latency else None
        return found.milliseconds if found else None

    return MeasurementFinished(
        name=result.name,
        block=result.block,
        valid=result.loadgen.valid if result.loadgen else None,
        void_reasons=result.void_reasons,
        throughput_samples_per_s=result.throughput_samples_per_s,
        p50_ms=shown(0.5),
        p90_ms=shown(0.9),
        p99_ms=shown(0.99),
    )


def _make_folder(folder: Path) -> None:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _child_environment(plan: Plan) -> dict[str, str]:
    # OpenMP threads that spin while they wait make a busy machine ten times slower instead of
    # half as fast (seen on two CPUs with one competitor), and a hypervisor that takes a CPU away
    # is such a competitor: threads sleep unless the user says otherwise. The choice is recorded.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    here = str(Path(__file__).resolve().parents[1])
    environment["PYTHONPATH"] = os.pathsep.join(
        part for part in (here, environment.get("PYTHONPATH")) if part
    )
    if plan.threads:
        environment["OMP_NUM_THREADS"] = str(plan.threads)
    else:
        environment.pop("OMP_NUM_THREADS", None)
    return environment


def _messages(child: subprocess.Popen[str], tick: Callable[[], None]) -> Any:
    """Yield the child's messages, calling ``tick`` whenever TICK_S has passed."""
    assert child.stdout is not None
    stream = child.stdout
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, name="child-output", daemon=True).start()
    due = time.monotonic() + TICK_S
    while True:
        try:
            line = lines.get(timeout=max(0.0, due - time.monotonic()))
        except queue.Empty:
            tick()
            due = time.monotonic() + TICK_S
            continue
        if line is None:
            return
        try:
            message = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(message, dict):
            yield message


def _failure_of(message: dict[str, Any]) -> ProblemError:
    kind: type[ProblemError] = InputError if message.get("exit_code") == 2 else WorkError
    if message.get("this_only"):
        kind = MeasurementError
    return kind(str(message.get("sentence", "")), str(message.get("remedy", "")))


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    hint = ", perhaps for lack of memory" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"
