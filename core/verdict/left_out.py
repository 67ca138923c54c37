"""What void blocks leave out of a verdict: how many there are, and whether they would change it.

A block is void for what happened to it and not for its figures, but what happened may be what the
layer does. Where one leg lost more blocks than the other, "within target" must hold with them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.verdict.legs import Block
from core.verdict.measurements import Measured, Terms, compare_measurement, measured_blocks
from core.verdict.model import METRICS, MeasurementComparison, Verdict
from core.verdict.reasons import figure_text


def void_warnings(found: Sequence[Measured], called: tuple[str, str]) -> list[str]:
    """Return how many blocks of each leg are void and why the first one is; none: nothing."""
    said, clean = [], []
    legs = [each.first for each in found], [each.second for each in found]
    for label, leg in zip(called, legs, strict=True):
        blocks = [block for measurement in leg for block in measurement]
        void = [block for block in blocks if not block.good]
        if void:
            reason = void[0].void[0]
            said.append(f"{len(void)} of {len(blocks)} blocks of {label} are void ({reason})")
        else:
            clean.append(f"none of {label}")
    return [f"{', '.join((*said, *clean))}."] if said else []


def against_voids(
    found: Sequence[Measured],
    compared: Sequence[MeasurementComparison],
    called: tuple[str, str],
    terms: Terms,
) -> list[str]:
    """Return a sentence where the legs lost unlike shares of a measurement's blocks and a figure
    that gates is not within target once those that have figures are counted; else nothing.
    """
    for each, plain in zip(found, compared, strict=True):
        shares = [_void_share(blocks) for blocks in (each.first, each.second)]
        if shares[0] == shares[1]:
            continue
        kind = (each.scenario, each.batch_size)
        whole = measured_blocks(each.name, kind, _counted(each.first), _counted(each.second))
        again = compare_measurement(whole, called, terms)
        gating = {end.metric for end in plain.endpoints if end.gating}
        for end in again.endpoints:
            if end.metric in gating and end.estimate and end.verdict is not Verdict.WITHIN:
                figure = figure_text((each.name, end, end.estimate), 100 * terms.target)
                return [
                    f"Of {each.name} the legs lost unlike shares of blocks, and with the void ones "
                    f"{figure} is not within target."
                ]
    return []


def _void_share(blocks: Sequence[Block]) -> float:
    return sum(not block.good for block in blocks) / len(blocks) if blocks else 0.0


def _counted(blocks: Sequence[Block]) -> list[Block]:
    """Return blocks with the void ones counted where they have a figure."""
    return [
        replace(block, void=()) if any(block.value(metric) for metric in METRICS) else block
        for block in blocks
    ]
