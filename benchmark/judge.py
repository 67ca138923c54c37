"""Collects a session's results, decides what is void, and keeps the result file on disk whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmark import attestation
from benchmark.environment import GpuInfo, gpu_info
from benchmark.errors import WorkError
from benchmark.measure import Outcome
from benchmark.plan import Execution, Measurement, Plan, Scenario
from benchmark.probes import ProbeResult
from benchmark.progress import Emit, Finished, MeasurementFinished, Remarked
from benchmark.progress import Prepared as PreparedRecord
from benchmark.protocol import Prepared
from benchmark.results import RESULT_FILE, MeasurementResult, Result, seal, write_result
from benchmark.telemetry import NvmlSource, Telemetry, Window, remarks, void_reasons


@dataclass(frozen=True, slots=True)
class Labels:
    """What a session's results are labelled with, and where they go."""

    plan: Plan
    output: Path
    run_id: str
    leg: str
    emit: Emit
    clock: Callable[[], datetime]


class Judge:
    """Collects results, decides what is void, and keeps the result file on disk whole."""

    def __init__(
        self,
        session: Labels,
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
        self.probes: list[ProbeResult] = []
        self._rates: dict[str, float] = {}
        self._offline: dict[tuple[int, Execution, bool], float] = {}

    def announce(self) -> None:
        """Say what is measured, with what, and under which hypervisor."""
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
        name = measurement.name
        given = server.arrival_rates.get(name) or self._rates.get(name)
        if given is not None:
            return given
        offline = self._offline.get(_path_of(measurement))
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
        """Return a measurement's record, judged by LoadGen, the telemetry and its own end."""
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
            **values,
            name=measurement.name,
            scenario=measurement.scenario,
            batch_size=measurement.batch_size,
            block=block,
            execution=outcome.execution if outcome else self._execution_of(measurement),
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

    def _execution_of(self, measurement: Measurement) -> Execution:
        """Return the path that a measurement without an outcome was to take."""
        if measurement.execution is self._session.plan.execution:
            return self.prepared.configuration.execution
        return measurement.execution

    def add(self, measurement: Measurement, result: MeasurementResult) -> None:
        """Take one result in, note its rates for Server, and write the file."""
        self.results.append(result)
        key = _path_of(measurement)
        if result.scenario is Scenario.OFFLINE and result.throughput_samples_per_s:
            self._offline.setdefault(key, result.throughput_samples_per_s)
        if result.arrival_rate_qps:
            self._rates.setdefault(measurement.name, result.arrival_rate_qps)
        self._session.emit(_finished_record(result))
        self._write(complete=False)

    def finish(self) -> Result:
        """Write the complete file.

        Raises:
            WorkError: there is no measurement that can be used.
        """
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
                "probes": tuple(self.probes),
            }
        )
        write_result(result, session.output / RESULT_FILE)
        return result


def _path_of(measurement: Measurement) -> tuple[int, Execution, bool]:
    return (measurement.batch_size, measurement.execution, measurement.host_to_device)


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
