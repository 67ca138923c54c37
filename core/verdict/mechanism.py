"""Which operations below the model cost more in the second leg, and what that explains.

The unit is that of the measurements, the block or the boot (core.verdict.draws): a probe's median
in each, and the log-ratio of these (core.verdict.statistics). There are two dozen probes, so that
among equal legs one of them often seems to differ by chance; Holm's step-down procedure (Holm 1979,
Scandinavian Journal of Statistics 6:65-70) keeps the probability that any equal probe is called
different at 5 %.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.plan import Precision
from benchmark.probes import COPIES, SIBLINGS, STEAL, ProbeResult
from core.verdict.copying import copying, figure, has_overhead
from core.verdict.levels import holm
from core.verdict.model import (
    CONFIDENCE,
    FEWEST_BLOCKS,
    MeasurementComparison,
    Mechanism,
    Span,
)
from core.verdict.statistics import paired, welch

if TYPE_CHECKING:
    from core.verdict.statistics import LogRatio

FAMILY_ERROR = 0.05
"""Two-sided: how often at most any probe is called different where all are equal."""

Block = Sequence[ProbeResult]
"""What the probes found in one block."""
Unit = Sequence[Block]
"""The blocks of one unit: a single one, or all of a boot (core.verdict.draws)."""

# A stranger's figures may lie so far apart that their ratio is no number.
_LARGEST_EXPONENT = 600.0


@dataclass(frozen=True, slots=True)
class Probed:
    """What the probes of both legs found, by unit."""

    first: Sequence[Unit] = ()
    """In time order; where paired, partners stand at the same place of both legs."""
    second: Sequence[Unit] = ()
    is_paired: bool = False


def mechanisms(probed: Probed) -> tuple[Mechanism, ...]:
    """Return every probe that both legs have figures of, in the order in which they ran.

    A unit's figure is the geometric mean of its blocks' (core.verdict.draws). Of paired legs a pair
    that lacks one half is left out; legs of unequal length are separate samples. A probe whose
    parameters are not the same throughout is not compared: see :func:`unlike`.
    """
    is_paired = probed.is_paired and len(probed.first) == len(probed.second)
    legs = [[_usable(unit) for unit in leg] for leg in (probed.first, probed.second)]
    names = dict.fromkeys(name for unit in legs[0] for name in unit)
    contrasts = []
    for name in names:
        columns = [[unit.get(name, ()) for unit in leg] for leg in legs]
        contrast = _contrast(columns[0], columns[1], is_paired)
        if contrast is not None:
            contrasts.append(contrast)
    adjusted = holm([contrast.p_value for contrast in contrasts])
    return tuple(
        contrast.mechanism(differs=level <= FAMILY_ERROR)
        for contrast, level in zip(contrasts, adjusted, strict=True)
    )


def unlike(probed: Probed) -> tuple[str, ...]:
    """Return a sentence on each probe that both legs have figures of and that did not time the same
    operation throughout.
    """
    legs = [_by_name(leg) for leg in (probed.first, probed.second)]
    return tuple(
        f"{results[0].title}: not compared, for {_unlikeness(results + legs[1][name])}."
        for name, results in legs[0].items()
        if name in legs[1] and not _alike(results + legs[1][name])
    )


def _by_name(leg: Sequence[Unit]) -> dict[str, list[ProbeResult]]:
    found: dict[str, list[ProbeResult]] = {}
    for name, results in (entry for unit in leg for entry in _usable(unit).items()):
        found.setdefault(name, []).extend(results)
    return found


def _alike(results: Sequence[ProbeResult]) -> bool:
    return all(
        (each.unit, each.parameters) == (results[0].unit, results[0].parameters) for each in results
    )


def _unlikeness(results: Sequence[ProbeResult]) -> str:
    kinds = dict.fromkeys(each.parameters.get(SIBLINGS) for each in results)
    if len(kinds) == 1:
        return "its parameters are not the same in all blocks of both legs"
    words = {1: "two threads of one core", 0: "two cores", None: "a pair of unknown kind"}
    return "its two CPUs were " + " and ".join(words.get(kind, words[None]) for kind in kinds)


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


def _usable(unit: Unit) -> Mapping[str, Sequence[ProbeResult]]:
    """Return a unit's results that a ratio can be made of, by the probe's name."""
    found: dict[str, list[ProbeResult]] = {}
    for probe in (probe for block in unit for probe in block):
        if _cost(probe) is not None:
            found.setdefault(probe.name, []).append(probe)
    return found


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
    first: Sequence[Sequence[ProbeResult]], second: Sequence[Sequence[ProbeResult]], is_paired: bool
) -> _Contrast | None:
    """Return one probe's contrast; ``first`` and ``second`` hold its results by unit."""
    if is_paired:
        partners = [(one, other) for one, other in zip(first, second, strict=True) if one and other]
        first = [one for one, _ in partners]
        second = [other for _, other in partners]
    legs = [[results for results in leg if results] for leg in (first, second)]
    every = [probe for leg in legs for results in leg for probe in results]
    if not all(legs) or not _alike(every):
        return None
    first_costs, second_costs = ([_unit_cost(results) for results in leg] for leg in legs)
    ratio = None
    if min(len(first_costs), len(second_costs)) >= FEWEST_BLOCKS:
        ratio = (paired if is_paired else welch)(first_costs, second_costs)
    return _Contrast(
        probe=every[0],
        first=_median(legs[0]),
        second=_median(legs[1]),
        log_ratio=_mean_log(second_costs) - _mean_log(first_costs),
        ratio=ratio,
    )


def _unit_cost(results: Sequence[ProbeResult]) -> float:
    costs = [cost for probe in results if (cost := _cost(probe)) is not None]
    # The mean of one is that one, to its last digit.
    return costs[0] if len(costs) == 1 else statistics.geometric_mean(costs)


def _median(units: Sequence[Sequence[ProbeResult]]) -> float:
    medians = [[probe.median for probe in results if probe.median is not None] for results in units]
    return statistics.median(statistics.median(each) for each in medians)


def _mean_log(costs: Sequence[float]) -> float:
    return statistics.fmean(math.log(cost) for cost in costs)


def _percent(log_ratio: float) -> float:
    return 100 * math.expm1(min(log_ratio, _LARGEST_EXPONENT))


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
        return [_none_shown(found)]
    dearer = [_change(group) for group in _by_kind(by_size) if group[0].change_percent > 0]
    cheaper = [_change(group) for group in _by_kind(by_size) if group[0].change_percent <= 0]
    return dearer + list(reversed(cheaper))


def _none_shown(found: Sequence[Mechanism]) -> str:
    """Say that no probe is shown to differ, and how far one may do so none the less."""
    spans = [(each.title, each.interval_percent) for each in found if each.interval_percent]
    title, widest = max(spans, key=lambda each: each[1].high - each[1].low)
    return (
        f"No probe of {len(found)} is shown to differ (Holm, {FAMILY_ERROR:.0%}); the widest "
        f"interval is that of {title} (90 %: {widest.low:+.3g} to {widest.high:+.3g} %)."
    )


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
    figures = f"{figure(most.second)} {unit} against {figure(most.first)} {unit}"
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
        if not has_overhead(measurement):
            continue
        sentence = copying(found, measurement, precision)
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
                else "none of them is shown to differ."
            )
        )
    return sentences
