"""The bootstrap of blocks: a cross-check that assumes no normal noise, and decides nothing.

The data are a hierarchy: a leg has boots, a boot blocks, a block queries. What is drawn anew is the
highest level, and what lies below goes with it unchanged: that mimics the variance of a hierarchy
best (Davison and Hinkley 1997, Bootstrap Methods and their Application, section 3.8; Ren et al.
2010, Journal of Applied Statistics 37). So units are resampled, each with the figure of all that it
holds; resampling queries as well would count their noise twice.

The interval is the expanded percentile one (Hesterberg 2015, What Teachers Should Know about the
Bootstrap, section 5.3): a plain percentile interval of few units is too narrow, by the missing
``n/(n-1)`` of the variance and by the normal quantile where t belongs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from core.verdict.model import Span
from core.verdict.statistics import ALPHA, Moments, logarithms, paired_moments, welch_moments

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Array = NDArray[numpy.float64]

_RESAMPLES = 4000
_SEED = 20261123


def paired_interval(first: Sequence[float], second: Sequence[float], alpha: float = ALPHA) -> Span:
    """Return the interval of ``log(second/first)``, partners ``[k]`` drawn together.

    The same units are drawn for the same number of them, so the same data give the same interval.
    Raises ValueError as :func:`core.verdict.statistics.paired` does.
    """
    before, after = logarithms(first), logarithms(second)
    moments = paired_moments(before, after)
    means = _weights(before.size, 0) @ (after - before)
    return _expanded(means, moments, _naive_variance(after - before), alpha)


def welch_interval(first: Sequence[float], second: Sequence[float], alpha: float = ALPHA) -> Span:
    """Return the interval of ``log(second/first)``, each leg's units drawn for themselves.

    Raises ValueError as :func:`core.verdict.statistics.welch` does.
    """
    before, after = logarithms(first), logarithms(second)
    means = _weights(after.size, 1) @ after - _weights(before.size, 0) @ before
    naive = _naive_variance(after) + _naive_variance(before)
    return _expanded(means, welch_moments(before, after), naive, alpha)


@lru_cache(maxsize=16)
def _weights(units: int, stream: int) -> Array:
    """How often each unit is drawn, as a part of all draws: ``[resamples, units]``."""
    import numpy

    generator = numpy.random.default_rng((_SEED, units, stream))
    return generator.multinomial(units, numpy.full(units, 1 / units), size=_RESAMPLES) / units


def _naive_variance(values: Array) -> float:
    """The variance that resampling gives a mean of ``values``: over ``n`` where ``n-1`` belongs."""
    return float(values.var() / values.size)


def _expanded(means: Array, moments: Moments, naive_variance: float, alpha: float) -> Span:
    import numpy
    from scipy.special import ndtr, stdtrit

    if not naive_variance:
        return Span(float(moments.mean), float(moments.mean))
    wanted = float(stdtrit(moments.degrees_of_freedom, alpha) * moments.standard_error)
    level = float(ndtr(wanted / math.sqrt(naive_variance)))
    low, high = numpy.quantile(means, (level, 1 - level))
    return Span(float(low), float(high))
