"""What a comparison found. One structure: every document and every screen renders it.

``first`` is the leg that is measured against (baseline), ``second`` the other one (xen). Overhead
is how much worse the second is: of throughput ``1 - second/first``, of a latency
``second/first - 1``. Negative: the second is better.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

TARGET_OVERHEAD = 0.05
"""The default target: an overhead below 5 %."""
CONFIDENCE = 0.90
"""Of the two-sided interval that is shown: 5 % on each side."""
FEWEST_BLOCKS = 3
"""Of a leg, or pairs: fewer say nothing about how much blocks differ."""

MetricName = Literal["throughput", "p50", "p90", "p99"]
Unit = Literal["samples/s", "ms"]
Method = Literal["paired t", "Welch t"]


class Question(StrEnum):
    """What is asked of two legs."""

    OVERHEAD = "overhead"
    """What a layer costs: the legs ran under different ones."""
    NOISE = "noise"
    """A/A: the same thing measured twice, to see how far apart two equal legs come out."""


class Verdict(StrEnum):
    """The answer (DESIGN.md section 2)."""

    WITHIN = "within target"
    EXCEEDS = "exceeds target"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Metric:
    """What is compared of a measurement."""

    name: MetricName
    unit: Unit
    percentile: float | None
    """The latency's fraction; None for throughput."""

    def __str__(self) -> str:
        return f"{self.name} ({self.unit})"


METRICS = (
    Metric("throughput", "samples/s", None),
    Metric("p50", "ms", 0.5),
    Metric("p90", "ms", 0.9),
    Metric("p99", "ms", 0.99),
)


@dataclass(frozen=True, slots=True)
class Span:
    """From ``low`` to ``high``, both included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LegFigure:
    """One metric of one measurement in one leg, over its good blocks, in the metric's unit."""

    median: float
    geometric_mean: float
    minimum: float
    maximum: float
    blocks: int
    """How many good ones there are."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How far the legs are apart in one metric."""

    method: Method
    ratio: float
    """``second/first``, the exponential of the mean log-ratio of blocks."""
    ratio_interval: Span
    """The 90 % interval of the ratio."""
    overhead_percent: float
    interval_percent: Span
    """The 90 % interval of the overhead."""
    decision_percent: Span
    """The interval whose ends decide: wider than the 90 % one where several looks share the 5 %.
    Of equal legs to be further apart takes a wider one still: half of the level on each side."""
    standard_error: float
    """Of the mean log-ratio."""
    degrees_of_freedom: float
    noise_percent: float
    """How much one unit (a pair of blocks; a block) differs from another: 100 times the standard
    deviation of the logarithms; of the legs' pooled for Welch."""
    bootstrap_percent: Span | None
    """The 90 % interval of a hierarchical bootstrap, a cross-check that decides nothing."""
    p_within: float
    """One-sided p-value against "the overhead is at least the target"."""
    p_exceeds: float
    """One-sided p-value against "the overhead is at most the target"."""


@dataclass(frozen=True, slots=True)
class BlockPoint:
    """One block (or boot) of one metric, for the plot of blocks."""

    leg: Literal["pair", "first", "second"]
    """``pair``: a pair's own overhead. Else a block of one leg against the first leg's geometric
    mean."""
    label: str
    """Which: ``3`` or ``20261123-...-e5e6 block 2``."""
    overhead_percent: float


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One metric of one measurement in both legs."""

    metric: MetricName
    unit: Unit
    first: LegFigure | None
    """None: no good block of this leg has it."""
    second: LegFigure | None
    gating: bool
    """Whether the overall verdict depends on it."""
    advisory: str
    """Why it does not gate, as a clause; empty where it does."""
    estimate: Estimate | None
    """None: too few blocks, or figures that have no ratio."""
    verdict: Verdict | None
    """By this endpoint's own interval; None where there is no estimate."""
    further_blocks: int | None
    """Inconclusive: how many more pairs (blocks of each leg) would settle it with 90 % power if the
    overhead is what it seems; None: not inconclusive, or so near the target that none would."""
    points: tuple[BlockPoint, ...]


@dataclass(frozen=True, slots=True)
class MeasurementComparison:
    """One measurement of the plan in both legs."""

    name: str
    scenario: str
    batch_size: int
    path: str
    """How the operators reach the device: ``graph`` or ``eager, resident``."""
    latency_of: Literal["query", "batch"]
    queries: int | None
    """In each block; the smallest. None: no block tells."""
    paired: bool
    """Whether its blocks alternate in time, so that each has a partner close to it."""
    unit: Literal["block", "boot"]
    """What is drawn anew: with several boots a leg, boots; else blocks."""
    void: tuple[str, ...]
    """A sentence for each void block, leg and reason named."""
    endpoints: tuple[Endpoint, ...]
    verdict: Verdict | None
    """Of its gating endpoints together; None where none of them has an estimate."""


