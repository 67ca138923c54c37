"""How far two legs are apart: Student's t on the logarithms of blocks.

A block's figure is the product of many factors, so noise multiplies and its logarithm is what is
added up; the difference of logarithms is the logarithm of the ratio, and swapping the legs only
turns its sign. Two methods, both textbook (Jain 1991, The Art of Computer Systems Performance
Analysis, section 13.4):

- paired: each block has a partner close to it in time. One sample t on the pairs' differences
  (Student 1908), ``n - 1`` degrees of freedom. Whatever both partners share cancels.
- Welch (1947): the legs' blocks are separate samples with variances of their own; the degrees of
  freedom are Satterthwaite's (1946).

The functions on arrays are the method; :class:`LogRatio` is one row of them. The calibration
(``tests/performance/calibration.py``) calls the same functions with thousands of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from core.verdict.model import CONFIDENCE, Method, Span

if TYPE_CHECKING:
    import numpy
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[numpy.float64]

ALPHA = (1 - CONFIDENCE) / 2
"""One-sided level of a single look: what the 90 % interval leaves out on each side."""


class Moments(NamedTuple):
    """What t needs to know of a mean log-ratio. Every field has the shape ``[...]``."""

    mean: Array
    standard_error: Array
    degrees_of_freedom: Array
    deviation: Array
    """How much one unit (a pair; a block) differs from another."""


def paired_moments(first: ArrayLike, second: ArrayLike) -> Moments:
    """Return the moments of ``second - first``, logarithms of shape ``[..., units]``, partners."""
    import numpy

    difference = numpy.asarray(second, dtype=float) - numpy.asarray(first, dtype=float)
    units = difference.shape[-1]
    deviation = _deviation(difference)
    return Moments(
        difference.mean(axis=-1),
        deviation / numpy.sqrt(units),
        numpy.full(deviation.shape, units - 1.0),
        deviation,
    )


def welch_moments(first: ArrayLike, second: ArrayLike) -> Moments:
    """Return the moments of ``mean(second) - mean(first)``, logarithms ``[..., units]`` of each."""
    import numpy

    first, second = numpy.asarray(first, dtype=float), numpy.asarray(second, dtype=float)
    counts = (first.shape[-1], second.shape[-1])
    variances = (_deviation(first) ** 2, _deviation(second) ** 2)
    free = sum(counts) - 2.0
    pooled = sum((n - 1) * each for n, each in zip(counts, variances, strict=True)) / free
    of_means = [each / n for n, each in zip(counts, variances, strict=True)]
    error_squared = of_means[0] + of_means[1]
    scatter = sum(each**2 / (n - 1) for n, each in zip(counts, of_means, strict=True))
    # Two legs without any scatter have no Satterthwaite's figure; theirs is not used either.
    known = scatter > 0
    degrees = numpy.where(known, error_squared**2 / numpy.where(known, scatter, 1.0), free)
    return Moments(
        second.mean(axis=-1) - first.mean(axis=-1),
        numpy.sqrt(error_squared),
        degrees,
        numpy.sqrt(pooled),
    )


def probability_below(moments: Moments, margin: ArrayLike) -> Array:
    """Return the one-sided p-values against "the log-ratio is at least ``margin``", ``[...]``.

    Small where the mean lies far below. Without any scatter it is 0 or 1, and 0.5 on the margin.
    """
    import numpy
    from scipy.special import stdtr

    distance = numpy.asarray(moments.mean - numpy.asarray(margin, dtype=float))
    scattered = moments.standard_error > 0
    studentised = distance / numpy.where(scattered, moments.standard_error, 1.0)
    certain = numpy.heaviside(distance, 0.5)
    below: Array = numpy.where(scattered, stdtr(moments.degrees_of_freedom, studentised), certain)
    return below


def probability_above(moments: Moments, margin: ArrayLike) -> Array:
    """Return the one-sided p-values against "the log-ratio is at most ``margin``", ``[...]``."""
    import numpy

    return probability_below(
        moments._replace(mean=-moments.mean), -numpy.asarray(margin, dtype=float)
    )


def half_width(moments: Moments, alpha: float) -> Array:
    """Return how far the interval that leaves ``alpha`` out on each side reaches, ``[...]``."""
    from scipy.special import stdtrit

    reach: Array = stdtrit(moments.degrees_of_freedom, 1 - alpha) * moments.standard_error
    return reach


@dataclass(frozen=True, slots=True)
class LogRatio:
    """The mean of ``log(second/first)`` over blocks, and how sure it is."""

    mean: float
    standard_error: float
    degrees_of_freedom: float
    method: Method
    deviation: float
    """Standard deviation of one unit: of the pairs' log-ratios; for Welch of the legs' pooled."""

    def interval(self, alpha: float = ALPHA) -> Span:
        """Return the interval of the log-ratio that leaves ``alpha`` out on each side."""
        reach = float(half_width(self.moments(), alpha))
        return Span(self.mean - reach, self.mean + reach)

    def p_below(self, margin: float) -> float:
        """Return the one-sided p-value against "the log-ratio is at least ``margin``"."""
        return float(probability_below(self.moments(), margin))

    def p_above(self, margin: float) -> float:
        """Return the one-sided p-value against "the log-ratio is at most ``margin``"."""
        return float(probability_above(self.moments(), margin))

    def moments(self) -> Moments:
        """Return the same as arrays without a dimension."""
        import numpy

        figures = (self.mean, self.standard_error, self.degrees_of_freedom, self.deviation)
        return Moments(*(numpy.asarray(each) for each in figures))


def paired(first: Sequence[float], second: Sequence[float]) -> LogRatio:
    """Compare partners: ``first[k]`` with ``second[k]``, positive, in the metric's unit.

    Raises ValueError for legs of different length, fewer than two pairs, or a figure that is not
    positive and finite.
    """
    if len(first) != len(second):
        raise ValueError(f"pairs need as many blocks in each leg: {len(first)} and {len(second)}")
    return _one(paired_moments(logarithms(first), logarithms(second)), "paired t")


def welch(first: Sequence[float], second: Sequence[float]) -> LogRatio:
    """Compare two separate samples of positive figures, in the metric's unit.

    Raises ValueError for fewer than two blocks of a leg, or a figure that is not positive and
    finite.
    """
    return _one(welch_moments(logarithms(first), logarithms(second)), "Welch t")


def logarithms(values: Sequence[float]) -> Array:
    """Return the natural logarithms of one leg's figures, ``[units]``.

    Raises ValueError for fewer than two, or one that is not positive and finite.
    """
    import numpy

    figures = numpy.asarray(values, dtype=float)
    if figures.size < 2:
        raise ValueError(f"a leg needs two blocks at least: {figures.size}")
    if not (numpy.isfinite(figures) & (figures > 0)).all():
        raise ValueError("a block's figure must be positive and finite to have a ratio")
    return numpy.asarray(numpy.log(figures))


def _deviation(values: Array) -> Array:
    import numpy

    # Of numbers all alike numpy's mean may differ in the last bit, and scatter would appear.
    alike = values.max(axis=-1) == values.min(axis=-1)
    return numpy.where(alike, 0.0, values.std(axis=-1, ddof=1))


def _one(moments: Moments, method: Method) -> LogRatio:
    return LogRatio(
        mean=float(moments.mean),
        standard_error=float(moments.standard_error),
        degrees_of_freedom=float(moments.degrees_of_freedom),
        method=method,
        deviation=float(moments.deviation),
    )
