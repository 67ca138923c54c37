"""How far apart two equal legs come out: A/A, or where there is none the halves of the first leg.

A/A is a measurement and can forbid a verdict: where equal legs are not within the target, being
within it means nothing. Halves lack whatever changes from run to run, so they only inform.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.verdict.attested import attested, differing_layers
from core.verdict.comparability import conduct_refusals
from core.verdict.draws import Unit
from core.verdict.legs import Block, Leg
from core.verdict.measurements import (
    Measured,
    Terms,
    compare_measurement,
    measured_blocks,
    together,
)
from core.verdict.model import (
    FEWEST_BLOCKS,
    Comparison,
    MeasurementComparison,
    NoiseFloor,
    NoiseRow,
    Verdict,
)
from core.verdict.reasons import farthest, figure_text, gating, missing_text
from core.verdict.statistics import ALPHA


def measured_floor(
    calibration: Comparison, legs: tuple[Leg, Leg], first: Leg, wanted: Sequence[tuple[str, str]]
) -> NoiseFloor:
    """Return the noise floor of A/A.

    Args:
        calibration: A/A compared, both ways.
        legs: what was compared there.
        first: the leg whose noise it is to be.
        wanted: measurement and metric of what gates in the comparison: each must gate in A/A too,
            and be within the target there.
    """
    rows = _rows(calibration.measurements)
    verdict, sentence = calibration.verdict, f"A/A: {calibration.reason}"
    # Where A/A as a whole is within the target, so is each figure that gates in it.
    known = {(name, str(end.metric)) for name, end, _ in gating(calibration.measurements)}
    lacking = [each for each in wanted if each not in known]
    if differing := _differing(first, legs):
        verdict = Verdict.REFUSED
        sentence = f"A/A was not measured as {first.name} was: {differing[0]}"
    elif verdict is Verdict.WITHIN and lacking:
        verdict = Verdict.INCONCLUSIVE
        sentence = f"A/A says nothing of {missing_text(lacking)}."
    return NoiseFloor(
        source="A/A",
        runs=tuple(dict.fromkeys((*calibration.first.runs, *calibration.second.runs))),
        rows=rows,
        verdict=verdict,
        sentence=sentence,
    )


def _differing(first: Leg, legs: tuple[Leg, Leg]) -> list[str]:
    """Return a sentence for each way in which A/A is not another measurement of the first leg."""
    layers = attested(first)
    found = [differing_layers(layers, attested(leg)) for leg in legs]
    found += [refusal.sentence for leg in legs for refusal in conduct_refusals(first, leg)]
    return [sentence for sentence in found if sentence]


def halves(first: Leg, measured: Sequence[Measured], target: float) -> NoiseFloor | None:
    """Return the noise floor of every second unit of the first leg against the others; None: there
    are too few.
    """
    terms = Terms(target, ALPHA, both_ways=True)
    called = ("its odd blocks", "its even blocks")
    compared = [
        compare_measurement(_split(each), called, terms)
        for each in measured
        if sum(unit.good for unit in each.draws.first) >= 2 * FEWEST_BLOCKS
    ]
    rows = _rows(compared)
    endpoints = [end for each in compared for end in each.endpoints]
    found = gating(compared)
    if not found:
        return None
    return NoiseFloor(
        source="halves",
        runs=tuple(result.run_id for result in first.results),
        rows=rows,
        verdict=together(endpoints, terms),
        sentence=(
            f"No A/A was given. Every second block of {first.name} against the others: farthest "
            f"apart is {figure_text(farthest(found), 100 * target)}. What changes from run to run "
            "is not in it."
        ),
    )


def _rows(compared: Sequence[MeasurementComparison]) -> tuple[NoiseRow, ...]:
    return tuple(
        NoiseRow(each.name, end.metric, end.estimate)
        for each in compared
        for end in each.endpoints
        if end.estimate is not None
    )


def _split(each: Measured) -> Measured:
    """Return the first leg's units as two legs, taken in turn."""
    units = each.draws.first
    kind = (each.scenario, each.batch_size)
    return measured_blocks(each.name, kind, _blocks(units[0::2]), _blocks(units[1::2]))


def _blocks(units: Sequence[Unit]) -> list[Block]:
    return [block for unit in units for block in unit.blocks]