@dataclass(frozen=True, slots=True)
class LegSummary:
    """One of the two legs."""

    name: str
    """Its label: baseline, xen ..."""
    label: str
    """What a column is called: the label, with ``first`` or ``second`` where both are alike."""
    runs: tuple[str, ...]
    """Ids."""
    device: str
    hypervisor: str
    evidence: str
    """Why that is believed, in a sentence."""
    configuration: str
    software: str
    """Driver, CUDA, torch: one line."""
    hosts: tuple[str, ...]
    boots: int
    """How many different boots of a kernel it was measured in; 0: not known."""
    blocks: int
    """The most good blocks that a measurement has."""
    started_at: datetime
    ended_at: datetime
    seconds_per_block: float
    """Median time that one block of all measurements took."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason not to compare."""

    key: str
    """What ``--allow`` takes."""
    sentence: str
    """With both values."""
    first: str = ""
    second: str = ""
    allowed: bool = False
    """Whether the user chose to compare all the same."""


@dataclass(frozen=True, slots=True)
class NoiseRow:
    """How far apart one metric comes out where nothing differs."""

    measurement: str
    metric: MetricName
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """What A/A says."""

    source: Literal["A/A", "halves"]
    """``halves``: every second block of the first leg against the others, where no A/A was given;
    it lacks what changes from run to run."""
    runs: tuple[str, ...]
    rows: tuple[NoiseRow, ...]
    verdict: Verdict
    """An A/A that is not within target allows no "within target"; halves only inform."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Look:
    """Which of several declared looks this is (DESIGN.md section 6: looking spends alpha)."""

    number: int
    """From 1."""
    of: int
    blocks: tuple[int, ...]
    """After how many blocks each look comes."""
    alpha: float
    """One-sided level of this look."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One probe in both legs: what an operation below the model costs."""

    probe: str
    """``h2d-pinned``"""
    title: str
    """``host to device, pinned, 1 MiB``"""
    unit: str
    first: float
    """Median over blocks, in the unit."""
    second: float
    change_percent: float
    """How much more time (or noise) the second takes; positive is worse."""
    interval_percent: Span | None
    """90 %; None with too few blocks."""
    differs: bool
    """Whether the interval excludes zero after all probes are taken together (Holm)."""


@dataclass(frozen=True, slots=True)
class Further:
    """What would settle an inconclusive comparison."""

    blocks: int
    """More of each leg."""
    seconds: float
    """Both legs together."""
    unit: Literal["block", "boot"] = "block"
    """What the interval counts. Of boots, ``blocks`` in those that there are would settle nothing:
    they are spread evenly over new ones."""
    boots: int = 0
    """With unit boot: over how many more boots of each leg ``blocks`` are spread."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two legs compared."""

    question: Question
    target_percent: float
    first: LegSummary
    second: LegSummary
    verdict: Verdict
    reason: str
    """Why, in a sentence or two, numbers included."""
    conditions: tuple[str, ...]
    """What a certain verdict holds under and the figures cannot show, as clauses that follow
    "within target": "for these two runs, one after the other". Said wherever the verdict is."""
    refusals: tuple[Refusal, ...]
    """Allowed ones too; one that is not allowed makes the verdict ``refused``."""
    warnings: tuple[str, ...]
    measurements: tuple[MeasurementComparison, ...]
    noise: NoiseFloor | None
    look: Look | None
    """None: one look, all of alpha."""
    mechanisms: tuple[Mechanism, ...]
    causes: tuple[str, ...]
    """Where the overhead comes from, in sentences that follow from ``mechanisms``."""
    further: Further | None
    notice: str
    barred: tuple[str, ...] = ()
    """What forbids "within target" whatever the figures say, a sentence each: then no number of
    blocks would settle it."""

    @property
    def allowed(self) -> tuple[Refusal, ...]:
        """What the user allowed; marked on every page of a report."""
        return tuple(each for each in self.refusals if each.allowed)

    def notes(self) -> tuple[str, ...]:
        """Return the sentences that belong under the table."""
        notes = [
            "overhead: how much worse the second leg is: throughput 1 - second/first, latency "
            "second/first - 1. Negative: it is better.",
            "overhead is computed from the blocks' logarithms, figures are the blocks' medians, so "
            "it need not be the ratio of the two.",
            f"90 %: if the blocks are alike, {100 * CONFIDENCE:.0f} % of such intervals hold the "
            "true overhead, and 5 % lie wholly below it.",
        ]
        if any(each.paired for each in self.measurements):
            notes.append("paired: each block has a partner of the other leg close to it in time.")
        if any(end.advisory for each in self.measurements for end in each.endpoints):
            notes.append("* advisory: shown, and the verdict does not depend on it.")
        if any(each.latency_of == "batch" for each in self.measurements):
            notes.append("Offline has one query; its latencies are those of a batch in the SUT.")
        return (*notes, self.notice)
