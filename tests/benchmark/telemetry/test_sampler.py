import json
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pynvml
import pytest

from benchmark.telemetry import (
    GpuIdentity,
    GpuSample,
    HostSample,
    HostSource,
    NvmlSource,
    Sampler,
    SamplesUnreadable,
    Telemetry,
    read_telemetry,
)
from tests.benchmark.telemetry.fake_nvml import FakeGpu, FakeNvml

STARTED_S = 5000.0


class Time:
    """A clock that moves only when somebody waits, and asks to stop after some beats."""

    def __init__(self, beats: int) -> None:
        self.now = STARTED_S
        self.left = beats
        self.waited: list[float] = []
        self.over = threading.Event()

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        self.now += seconds
        self.left -= 1
        if self.left <= 0:
            self.over.set()
        return self.left <= 0


class Host:
    """A host that answers by a script."""

    def __init__(self, answer: Callable[[float], HostSample] | None = None) -> None:
        self.answer = answer or (lambda time_s: HostSample(time_s=time_s, load_1m=1.0))

    def sample(self, time_s: float) -> HostSample:
        return self.answer(time_s)


class Gpu:
    """A GPU that answers by a script."""

    def __init__(self, answer: Callable[[float], GpuSample] | None = None) -> None:
        self.answer = answer or (lambda time_s: GpuSample(time_s=time_s, sm_clock_mhz=1590))
        self.own: list[list[int]] = []

    def identity(self) -> GpuIdentity:
        return GpuIdentity(name="Tesla T4")

    def sample(self, own_pids: Iterable[int], time_s: float) -> GpuSample:
        self.own.append(list(own_pids))
        return self.answer(time_s)


def record(
    beats: int,
    gpu: Gpu | NvmlSource | None = None,
    host: Host | HostSource | None = None,
    *,
    time: Time | None = None,
    **options: Any,
) -> Telemetry:
    """A recording of so many beats, and the last sample that stopping takes."""
    time = time or Time(beats)
    sampler = Sampler(gpu, host or Host(), clock=time.clock, wait=time.wait, **options)
    sampler.start()
    assert time.over.wait(60)
    return sampler.stop()


def times(samples: Iterable[GpuSample | HostSample]) -> list[float]:
    return [round(sample.time_s, 6) for sample in samples]


def test_samples_are_taken_at_the_interval_and_once_more_at_the_end() -> None:
    telemetry = record(3, Gpu(), interval_s=0.5)
    assert times(telemetry.gpu) == times(telemetry.host) == [0.0, 0.5, 1.0, 1.5]
    assert telemetry.started_monotonic_s == STARTED_S
    assert telemetry.identity == GpuIdentity(name="Tesla T4")
    assert telemetry.gpu_watched
    assert telemetry.failures == ()


def test_without_a_gpu_the_host_is_recorded_alone() -> None:
    telemetry = record(2)
    assert not telemetry.gpu_watched
    assert (len(telemetry.gpu), len(telemetry.host)) == (0, 3)
    assert telemetry.identity is None


def test_missed_beats_are_skipped_and_not_made_up_for() -> None:
    time = Time(3)

    def slow_once(time_s: float) -> HostSample:
        if time_s == 0:
            time.now += 1.3
        return HostSample(time_s=time_s)

    telemetry = record(3, host=Host(slow_once), time=time, interval_s=0.5)
    assert times(telemetry.host) == [0.0, 1.5, 2.0, 2.5]
    assert [round(seconds, 6) for seconds in time.waited] == [0.2, 0.5, 0.5]


def test_this_process_is_ours_unless_told_otherwise() -> None:
    gpu = Gpu()
    record(1, gpu, own_pids=lambda: [42, 43])
    assert gpu.own == [[42, 43], [42, 43]]


def test_a_source_that_fails_is_noted_and_asked_again() -> None:
    def failing_twice(time_s: float) -> GpuSample:
        if time_s < 0.3:
            raise RuntimeError("no answer")
        return GpuSample(time_s=time_s)

    telemetry = record(4, Gpu(failing_twice))
    assert times(telemetry.gpu) == [0.4, 0.6, 0.8]
    assert len(telemetry.host) == 5
    (failure,) = telemetry.failures
    assert (failure.source, failure.first_time_s, failure.count) == ("gpu", 0.0, 2)
    assert failure.message == "RuntimeError: no answer"


def test_a_driver_that_goes_away_in_the_middle_ends_neither_recording_nor_run() -> None:
    nvml = FakeNvml(FakeGpu())
    beats = 0

    def host(time_s: float) -> HostSample:
        nonlocal beats
        beats += 1
        if beats == 3:
            nvml.gone = pynvml.NVML_ERROR_UNINITIALIZED
        return HostSample(time_s=time_s)

    with NvmlSource.open(nvml=nvml, environment={}) as source:
        telemetry = record(5, source, Host(host))
    assert (len(telemetry.gpu), len(telemetry.host)) == (3, 6)
    assert telemetry.failures[0].count == 3
    assert "stopped answering" in telemetry.failures[0].message


def test_even_a_source_whose_identity_and_pids_fail_is_only_noted() -> None:
    class Broken(Gpu):
        def identity(self) -> GpuIdentity:
            raise ValueError("identity")

    def no_pids() -> list[int]:
        raise OSError("pids")

    telemetry = record(1, Broken(), own_pids=no_pids)
    assert telemetry.identity is None
    assert telemetry.gpu == ()
    assert [failure.count for failure in telemetry.failures] == [3]


