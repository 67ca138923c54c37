"""How long the rest of a session will take: what is known by the plan, what was seen before."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmark.loadgen import offline_margin
from benchmark.plan import Measurement, Plan, Scenario

# Before anything was seen: torch's import, the model and a short build, seen on two CPUs.
_FIRST_OVERHEAD_S = 15.0
_FIRST_TIMED_S = 20.0
# The probes of a block: 4 s on a CPU (seen); on a GPU torch's import and 23 probes more.
_FIRST_PROBES_S = 8.0


class Estimate:
    """Remaining seconds, better with every measurement that ended."""

    def __init__(self, plan: Plan, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = list(plan.measurements()) * plan.repeats
        self._probes_left = plan.repeats if plan.probes else 0
        self._probes: list[float] = []
        self._overheads: list[float] = []
        self._timed: dict[str, float] = {}
        self._started = clock()
        self._timed_started: float | None = None
        self._rate: float | None = None
        self._current: Measurement | None = None

    def probed(self, seconds: float) -> None:
        """The probes of a block are over, after so many seconds."""
        self._probes_left -= 1
        self._probes.append(seconds)

    def begin(self, measurement: Measurement, arrival_rate: float | None) -> None:
        """A measurement starts; its Server arrival rate in queries/s if it is known."""
        self._current = measurement
        self._rate = arrival_rate
        self._started = self._clock()
        self._timed_started = None
        self._left.pop(0)

    def phase(self, phase: str) -> None:
        """The measurement reached a phase."""
        if phase == "measuring":
            self._timed_started = self._clock()
            self._overheads.append(self._timed_started - self._started)
        elif phase == "collecting" and self._timed_started is not None and self._current:
            self._timed[self._current.name] = self._clock() - self._timed_started

    def end(self) -> None:
        """The measurement is over."""
        self._current = None

    def remaining(self, done: int, total: int | None) -> float | None:
        """Return seconds until the last measurement ends, given the current one's samples."""
        if self._current is None:
            return None
        rest = sum(self._overhead() + self._timed_of(measurement) for measurement in self._left)
        rest += self._probes_left * (_mean(self._probes) or _FIRST_PROBES_S)
        now = self._clock()
        if self._timed_started is None:
            current = max(0.0, self._overhead() - (now - self._started)) + self._timed_of(
                self._current, self._rate
            )
        elif total and done:
            elapsed = now - self._timed_started
            current = elapsed / done * (total - done)
        else:
            current = self._timed_of(self._current, self._rate)
        return round(rest + max(0.0, current), 1)

    def _overhead(self) -> float:
        return _mean(self._overheads) or _FIRST_OVERHEAD_S

    def _timed_of(self, measurement: Measurement, arrival_rate: float | None = None) -> float:
        seen = self._timed.get(measurement.name)
        if seen is not None:
            return seen
        if measurement.duration_s is not None:
            return measurement.duration_s * offline_margin(measurement.duration_s)
        if arrival_rate and measurement.query_count:
            return measurement.query_count / arrival_rate
        same_kind = [
            seconds
            for name, seconds in self._timed.items()
            if measurement.scenario is Scenario.SERVER and name.startswith("server")
        ]
        return same_kind[-1] if same_kind else _FIRST_TIMED_S


def planned_seconds(plan: Plan) -> float:
    """Return roughly how long a plan takes on a machine of which nothing is known."""
    probes_s = _FIRST_PROBES_S if plan.probes else 0.0
    measurements_s = sum(
        _FIRST_OVERHEAD_S
        + (
            _FIRST_TIMED_S
            if measurement.duration_s is None
            else measurement.duration_s * offline_margin(measurement.duration_s)
        )
        for measurement in plan.measurements()
    )
    return plan.repeats * (probes_s + measurements_s)


def _mean(seconds: list[float]) -> float | None:
    return sum(seconds) / len(seconds) if seconds else None
