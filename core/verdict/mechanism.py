"""Which operations below the model cost more in the second leg, and what that explains.

The unit is the block, as everywhere: a probe's median in each block, and the log-ratio of these
(core.verdict.statistics). There are two dozen probes, so that among equal legs one of them often
seems to differ by chance; Holm's step-down procedure (Holm 1979, Scandinavian Journal of Statistics
6:65-70) keeps the probability that any equal probe is called different at 5 %.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from benchmark.plan import Precision, Scenario
from benchmark.probes import COPIES, STEAL, ProbeResult
from core.verdict.model import (
    CONFIDENCE,
    FEWEST_BLOCKS,
    Endpoint,
    MeasurementComparison,
    Mechanism,
    MetricName,
    Span,
)
from core.verdict.statistics import paired, welch

if TYPE_CHECKING:
    from core.verdict.statistics import LogRatio

FAMILY_ERROR = 0.05
"""Two-sided: how often at most any probe is called different where all are equal."""

Block = Sequence[ProbeResult]
"""What the probes found in one block."""

_SAMPLE_VALUES = 3 * 224 * 224
_ELEMENT_BYTES = {Precision.FP32: 4, Precision.TF32: 4, Precision.FP16: 2, Precision.BF16: 2}

# A stranger's figures may lie so far apart that their ratio is no number.
_LARGEST_EXPONENT = 600.0


def mechanisms(
    first: Sequence[Block], second: Sequence[Block], *, is_paired: bool
) -> tuple[Mechanism, ...]:
    """Return every probe that both legs have figures of, in the order in which they ran.

    ``first`` and ``second`` hold one entry a block, in time order. Where ``is_paired`` and there
    are as many of each, entries at the same place are partners, and a pair that lacks one half is
    left out; else the blocks are separate samples.
    """
    is_paired = is_paired and len(first) == len(second)
    legs = [[_usable(block) for block in leg] for leg in (first, second)]
    names = dict.fromkeys(name for block in legs[0] for name in block)
    contrasts = []
    for name in names:
        columns = [[block.get(name) for block in leg] for leg in legs]
        contrast = _contrast(columns[0], columns[1], is_paired)
        if contrast is not None:
            contrasts.append(contrast)
    differing = _holm([contrast.p_value for contrast in contrasts])
    return tuple(
        contrast.mechanism(differs=differs)
        for contrast, differs in zip(contrasts, differing, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Contrast:
    """One probe in both legs."""

    probe: ProbeResult
    """One of its results, for its name and unit."""
    first: float
    second: float
    log_ratio: float
    """Of the costs of both legs."""
    ratio: LogRatio | None
    """None with too few blocks."""

    @property
    def p_value(self) -> float:
        """Two-sided, against "both legs are alike"; 1 with too few blocks."""
        if self.ratio is None:
            return 1.0
        return min(1.0, 2 * min(self.ratio.p_above(0.0), self.ratio.p_below(0.0)))

    def mechanism(self, *, differs: bool) -> Mechanism:
        span = None
        if self.ratio is not None:
            logs = self.ratio.interval((1 - CONFIDENCE) / 2)
            span = Span(_percent(logs.low), _percent(logs.high))
        return Mechanism(
            probe=self.probe.name,
            title=self.probe.title,
            unit=self.probe.unit,
            first=self.first,
            second=self.second,
            change_percent=_percent(self.log_ratio),
            interval_percent=span,
            differs=differs,
        )


def _usable(block: Block) -> Mapping[str, ProbeResult]:
    """Return the probes with figures that a ratio can be made of, by name."""
    return {probe.name: probe for probe in block if _cost(probe) is not None}


def _cost(probe: ProbeResult) -> float | None:
    """Return what is compared: the median.

    Of stolen time it is how much longer all work takes because of it, ``1 / (1 - stolen)``: the
    share itself is 0 on most machines and has no ratio.
    """
    if probe.median is None:
        return None
    if probe.name == STEAL:
        return 100 / (100 - probe.median) if 0 <= probe.median < 100 else None
    return probe.median if probe.median > 0 else None


def _contrast(
    first: Sequence[ProbeResult | None], second: Sequence[ProbeResult | None], is_paired: bool
) -> _Contrast | None:
    if is_paired:
        partners = [(one, other) for one, other in zip(first, second, strict=True) if one and other]
        known_first = [one for one, _ in partners]
        known_second = [other for _, other in partners]
    else:
        known_first = [probe for probe in first if probe]
        known_second = [probe for probe in second if probe]
    if not known_first or not known_second or known_first[0].unit != known_second[0].unit:
        return None
    first_costs = [cost for probe in known_first if (cost := _cost(probe)) is not None]
    second_costs = [cost for probe in known_second if (cost := _cost(probe)) is not None]
    ratio = None
    if min(len(first_costs), len(second_costs)) >= FEWEST_BLOCKS:
        ratio = (paired if is_paired else welch)(first_costs, second_costs)
    return _Contrast(
        probe=known_first[0],
        first=_median(known_first),
        second=_median(known_second),
        log_ratio=_mean_log(second_costs) - _mean_log(first_costs),
        ratio=ratio,
    )


def _median(probes: Sequence[ProbeResult]) -> float:
    return statistics.median(probe.median for probe in probes if probe.median is not None)


def _mean_log(costs: Sequence[float]) -> float:
    return statistics.fmean(math.log(cost) for cost in costs)


def _percent(log_ratio: float) -> float:
    return 100 * math.expm1(min(log_ratio, _LARGEST_EXPONENT))


def _holm(p_values: Sequence[float]) -> list[bool]:
    """Return which are called different: the k-th smallest of m has to be at most
    ``FAMILY_ERROR / (m - k + 1)``, and so has every smaller one.
    """
    differs = [False] * len(p_values)
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda each: p_values[each])):
        if p_values[place] > FAMILY_ERROR / (len(p_values) - rank):
            break
        differs[place] = True
    return differs


def causes(
    found: Sequence[Mechanism],
    measurements: Sequence[MeasurementComparison],
    precision: Precision | None = None,
) -> tuple[str, ...]:
    """Return sentences on what got dearer, the dearest first, and what that explains of overhead.

    ``precision`` is the configuration's, which decides how many bytes a sample has; None: unknown.
    Without probes in both legs there is nothing to say.
    """
    if not found:
        return ()
    return (*_differences(found), *_explanations(found, measurements, precision))


def _differences(found: Sequence[Mechanism]) -> list[str]:
    if all(each.interval_percent is None for each in found):
        return [f"The probes ran in fewer than {FEWEST_BLOCKS} blocks of a leg, which is too few."]
    by_size = sorted(
        (each for each in found if each.differs), key=lambda each: -each.change_percent
    )
    if not by_size:
        return [
            f"No probe differs: chance explains what sets the legs apart in each of {len(found)} "
            f"(Holm, {FAMILY_ERROR:.0%})."
        ]
    dearer = [_change(group) for group in _by_kind(by_size) if group[0].change_percent > 0]
    cheaper = [_change(group) for group in _by_kind(by_size) if group[0].change_percent <= 0]
    return dearer + list(reversed(cheaper))


def _by_kind(by_size: Sequence[Mechanism]) -> list[list[Mechanism]]:
    """Group copies that differ in their size alone, and go the same way, under the dearest."""
    groups: dict[tuple[str, bool], list[Mechanism]] = {}
    for each in by_size:
        copy = COPIES.get(each.probe)
        kind = copy.kind if copy else each.probe
        groups.setdefault((kind, each.change_percent > 0), []).append(each)
    return list(groups.values())


def _change(group: Sequence[Mechanism]) -> str:
    """Return one sentence on mechanisms of a kind, by the one that changed most."""
    most = max(group, key=lambda each: abs(each.change_percent))
    span = most.interval_percent
    assert span is not None  # what differs has an interval
    sign = 1 if most.change_percent > 0 else -1
    low, high = sorted((sign * span.low, sign * span.high))
    word = "more" if sign > 0 else "less"
    unit = most.unit
    figures = f"{_figure(most.second)} {unit} against {_figure(most.first)} {unit}"
    if most.probe == STEAL:
        return (
            f"{most.title}: {figures}, by which all work on the CPU takes "
            f"{sign * most.change_percent:.1f} % {word} (90 %: {low:.1f} to {high:.1f} %)."
        )
    sizes = {1: "", 2: f"; 1 other size takes {word} too"}
    others = sizes.get(len(group), f"; {len(group) - 1} other sizes take {word} too")
    return (
        f"{most.title}: {sign * most.change_percent:.1f} % {word} "
        f"(90 %: {low:.1f} to {high:.1f} %), {figures}{others}."
    )


def _explanations(
    found: Sequence[Mechanism],
    measurements: Sequence[MeasurementComparison],
    precision: Precision | None,
) -> list[str]:
    """Say what copying adds to each measurement with overhead, and of which nothing can be said."""
    sentences, unexplained = [], []
    for measurement in measurements:
        extra = _extra_batch_ms(measurement)
        if extra is None and not _has_overhead(measurement):
            continue
        sentence = extra and _copying(found, measurement, extra, precision)
        if sentence:
            sentences.append(sentence)
        else:
            unexplained.append(measurement.name)
    if unexplained:
        sentences.append(
            f"The probes do not explain the overhead of {', '.join(unexplained)}: "
            + (
                "how often the model does what they time is not known."
                if any(each.differs for each in found)
                else "nothing that they time differs."
            )
        )
    return sentences


def _copying(
    found: Sequence[Mechanism],
    measurement: MeasurementComparison,
    extra_ms: float,
    precision: Precision | None,
) -> str:
    """Return what copying a batch to the device has to do with ``extra_ms``; empty: unknown."""
    if precision not in _ELEMENT_BYTES or "resident" in measurement.path:
        return ""
    size = measurement.batch_size * _SAMPLE_VALUES * _ELEMENT_BYTES[precision]
    extra_us = _extra_copy_us(found, size)
    if extra_us is None or extra_us <= 0:
        return ""
    share = extra_us / 1e3 / extra_ms
    part = f"{share:.0%}" if share < 1 else "all"
    # Offline copies the next batch while this one is computed (benchmark.engine): what a copy costs
    # more is then hidden, wholly or in part.
    bound = "at most " if measurement.scenario == Scenario.OFFLINE else "about "
    what = "batch" if measurement.scenario == Scenario.OFFLINE else "query"
    return (
        f"{measurement.name}: a {what} takes {_figure(extra_ms)} ms more, and copying its "
        f"{_figure(size / 1e6)} MB to the device {_figure(extra_us / 1e3)} ms more, by the probes "
        f"of the nearest sizes: {bound}{part} of it."
    )


def _extra_copy_us(found: Sequence[Mechanism], size: int) -> float | None:
    """Return how many microseconds more a pinned copy to the device takes, between the two sizes
    around ``size`` in proportion; None outside of the sizes, or where neither of the two differs.
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
            return (1 - part) * (below.second - below.first) + part * (above.second - above.first)
    return None


