"""Stolen time: how much of what the CPUs had to do the hypervisor let wait."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from benchmark.probes.model import STEAL
from benchmark.probes.probe import Probe
from benchmark.probes.timing import CannotProbeError, Timer
from benchmark.telemetry.host import CpuTimes, parse_cpu_times

# /proc/stat counts in ticks of 10 ms: over fewer a share is mostly rounding.
_FEWEST_TICKS = 20

ReadStat = Callable[[], str]


def read_stat() -> str:
    """Return ``/proc/stat``. Raises OSError."""
    return Path("/proc/stat").read_text(encoding="ascii", errors="replace")


class StealProbe:
    """Reads ``/proc/stat`` when it is made and when it is asked, after the other probes.

    The one value: percent stolen of the time in which the CPUs that this process may use had work
    (stolen and busy, not idle). It is 0 too where the hypervisor keeps it to itself.
    """

    def __init__(self, read: ReadStat = read_stat) -> None:
        self._read = read
        self._before = self._times()

    def probe(self) -> Probe:
        """Return the probe that ends the time."""
        return Probe(STEAL, "stolen CPU time", "%", self._percent)

    def _percent(self, _timer: Timer) -> list[float]:
        before, after = self._before, self._times()
        if before is None or after is None:
            raise CannotProbeError("/proc/stat does not tell")
        stolen = max(0, after.steal - before.steal)
        wanted = (after.total - before.total) - max(0, after.idle - before.idle)
        if wanted < _FEWEST_TICKS:
            raise CannotProbeError("/proc/stat counted too few ticks to tell a share")
        return [100 * min(stolen, wanted) / wanted]

    def _times(self) -> CpuTimes | None:
        try:
            times = parse_cpu_times(self._read())
        except OSError:
            return None
        ours = [times[cpu] for cpu in os.sched_getaffinity(0) if cpu in times]
        if not ours:
            return None
        return CpuTimes(*(sum(column) for column in zip(*ours, strict=True)))
