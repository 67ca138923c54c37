"""The figures of one measurement, computed again from its raw rows.

Each function returns a sentence for every figure that the result file has otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from benchmark.percentiles import REPORTED, order_statistic, percentile_name
from benchmark.plan import Scenario

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.results import MeasurementResult

# Division and decimal text are repeatable; the mean is a sum whose order numpy may choose.
_EXACT = 1e-12
_MEAN = 1e-9
# LoadGen's log has six digits, and it ends its clock with the query that it issued last.
_CLOCK = 0.01
# LoadGen hands over millions of Offline samples before the SUT starts, inside the timed part (seen:
# a second for three millions); a slow start is no contradiction.
_OFFLINE_START_S = 5.0


def latency_problems(measurement: MeasurementResult, column: NDArray[Any]) -> Iterator[str]:
    """Hold latencies in ns against the stored figures. ``column`` is reordered."""
    stored = measurement.latency
    if stored is None:
        return
    if stored.count != len(column):
        yield f"There are {len(column)} raw latencies, and the result file says {stored.count}."
        return
    seen = {
        "shortest latency": (float(column.min()), stored.minimum_ms, _EXACT),
        "mean latency": (float(column.mean()), stored.mean_ms, _MEAN),
        "longest latency": (float(column.max()), stored.maximum_ms, _EXACT),
    }
    for percentile, nanoseconds in _order_statistics(column):
        entry = stored.milliseconds(percentile)
        if entry is not None:
            name = percentile_name(percentile)
            seen[name] = (nanoseconds, entry.milliseconds, _EXACT)
    for name, (nanoseconds, said_ms, tolerance) in seen.items():
        if not math.isclose(nanoseconds / 1e6, said_ms, rel_tol=tolerance):
            yield (
                f"The {name} of the raw latencies is {nanoseconds / 1e6:.9g} ms, and the result "
                f"file says {said_ms:.9g}."
            )


def _order_statistics(column: NDArray[Any]) -> Iterator[tuple[float, float]]:
    """Return every reported percentile with its value, by selection: five times faster than
    sorting. Ascending, so that each selection has only the part above the one before to look at.
    """
    start = 0
    for percentile in sorted(REPORTED):
        # The order statistic of the places themselves is the place that is meant.
        places = cast("NDArray[Any]", range(len(column)))
        place = int(order_statistic(places, percentile))
        column[start:].partition(place - start)
        yield percentile, float(column[place])
        start = place


def query_problems(measurement: MeasurementResult, rows: NDArray[Any]) -> Iterator[str]:
    """Hold the rows of queries (due, issued after due, latency: ns) against counts and rate."""
    if measurement.queries != len(rows):
        yield (
            f"There are {len(rows)} raw queries, and the result file says {measurement.queries}."
        )
        return
    throughput = measurement.throughput_samples_per_s
    if not throughput or len(rows) < 2:
        return
    # LoadGen's own definitions (results.cc): SingleStream's and Server's leave one query out.
    if measurement.scenario is Scenario.SINGLE_STREAM:
        took, said = float(rows[:, 0].max()) / 1e9, (len(rows) - 1) / throughput
    else:
        one = measurement.scenario is Scenario.SERVER
        took = float((rows[:, 0] + rows[:, 2]).max()) / 1e9
        said = ((measurement.samples or 0) - one) / throughput
    if abs(took - said) > _CLOCK * took + float(rows[-1, 2]) / 1e9:
        yield (
            f"The raw queries took {took:.6g} s, and at the throughput that the result file says "
            f"they would take {said:.6g} s."
        )


def batch_problems(measurement: MeasurementResult, rows: NDArray[Any]) -> Iterator[str]:
    """Hold the rows of batches (started ns, ended ns, samples) against counts and rate."""
    samples = int(rows[:, 2].sum())
    if measurement.samples != samples:
        yield (
            f"The raw batches hold {samples} samples, and the result file says "
            f"{measurement.samples}."
        )
        return
    sizes = measurement.batch_sizes
    if sizes is not None and (sizes.count, sizes.largest) != (len(rows), int(rows[:, 2].max())):
        yield (
            f"There are {len(rows)} raw batches of up to {int(rows[:, 2].max())} samples, and the "
            f"result file says {sizes.count} of up to {sizes.largest}."
        )
    throughput = measurement.throughput_samples_per_s
    if measurement.scenario is not Scenario.OFFLINE or not throughput:
        return
    took = float(rows[:, 1].max() - rows[:, 0].min()) / 1e9
    said = samples / throughput
    if not took * (1 - _CLOCK) <= said <= took * (1 + _CLOCK) + _OFFLINE_START_S:
        yield (
            f"The raw batches took {took:.6g} s, and at the throughput that the result file says "
            f"they would take {said:.6g} s."
        )
