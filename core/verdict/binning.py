"""Raw latencies counted into bins, and the work of batches spread over time.

A million latencies are too many to keep for forty blocks at once. So each file is counted into
bins whose edges are the same for every file, and the counts of any two files can be added or laid
over each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

LatencyOf = Literal["query", "batch"]

# A double's exponent and the first eight bits of its fraction number 256 bins from each power of
# two to the next, none wider than 0.4 % of its lower edge: the log-linear bins of HdrHistogram
# (Tene, 2012), read off the number instead of computed.
_BITS_PER_OCTAVE = 8
_SHIFT = 52 - _BITS_PER_OCTAVE


@dataclass(frozen=True, slots=True)
class LatencyHistogram:
    """How often latencies fell into each of the fixed bins."""

    of: LatencyOf
    """Offline has one query, so there a batch's time in the SUT stands for it."""
    first_bin: int
    """The lowest bin that holds any."""
    counts: tuple[int, ...]
    """From ``first_bin`` to the highest bin that holds any. A bin holds its lower edge."""

    @property
    def total(self) -> int:
        """All queries (or batches)."""
        return sum(self.counts)

    def edges_ms(self) -> NDArray[Any]:
        """Return the bins' edges in ms, one more than there are counts."""
        import numpy

        numbers = numpy.arange(len(self.counts) + 1, dtype=numpy.int64) + self.first_bin
        edges: NDArray[Any] = (numbers << _SHIFT).view(numpy.float64) / 1e6
        return edges


def histogram(of: LatencyOf, nanoseconds: NDArray[Any]) -> LatencyHistogram:
    """Return the histogram of int64 latencies in ns, of which there is at least one and none is
    negative. Nothing lies below 1 ns.
    """
    import numpy

    counted = nanoseconds if nanoseconds.min() > 0 else numpy.maximum(nanoseconds, 1)
    numbers = counted.astype(numpy.float64).view(numpy.int64)
    numbers >>= _SHIFT
    first_bin = int(numbers.min())
    return LatencyHistogram(of, first_bin, tuple(numpy.bincount(numbers)[first_bin:].tolist()))


def pooled(histograms: Sequence[LatencyHistogram]) -> LatencyHistogram | None:
    """Return all of them added up; None where there is none, or they are not of the same thing."""
    import numpy

    if len({each.of for each in histograms}) != 1:
        return None
    first_bin = min(each.first_bin for each in histograms)
    end = max(each.first_bin + len(each.counts) for each in histograms)
    counts = numpy.zeros(end - first_bin, dtype=numpy.int64)
    for each in histograms:
        place = each.first_bin - first_bin
        counts[place : place + len(each.counts)] += numpy.array(each.counts, dtype=numpy.int64)
    return LatencyHistogram(histograms[0].of, first_bin, tuple(counts.tolist()))


def samples_over_time(batches: NDArray[Any], bins: int) -> tuple[float, tuple[float, ...]]:
    """Return the bins' width in s and how many samples were worked on in each of them.

    A batch's samples are spread evenly over the time it took: it was worked on all that time, and
    its end alone would show a batch longer than a bin as a peak among zeros.

    Args:
        batches: int64 [batches, 3]: started ns, ended ns, samples.
        bins: of equal width, from the first start to the last end; fewer when there are fewer
            batches.

    Raises:
        ValueError: the batches span no time.
    """
    import numpy

    started, ended, samples = *map(numpy.ascontiguousarray, batches.T[:2]), batches[:, 2]
    first, last = int(started.min()), int(ended.max())
    if first == last:
        raise ValueError("the batches span no time")
    if bool((ended == started).any()):
        # A batch within one tick of the clock counts as having taken that tick.
        ended = numpy.maximum(ended, started + 1)
    if not _ascending(ended):
        order = numpy.argsort(ended, kind="stable")
        started, ended, samples = started[order], ended[order], samples[order]
    # Of the batches that end after an edge, those from ``begun`` on have not started by then.
    earliest_later = (
        started if _ascending(started) else numpy.minimum.accumulate(started[::-1])[::-1]
    )
    count = max(1, min(bins, len(batches)))
    edges = first + (last - first) * numpy.arange(1, count) / count
    # Looked up as whole numbers, or numpy would convert a whole column to doubles for each edge.
    overs = numpy.searchsorted(ended, numpy.floor(edges).astype(numpy.int64), side="right")
    beguns = numpy.searchsorted(earliest_later, numpy.ceil(edges).astype(numpy.int64))
    done, finished, before = [0.0], 0, 0
    for edge, over, begun in zip(edges, overs, beguns, strict=True):
        finished += int(samples[before:over].sum())
        before = over
        start, end, size = (each[over:begun] for each in (started, ended, samples))
        share = numpy.clip((edge - start) / (end - start), 0, 1)
        done.append(finished + float((size * share).sum()))
    done.append(float(finished + int(samples[before:].sum())))
    return (last - first) / count / 1e9, tuple(numpy.diff(done).tolist())


def _ascending(column: NDArray[Any]) -> bool:
    return bool((column[1:] >= column[:-1]).all())
