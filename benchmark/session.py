"""A session: prepare once, then every measurement of the plan in a process of its own.

The session's process never imports torch. It samples telemetry beside the measuring process, and
after every measurement the result file on disk is whole, so that a stop keeps what there is.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmark.children import CHILD_MODULE, StopSwitch, make_folder, run_child
from benchmark.errors import MeasurementError, OutputError
from benchmark.estimate import Estimate
from benchmark.judge import Judge, Labels
from benchmark.measure import Outcome
from benchmark.plan import Measurement, Plan
from benchmark.probes import ProbeResult
from benchmark.probing import run_block_probes
from benchmark.progress import Emit, MeasurementStarted, Remarked, Started
from benchmark.protocol import OUTCOME_FILE, MeasureSpec, Prepared, PrepareSpec, ProbeSpec
from benchmark.results import RESULT_FILE, MeasurementResult, Result
from benchmark.telemetry import HostSource, NvmlSource, Sampler, TelemetryError
from benchmark.watch import Watch

MEASUREMENTS_FOLDER = "measurements"
_TELEMETRY_FILE = "telemetry.jsonl"


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
    child: str = CHILD_MODULE
    """The module that measuring processes run."""

    def run(self) -> Result:
        """Run everything and return the result that is on disk.

        Raises:
            Interrupted: asked to stop; finished measurements are on disk.
            InputError, WorkError: see their classes.
        """
        measurements = self.plan.measurements()
        total = len(measurements) * self.plan.repeats
        self.emit(Started(plan=self.plan, measurements=total))
        make_folder(self.output)
        if (self.output / RESULT_FILE).exists():
            raise OutputError(
                f"{self.output} already holds results, and raw files that belong to them.",
                "Choose another output folder.",
            )
        started_at = self.clock()
        prepared = self._prepare()
        gpu = self._open_gpu(prepared)
        try:
            labels = Labels(self.plan, self.output, self.run_id, self.leg, self.emit, self.clock)
            judge = Judge(labels, prepared, gpu, started_at)
            judge.announce()
            estimate = Estimate(self.plan)
            for block in range(1, self.plan.repeats + 1):
                if self.plan.probes:
                    judge.probes += self._probe(block, prepared, estimate)
                for measurement in measurements:
                    result = self._measure(measurement, block, total, judge, estimate)
                    judge.add(measurement, result)
            return judge.finish()
        finally:
            if gpu is not None:
                gpu.close()

    def _prepare(self) -> Prepared:
        folder = self.output / ".prepare"
        try:
            run_child(
                self.stop, folder, PrepareSpec(plan=self.plan), lambda _message: None, lambda: None
            )
            return Prepared.model_validate_json((folder / OUTCOME_FILE).read_bytes())
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _probe(self, block: int, prepared: Prepared, estimate: Estimate) -> tuple[ProbeResult, ...]:
        """Run a block's probes. Whatever becomes of them, the measurements follow.

        Raises:
            Interrupted: asked to stop.
        """
        spec = ProbeSpec(plan=self.plan, configuration=prepared.configuration, block=block)
        return run_block_probes(spec, self.output / ".probes", self.stop, self.emit, estimate)

    def _open_gpu(self, prepared: Prepared) -> NvmlSource | None:
        if not prepared.configuration.on_gpu:
            return None
        try:
            return NvmlSource.open(int(prepared.configuration.device.partition(":")[2]))
        except TelemetryError as error:
            self.emit(Remarked(message=f"No GPU telemetry: {error}"))
            return None

    def _measure(
        self,
        measurement: Measurement,
        block: int,
        total: int,
        judge: Judge,
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
        make_folder(folder)
        # Of a session that was stopped before it had a result; the sampler overwrites nothing.
        (folder / _TELEMETRY_FILE).unlink(missing_ok=True)
        watch = Watch(self.emit, measurement, block, folder, estimate)
        sampler = Sampler(judge.gpu, HostSource(), path=folder / _TELEMETRY_FILE)
        estimate.begin(measurement, spec.arrival_rate)
        death = ""
        with sampler:
            watch.sampler = sampler
            try:
                run_child(self.stop, folder, spec, watch.hear, watch.tick, self.child)
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
