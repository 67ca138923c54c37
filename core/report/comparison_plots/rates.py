"""Throughput over time, a thin line for each block of both legs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from core.report.comparison_plots.frame import frame, padded
from core.report.comparison_plots.svg import Scale, figure, legend, line, path, shortened, text
from core.verdict.figures import value_text
from core.verdict.model import Comparison, MeasurementComparison

if TYPE_CHECKING:
    from core.verdict.raw import BlockThroughput, RawEvidenceOfLegs

_WIDTH, _HEIGHT = 760, 300
_X, _Y = (72.0, 744.0), (240.0, 60.0)
# More lines than this hide each other.
_MOST_LINES = 40
_LONGEST_LABEL = 24

Leg = tuple[str, str, Sequence["BlockThroughput"]]


def throughput_plot(
    comparison: Comparison, measurement: MeasurementComparison, evidence: RawEvidenceOfLegs
) -> str:
    """Return one measurement's throughput over time in both legs; empty where no record of the
    batches is there.
    """
    legs: list[Leg] = [
        (
            "first",
            shortened(comparison.first.label, _LONGEST_LABEL),
            evidence.first.throughput(measurement.name),
        ),
        (
            "second",
            shortened(comparison.second.label, _LONGEST_LABEL),
            evidence.second.throughput(measurement.name),
        ),
    ]
    every = [block for _, _, blocks in legs for block in blocks]
    if not every:
        return ""
    rates = [rate for block in every for rate in _steady(block)]
    x = Scale(0, max(block.bin_s * len(block.samples_per_s) for block in every), *_X)
    low, high = padded(min(rates), max(rates))
    # A rate that falls to half is judged against zero; small differences would not show from there.
    y = Scale(0 if low < high / 2 else low, high, *_Y)
    shown = [(kind, label, blocks, _some(blocks)) for kind, label, blocks in legs if blocks]
    keys = [
        (kind, f"{label}, {len(blocks)} blocks" + (f" ({len(some)} shown)" * (some != blocks)))
        for kind, label, blocks, some in shown
    ]
    parts = [
        legend((_X[0], 20), keys),
        frame(x, y, "time since the first batch of the block, s", "samples/s"),
        *(_line(block, kind, x, y) for kind, _, _, some in shown for block in some),
        *_medians(measurement, x, y),
        text(_X[0], _HEIGHT - 8, _note(y, every), "quiet"),
    ]
    title = f"Throughput of {measurement.name} over time, {comparison.first.label} and " + (
        comparison.second.label
    )
    return figure(_WIDTH, _HEIGHT, title, _description(legs), parts)


def _some(blocks: Sequence[BlockThroughput]) -> Sequence[BlockThroughput]:
    """Return at most as many as can be told apart, evenly chosen."""
    if len(blocks) <= _MOST_LINES:
        return blocks
    return [blocks[place * len(blocks) // _MOST_LINES] for place in range(_MOST_LINES)]


def _line(block: BlockThroughput, kind: str, x: Scale, y: Scale) -> str:
    points = [
        (x.at((number + 0.5) * block.bin_s), y.at(rate))
        for number, rate in enumerate(block.samples_per_s)
    ]
    if len(points) == 1:
        points = [(x.start, points[0][1]), (x.at(block.bin_s), points[0][1])]
    return path(points, f"{kind} thin")


def _medians(measurement: MeasurementComparison, x: Scale, y: Scale) -> Iterator[str]:
    """Draw the table's own throughput, in the margin where no line hides it."""
    for endpoint in measurement.endpoints:
        for kind, leg in (("first", endpoint.first), ("second", endpoint.second)):
            if endpoint.metric == "throughput" and leg and y.low <= leg.median <= y.high:
                level = y.at(leg.median)
                yield line((x.end - 14, level), (x.end + 10, level), f"bold {kind}")


def _steady(block: BlockThroughput) -> Sequence[float]:
    """Return the rates without the first and last bin, in which a pipeline fills and drains."""
    return block.samples_per_s[1:-1] or block.samples_per_s


def _note(y: Scale, blocks: Sequence[BlockThroughput]) -> str:
    notes = ["Strokes at the right: medians of the blocks."]
    if y.low > 0:
        notes.append("The axis does not begin at zero.")
    if any(not y.low <= rate <= y.high for block in blocks for rate in block.samples_per_s):
        notes.append("Some lines go on beyond it.")
    return " ".join(notes)


def _description(legs: Sequence[Leg]) -> str:
    said = []
    for _, label, blocks in legs:
        rates = [rate for block in blocks for rate in block.samples_per_s]
        if rates:
            said.append(
                f"{label}: {len(blocks)} blocks, between {value_text(min(rates))} and "
                f"{value_text(max(rates))} samples/s."
            )
    return " ".join(said)
