"""How often the verdict is wrong, where the truth is known: simulated blocks, judged as real ones.

One study is 10 pairs of blocks in time, the order within each pair drawn; every measurement has
three gating endpoints (throughput, p50, p90) that share 80 % of their variance. Judged are one
measurement (3 endpoints) and seven (21, the reference profile), at one look and at declared early
ones, by the functions that the product itself calls (statistics.py, decision.py, looks.py) on
arrays of trials; a check shows that ``estimate`` and ``overall`` say the same one by one.

Every share has a one-sided 95 % Clopper-Pearson bound (1934), and the bound is what is asked for:
the worst one over the schedules of looks. Only of 21 endpoints that all lie at the target the share
itself is asked for: the method spends all of its 5 % there. Noise that no analysis mends is
printed without a bound.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy
from numpy.typing import NDArray
from scipy.special import betaincinv

from core.verdict.decision import (
    all_within,
    any_exceeds,
    estimate,
    log_margin,
    overall,
    p_values,
)
from core.verdict.looks import Looks
from core.verdict.model import METRICS, TARGET_OVERHEAD, Verdict
from core.verdict.statistics import (
    ALPHA,
    Moments,
    half_width,
    paired_moments,
    welch_moments,
)
from tests.performance.block_noise import NOISES, Noise, Scene, scene
from tests.performance.pairs import Outcome

Array = NDArray[numpy.float64]

CV = 0.01
"""Of a leg's blocks: 1 %."""
BLOCKS = 10
GATING = METRICS[:3]
SCHEDULES = ((10,), (5, 10), (4, 7, 10))
TRUTHS = (0.0, 0.03, TARGET_OVERHEAD, 0.07)
_SEED = 20261123
_CHUNK = 2000


@dataclass
class Tally:
    """How often something happened."""

    hits: int = 0
    trials: int = 0

    def add(self, happened: NDArray[numpy.bool_]) -> None:
        self.hits += int(happened.sum())
        self.trials += happened.size

    @property
    def share(self) -> float:
        return self.hits / self.trials

    def __str__(self) -> str:
        return f"{100 * self.share:.2f} %"

    def upper(self, confidence: float = 0.95) -> float:
        """The Clopper-Pearson upper bound."""
        if self.hits == self.trials:
            return 1.0
        return float(betaincinv(self.hits + 1, self.trials - self.hits, confidence))

    def lower(self, confidence: float = 0.95) -> float:
        """The Clopper-Pearson lower bound."""
        if self.hits == 0:
            return 0.0
        return float(betaincinv(self.hits, self.trials - self.hits + 1, 1 - confidence))


@dataclass
class Judged:
    """What became of studies with one true overhead and one schedule of looks."""

    within: Tally = field(default_factory=Tally)
    exceeds: Tally = field(default_factory=Tally)
    covered: Tally = field(default_factory=Tally)
    """By the first endpoint's 90 % interval at the look where the study stopped."""


Key = tuple[int, tuple[int, ...], float]
"""Measurements, looks, true overhead."""


