"""From the figures of blocks to a verdict: non-inferiority against the target.

An endpoint is within the target when the 90 % interval's worse end is below it, exceeds it when
the better end is above it; else nothing is sure. Those are two one-sided t tests at 5 % (Schuirmann
1987; Walker and Nowacki 2011, Understanding equivalence and noninferiority testing).

Together: "within" needs every gating endpoint within, which an intersection-union test allows
without any correction (Berger 1982, Technometrics 24). "Exceeds" needs one, and one of many is
found above by chance, so it is Simes' (1986, Biometrika 73) test of "none exceeds": valid for
endpoints that rise and fall together, as throughput and latencies do (Sarkar 1998, Annals of
Statistics 26).

Of equal legs (A/A) neither is the one that may be worse, so both directions are asked alike, on the
scale of logarithms: within the target is equivalence, both one-sided tests at 5 % (Schuirmann); to
be surely further apart than the target, in either direction, each has half of the 5 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.verdict.bootstrap import paired_interval, welch_interval
from core.verdict.model import Estimate, Metric, Span, Verdict
from core.verdict.statistics import (
    ALPHA,
    Moments,
    paired,
    probability_above,
    probability_below,
    welch,
)

if TYPE_CHECKING:
    import numpy
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[numpy.float64]


def overhead(metric: Metric, ratio: float) -> float:
    """Return how much worse the second leg is, in percent, from ``second/first``."""
    return 100 * (1 - ratio) if metric.percentile is None else 100 * (ratio - 1)


def log_margin(metric: Metric, target: float) -> float:
    """Return the log-ratio at which the overhead is exactly ``target``, a fraction.

    Raises ValueError for a target outside [0, 1).
    """
    if not 0 <= target < 1:
        raise ValueError(f"a target overhead lies between 0 and 1: {target}")
    return math.log1p(-target if metric.percentile is None else target)


def estimate(
    metric: Metric,
    first: Sequence[float],
    second: Sequence[float],
    *,
    is_paired: bool,
    target: float,
    alpha: float = ALPHA,
    both_ways: bool = False,
) -> Estimate:
    """Return how far two legs are apart in ``metric``, one positive figure a unit and leg.

    ``alpha`` is the one-sided level of this look; ``both_ways``: the legs are equal, so a second
    one that is better is as wrong as one that is worse. Raises ValueError for figures that have no
    ratio (:func:`core.verdict.statistics.paired`).
    """
    found = paired(first, second) if is_paired else welch(first, second)
    resampled = paired_interval(first, second) if is_paired else welch_interval(first, second)
    asked = apart_p_values(found.moments(), target) if both_ways else None
    within, exceeds = asked or p_values(metric, found.moments(), target)
    shown, deciding = found.interval(), found.interval(alpha)
    ratio = math.exp(found.mean)
    return Estimate(
        method=found.method,
        ratio=ratio,
        ratio_interval=Span(math.exp(shown.low), math.exp(shown.high)),
        overhead_percent=overhead(metric, ratio),
        interval_percent=percent(metric, shown),
        decision_percent=percent(metric, deciding),
        standard_error=found.standard_error,
        degrees_of_freedom=found.degrees_of_freedom,
        noise_percent=100 * found.deviation,
        bootstrap_percent=percent(metric, resampled),
        p_within=float(within),
        p_exceeds=float(exceeds),
    )


def p_values(metric: Metric, moments: Moments, target: float) -> tuple[Array, Array]:
    """Return one-sided p-values for "within" and for "exceeds", each of the moments' shape.

    A layer makes throughput fall and latencies rise, so their margins lie on opposite sides.
    """
    margin = log_margin(metric, target)
    below, above = probability_below(moments, margin), probability_above(moments, margin)
    return (above, below) if metric.percentile is None else (below, above)


def apart_p_values(moments: Moments, target: float) -> tuple[Array, Array]:
    """Return p-values for "less than ``target`` apart" and for "further", of the moments' shape.

    Apart by the target: the greater is ``1 + target`` times the smaller. Swapping the legs changes
    nothing.
    """
    import numpy

    margin = math.log1p(target)
    nearer = probability_below(moments, margin), probability_above(moments, -margin)
    further = probability_above(moments, margin), probability_below(moments, -margin)
    return numpy.maximum(*nearer), numpy.minimum(1.0, 2 * numpy.minimum(*further))


def percent(metric: Metric, logs: Span) -> Span:
    """Return an interval of the log-ratio as one of the overhead in percent."""
    ends = (overhead(metric, math.exp(logs.low)), overhead(metric, math.exp(logs.high)))
    return Span(min(ends), max(ends))


def endpoint_verdict(estimate: Estimate, alpha: float = ALPHA) -> Verdict:
    """Return what one endpoint says at the one-sided level ``alpha``."""
    if estimate.p_within <= alpha:
        return Verdict.WITHIN
    return Verdict.EXCEEDS if estimate.p_exceeds <= alpha else Verdict.INCONCLUSIVE


def overall(
    gating: Sequence[Estimate], alpha: float = ALPHA, family_alpha: float | None = None
) -> Verdict:
    """Return what all gating endpoints say together at the one-sided level ``alpha``.

    ``family_alpha`` is that of "exceeds" where there are several looks
    (:meth:`core.verdict.looks.Looks.family_level`); None: the same.
    """
    if not gating:
        return Verdict.INCONCLUSIVE
    if all_within([each.p_within for each in gating], alpha):
        return Verdict.WITHIN
    level = alpha if family_alpha is None else family_alpha
    exceeds = any_exceeds([each.p_exceeds for each in gating], level)
    return Verdict.EXCEEDS if exceeds else Verdict.INCONCLUSIVE


def all_within(p_within: ArrayLike, alpha: float) -> NDArray[numpy.bool_]:
    """Return where every endpoint of ``[..., endpoints]`` is within: an intersection-union test."""
    import numpy

    return numpy.asarray((numpy.asarray(p_within) <= alpha).all(axis=-1))


def any_exceeds(p_exceeds: ArrayLike, alpha: float) -> NDArray[numpy.bool_]:
    """Return where Simes' test over ``[..., endpoints]`` rejects "none exceeds".

    With the p-values in order, the ``i``-th smallest of ``m`` is held against ``i alpha / m``.
    """
    import numpy

    ordered = numpy.sort(numpy.asarray(p_exceeds, dtype=float), axis=-1)
    count = ordered.shape[-1]
    allowed = alpha * numpy.arange(1, count + 1) / count
    return numpy.asarray((ordered <= allowed).any(axis=-1))
