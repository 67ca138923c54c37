"""One measurement in both legs: its figures, its estimates, and whether there is enough of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import geometric_mean, median
from typing import Literal

from core.verdict.decision import endpoint_verdict, estimate, overall, overhead
from core.verdict.descriptions import path_text
from core.verdict.draws import Draws, Unit, draws
from core.verdict.gating import advisory
from core.verdict.legs import Block, Leg
from core.verdict.looks import Looks
from core.verdict.model import (
    FEWEST_BLOCKS,
    METRICS,
    BlockPoint,
    Endpoint,
    Estimate,
    LegFigure,
    MeasurementComparison,
    Metric,
    Refusal,
    Verdict,
)
from core.verdict.power import further_blocks

MOST_VOID = 0.2
"""A greater share of void blocks says that something was wrong with the leg, not with a block."""
_FEWEST_FOR_A_SPREAD = 2


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides."""

    target: float
    """The overhead to stay below, a fraction."""
    alpha: float
    """One-sided level of this look."""
    both_ways: bool = False
    """Whether a second leg that is better by as much as the target is no less wrong: so it is where
    the legs are equal."""
    looks: Looks | None = None
    """Declared ones, of which ``alpha`` is one's; None: one look."""
    look: int = 1

    def family_alpha(self, endpoints: int) -> float:
        """Return the one-sided level of a test of so many endpoints together."""
        if self.looks is None or not endpoints:
            return self.alpha
        return self.looks.family_level(self.look, endpoints)


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement's blocks in both legs."""

    name: str
    scenario: str
    batch_size: int
    first: tuple[Block, ...]
    second: tuple[Block, ...]
    draws: Draws
    missing: tuple[int, int] = (0, 0)
    """How many blocks of each leg were planned and are not in its results."""

    def good(self) -> tuple[list[Block], list[Block]]:
        """Return the blocks of both legs that are used."""
        return [block for block in self.first if block.good], [
            block for block in self.second if block.good
        ]


def measured(first: Leg, second: Leg) -> tuple[Measured, ...]:
    """Return every measurement that either leg has planned or made."""
    kinds = {**second.measurements(), **first.measurements()}
    names = dict.fromkeys((*first.measurements(), *second.measurements()))
    return tuple(
        replace(
            measured_blocks(name, kinds[name], first.blocks(name), second.blocks(name)),
            missing=(first.missing(name), second.missing(name)),
        )
        for name in names
    )


def measured_blocks(
    name: str, kind: tuple[str, int], first: Sequence[Block], second: Sequence[Block]
) -> Measured:
    """Return a measurement's blocks with their units and partners. ``kind``: its scenario and batch
    size.
    """
    return Measured(name, *kind, tuple(first), tuple(second), draws(first, second))


def shortages(each: Measured, called: tuple[str, str]) -> list[Refusal]:
    """Return why there is too little of a measurement: too many blocks void, or too few good."""
    good = [len(blocks) for blocks in each.good()]
    planned = [
        len(blocks) + missing
        for blocks, missing in zip((each.first, each.second), each.missing, strict=True)
    ]
    shown = (f"{good[0]} of {planned[0]} good", f"{good[1]} of {planned[1]} good")
    found = []
    for leg, blocks in enumerate((each.first, each.second)):
        void = planned[leg] - good[leg]
        if void > MOST_VOID * planned[leg]:
            sentence = (
                f"{void} of {planned[leg]} blocks of {each.name} are void in {called[leg]}, more "
                f"than a fifth; {_why_void(blocks, each.missing[leg])}."
            )
            found.append(Refusal("void", sentence, *shown))
    found += [Refusal("blocks", sentence, *shown) for sentence in _lacking(each, called)]
    least = min(each.draws.usable())
    if least < FEWEST_BLOCKS:
        what = f"pairs of {each.draws.unit}s" if each.draws.paired else f"{each.draws.unit}s"
        sentence = (
            f"Of {each.name} at least {FEWEST_BLOCKS} good {what} are needed, and there are "
            f"{least}: {called[0]}: {shown[0]}; {called[1]}: {shown[1]}."
        )
        found.append(Refusal("blocks", sentence, *shown))
    return found


def _why_void(blocks: Sequence[Block], missing: int) -> str:
    reasons = [f"the first because {block.void[0]}" for block in blocks if block.void][:1]
    if missing:
        # One that was left out is no better than one whose void mark was taken away.
        reasons.append(
            f"{missing} of them were planned and are not in the results: a run is incomplete"
        )
    return "; ".join(reasons)


def _lacking(each: Measured, called: tuple[str, str]) -> list[str]:
    """Return a sentence for each percentile that decides and that good blocks do not have."""
    found = []
    for metric in METRICS:
        for label, blocks in zip(called, each.good(), strict=True):
            lacking = sum(block.value(metric) is None for block in blocks)
            if lacking and not _advisory(each, metric):
                found.append(
                    f"{lacking} of {len(blocks)} good blocks of {each.name} have no {metric.name} "
                    f"in {label}, and the verdict depends on it."
                )
    return found


