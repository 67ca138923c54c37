"""A measurement's raw data made ready to plot: its latencies, and its throughput over time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.errors import ResultFileError
from benchmark.measure import BATCHES_FILE, LATENCIES_FILE
from benchmark.percentiles import order_statistic, percentile_name, queries_needed
from benchmark.plan import Scenario
from benchmark.raw_files import read_rows
from benchmark.results import MeasurementResult
from core.verdict.binning import samples_over_time

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scale = Literal["linear", "logarithmic"]

_FEWEST_BINS = 4
# Beyond this ratio the short latencies of a linear axis all fall into its first bin or two.
_LOGARITHMIC_FROM = 5
_SHOWN = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class PercentilePosition:
    """Where a percentile stands on the axis."""

    name: str
    milliseconds: float
    supported: bool
    """False: advisory, there are fewer queries than LoadGen's early stopping asks for."""


@dataclass(frozen=True, slots=True)
class LatencyDistribution:
    """A histogram of every latency of one measurement."""

    of: Literal["query", "batch"]
    """Offline has one query, so there a batch's time in the SUT stands for it."""
    scale: Scale
    """How the bins are spaced: a plot with bins of equal width has this axis."""
    edges_ms: tuple[float, ...]
    """One more than ``counts``, ascending. A bin holds its lower edge, the last both."""
    counts: tuple[int, ...]
    """Queries (or batches) in each bin."""
    total: int
    """All queries (or batches)."""
    minimum_ms: float
    maximum_ms: float
    percentiles: tuple[PercentilePosition, ...]
    """p50, p90 and p99, exact: of the raw values, not of the bins."""


@dataclass(frozen=True, slots=True)
class ThroughputSeries:
    """Samples/s in bins of equal width, from the first batch's start to the last one's end.

    A batch's samples are spread evenly over the time it took, so the area under the series is
    exactly the samples, and there is no partial bin at its end.
    """

    bin_s: float
    """Each bin's width."""
    samples_per_s: tuple[float, ...]
    """Mean rate in each bin."""
    duration_s: float
    """All bins together."""
    samples: int
    batches: int


def latency_curve(
    folder: Path, measurement: MeasurementResult, bins: int = 48
) -> LatencyDistribution | None:
    """Return the distribution of a measurement's latencies in at most ``bins`` bins, or None where
    it left no raw latencies. ``folder`` is the result file's.

    Raises:
        ResultFileError: the raw file is damaged, or not the one that was measured.
    """
    import numpy

    offline = measurement.scenario is Scenario.OFFLINE
    rows = read_rows(folder, measurement, BATCHES_FILE if offline else LATENCIES_FILE)
    if rows is None:
        return None
    ordered = numpy.sort(rows[:, 1] - rows[:, 0] if offline else rows[:, 2])
    scale, edges = _edges(ordered, bins)
    inner = numpy.searchsorted(ordered, edges[1:-1], side="left")
    counts = numpy.diff(numpy.concatenate(([0], inner, [len(ordered)])))
    return LatencyDistribution(
        of="batch" if offline else "query",
        scale=scale,
        edges_ms=tuple((edges / 1e6).tolist()),
        counts=tuple(counts.tolist()),
        total=len(ordered),
        minimum_ms=float(ordered[0]) / 1e6,
        maximum_ms=float(ordered[-1]) / 1e6,
        percentiles=tuple(
            PercentilePosition(
                name=percentile_name(percentile),
                milliseconds=order_statistic(ordered, percentile) / 1e6,
                supported=len(ordered) >= queries_needed(percentile),
            )
            for percentile in _SHOWN
        ),
    )


def throughput_curve(
    folder: Path, measurement: MeasurementResult, bins: int = 60
) -> ThroughputSeries | None:
    """Return a measurement's throughput over time in ``bins`` bins (fewer when it has fewer
    batches), or None where it left no record of its batches. ``folder`` is the result file's.

    Raises:
        ResultFileError: the raw file is damaged, or not the one that was measured.
    """
    rows = read_rows(folder, measurement, BATCHES_FILE)
    if rows is None:
        return None
    try:
        bin_s, samples = samples_over_time(rows, bins)
    except ValueError as error:
        raise ResultFileError(
            f"{BATCHES_FILE} of {measurement.name}, block {measurement.block}, in {folder} cannot "
            f"be used: {error}."
        ) from error
    return ThroughputSeries(
        bin_s=bin_s,
        samples_per_s=tuple(count / bin_s for count in samples),
        duration_s=int(rows[:, 1].max() - rows[:, 0].min()) / 1e9,
        samples=int(rows[:, 2].sum()),
        batches=len(rows),
    )


def _edges(ordered: NDArray[Any], bins: int) -> tuple[Scale, NDArray[Any]]:
    """Return the bins' edges in ns: as many bins as the count supports, over all values."""
    import numpy

    low, high = float(ordered[0]), float(ordered[-1])
    if low == high:
        # One value has no width of its own; a microsecond is below what anybody reads off a plot.
        margin = min(low, 500.0)
        return "linear", numpy.array([low - margin, high + 500.0])
    count = min(bins, max(_FEWEST_BINS, math.ceil(math.sqrt(len(ordered)))))
    logarithmic = low > 0 and high / low >= _LOGARITHMIC_FROM
    spaced = numpy.geomspace if logarithmic else numpy.linspace
    edges = spaced(low, high, max(1, count) + 1)
    edges[0], edges[-1] = low, high
    # Values a few nanoseconds apart have no more bins between them than there are numbers.
    return "logarithmic" if logarithmic else "linear", numpy.unique(edges)
