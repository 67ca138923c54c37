"""A measurement's raw data made ready to plot: how its latencies lie, and its throughput over time.

The raw files are read with suspicion: bounded in size, never unpickled, and only as long as they
are what the result file says was written.
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from benchmark.errors import ResultFileError
from benchmark.measure import BATCHES_FILE, LATENCIES_FILE
from benchmark.percentiles import order_statistic, percentile_name, queries_needed
from benchmark.plan import Scenario
from benchmark.results import MeasurementResult, RawFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scale = Literal["linear", "logarithmic"]

_COLUMNS = 3
_ROW_BYTES = 8 * _COLUMNS
# 192 MB of memory while a plot is made; two hours of a thousand queries a second.
_MOST_ROWS = 8_000_000
_LARGEST_FILE = _ROW_BYTES * _MOST_ROWS + 2**16
# Times are nanoseconds from the first; a year is far more than any measurement takes.
_LONGEST_NS = 365 * 86_400 * 10**9
_LARGEST_BATCH = 10**8

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

    A batch's samples are spread evenly over the time it took: it was worked on all that time, and
    its end alone would show a batch longer than a bin as a peak among zeros. So the area under the
    series is exactly the samples, and there is no partial bin at its end.
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
    rows = _rows(folder, measurement, BATCHES_FILE if offline else LATENCIES_FILE)
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
    import numpy

    rows = _rows(folder, measurement, BATCHES_FILE)
    if rows is None:
        return None
    started, ended, samples = rows[:, 0], rows[:, 1], rows[:, 2]
    first, last = int(started.min()), int(ended.max())
    if last == first:
        raise ResultFileError(f"{_place(folder, measurement, BATCHES_FILE)} spans no time.")
    count = max(1, min(bins, len(rows)))
    total = int(samples.sum())
    # A batch within one tick of the clock counts as having taken that tick.
    ended = numpy.maximum(ended, started + 1)
    edges = [first + (last - first) * place / count for place in range(1, count)]
    finished = numpy.bincount(
        numpy.searchsorted(edges, ended), weights=samples, minlength=count
    ).cumsum()
    # What was done by each edge, the last of which is all.
    done = [float(finished[place]) for place in range(count - 1)]
    for place, edge in enumerate(edges):
        running = (started < edge) & (ended > edge)
        share = (edge - started[running]) / (ended[running] - started[running])
        done[place] += float((samples[running] * share).sum())
    bin_s = (last - first) / count / 1e9
    return ThroughputSeries(
        bin_s=bin_s,
        samples_per_s=tuple((numpy.diff([0.0, *done, float(total)]) / bin_s).tolist()),
        duration_s=(last - first) / 1e9,
        samples=total,
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


def _rows(folder: Path, measurement: MeasurementResult, name: str) -> NDArray[Any] | None:
    """Return a raw file's rows, checked, or None where there is no such file."""
    raw = _raw_file(measurement, name)
    path = _place(folder, measurement, name)
    if raw is None or path is None or not os.path.lexists(path):
        return None
    if not os.path.isfile(path):
        raise ResultFileError(f"{path} cannot be plotted: it is no file.")
    try:
        with path.open("rb") as stream:
            rows = _read(path, stream, raw)
    except OSError as error:
        raise ResultFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    wrong = _impossible(rows, batches=name == BATCHES_FILE)
    if wrong:
        raise ResultFileError(f"{path} cannot be plotted: {wrong}.")
    return rows


def _raw_file(measurement: MeasurementResult, name: str) -> RawFile | None:
    return next(
        (raw for raw in measurement.raw_files if PurePosixPath(raw.path).name == name), None
    )


def _place(folder: Path, measurement: MeasurementResult, name: str) -> Path | None:
    raw = _raw_file(measurement, name)
    if raw is None:
        return None
    inside = PurePosixPath(raw.path)
    # A result file may come from anybody, and has no say over files outside its own folder.
    if inside.is_absolute() or ".." in inside.parts or "\0" in raw.path:
        raise ResultFileError(f"{raw.path} is no path inside the result's folder {folder}.")
    return folder / inside


def _read(path: Path, stream: BufferedReader, raw: RawFile) -> NDArray[Any]:
    import numpy

    def refuse(why: str, cause: Exception | None = None) -> ResultFileError:
        error = ResultFileError(f"{path} cannot be plotted: {why}.")
        error.__cause__ = cause
        return error

    size = os.fstat(stream.fileno()).st_size
    if size > _LARGEST_FILE:
        raise refuse(f"it is larger than {_LARGEST_FILE / 1e6:,.0f} MB")
    if size != raw.bytes or hashlib.file_digest(stream, "sha256").hexdigest() != raw.sha256:
        raise refuse("it is not the file that was measured (its content does not match sha256)")
    stream.seek(0)
    try:
        version = numpy.lib.format.read_magic(stream)
        if version != (1, 0):
            raise refuse(f"its format version is {version[0]}.{version[1]}, not 1.0")
        shape, in_columns, kind = numpy.lib.format.read_array_header_1_0(stream)
    except ResultFileError:
        raise
    except Exception as error:  # numpy evaluates the header, and what it raises has no bounds
        raise refuse("its header cannot be read", error) from error
    # Not with numpy.load: an array of objects would be unpickled, and a mapped file that another
    # process cuts short ends this one with a bus error.
    if kind != numpy.int64 or in_columns or len(shape) != 2 or shape[1] != _COLUMNS:
        raise refuse(f"it holds {kind} of shape {shape}, not int64 rows of {_COLUMNS}")
    data = stream.read(_LARGEST_FILE)
    if len(data) != shape[0] * _ROW_BYTES:
        raise refuse(f"it does not hold the {shape[0]} rows that its header names")
    return numpy.frombuffer(data, numpy.int64).reshape(-1, _COLUMNS)


def _impossible(rows: NDArray[Any], *, batches: bool) -> str:
    """Return what cannot be in rows that a benchmark wrote, or nothing."""
    if len(rows) == 0:
        return "it holds no rows"
    if int(rows.min()) < -_LONGEST_NS or int(rows.max()) > _LONGEST_NS:
        return "it holds times of more than a year"
    if batches and bool((rows[:, 1] < rows[:, 0]).any()):
        return "it holds a batch that ended before it started"
    if batches and bool(((rows[:, 2] < 1) | (rows[:, 2] > _LARGEST_BATCH)).any()):
        return "it holds a batch of no samples or of more than there can be"
    if not batches and bool((rows[:, 2] < 0).any()):
        return "it holds a negative latency"
    return ""
