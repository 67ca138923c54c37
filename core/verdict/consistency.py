"""Whether a result's figures can be those of its plan's measurements: counts, order, times, and
LoadGen's own words.

A file that was damaged, or put together by hand, contradicts itself sooner or later. What the raw
files beside it say is core.verdict.raw's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from operator import attrgetter
from typing import Any

from benchmark.percentiles import REPORTED, percentile_name
from benchmark.plan import Execution, Measurement, Scenario
from benchmark.results import Latency, MeasurementResult, Result
from core.verdict.voids import shortness

_LARGEST = 1e12
_MOST_COUNTED = 2**64
_YEARS = range(2000, 2200)
# Of figures that are computed twice from the same integers.
_ROUNDING = 1e-6
_THROUGHPUT_KEYS = {
    Scenario.OFFLINE: "samples_per_second",
    Scenario.SERVER: "completed_samples_per_sec",
    Scenario.SINGLE_STREAM: "qps_with_loadgen_overhead",
}
# What ``auto`` may come to, by device (benchmark.configuration).
_AUTO = {
    "cpu": (Execution.COMPILE, Execution.JIT, Execution.EAGER),
    "cuda": (Execution.GRAPH,),
}


def inconsistency(result: Result) -> str:
    """Return what contradicts itself in a result, as a clause that names the measurement; empty
    when nothing does.
    """
    if problem := _impossible(result.model_dump(exclude={"attestation"})):
        return problem
    planned = {measurement.name: measurement for measurement in result.plan.measurements()}
    seen: set[tuple[str, int]] = set()
    for entry in result.benchmarks:
        block = f"{entry.name}, block {entry.block},"
        if (entry.name, entry.block) in seen:
            return f"{block} is there twice"
        seen.add((entry.name, entry.block))
        if problem := _problem(entry) or _unplanned(result, entry, planned.get(entry.name)):
            return f"{block} {problem}"
    return _together(result) or _missing(result, seen)


def _unplanned(result: Result, entry: MeasurementResult, planned: Measurement | None) -> str:
    """Return in what an entry is another measurement than the plan's of its name."""
    if planned is None:
        return "is no measurement of the plan"
    if not 1 <= entry.block <= result.plan.repeats:
        return f"is none of the {result.plan.repeats} that were planned"
    for field in ("scenario", "batch_size", "host_to_device"):
        found, wanted = getattr(entry, field), getattr(planned, field)
        if found != wanted:
            return f"has another {field} than the plan: {found}, not {wanted}"
    paths = _paths(result, planned)
    # One that died may not have come to know what ``auto`` is.
    if entry.execution not in paths and not (entry.void and entry.execution is planned.execution):
        return f"has another execution than the plan: {entry.execution}, not {' or '.join(paths)}"
    return "" if _marked(entry) else shortness(entry, planned)


def _paths(result: Result, planned: Measurement) -> tuple[Execution, ...]:
    """Return the execution paths that a measurement may have taken."""
    path = planned.execution
    if path is result.plan.execution:
        path = result.configuration.execution
    return _AUTO[result.device] if path is Execution.AUTO else (path,)


def _marked(entry: MeasurementResult) -> bool:
    return entry.void or bool(entry.void_reasons)


def _together(result: Result) -> str:
    """Each block is a process of its own, one after the other; one in two places is a copy."""
    order = sorted(result.benchmarks, key=attrgetter("started_at"))
    for entry, following in pairwise(order):
        apart = (following.started_at - entry.started_at).total_seconds()
        if apart <= 0 or apart < (entry.duration_s or 0.0):
            return (
                f"{following.name}, block {following.block}, began {apart:g} s after {entry.name}, "
                f"block {entry.block}, which took {entry.duration_s or 0.0:g} s"
            )
    return ""


def _missing(result: Result, seen: set[tuple[str, int]]) -> str:
    """A block that was left out is no better than one whose void mark was taken away."""
    planned = (
        (measurement.name, block)
        for block in range(1, result.plan.repeats + 1)
        for measurement in result.plan.measurements()
    )
    lacking = next((each for each in planned if each not in seen), None)
    if lacking is None or not result.complete:
        return ""
    return f"{lacking[0]}, block {lacking[1]}, is missing, and the file says that it is complete"


