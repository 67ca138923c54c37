"""The GPU's probes, on a stand-in whose every act takes a known time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmark.probes.device import CudaDevice, Device, absent_device_probes, device_probes
from benchmark.probes.model import COPIES, ProbeResult
from benchmark.probes.timing import Timer
from tests.benchmark.probes.stand_ins import StandInGpu, WorkClock

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
READING_US = 0.01


@pytest.fixture(scope="module")
def clock() -> WorkClock:
    return WorkClock()


@pytest.fixture(scope="module")
def gpu(clock: WorkClock) -> StandInGpu:
    return StandInGpu(clock)


@pytest.fixture(scope="module")
def found(clock: WorkClock, gpu: StandInGpu) -> dict[str, ProbeResult]:
    timer = clock.timer()
    results = [probe.run(timer, 3, NOON) for probe in device_probes(lambda: gpu)]
    return {result.name: result for result in results}


def median(result: ProbeResult) -> float:
    assert result.problem == ""
    assert result.median is not None
    return result.median


def test_a_launch_is_timed_without_waiting_for_it(found: dict[str, ProbeResult]) -> None:
    assert median(found["launch"]) == pytest.approx(3, rel=0.001)
    assert median(found["launch-wait"]) == pytest.approx(3 + 5 + READING_US)


def test_no_launch_is_left_waiting(found: dict[str, ProbeResult], gpu: StandInGpu) -> None:
    assert found["launch"].count
    assert gpu.waiting == 0


@pytest.mark.parametrize("name", COPIES)
def test_every_copy_is_timed_without_the_making_of_its_buffers(
    found: dict[str, ProbeResult], name: str
) -> None:
    copy = COPIES[name]
    a_mebibyte = 100 if copy.is_pinned else 300
    expected = 8 + a_mebibyte * copy.bytes / 2**20
    assert median(found[name]) == pytest.approx(expected, abs=0.02)
    assert found[name].parameters == {"bytes": copy.bytes}
    assert found[name].title == copy.title


def test_every_allocation_asks_the_driver(found: dict[str, ProbeResult]) -> None:
    assert median(found["device-allocation"]) == pytest.approx(200, abs=0.02)


def test_all_of_it_takes_less_than_two_and_a_half_seconds(
    found: dict[str, ProbeResult], clock: WorkClock
) -> None:
    assert len(found) == len(COPIES) + 3
    assert clock.now < 2.5e9


def test_the_copies_are_those_of_a_comparison() -> None:
    assert COPIES["h2d-pinned-1mib"].title == "host to device, pinned, 1 MiB"
    assert COPIES["d2h-pageable-4kib"].title == "device to host, pageable, 4 KiB"
    assert {copy.bytes for copy in COPIES.values()} == {2**12, 2**16, 2**20, 2**24, 2**26}
    assert len(COPIES) == 20


def test_a_gpu_that_cannot_be_opened_is_tried_once_and_every_probe_says_why() -> None:
    tried = 0

    def refuse() -> Device:
        nonlocal tried
        tried += 1
        raise RuntimeError("CUDA error:\n  no device")

    timer = WorkClock().timer()
    results = [probe.run(timer, 1, NOON) for probe in device_probes(refuse)]
    assert {result.problem for result in results} == {"RuntimeError: CUDA error: no device"}
    assert all(result.median is None and result.count == 0 for result in results)
    assert tried == 1


# Looked for without torch, whose import takes seconds where there is nothing to find.
@pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason="there is no NVIDIA driver")
def test_a_real_gpu_gives_every_figure() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("torch cannot use the GPU")
    timer = Timer(budget_ns=20_000_000)
    before = torch.cuda.current_stream(0)
    try:
        probes = device_probes(lambda: CudaDevice("cuda:0"))
        found = {probe.name: probe.run(timer, 1, NOON) for probe in probes}
    finally:
        torch.cuda.set_stream(before)
    assert [result.problem for result in found.values() if result.problem] == []
    assert 0.5 < median(found["launch"]) < median(found["launch-wait"]) < 1000
    assert median(found["h2d-pinned-64mib"]) < median(found["h2d-pageable-64mib"])
    assert median(found["h2d-pinned-64mib"]) > 2 * median(found["h2d-pinned-16mib"])


def test_a_probe_that_fails_leaves_the_others_alone() -> None:
    class Sick(StandInGpu):
        def allocate(self, size: int) -> None:
            raise MemoryError(f"no room for {size} bytes")

    clock = WorkClock()
    timer = clock.timer(budget_ns=5_000_000)
    results = [probe.run(timer, 1, NOON) for probe in device_probes(lambda: Sick(clock))]
    problems = {result.name: result.problem for result in results if result.problem}
    assert problems == {"device-allocation": "MemoryError: no room for 33554432 bytes"}


def test_without_a_gpu_each_kind_of_probe_says_why_there_is_nothing() -> None:
    timer = WorkClock().timer()
    results = [probe.run(timer, 1, NOON) for probe in absent_device_probes("no GPU here")]
    assert {result.problem for result in results} == {"no GPU here"}
    names = {result.name for result in results}
    assert {copy.kind for copy in COPIES.values()} < names
    assert {"launch", "launch-wait", "device-allocation"} < names
