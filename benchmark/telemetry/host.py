"""The host, as ``/proc`` and ``/sys`` tell it: load, frequency, stolen time, heat."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

from benchmark.telemetry.model import HostSample

_Value = TypeVar("_Value")

# Reading the frequency interrupts every CPU asked about on kernels before 5.18, and those CPUs are
# the ones being measured.
_FREQUENCY_INTERVAL_S = 1.0

# Over fewer ticks a share is mostly rounding: one tick of ten milliseconds more or less.
_MINIMUM_TICKS_A_CPU = 5


class CpuTimes(NamedTuple):
    """Clock ticks since boot, from ``/proc/stat``."""

    total: int
    idle: int
    steal: int


class CpuPressure(NamedTuple):
    """The ``some`` line of ``/proc/pressure/cpu``."""

    average_10s_percent: float
    total_microseconds: int


def parse_cpu_times(content: str) -> dict[int | None, CpuTimes]:
    """The cpu lines of ``/proc/stat`` by CPU number, ``None`` for the whole machine.

    Guest time is part of user time already. A line that is cut off or not understood is left out.
    """
    times: dict[int | None, CpuTimes] = {}
    for line in content.splitlines():
        if not line.startswith("cpu"):
            break
        name, *fields = line.split()
        try:
            cpu = None if name == "cpu" else int(name[3:])
            ticks = [int(field) for field in fields[:8]]
        except ValueError:
            continue
        if len(ticks) == 8:
            # user nice system idle iowait irq softirq steal; waiting for a disk leaves the CPU
            # idle.
            times[cpu] = CpuTimes(sum(ticks), ticks[3] + ticks[4], ticks[7])
    return times


def parse_pressure(content: str) -> CpuPressure | None:
    """The ``some`` line of a PSI file; ``None`` when there is none."""
    for line in content.splitlines():
        if not line.startswith("some "):
            continue
        fields = dict(pair.partition("=")[::2] for pair in line.split())
        try:
            return CpuPressure(float(fields["avg10"]), int(fields["total"]))
        except (KeyError, ValueError):
            return None
    return None


def parse_cpuinfo_mhz(content: str) -> dict[int, float]:
    """The ``cpu MHz`` of each processor in ``/proc/cpuinfo``."""
    frequencies: dict[int, float] = {}
    processor: int | None = None
    for line in content.splitlines():
        name, separator, value = line.partition(":")
        if not separator:
            continue
        try:
            if name.strip() == "processor":
                processor = int(value)
            elif name.strip() == "cpu MHz" and processor is not None:
                frequencies[processor] = float(value)
        except ValueError:
            continue
    return frequencies


def shares(before: CpuTimes, after: CpuTimes) -> tuple[float, float] | None:
    """Busy and stolen percent between two readings; ``None`` when no time passed between them."""
    total = after.total - before.total
    if total <= 0:
        return None
    # The kernel's idle and steal may step back a little; a share below 0 would be nonsense.
    idle = min(max(after.idle - before.idle, 0), total)
    steal = min(max(after.steal - before.steal, 0), total - idle)
    return 100 * (total - idle - steal) / total, 100 * steal / total


class _Shares:
    """Shares since the reading before, passing over readings that come too soon after it."""

    def __init__(self) -> None:
        self._before: CpuTimes | None = None

    def shares(self, now: CpuTimes | None, cpus: int) -> tuple[float, float] | None:
        before = self._before
        if before is None or now is None:
            self._before = now
            return None
        if 0 <= now.total - before.total < _MINIMUM_TICKS_A_CPU * cpus:
            return None
        self._before = now
        return shares(before, now)


class HostSource:
    """Reads the host. Not safe for use by two threads at a time."""

    def __init__(self, root: Path = Path("/"), cpus: Iterable[int] | None = None) -> None:
        """``root`` is where ``proc`` and ``sys`` are found; ``cpus`` are those the measurement may
        use, by default those this process may use."""
        self._root = str(root).rstrip("/")
        self._cpus = frozenset(os.sched_getaffinity(0) if cpus is None else cpus)
        self._throttle_files = self._find_throttle_files()
        self._allowed = _Shares()
        self._machine = _Shares()
        self._frequency: float | None = None
        self._frequency_due_s: float | None = None

    def sample(self, time_s: float = 0.0) -> HostSample:
        """Read the host now, ``time_s`` seconds into the recording.

        Percentages are since the sample before, so the first has none, nor has one taken less than
        50 ms later. Never raises for a file that is missing or not understood: its value is
        ``None``.
        """
        allowed, machine = self._cpu_times()
        busy = self._allowed.shares(allowed, len(self._cpus))
        machine_busy = self._machine.shares(machine, 1)
        pressure = _parsed(parse_pressure, self._read("/proc/pressure/cpu"))
        return HostSample(
            time_s=time_s,
            cpu_frequency_mhz=self._frequency_at(time_s),
            load_1m=_parsed(_first_float, self._read("/proc/loadavg")),
            cpu_percent=busy and busy[0],
            steal_percent=busy and busy[1],
            machine_cpu_percent=machine_busy and machine_busy[0],
            machine_steal_percent=machine_busy and machine_busy[1],
            thermal_throttle_count=self._throttle_count(),
            cpu_pressure_percent=pressure and pressure.average_10s_percent,
            cpu_pressure_microseconds=pressure and pressure.total_microseconds,
        )

    def _cpu_times(self) -> tuple[CpuTimes | None, CpuTimes | None]:
        times = parse_cpu_times(self._read("/proc/stat") or "")
        ours = [times[cpu] for cpu in self._cpus if cpu in times]
        allowed = None
        if ours and len(ours) == len(self._cpus):
            allowed = CpuTimes(*(sum(column) for column in zip(*ours, strict=True)))
        return allowed, times.get(None)

    def _frequency_at(self, time_s: float) -> float | None:
        if self._frequency_due_s is None or time_s >= self._frequency_due_s:
            self._frequency_due_s = time_s + _FREQUENCY_INTERVAL_S
            self._frequency = self._read_frequency()
        return self._frequency

    def _read_frequency(self) -> float | None:
        readings = []
        for cpu in self._cpus:
            kilohertz = self._read_integer(
                f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq"
            )
            if kilohertz is not None:
                readings.append(kilohertz / 1000)
        if not readings:
            known = parse_cpuinfo_mhz(self._read("/proc/cpuinfo") or "")
            readings = [known[cpu] for cpu in self._cpus if cpu in known]
        return sum(readings) / len(readings) if readings else None

    def _find_throttle_files(self) -> tuple[str, ...]:
        """One counter for each core and one for each package of the allowed CPUs: the siblings of a
        core, and the cores of a package, count the same events."""
        files: dict[tuple[str, object], str] = {}
        for cpu in sorted(self._cpus):
            base = f"/sys/devices/system/cpu/cpu{cpu}"
            package = self._read_integer(f"{base}/topology/physical_package_id")
            core = self._read_integer(f"{base}/topology/core_id")
            core_key: object = cpu if core is None or package is None else (package, core)
            for kind, key in (("core", core_key), ("package", package)):
                path = f"{base}/thermal_throttle/{kind}_throttle_count"
                if self._read_integer(path) is not None:
                    files[(kind, key)] = path
        return tuple(files.values())

    def _throttle_count(self) -> int | None:
        counts = [self._read_integer(path) for path in self._throttle_files]
        known = [count for count in counts if count is not None]
        # With one counter gone the sum would seem to shrink, and later to grow.
        return sum(known) if known and len(known) == len(counts) else None

    def _read_integer(self, path: str) -> int | None:
        content = self._read(path)
        try:
            return None if content is None else int(content)
        except ValueError:
            return None

    def _read(self, path: str) -> str | None:
        try:
            descriptor = os.open(self._root + path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            parts = []
            while part := os.read(descriptor, 65536):
                parts.append(part)
            return b"".join(parts).decode("ascii", "replace")
        except OSError:
            return None
        finally:
            os.close(descriptor)


def _first_float(content: str) -> float | None:
    try:
        return float(content.split()[0])
    except (IndexError, ValueError):
        return None


def _parsed(parse: Callable[[str], _Value | None], content: str | None) -> _Value | None:
    return None if content is None else parse(content)