class Slices:
    """The moments of every endpoint after so many blocks.

    A true overhead moves the mean and nothing else, so that all of them share one drawing.
    """

    def __init__(self, drawn: Scene, *, is_paired: bool) -> None:
        self._moments_of = paired_moments if is_paired else welch_moments
        # What is slow has less throughput, and more latency.
        sign = [-1.0 if metric.percentile is None else 1.0 for metric in GATING]
        scale = CV * numpy.tile(sign, drawn.first.shape[1] // len(GATING))[:, None]
        self.logs = Scene(*(scale * leg for leg in drawn))
        self._known: dict[int, Moments] = {}

    def moments(self, blocks: int) -> Moments:
        if blocks not in self._known:
            self._known[blocks] = self._moments_of(*(leg[..., :blocks] for leg in self.logs))
        return self._known[blocks]


def p_of(moments: Moments, truth: float) -> tuple[Array, Array]:
    """Return p-values for within and exceeds, ``[trials, endpoints]``, at a true overhead."""
    within, exceeds = numpy.empty_like(moments.mean), numpy.empty_like(moments.mean)
    for place, metric in enumerate(GATING):
        every = slice(place, None, len(GATING))
        chosen = Moments(*(each[:, every] for each in moments))
        moved = chosen._replace(mean=chosen.mean + log_margin(metric, truth))
        within[:, every], exceeds[:, every] = p_values(metric, moved, TARGET_OVERHEAD)
    return within, exceeds


def judge(slices: Slices, looks: Looks, truth: float, into: Judged) -> None:
    """Let every study look until it is sure or has all its blocks."""
    undecided = numpy.ones(slices.logs.first.shape[0], dtype=bool)
    for number, blocks in enumerate(looks.blocks, start=1):
        moments = slices.moments(blocks)
        p_within, p_exceeds = p_of(moments, truth)
        within = all_within(p_within, looks.level(number))
        exceeds = any_exceeds(p_exceeds, looks.family_level(number, p_exceeds.shape[1]))
        ends = undecided & (within | exceeds | (number == len(looks.blocks)))
        into.within.add(within[ends])
        into.exceeds.add((exceeds & ~within)[ends])
        covered = abs(moments.mean[:, 0]) <= half_width(moments, ALPHA)[:, 0]
        into.covered.add(covered[ends])
        undecided &= ~ends


def simulate(noise: Noise, trials: dict[int, int]) -> dict[Key, Judged]:
    """Return what became of ``trials[measurements]`` studies for every schedule and truth."""
    random = numpy.random.default_rng((_SEED, NOISES.index(noise)))
    found: dict[Key, Judged] = {}
    for measurements, wanted in trials.items():
        for _ in range(math.ceil(wanted / _CHUNK)):
            drawn = scene(noise, random, (_CHUNK, measurements, len(GATING)), BLOCKS)
            slices = Slices(drawn, is_paired=noise.is_paired)
            for blocks, truth in itertools.product(SCHEDULES, TRUTHS):
                into = found.setdefault((measurements, blocks, truth), Judged())
                judge(slices, Looks(blocks), truth, into)
    return found


def agreement(noise: Noise, trials: int) -> tuple[Tally, Tally]:
    """Return how often ``estimate`` and ``overall`` say what the arrays say of the same blocks,
    and how often the bootstrap's interval covers, at a true overhead at the target.
    """
    random = numpy.random.default_rng((_SEED, 1, NOISES.index(noise)))
    slices = Slices(
        scene(noise, random, (trials, 1, len(GATING)), BLOCKS), is_paired=noise.is_paired
    )
    p_within, p_exceeds = p_of(slices.moments(BLOCKS), TARGET_OVERHEAD)
    expected = (all_within(p_within, ALPHA), any_exceeds(p_exceeds, ALPHA))
    same, covered = Tally(), Tally()
    for trial in range(trials):
        found = [
            estimate(
                metric,
                (100 * numpy.exp(slices.logs.first[trial, place])).tolist(),
                (
                    100 * numpy.exp(slices.logs.second[trial, place] + log_margin(metric, 0.05))
                ).tolist(),
                is_paired=noise.is_paired,
                target=TARGET_OVERHEAD,
            )
            for place, metric in enumerate(GATING)
        ]
        verdict = overall(found)
        said = (verdict is Verdict.WITHIN, verdict is Verdict.EXCEEDS)
        same.add(numpy.array([said == (expected[0][trial], expected[1][trial])]))
        span = found[1].bootstrap_percent
        if span is not None:
            covered.add(numpy.array([span.low <= 100 * TARGET_OVERHEAD <= span.high]))
    return same, covered


def check() -> Iterator[Outcome]:
    with ProcessPoolExecutor(max_workers=2) as pool:
        for noise, found in zip(NOISES, pool.map(_simulated, range(len(NOISES))), strict=True):
            yield from _outcomes(noise, found)
        for noise, (same, covered) in zip(
            NOISES, pool.map(_agreed, range(len(NOISES))), strict=True
        ):
            yield Outcome(
                f"{noise.name}: estimate and overall say what the arrays say",
                same.share,
                least=1,
                details=f"{same.trials} studies; 90 % bootstrap covers {covered}",
            )


def _simulated(place: int) -> dict[Key, Judged]:
    noise = NOISES[place]
    if not noise.is_paired:
        return simulate(noise, {1: 20_000})
    return simulate(noise, {1: 40_000, 7: 32_000} if noise.judged else {1: 20_000, 7: 8_000})


def _agreed(place: int) -> tuple[Tally, Tally]:
    return agreement(NOISES[place], 500)


def _outcomes(noise: Noise, found: dict[Key, Judged]) -> Iterator[Outcome]:
    """Hold the worst bound over looks against what is asked for."""
    rarely, often = (0.05, 0.9) if noise.judged else (None, None)
    powerful = often if noise.powerful else None
    for count in dict.fromkeys(count for count, _, _ in found):
        name = f"{noise.name}, {count * len(GATING)} endpoints"
        for truth, wrong in ((0.0, "exceeds"), (TARGET_OVERHEAD, "within")):
            yield _at_most(name, found, (count, truth, wrong), rarely)
        # Seven measurements use up all of the 5 %, and no bound of such a share lies below.
        yield _at_most(name, found, (count, TARGET_OVERHEAD, "exceeds"), rarely, by_share=count > 1)
        yield _at_least(name, found, (count, 0.0, "within"), often)
        # That all seven are within at a true 3 % takes more blocks: printed, not asked for.
        single = powerful if count == 1 else None
        yield _at_least(name, found, (count, 0.03, "within"), single)
        yield _at_least(name, found, (count, 0.07, "exceeds"), powerful)
    yield from _coverage(noise, found)


Cell = tuple[int, float, str]
"""Measurements, true overhead, verdict."""


def _at_most(
    name: str, found: dict[Key, Judged], cell: Cell, most: float | None, *, by_share: bool = False
) -> Outcome:
    tallies = _tallies(found, cell)
    worst = max(tallies.values(), key=lambda tally: tally.share)
    return Outcome(
        f"{name}: true {100 * cell[1]:g} % called {cell[2]}{'' if by_share else ', upper bound'}",
        worst.share if by_share else worst.upper(),
        most=most,
        details=f"{_in_words(tallies)}; upper bound {100 * worst.upper():.2f} %",
    )


def _at_least(name: str, found: dict[Key, Judged], cell: Cell, least: float | None) -> Outcome:
    tallies = _tallies(found, cell)
    return Outcome(
        f"{name}: true {100 * cell[1]:g} % called {cell[2]}, lower bound",
        min(tally.lower() for tally in tallies.values()),
        least=least,
        details=_in_words(tallies),
    )


def _tallies(found: dict[Key, Judged], cell: Cell) -> dict[tuple[int, ...], Tally]:
    """Return the tallies of one verdict by looks."""
    count, truth, verdict = cell
    return {
        blocks: judged.within if verdict == "within" else judged.exceeds
        for (of, blocks, true), judged in found.items()
        if (of, true) == (count, truth)
    }


def _in_words(tallies: dict[tuple[int, ...], Tally]) -> str:
    looks = (f"{'/'.join(map(str, blocks))}: {tally}" for blocks, tally in tallies.items())
    return f"looks at {'; '.join(looks)}"


def _coverage(noise: Noise, found: dict[Key, Judged]) -> Iterator[Outcome]:
    fixed = found[1, (BLOCKS,), 0.0].covered
    bounds = (fixed.lower(), fixed.upper())
    is_normal = noise.name.startswith("log-normal")
    stopped = {
        f"{100 * truth:g} %, {'/'.join(map(str, blocks))}": judged.covered
        for (count, blocks, truth), judged in found.items()
        if count == 1 and len(blocks) > 1
    }
    least, most = (
        min(stopped.items(), key=lambda item: item[1].share),
        max(stopped.items(), key=lambda item: item[1].share),
    )
    yield Outcome(
        f"{noise.name}: the 90 % interval covers, the bound farther from 90 %",
        max(bounds, key=lambda bound: abs(bound - 0.9)),
        least=0.88 if is_normal else None,
        most=0.92 if is_normal else None,
        details=f"{fixed}; where a study stopped: {least[1]} (true {least[0]}) to {most[1]} "
        f"(true {most[0]})",
    )
