"""The probes of a block, this machine's own on its CPU, and what a result of one must hold."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from benchmark.configuration import Configuration
from benchmark.plan import Allocator, Execution, MemoryFormat, Precision
from benchmark.probes import COPIES, ProbeResult
from benchmark.probes.device import Device
from benchmark.probes.probe import Probe
from benchmark.probes.run import run_probes
from benchmark.probes.timing import Timer
from tests.benchmark.probes.stand_ins import StandInGpu, WorkClock

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
CPU_PROBES = (
    "syscall",
    "clock-read",
    "interruption",
    "wake-up",
    "context-switch",
    "cross-cpu",
    "page-fault",
    "host-allocation",
)


def configuration(device: str = "cpu") -> Configuration:
    return Configuration(
        device=device,
        precision=Precision.FP32,
        memory_format=MemoryFormat.CHANNELS_LAST,
        execution=Execution.EAGER,
        allocator=Allocator.SYSTEM,
        threads=1,
    )


def quick_timer() -> Timer:
    """A real clock, a small budget, and sleeps that end at once."""
    return Timer(budget_ns=5_000_000, sleep=lambda _seconds: None)


@pytest.fixture(scope="module")
def here() -> dict[str, ProbeResult]:
    """What the probes find on this machine, with little patience."""
    results = run_probes(configuration(), 2, timer=quick_timer(), now=lambda: NOON)
    found = {result.name: result for result in results}
    assert len(found) == len(results)
    return found


@pytest.mark.parametrize("name", CPU_PROBES)
def test_every_probe_of_a_cpu_gives_figures_here_or_its_reason(
    here: dict[str, ProbeResult], name: str
) -> None:
    result = here[name]
    if name == "cross-cpu" and len(os.sched_getaffinity(0)) == 1:
        assert "one CPU" in result.problem
        return
    assert result.problem == ""
    assert result.count >= 5
    assert result.block == 2
    assert result.median is not None


def test_figures_are_of_the_size_that_such_operations_have(here: dict[str, ProbeResult]) -> None:
    def median(name: str) -> float:
        figure = here[name].median
        assert figure is not None
        return figure

    # From the fastest machine there is to an emulated one on a busy host.
    assert 10 < median("syscall") < 1e6
    assert 0.2 < median("context-switch") < 1e6
    assert 20 < median("page-fault") < 1e7
    assert median("host-allocation") * 1e3 > 20 * median("page-fault")


def test_the_process_may_use_its_cpus_again(here: dict[str, ProbeResult]) -> None:
    before = os.sched_getaffinity(0)
    run_probes(configuration(), 1, timer=quick_timer())
    assert os.sched_getaffinity(0) == before
    assert here


def test_a_gpu_is_not_asked_where_the_model_runs_on_the_cpu(here: dict[str, ProbeResult]) -> None:
    assert here["launch"].problem == "the model runs on the CPU"
    assert not set(COPIES) & set(here)


def test_on_a_gpu_its_probes_come_with_those_of_the_cpu() -> None:
    clock = WorkClock()
    opened: list[StandInGpu] = []

    def open_device() -> Device:
        opened.append(StandInGpu(clock))
        return opened[-1]

    results = run_probes(
        configuration("cuda:0"), 1, timer=quick_timer(), open_device=open_device, stat=lambda: ""
    )
    names = [result.name for result in results]
    assert set(CPU_PROBES) | set(COPIES) | {"launch", "steal"} <= set(names)
    assert len(opened) == 1
    assert set(opened[0].copied) == set(COPIES.values())
    assert names.index("launch") > names.index("host-allocation")
    assert names[-1] == "steal"


@pytest.mark.parametrize("impossible", [float("inf"), float("nan"), -1.0])
def test_a_figure_that_cannot_be_is_its_own_probes_problem_and_loses_no_other(
    impossible: float,
) -> None:
    broken = Probe("syscall", "system call", "ns", lambda _timer: [2.0, impossible])
    result = broken.run(quick_timer(), 1, NOON)
    assert result.count == 0
    assert result.problem.startswith("its figures cannot be right: ")


FIGURES: dict[str, Any] = {"count": 9, "minimum": 1.0, "median": 2.0, "p90": 3.0, "p99": 4.0}


def record(**values: Any) -> ProbeResult:
    fields = {"name": "launch", "title": "launch", "unit": "us", "block": 1, "started_at": NOON}
    return ProbeResult.model_validate(fields | values)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"problem": "why", **FIGURES},
        {**FIGURES, "count": 0},
        {**FIGURES, "median": None},
        {**FIGURES, "p99": 2.5},
        {**FIGURES, "minimum": -1.0},
        {**FIGURES, "p99": float("inf")},
        {**FIGURES, "name": "../up"},
        {**FIGURES, "unit": "parsec"},
        {**FIGURES, "block": 0},
        {**FIGURES, "surprise": 1},
    ],
    ids=str,
)
def test_a_result_that_contradicts_itself_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        record(**values)


def test_figures_and_reasons_survive_their_json() -> None:
    for result in (record(**FIGURES, parameters={"bytes": 4096}), record(problem="no GPU")):
        assert ProbeResult.model_validate_json(result.model_dump_json()) == result