def compare_measurement(
    each: Measured, called: tuple[str, str], terms: Terms, *, estimating: bool = True
) -> MeasurementComparison:
    """Return one measurement compared; without ``estimating``, each leg's figures alone."""
    endpoints = tuple(_endpoint(each, metric, terms, estimating) for metric in METRICS)
    gating = [end.estimate for end in endpoints if end.gating and end.estimate is not None]
    good = [block.measurement for blocks in each.good() for block in blocks]
    queries = [entry.queries for entry in good if entry.queries is not None]
    return MeasurementComparison(
        name=each.name,
        scenario=each.scenario,
        batch_size=each.batch_size,
        path=_path(each),
        latency_of=_latency_of(each),
        queries=min(queries, default=None),
        paired=each.draws.paired,
        unit=each.draws.unit,
        void=_void_sentences(each, called),
        endpoints=endpoints,
        verdict=together(endpoints, terms) if gating else None,
    )


def together(endpoints: Sequence[Endpoint], terms: Terms) -> Verdict:
    """Return what gating endpoints say together; each must say "within", or they do not."""
    gating = [end for end in endpoints if end.gating]
    estimates = [end.estimate for end in gating if end.estimate is not None]
    verdict = overall(estimates, terms.alpha, terms.family_alpha(len(estimates)))
    if verdict is Verdict.WITHIN and any(end.verdict is not Verdict.WITHIN for end in gating):
        return Verdict.INCONCLUSIVE
    return verdict


def _path(each: Measured) -> str:
    paths = dict.fromkeys(path_text(block.measurement) for block in (*each.first, *each.second))
    return " / ".join(paths)


def _latency_of(each: Measured) -> Literal["query", "batch"]:
    return next(
        (
            block.measurement.latency.of
            for block in (*each.first, *each.second)
            if block.measurement.latency is not None
        ),
        "query",
    )


def _void_sentences(each: Measured, called: tuple[str, str]) -> tuple[str, ...]:
    return tuple(
        f"{label}, {block.label}: {'; '.join(block.void)}."
        for label, blocks in zip(called, (each.first, each.second), strict=True)
        for block in blocks
        if block.void
    )


def _endpoint(each: Measured, metric: Metric, terms: Terms, estimating: bool) -> Endpoint:
    advisory = _advisory(each, metric)
    values = each.draws.values(metric)
    found = _estimate(metric, values, each.draws.paired, terms) if estimating else None
    verdict = endpoint_verdict(found, terms.alpha) if found is not None else None
    further = None
    if found is not None and verdict is Verdict.INCONCLUSIVE:
        further = further_blocks(
            found,
            metric,
            terms.target,
            terms.alpha,
            is_paired=each.draws.paired,
            units=(len(values[0]), len(values[1])),
            both_ways=terms.both_ways,
        )
    first, second = (_figure(blocks, metric) for blocks in each.good())
    return Endpoint(
        metric=metric.name,
        unit=metric.unit,
        first=first,
        second=second,
        gating=not advisory,
        advisory=advisory,
        estimate=found,
        verdict=verdict,
        further_blocks=further,
        points=_points(each.draws, metric) if found is not None else (),
    )


def _estimate(
    metric: Metric, values: tuple[list[float], list[float]], is_paired: bool, terms: Terms
) -> Estimate | None:
    if min(map(len, values)) < _FEWEST_FOR_A_SPREAD:
        return None
    try:
        return estimate(
            metric,
            *values,
            is_paired=is_paired,
            target=terms.target,
            alpha=terms.alpha,
            both_ways=terms.both_ways,
        )
    except (ValueError, OverflowError):
        # Figures so far apart that their ratio, or an end of its interval, is no number.
        return None


def _advisory(each: Measured, metric: Metric) -> str:
    """Return why a metric does not gate, as a clause; empty where it does."""
    return advisory(metric, [[block.measurement for block in blocks] for blocks in each.good()])


def _figure(blocks: Sequence[Block], metric: Metric) -> LegFigure | None:
    values = [value for block in blocks if (value := block.value(metric)) is not None]
    if not values:
        return None
    return LegFigure(
        median=median(values),
        geometric_mean=geometric_mean(values),
        minimum=min(values),
        maximum=max(values),
        blocks=len(values),
    )


def _points(units: Draws, metric: Metric) -> tuple[BlockPoint, ...]:
    if units.paired:
        pairs = [
            (number, one.value(metric), other.value(metric))
            for number, (one, other) in enumerate(zip(units.first, units.second, strict=True), 1)
        ]
        return tuple(
            BlockPoint("pair", str(number), overhead(metric, other / one))
            for number, one, other in pairs
            if one is not None and other is not None
        )
    reference = geometric_mean(units.values(metric)[0])
    return (
        *_against(reference, "first", units.first, metric),
        *_against(reference, "second", units.second, metric),
    )


def _against(
    reference: float, leg: Literal["first", "second"], units: Sequence[Unit], metric: Metric
) -> list[BlockPoint]:
    """Return one leg's units against the first leg's geometric mean."""
    values = [(unit, unit.value(metric)) for unit in units]
    return [
        BlockPoint(leg, unit.label, overhead(metric, value / reference))
        for unit, value in values
        if value is not None
    ]
