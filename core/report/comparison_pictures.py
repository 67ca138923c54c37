"""Which pictures stand in which section of a comparison's HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from core.report.comparison_plots import (
    blocks_plot,
    distribution_plot,
    interval_plot,
    throughput_plot,
)
from core.report.comparisons import ComparisonReport


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture and what it is called."""

    title: str
    svg: str


def pictures(report: ComparisonReport) -> Mapping[str, tuple[Picture, ...]]:
    """Return the pictures by the key of their section; there are none of what was not measured."""
    found: Mapping[str, Iterable[Picture]] = {
        "results": [Picture("Overhead with its 90 % interval", interval_plot(report.comparison))],
        "details": _of_measurements(report),
    }
    return {key: tuple(each for each in drawn if each.svg) for key, drawn in found.items()}


def _of_measurements(report: ComparisonReport) -> Iterator[Picture]:
    comparison, evidence = report.comparison, report.evidence
    for each in comparison.measurements:
        name = f"{each.name} ({each.path})"
        yield Picture(f"{name}: overhead by block", blocks_plot(comparison, each))
        if evidence is not None:
            latencies = distribution_plot(comparison, each, evidence)
            yield Picture(f"{name}: latencies of all blocks", latencies)
            throughput = throughput_plot(comparison, each, evidence)
            yield Picture(f"{name}: throughput over time", throughput)
