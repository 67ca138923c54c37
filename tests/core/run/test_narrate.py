"""What a person hears of a run who reads lines instead of a screen."""

from __future__ import annotations

from datetime import timedelta

from benchmark.progress import ProbesFinished, Progressed
from benchmark.telemetry import GpuSample, HostSample
from core.run.events import AnyRecord, CostMetered, Event, Stage, StageProgressed
from core.run.narrate import Narrator
from tests.core.runs import NOON

COST = CostMetered(
    usd_per_hour=0.64, spent_usd=0.2, projected_usd=0.28, budget_usd=0.3, source="a table"
)
LAYERS = StageProgressed(done=3, total=8, unit="layers", detail="pushing")


def event(record: AnyRecord, seconds: float = 0.0, stage: Stage | None = None) -> Event:
    return Event(1, "run", NOON + timedelta(seconds=seconds), stage, 0, record)


def progressed(gpu: GpuSample | None, host: HostSample | None) -> Progressed:
    return Progressed(
        name="offline-b1",
        block=1,
        phase="measuring",
        elapsed_s=1,
        samples_done=1,
        samples_total=None,
        samples_per_s=None,
        latest_batch_ms=None,
        remaining_s=None,
        gpu=gpu,
        host=host,
    )


def test_cost_is_said_at_first_and_then_now_and_then() -> None:
    narrator = Narrator()
    (line,) = narrator.lines(event(COST))
    assert "$0.2000 so far at $0.6400 per hour, about $0.2800 at the end, budget $0.30" in line
    assert narrator.lines(event(COST, 9)) == []
    assert len(narrator.lines(event(COST, 10))) == 1


def test_the_progress_of_stages_side_by_side_is_said_for_each() -> None:
    narrator = Narrator()
    (image,) = narrator.lines(event(LAYERS, 0, Stage.IMAGE))
    assert image.endswith("[image] 3/8 layers pushing")
    assert len(narrator.lines(event(LAYERS, 1, Stage.CLUSTER))) == 1
    assert narrator.lines(event(LAYERS, 2, Stage.IMAGE)) == []


def test_the_device_is_said_with_the_measurements_progress() -> None:
    gpu = GpuSample(time_s=0, sm_clock_mhz=1590, temperature_celsius=65)
    host = HostSample(time_s=0, cpu_percent=97.4, steal_percent=3)
    (with_gpu,) = Narrator().lines(event(progressed(gpu, host)))
    assert with_gpu.endswith("measuring, GPU 1590 MHz 65 °C")
    (without,) = Narrator().lines(event(progressed(None, host)))
    assert without.endswith("measuring, CPU 97 % 3 % steal")
    (unknown,) = Narrator().lines(event(progressed(None, None)))
    assert unknown.endswith("measuring")


def test_the_probes_of_a_block_are_said_with_why_some_could_not_run() -> None:
    record = ProbesFinished(block=2, seconds=4.1, count=9, problems=("launch: there is no GPU",))
    (line,) = Narrator().lines(event(record))
    assert line.endswith("Block 2: 9 probes in 4.1 s; launch: there is no GPU")