def _impossible(value: Any, field: str = "") -> str:
    """Return the first field with a number that no computer has counted, or a time out of ours."""
    if isinstance(value, dict):
        parts: Iterable[tuple[str, Any]] = value.items()
    elif isinstance(value, tuple):
        parts = ((str(place), item) for place, item in enumerate(value))
    else:
        number = isinstance(value, int | float) and not abs(value) <= _MOST_COUNTED
        moment = isinstance(value, datetime) and value.year not in _YEARS
        return f"{field} has a value that cannot be" if number or moment else ""
    found = (_impossible(item, f"{field}.{name}" if field else name) for name, item in parts)
    return next(filter(None, found), "")


def _problem(entry: MeasurementResult) -> str:
    return (
        _counts(entry)
        or _rate(entry)
        or (_order(entry.latency) if entry.latency is not None else "")
        or _percentiles(entry)
        or _loadgen(entry)
    )


def _counts(entry: MeasurementResult) -> str:
    latency = entry.latency
    counts = (entry.queries, entry.samples, latency.count if latency is not None else None)
    if any(count is not None and count < 0 for count in counts):
        return "has a negative count"
    offline = entry.scenario is Scenario.OFFLINE
    if latency is not None and latency.of != ("batch" if offline else "query"):
        return f"has latencies of a {latency.of}, which {entry.scenario} does not have"
    if latency is not None and latency.of == "query" and entry.queries not in (None, latency.count):
        return f"has {entry.queries} queries and {latency.count} latencies"
    if latency is not None and latency.of == "batch" and entry.batch_sizes is not None:
        batches = entry.batch_sizes.count
        if batches != latency.count:
            return f"has {batches} batches and {latency.count} latencies"
    if offline and latency is not None and (entry.samples or 0) > latency.count * entry.batch_size:
        return f"has {entry.samples} samples in {latency.count} batches of {entry.batch_size}"
    if entry.queries is not None and entry.samples is not None:
        each = entry.batch_size if entry.scenario is Scenario.MULTI_STREAM else 1
        if not offline and entry.samples != entry.queries * each:
            return f"has {entry.queries} queries and {entry.samples} samples"
    return ""


def _rate(entry: MeasurementResult) -> str:
    throughput, duration, samples = (
        entry.throughput_samples_per_s,
        entry.duration_s,
        entry.samples,
    )
    if throughput is not None and throughput > _LARGEST:
        return f"claims {throughput:g} samples/s"
    if throughput and duration and samples and not _same(throughput * duration, samples):
        return f"has {samples} samples in {duration:g} s, and claims {throughput:g} samples/s"
    return ""


def _order(latency: Latency) -> str:
    """Percentiles of one set of values lie in order, between the smallest and the largest."""
    found = [latency.milliseconds(percentile) for percentile in REPORTED]
    values = [latency.minimum_ms, *(each.milliseconds for each in found if each is not None)]
    values.append(latency.maximum_ms)
    if any(one > other * (1 + _ROUNDING) for one, other in pairwise(values)):
        return "has latencies whose percentiles are not in order"
    if not values[0] * (1 - _ROUNDING) <= latency.mean_ms <= values[-1] * (1 + _ROUNDING):
        return "has a mean latency beyond its smallest and largest"
    names = [each.name for each in latency.percentiles]
    if len(set(names)) < len(names):
        return "has a percentile twice"
    return "" if values[-1] <= _LARGEST else f"claims a latency of {values[-1]:g} ms"


def _percentiles(entry: MeasurementResult) -> str:
    """The benchmark reports every percentile of latencies that are never nothing."""
    if entry.latency is None or _marked(entry):
        return ""
    for percentile in REPORTED:
        found = entry.latency.milliseconds(percentile)
        if found is None:
            return f"lacks {percentile_name(percentile)} of its latencies"
        if not found.milliseconds > 0:
            return f"claims a {found.name} of {found.milliseconds:g} ms"
    return ""


def _loadgen(entry: MeasurementResult) -> str:
    """LoadGen's summary stands beside the figures that were taken from it, or computed again."""
    said = entry.loadgen.summary if entry.loadgen is not None else {}
    expected = {_THROUGHPUT_KEYS.get(entry.scenario, ""): entry.throughput_samples_per_s}
    # Offline's latencies are those of batches, which LoadGen does not see.
    if entry.latency is not None and entry.latency.of == "query":
        for percentile in REPORTED:
            found = entry.latency.milliseconds(percentile)
            key = f"{percentile * 100:.2f}_percentile_latency_ns"
            expected[key] = found.milliseconds * 1e6 if found is not None else None
    for key, figure in expected.items():
        value = said.get(key)
        if figure is None or not isinstance(value, float):
            continue
        if not _same(value, figure):
            return f"has other figures than LoadGen's summary in it ({key})"
    return ""


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_ROUNDING, abs_tol=1e-9)
