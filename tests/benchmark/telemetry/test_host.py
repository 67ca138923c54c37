from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.telemetry import HostSample, HostSource
from benchmark.telemetry.host import (
    CpuTimes,
    parse_cpu_times,
    parse_cpuinfo_mhz,
    parse_pressure,
    shares,
)
from tests.benchmark.telemetry.machines import CAPTURES, captured_machine, write

CPU = "sys/devices/system/cpu"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    return captured_machine(tmp_path)


def ticks(root: Path, **cpus: str) -> None:
    """Write /proc/stat; a line is user, nice, system, idle, iowait, irq, softirq, steal."""
    lines = [f"{name} {values} 0 0\n" for name, values in cpus.items()]
    write(root, "proc/stat", "".join(lines) + "intr 1 2 3\nctxt 9\n")


def test_this_machine_gives_a_sample() -> None:
    source = HostSource()
    sample = source.sample(0.0)
    assert sample.load_1m is not None
    assert sample.load_1m >= 0
    assert sample.cpu_frequency_mhz is None or 100 < sample.cpu_frequency_mhz < 10_000
    assert sample.cpu_percent is None
    assert source.sample(0.2).time_s == 0.2


def test_captured_files_are_read(machine: Path) -> None:
    assert HostSource(machine, cpus=[0, 1]).sample(3.0) == HostSample(
        time_s=3.0,
        cpu_frequency_mhz=2445.434,
        load_1m=float((CAPTURES / "loadavg").read_text().split()[0]),
        cpu_pressure_percent=float(
            (CAPTURES / "pressure_cpu").read_text().split()[1].removeprefix("avg10=")
        ),
        cpu_pressure_microseconds=int(
            (CAPTURES / "pressure_cpu").read_text().splitlines()[0].rpartition("=")[2]
        ),
    )


def test_shares_are_of_the_allowed_cpus_and_of_the_machine(machine: Path) -> None:
    ticks(machine, cpu="0 0 0 0 0 0 0 0", cpu0="0 0 0 0 0 0 0 0", cpu1="0 0 0 0 0 0 0 0")
    source = HostSource(machine, cpus=[1])
    source.sample()
    ticks(machine, cpu="60 0 0 120 0 0 0 20", cpu0="0 0 0 100 0 0 0 0", cpu1="60 0 0 20 0 0 0 20")
    sample = source.sample(1.0)
    assert (sample.cpu_percent, sample.steal_percent) == (60.0, 20.0)
    assert (sample.machine_cpu_percent, sample.machine_steal_percent) == (30.0, 10.0)


def test_time_spent_waiting_for_a_disk_is_idle(machine: Path) -> None:
    ticks(machine, cpu="0 0 0 0 0 0 0 0", cpu0="0 0 0 0 0 0 0 0")
    source = HostSource(machine, cpus=[0])
    source.sample()
    ticks(machine, cpu="25 0 0 25 50 0 0 0", cpu0="25 0 0 25 50 0 0 0")
    assert source.sample(1.0).cpu_percent == 25.0


def test_a_reading_too_soon_has_no_share_and_takes_nothing_from_the_next(machine: Path) -> None:
    source = HostSource(machine, cpus=[0])
    for idle, expected in ((0, None), (2, None), (20, 0.0)):
        ticks(machine, cpu=f"0 0 0 {idle} 0 0 0 0", cpu0=f"0 0 0 {idle} 0 0 0 0")
        assert source.sample().cpu_percent == expected


def test_an_allowed_cpu_that_is_offline_leaves_no_share_rather_than_a_wrong_one(
    machine: Path,
) -> None:
    source = HostSource(machine, cpus=[0, 5])
    source.sample()
    ticks(machine, cpu="99 0 0 0 0 0 0 0", cpu0="99 0 0 0 0 0 0 0")
    assert source.sample(1.0).cpu_percent is None


def test_frequency_is_the_mean_over_the_allowed_cpus(machine: Path) -> None:
    for cpu, kilohertz in ((0, 2_000_000), (1, 3_000_000), (2, 900_000)):
        write(machine, f"{CPU}/cpu{cpu}/cpufreq/scaling_cur_freq", f"{kilohertz}\n")
    assert HostSource(machine, cpus=[0, 1]).sample().cpu_frequency_mhz == 2500.0


def test_frequency_is_read_once_a_second_and_repeated_in_between(machine: Path) -> None:
    path = f"{CPU}/cpu0/cpufreq/scaling_cur_freq"
    write(machine, path, "2000000")
    source = HostSource(machine, cpus=[0])
    assert source.sample(0.0).cpu_frequency_mhz == 2000.0
    write(machine, path, "3000000")
    assert source.sample(0.9).cpu_frequency_mhz == 2000.0
    assert source.sample(1.0).cpu_frequency_mhz == 3000.0


def test_heat_is_counted_once_for_a_core_and_once_for_a_package(machine: Path) -> None:
    # Two packages, the first with one core of two threads.
    for cpu, package, core in ((0, 0, 0), (1, 0, 0), (2, 1, 0)):
        base = f"{CPU}/cpu{cpu}"
        write(machine, f"{base}/topology/physical_package_id", f"{package}\n")
        write(machine, f"{base}/topology/core_id", f"{core}\n")
        write(machine, f"{base}/thermal_throttle/core_throttle_count", "3\n")
        write(machine, f"{base}/thermal_throttle/package_throttle_count", "10\n")
    assert HostSource(machine, cpus=[0, 1]).sample().thermal_throttle_count == 13
    assert HostSource(machine, cpus=[0, 1, 2]).sample().thermal_throttle_count == 26


def test_a_machine_that_tells_nothing_gives_nulls(tmp_path: Path) -> None:
    source = HostSource(tmp_path, cpus=[0])
    assert source.sample(1.0) == HostSample(time_s=1.0)
    assert source.sample(2.0) == HostSample(time_s=2.0)


def test_files_full_of_nonsense_give_nulls(machine: Path) -> None:
    for path in ("proc/stat", "proc/loadavg", "proc/cpuinfo", "proc/pressure/cpu"):
        write(machine, path, "\x00 nonsense = : \n")
    write(machine, f"{CPU}/cpu0/cpufreq/scaling_cur_freq", "<unknown>\n")
    assert HostSource(machine, cpus=[0]).sample(1.0) == HostSample(time_s=1.0)


@settings(deadline=None)
@given(st.text())
def test_no_text_upsets_a_parser(content: str) -> None:
    for times in parse_cpu_times(content).values():
        assert isinstance(times, CpuTimes)
    for frequency in parse_cpuinfo_mhz(content).values():
        assert isinstance(frequency, float)
    parse_pressure(content)


@settings(deadline=None)
@given(st.lists(st.integers(min_value=0, max_value=10**9), min_size=8, max_size=10))
def test_cpu_times_are_read_back(values: list[int]) -> None:
    line = " ".join(map(str, values))
    expected = CpuTimes(sum(values[:8]), values[3] + values[4], values[7])
    assert parse_cpu_times(f"cpu  {line}\ncpu12 {line}\nintr 5\n") == {
        None: expected,
        12: expected,
    }


times = st.builds(CpuTimes, *[st.integers(min_value=0, max_value=10**12)] * 3)


@settings(deadline=None)
@given(times, times)
def test_shares_are_percentages_whatever_the_kernel_counts(
    before: CpuTimes, after: CpuTimes
) -> None:
    result = shares(before, after)
    if result is not None:
        busy, steal = result
        assert 0 <= busy <= 100
        assert 0 <= steal <= 100
        assert busy + steal <= 100 + 1e-9
