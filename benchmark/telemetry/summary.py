"""A recording, or a window of it, in a few numbers. Pure functions.

A sample counts for a window when its time lies inside it, ends included. Counters (energy, errors)
say something only by their growth, so they are taken between the samples that enclose the window.
"""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

from benchmark.telemetry.model import (
    GpuSample,
    HostSample,
    Statistics,
    Telemetry,
    TelemetrySummary,
    Window,
)

_Sample = TypeVar("_Sample", GpuSample, HostSample)

_GPU_GAUGES = (
    "sm_clock_mhz",
    "memory_clock_mhz",
    "power_watts",
    "temperature_celsius",
    "utilization_percent",
    "memory_used_bytes",
    "pcie_generation",
    "pcie_width",
)
_HOST_GAUGES = (
    "cpu_frequency_mhz",
    "load_1m",
    "cpu_percent",
    "steal_percent",
    "machine_cpu_percent",
    "machine_steal_percent",
    "cpu_pressure_percent",
)
# Below this share of the window, what a counter shows is another span than the one asked about.
_COVERAGE = 0.9


class View(NamedTuple):
    """The samples that bear on a window."""

    start_s: float
    end_s: float
    gpu: tuple[GpuSample, ...]
    host: tuple[HostSample, ...]
    gpu_around: tuple[GpuSample, ...]
    """Those inside and the one before and the one after: for counters and for events, which a
    sample reports for the time since the sample before."""
    host_around: tuple[HostSample, ...]


def view(telemetry: Telemetry, window: Window | None) -> View:
    """The samples inside and around ``window``; without one, all of them."""
    if window is None:
        times = [sample.time_s for sample in telemetry.gpu]
        times += [sample.time_s for sample in telemetry.host]
        start, end = (min(times), max(times)) if times else (0.0, 0.0)
        return View(start, end, telemetry.gpu, telemetry.host, telemetry.gpu, telemetry.host)
    start = window.start_s - telemetry.started_monotonic_s
    end = window.end_s - telemetry.started_monotonic_s
    return View(
        start,
        end,
        _inside(telemetry.gpu, start, end),
        _inside(telemetry.host, start, end),
        _around(telemetry.gpu, start, end),
        _around(telemetry.host, start, end),
    )


def summarize(telemetry: Telemetry, window: Window | None = None) -> TelemetrySummary:
    """The numbers of ``window``, or of the whole recording."""
    seen = view(telemetry, window)
    gpu = {name: _statistics(seen.gpu, name) for name in _GPU_GAUGES}
    host = {name: _statistics(seen.host, name) for name in _HOST_GAUGES}
    millijoules = _growth_between(seen, seen.gpu_around, "energy_millijoules")
    reasons = Counter(reason for sample in seen.gpu for reason in sample.throttle_reasons or ())
    return TelemetrySummary(
        duration_s=seen.end_s - seen.start_s,
        gpu_sample_count=len(seen.gpu),
        host_sample_count=len(seen.host),
        **gpu,
        **host,
        energy_joules=None if millijoules is None else millijoules / 1000,
        ecc_uncorrected=growth(sample.ecc_uncorrected for sample in seen.gpu_around),
        pcie_replays=growth(sample.pcie_replays for sample in seen.gpu_around),
        thermal_violation_nanoseconds=growth(
            sample.thermal_violation_nanoseconds for sample in seen.gpu_around
        ),
        thermal_throttle_count=growth(sample.thermal_throttle_count for sample in seen.host_around),
        cpu_pressure_microseconds=_growth_between(
            seen, seen.host_around, "cpu_pressure_microseconds"
        ),
        throttle_reason_samples=dict(sorted(reasons.items())),
        unavailable=_unavailable(telemetry, seen),
    )


def growth(values: Iterable[int | None]) -> int | None:
    """How much a counter grew; ``None`` below two readings. A restart counts from zero."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    return sum(after - before if after >= before else after for before, after in pairwise(known))


def _inside(samples: Sequence[_Sample], start: float, end: float) -> tuple[_Sample, ...]:
    return tuple(sample for sample in samples if start <= sample.time_s <= end)


def _around(samples: Sequence[_Sample], start: float, end: float) -> tuple[_Sample, ...]:
    before = tuple(sample for sample in samples if sample.time_s < start)
    after = tuple(sample for sample in samples if sample.time_s > end)
    return before[-1:] + _inside(samples, start, end) + after[:1]


def _statistics(samples: Sequence[GpuSample | HostSample], name: str) -> Statistics | None:
    values = [float(value) for sample in samples if (value := getattr(sample, name)) is not None]
    if not values:
        return None
    lowest, highest = min(values), max(values)
    return Statistics(
        count=len(values),
        minimum=lowest,
        median=statistics.median(values),
        # Rounding may carry the mean of equal values past them.
        mean=min(max(math.fsum(values) / len(values), lowest), highest),
        maximum=highest,
        last=values[-1],
    )


def _growth_between(
    seen: View, samples: Sequence[GpuSample | HostSample], name: str
) -> float | None:
    """Growth of a steadily growing counter over the window, interpolated where its ends fall
    between samples; ``None`` when the samples cover too little of it or the counter was
    restarted."""
    points = [
        (sample.time_s, float(value))
        for sample in samples
        if (value := getattr(sample, name)) is not None
    ]
    if len(points) < 2:
        return None
    start, end = max(seen.start_s, points[0][0]), min(seen.end_s, points[-1][0])
    if end - start < _COVERAGE * (seen.end_s - seen.start_s) or end <= start:
        return None
    if any(after[1] < before[1] for before, after in pairwise(points)):
        return None
    return _at(points, end) - _at(points, start)


def _at(points: Sequence[tuple[float, float]], time_s: float) -> float:
    for (before_s, before), (after_s, after) in pairwise(points):
        if before_s <= time_s <= after_s:
            if after_s == before_s:
                return after
            return before + (after - before) * (time_s - before_s) / (after_s - before_s)
    raise AssertionError("the caller keeps the time inside the points")


def _unavailable(telemetry: Telemetry, seen: View) -> tuple[str, ...]:
    missing = _never_given(seen.host, HostSample)
    if telemetry.gpu_watched:
        missing |= _never_given(seen.gpu, GpuSample)
    return tuple(sorted(missing))


def _never_given(
    samples: Sequence[GpuSample | HostSample], kind: type[GpuSample] | type[HostSample]
) -> set[str]:
    names = set(kind.model_fields) - {"time_s", "lost"}
    for sample in samples:
        if not names:
            break
        names -= {name for name in names if getattr(sample, name) is not None}
    return names