def test_the_latest_samples_and_the_recording_so_far_can_be_seen_while_it_runs() -> None:
    reached, go = threading.Event(), threading.Event()

    def wait(_: float) -> bool:
        reached.set()
        return go.wait(60)

    sampler = Sampler(Gpu(), Host(), clock=lambda: STARTED_S, wait=wait)
    assert sampler.latest() == (None, None)
    with sampler:
        assert reached.wait(60)
        latest = sampler.latest()
        assert latest.gpu is not None
        assert latest.gpu.sm_clock_mhz == 1590
        assert latest.host is not None
        assert len(sampler.recording().gpu) == 1
        go.set()
    assert len(sampler.stop().gpu) == 2


def test_stopping_wakes_a_sampler_that_waits_for_its_next_beat() -> None:
    with Sampler(None, HostSource(), interval_s=3600) as sampler:
        pass
    telemetry = sampler.stop()
    assert 1 <= len(telemetry.host) <= 2
    assert telemetry.failures == ()


def test_a_sampler_that_never_started_has_an_empty_recording() -> None:
    telemetry = Sampler(None, Host()).stop()
    assert telemetry.host == ()


def test_starting_twice_is_starting_once() -> None:
    time = Time(2)
    sampler = Sampler(None, Host(), clock=time.clock, wait=time.wait)
    sampler.start().start()
    assert time.over.wait(60)
    assert len(sampler.stop().host) == 3


def test_memory_is_bounded_and_the_whole_span_stays_covered() -> None:
    telemetry = record(1000, Gpu(), capacity=40, interval_s=1)
    assert 10 <= len(telemetry.gpu) <= 40
    assert 10 <= len(telemetry.host) <= 40
    kept = times(telemetry.gpu)
    assert kept == sorted(kept)
    assert kept[0] == 0
    assert kept[-1] == 1000
    assert len(telemetry.gpu) + len(telemetry.host) + telemetry.dropped_samples == 2002


def test_an_xid_error_outlives_the_thinning() -> None:
    def answer(time_s: float) -> GpuSample:
        return GpuSample(time_s=time_s, xid_errors=(79,) if time_s == 33 else ())

    telemetry = record(1000, Gpu(answer), capacity=40, interval_s=1)
    assert [sample.time_s for sample in telemetry.gpu if sample.xid_errors] == [33]


def test_a_storm_of_xid_errors_is_bounded_too() -> None:
    storm = Gpu(lambda time_s: GpuSample(time_s=time_s, xid_errors=(13,)))
    assert len(record(500, storm, capacity=40).gpu) <= 40


def test_nonsense_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="interval"):
        Sampler(None, Host(), interval_s=0)


def test_the_file_holds_every_sample_and_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.jsonl"
    gpu = Gpu(lambda time_s: GpuSample(time_s=time_s, foreign_processes=None, xid_errors=(31,)))
    telemetry = record(5, gpu, path=path)
    assert read_telemetry(path) == telemetry
    kinds = [json.loads(text)["kind"] for text in path.read_text().splitlines()]
    assert kinds == ["start", "identity", *["gpu", "host"] * 6]


def test_thinning_takes_nothing_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.jsonl"
    record(200, path=path, capacity=10)
    assert len(read_telemetry(path).host) == 201


def test_every_sample_is_on_disk_as_soon_as_it_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.jsonl"
    seen: list[int] = []
    time = Time(3)

    def wait(seconds: float) -> bool:
        seen.append(len(read_telemetry(path).host))
        return time.wait(seconds)

    sampler = Sampler(None, Host(), path=path, clock=time.clock, wait=wait)
    sampler.start()
    assert time.over.wait(60)
    sampler.stop()
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("cut", [1, 7, 30])
def test_a_file_cut_short_by_a_kill_is_read_up_to_there(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "telemetry.jsonl"
    telemetry = record(4, path=path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_telemetry(path).host == telemetry.host[:-1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "does not begin with a start line"),
        ("nonsense\n", "line 1"),
        ("[1]\n", "line 1: not a record"),
        ('{"kind":"host","time_s":1,"load":2}\n', "line 1, load"),
        ('{"kind":"weather"}\n', "line 1: a line of kind 'weather' does not belong here"),
    ],
)
def test_a_file_that_is_no_recording_is_one_clear_error(
    tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "telemetry.jsonl"
    path.write_text(content)
    with pytest.raises(SamplesUnreadable, match=said) as raised:
        read_telemetry(path)
    assert str(path) in str(raised.value)


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SamplesUnreadable, match="cannot be read"):
        read_telemetry(tmp_path / "none.jsonl")


def test_a_file_that_exists_is_left_alone_and_sampling_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.jsonl"
    path.write_text("mine")
    telemetry = record(2, path=path)
    assert path.read_text() == "mine"
    assert len(telemetry.host) == 3
    assert [failure.source for failure in telemetry.failures] == ["file"]


def test_a_full_disk_ends_the_file_and_not_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.jsonl"
    # A limit on file size takes a part of a line and then refuses, as a full disk does.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        telemetry = record(20, path=path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(telemetry.host) == 21
    assert [(failure.source, failure.count) for failure in telemetry.failures] == [("file", 1)]
    kept = read_telemetry(path).host
    assert 0 < len(kept) < 21
    assert kept == telemetry.host[: len(kept)]


def test_importing_brings_neither_nvml_nor_a_screen() -> None:
    code = (
        "import sys, benchmark.telemetry;"
        "print(sorted({'pynvml','textual','rich','torch','core','tui'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
