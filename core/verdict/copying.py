"""What copying a batch to the device has to do with a measurement's overhead.

Two figures are set side by side, each with its 90 % interval: how much longer a batch or a query
takes, and how much longer the probes say that copying it takes. Their ratio lies between the
quotients of the intervals' ends, which is wider than its own 90 % interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmark.plan import Precision, Scenario
from benchmark.probes import COPIES
from core.verdict.model import Endpoint, MeasurementComparison, Mechanism, MetricName

_SAMPLE_VALUES = 3 * 224 * 224
_ELEMENT_BYTES = {Precision.FP32: 4, Precision.TF32: 4, Precision.FP16: 2, Precision.BF16: 2}


@dataclass(frozen=True, slots=True)
class _Extra:
    """How many milliseconds more something takes, with the ends of its 90 % interval."""

    milliseconds: float
    low: float
    high: float

    @property
    def text(self) -> str:
        return (
            f"{figure(self.milliseconds)} ms more (90 %: {figure(self.low)} to "
            f"{figure(self.high)} ms)"
        )


def copying(
    found: Sequence[Mechanism], measurement: MeasurementComparison, precision: Precision | None
) -> str:
    """Return a sentence on copying and a measurement's overhead; empty: nothing is known."""
    extra = _extra_batch(measurement)
    if extra is None or precision not in _ELEMENT_BYTES or "resident" in measurement.path:
        return ""
    size = measurement.batch_size * _SAMPLE_VALUES * _ELEMENT_BYTES[precision]
    copy = _extra_copy(found, size)
    if copy is None or copy.milliseconds <= 0:
        return ""
    is_offline = measurement.scenario == Scenario.OFFLINE
    return (
        f"{measurement.name}: a {'batch' if is_offline else 'query'} takes {extra.text}, and "
        f"copying its {figure(size / 1e6)} MB to the device {copy.text}, by the probes of the "
        f"nearest sizes: {_share(copy, extra, is_offline)}."
    )


def _share(copy: _Extra, extra: _Extra, is_offline: bool) -> str:
    """Return what part of ``extra``, whose interval lies above 0, the copy is."""
    corners = [end / whole for end in (copy.low, copy.high) for whole in (extra.low, extra.high)]
    low, high = min(corners), max(corners)
    if low > 1:
        return "more than the whole difference, so it does not carry over as it is"
    between = f"{100 * low:,.0f} to {100 * high:,.0f} %"
    if copy.milliseconds > extra.milliseconds:
        return f"by these figures more than the whole difference ({between} of it)"
    # Offline copies the next batch while this one is computed (benchmark.engine): what a copy costs
    # more is then hidden, wholly or in part.
    if is_offline:
        return f"at most {100 * high:,.0f} % of it" if high < 1 else "at most all of it"
    return f"{between} of it"


def _extra_copy(found: Sequence[Mechanism], size: int) -> _Extra | None:
    """Return how much more a pinned copy to the device takes, between the two sizes around ``size``
    in proportion; None outside of the sizes, where neither of the two differs, and where one has
    no interval.
    """
    by_size = {
        COPIES[each.probe].bytes: each
        for each in found
        if each.probe in COPIES and COPIES[each.probe].kind == "h2d-pinned"
    }
    timed = sorted(by_size.items(), key=lambda item: item[0])
    for (smaller, below), (larger, above) in pairwise(timed):
        if smaller <= size <= larger and (below.differs or above.differs):
            part = (size - smaller) / (larger - smaller)
            ends = _extra_probe(below), _extra_probe(above)
            if ends[0] is None or ends[1] is None:
                return None
            columns = zip(ends[0], ends[1], strict=True)
            return _Extra(*((1 - part) * one + part * other for one, other in columns))
    return None


def _extra_probe(probe: Mechanism) -> tuple[float, float, float] | None:
    """Return how many milliseconds more a probe in microseconds takes, and its interval's ends."""
    span = probe.interval_percent
    if span is None:
        return None
    changes = (probe.change_percent, span.low, span.high)
    middle, low, high = (probe.first / 1e3 * change / 100 for change in changes)
    return middle, low, high


def _extra_batch(measurement: MeasurementComparison) -> _Extra | None:
    """Return how much more a batch (Offline) or a query (one after the other) takes.

    None where there is no overhead beyond its interval, and for Server, whose batches vary.
    """
    if measurement.scenario == Scenario.SERVER:
        return None
    is_offline = measurement.scenario == Scenario.OFFLINE
    endpoint = clear_overhead(measurement, "throughput" if is_offline else "p50")
    if endpoint is None or endpoint.first is None or endpoint.estimate is None:
        return None
    span = endpoint.estimate.ratio_interval
    ratios = (endpoint.estimate.ratio, span.low, span.high)
    if is_offline:
        # The time of a batch is the reciprocal of the throughput.
        ratios = (1 / ratios[0], 1 / ratios[2], 1 / ratios[1])
        whole = 1e3 * measurement.batch_size / endpoint.first.geometric_mean
    else:
        whole = endpoint.first.geometric_mean
    return _Extra(*(whole * (ratio - 1) for ratio in ratios))


def has_overhead(measurement: MeasurementComparison) -> bool:
    """Return whether the whole 90 % interval of any of its metrics is overhead."""
    return any(clear_overhead(measurement, end.metric) for end in measurement.endpoints)


def clear_overhead(measurement: MeasurementComparison, metric: MetricName) -> Endpoint | None:
    """Return the metric's endpoint if its whole 90 % interval is overhead."""
    for endpoint in measurement.endpoints:
        estimate = endpoint.estimate
        if endpoint.metric == metric and estimate and estimate.interval_percent.low > 0:
            return endpoint
    return None


def figure(value: float) -> str:
    """Return three significant digits at least, without an exponent."""
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(9, max(0, digits))}f}"
