"""What a leg is made of: results pooled in time order, and the blocks of each measurement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmark.plan import Measurement
from benchmark.results import MeasurementResult, Result
from core.verdict.model import Metric
from core.verdict.voids import void_evidence


@dataclass(frozen=True, slots=True)
class Source:
    """One result file that was read."""

    result: Result
    folder: Path | None = None
    """Where it lies, with its raw files below; None: it was never a file."""


@dataclass(frozen=True, slots=True)
class Block:
    """One measurement process of one leg."""

    result: Result
    measurement: MeasurementResult
    void: tuple[str, ...]
    """Why it is not used; empty: it is good."""

    @property
    def good(self) -> bool:
        """Whether nothing speaks against using it."""
        return not self.void

    @property
    def label(self) -> str:
        """Which one: ``20261123-101500-local-baseline-e5e6 block 2``."""
        return f"{self.result.run_id} block {self.measurement.block}"

    @property
    def started_at(self) -> datetime:
        """When its process started."""
        return self.measurement.started_at

    @property
    def boot(self) -> str | None:
        """Which boot of a kernel it was measured in; None: not known."""
        return self.result.environment.boot_id

    def value(self, metric: Metric) -> float | None:
        """Return the metric in its unit; None where there is none, or none that has a logarithm."""
        if metric.percentile is None:
            found = self.measurement.throughput_samples_per_s
        else:
            latency = self.measurement.latency
            percentile = latency.milliseconds(metric.percentile) if latency else None
            found = percentile.milliseconds if percentile else None
        return found if found is not None and 0 < found < math.inf else None


@dataclass(frozen=True, slots=True)
class Leg:
    """The results of one leg, pooled."""

    sources: tuple[Source, ...]
    """In time order; the same result given twice is there once."""

    @classmethod
    def of(cls, sources: Sequence[Source]) -> Leg:
        """Pool results.

        Raises:
            ValueError: there is none.
        """
        if not sources:
            raise ValueError("a leg needs at least one result")
        known = {source.result.content_sha256: source for source in sources}
        order = sorted(known.values(), key=lambda each: (_started(each), each.result.run_id))
        return cls(tuple(order))

    @property
    def results(self) -> tuple[Result, ...]:
        """Its results in time order."""
        return tuple(source.result for source in self.sources)

    @property
    def name(self) -> str:
        """Its label; of results with several labels all of them."""
        return " + ".join(dict.fromkeys(result.leg for result in self.results))

    def measurements(self) -> dict[str, tuple[str, int]]:
        """Return scenario and batch size of each measurement by its name, in the plan's order."""
        found: dict[str, tuple[str, int]] = {}
        for result in self.results:
            for planned in result.plan.measurements():
                found.setdefault(planned.name, (str(planned.scenario), planned.batch_size))
        for result in self.results:
            for made in result.benchmarks:
                found.setdefault(made.name, (str(made.scenario), made.batch_size))
        return found

    def blocks(self, name: str) -> tuple[Block, ...]:
        """Return every block of a measurement, void ones too, in time order."""
        found = []
        for result in self.results:
            planned = _planned(result, name)
            found += [
                Block(result, entry, void_evidence(entry, result.device, planned))
                for entry in result.benchmarks
                if entry.name == name
            ]
        return tuple(sorted(found, key=lambda block: (block.started_at, block.label)))

    def missing(self, name: str) -> int:
        """Return how many blocks of a measurement its plans asked for and its results lack."""
        found = 0
        for result in self.results:
            if _planned(result, name) is not None:
                made = {entry.block for entry in result.benchmarks if entry.name == name}
                found += len(set(range(1, result.plan.repeats + 1)) - made)
        return found


def _planned(result: Result, name: str) -> Measurement | None:
    return next((each for each in result.plan.measurements() if each.name == name), None)


def _started(source: Source) -> datetime:
    return source.result.started_at


def labels(first: Leg, second: Leg) -> tuple[str, str]:
    """Return what both legs are called side by side: ``baseline (first)`` where they are one."""
    if first.name == second.name:
        return f"{first.name} (first)", f"{second.name} (second)"
    return first.name, second.name
