"""How many blocks a verdict takes: the power of t, from the noncentral t distribution.

Owen (1965, Biometrika 52); as sample sizes of non-inferiority and equivalence are computed
(Julious 2004, Statistics in Medicine 23). If the log-ratio truly lies a distance ``d`` from the
margin and its standard error is ``s``, t has the noncentrality ``d / s``, and the verdict is sure
when t passes its critical value.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from core.verdict.decision import log_margin
from core.verdict.model import TARGET_OVERHEAD, Estimate, Metric
from core.verdict.statistics import ALPHA

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Array = NDArray[numpy.float64]

POWER = 0.9
"""The chance of a sure verdict that a number of blocks is chosen for."""
_CERTAIN = 1e6
"""The noncentrality of blocks that do not scatter at all: the power is 1."""
MOST_BLOCKS = 1000
"""Of each leg: a study that needs more is not run."""


def further_blocks(
    estimate: Estimate,
    metric: Metric,
    target: float,
    alpha: float = ALPHA,
    *,
    is_paired: bool,
    units: tuple[int, int],
    power: float = POWER,
    both_ways: bool = False,
) -> int | None:
    """Return how many more units of each leg would settle it, were the overhead what it seems.

    ``units`` are those there are now (the same number twice where paired), ``alpha`` is one-sided,
    ``both_ways`` as :func:`core.verdict.decision.estimate` takes it: what is further apart than the
    target has half of ``alpha``. None: the overhead seen is so near the target that more than
    ``MOST_BLOCKS`` would be needed.
    """
    import numpy

    more = numpy.arange(1, MOST_BLOCKS + 1)
    first, second = units[0] + more.astype(float), units[1] + more.astype(float)
    share = 1 / first if is_paired else 1 / first + 1 / second
    degrees = first - 1 if is_paired else first + second - 2
    found = math.log(estimate.ratio)
    distance = abs(found - log_margin(metric, target))
    if both_ways:
        distance = abs(abs(found) - math.log1p(target))
        alpha = alpha / 2 if abs(found) > math.log1p(target) else alpha
    enough = chance(distance, estimate.noise_percent / 100 * numpy.sqrt(share), degrees, alpha)
    return _least(more, enough >= power)


def blocks_needed(
    overhead: float,
    variation: float,
    target: float = TARGET_OVERHEAD,
    alpha: float = ALPHA,
    power: float = POWER,
) -> int | None:
    """Return how many pairs of blocks settle a true ``overhead`` of a latency, all fractions.

    ``variation`` is the coefficient of variation of a leg's blocks. Partners are taken to share
    none of it, so a pair's log-ratio varies by ``sqrt(2)`` times as much; what they do share makes
    fewer blocks do. None: more than ``MOST_BLOCKS``.
    """
    import numpy

    pairs = numpy.arange(2, MOST_BLOCKS + 1)
    degrees = (pairs - 1).astype(float)
    error = variation * numpy.sqrt(2 / pairs)
    distance = abs(math.log1p(overhead) - math.log1p(target))
    return _least(pairs, chance(distance, error, degrees, alpha) >= power)


def chance(
    distance: float, standard_error: Array, degrees_of_freedom: Array, alpha: float
) -> Array:
    """Return the chance that t is sure at one-sided ``alpha``, of each row of ``[rows]``."""
    import numpy
    from scipy.special import nctdtr, stdtrit

    critical = stdtrit(degrees_of_freedom, 1 - alpha)
    if not distance:
        return numpy.full(critical.shape, alpha)
    noncentrality = distance / numpy.maximum(standard_error, distance / _CERTAIN)
    sure: Array = 1 - nctdtr(degrees_of_freedom, noncentrality, critical)
    return sure


def _least(counts: NDArray[numpy.int_], enough: NDArray[numpy.bool_]) -> int | None:
    return int(counts[enough.argmax()]) if enough.any() else None