def _extra_batch_ms(measurement: MeasurementComparison) -> float | None:
    """Return how many milliseconds more a batch (Offline) or a query (one after the other) takes.

    None where there is no overhead beyond its interval, and for Server, whose batches vary.
    """
    if measurement.scenario == Scenario.OFFLINE:
        endpoint = _clear_overhead(measurement, "throughput")
        if endpoint is None or endpoint.first is None or endpoint.second is None:
            return None
        rates = (endpoint.first.geometric_mean, endpoint.second.geometric_mean)
        first, second = (1e3 * measurement.batch_size / rate for rate in rates)
        return second - first
    if measurement.scenario == Scenario.SERVER:
        return None
    endpoint = _clear_overhead(measurement, "p50")
    if endpoint is None or endpoint.first is None or endpoint.second is None:
        return None
    return endpoint.second.geometric_mean - endpoint.first.geometric_mean


def _has_overhead(measurement: MeasurementComparison) -> bool:
    return any(_clear_overhead(measurement, end.metric) for end in measurement.endpoints)


def _clear_overhead(measurement: MeasurementComparison, metric: MetricName) -> Endpoint | None:
    """Return the metric's endpoint if its whole 90 % interval is overhead."""
    for endpoint in measurement.endpoints:
        estimate = endpoint.estimate
        if endpoint.metric == metric and estimate and estimate.interval_percent.low > 0:
            return endpoint
    return None


def _figure(value: float) -> str:
    """Return three significant digits at least, without an exponent."""
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(9, max(0, digits))}f}"
