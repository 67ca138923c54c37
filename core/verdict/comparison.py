"""The comparison: refuse before computing, then estimate, then decide (DESIGN.md section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmark.errors import InputError
from benchmark.probes import ProbeResult
from benchmark.results import NOTICE, Result
from core.verdict import attested, comparability, reasons
from core.verdict.attested import Layers
from core.verdict.cautions import cautions
from core.verdict.keys import KEYS
from core.verdict.legs import Block, Leg, Source, labels
from core.verdict.measurements import (
    Measured,
    Terms,
    compare_measurement,
    measured,
    shortages,
    together,
)
from core.verdict.mechanism import causes, mechanisms
from core.verdict.model import (
    TARGET_OVERHEAD,
    Comparison,
    Further,
    LegSummary,
    Look,
    MeasurementComparison,
    Mechanism,
    NoiseFloor,
    Question,
    Refusal,
    Verdict,
)
from core.verdict.noise import halves, measured_floor
from core.verdict.statistics import ALPHA
from core.verdict.summaries import summary

if TYPE_CHECKING:
    from core.verdict.looks import Looks
    from core.verdict.raw import RawFinding


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of two legs."""

    target: float = TARGET_OVERHEAD
    """The overhead to stay below, a fraction between 0 and 1."""
    allow: frozenset[str] = frozenset()
    """Keys of refusals that the user chose to compare in spite of."""
    question: Question = Question.OVERHEAD
    noise: tuple[Sequence[Source], Sequence[Source]] | None = None
    """A/A: the same leg measured twice."""
    looks: Looks | None = None
    """When the verdict is asked for more than once: all the times, declared before the first."""
    look: int = 1
    """Which of them this is."""
    findings: Sequence[RawFinding] = ()
    """Where raw latencies contradict the result."""
    noise_findings: Sequence[RawFinding] = ()
    """The same of A/A."""
    notes: Sequence[str] = ()
    """What could not be checked in them, a sentence each."""


def compare(
    first: Sequence[Source], second: Sequence[Source], request: Request | None = None
) -> Comparison:
    """Compare two legs. ``first`` is measured against; overhead is how much worse ``second`` is.

    Raises:
        InputError: a target that is no fraction between 0 and 1, or an unknown key to allow.
        ValueError: a leg without a result, or a look that was not declared.
    """
    request = request or Request()
    check_request(request)
    return _Asked(Leg.of(first), Leg.of(second), request).answer()


def check_request(request: Request) -> None:
    """Raise InputError for a target that is none, and for an unknown key to allow."""
    if not 0 < request.target < 1:
        raise InputError(
            f"A target overhead of {100 * request.target:g} % is none.",
            "It lies between 0 and 100 %, both excluded.",
        )
    if unknown := sorted(request.allow - set(KEYS)):
        raise InputError(
            f"--allow {unknown[0]}: there is no such key.", f"The keys are: {', '.join(KEYS)}."
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """Two legs and a question."""

    first: Leg
    second: Leg
    request: Request

    def answer(self) -> Comparison:
        called = labels(self.first, self.second)
        layers = attested.attested(self.first), attested.attested(self.second)
        found = measured(self.first, self.second)
        refusals = self._refusals(found, layers, called)
        refused = any(not refusal.allowed for refusal in refusals)
        terms = self._terms()
        compared = tuple(
            compare_measurement(each, called, terms, estimating=not refused) for each in found
        )
        noise = None if refused else self._noise(found, compared)
        summaries = (
            summary(self.first, layers[0], called[0]),
            summary(self.second, layers[1], called[1]),
        )
        verdict, reason = self._verdict(compared, refusals, noise, terms)
        probed = () if refused else self._mechanisms(found)
        return Comparison(
            question=self.request.question,
            target_percent=100 * self.request.target,
            first=summaries[0],
            second=summaries[1],
            verdict=verdict,
            reason=reason,
            refusals=refusals,
            warnings=self._warnings(found, layers, called),
            measurements=compared,
            noise=noise,
            look=self._look(),
            mechanisms=probed,
            causes=causes(probed, compared, self.first.results[0].configuration.precision),
            further=_further(verdict, compared, found, summaries),
            notice=NOTICE,
        )

    def _terms(self) -> Terms:
        looks = self.request.looks
        alpha = looks.level(self.request.look) if looks is not None else ALPHA
        both_ways = self.request.question is Question.NOISE
        return Terms(self.request.target, alpha, both_ways, looks, self.request.look)

    def _look(self) -> Look | None:
        looks = self.request.looks
        if looks is None:
            return None
        number = self.request.look
        return Look(number, len(looks.blocks), looks.blocks, looks.level(number))

    def _refusals(
        self, found: Sequence[Measured], layers: tuple[Layers, Layers], called: tuple[str, str]
    ) -> tuple[Refusal, ...]:
        question = self.request.question
        refusals = [
            *attested.refusals(layers, called, question),
            *comparability.refusals(self.first, self.second, question),
            *map(_raw_refusal, self.request.findings),
            *(refusal for each in found for refusal in shortages(each, called)),
        ]
        allow = self.request.allow
        return tuple(replace(each, allowed=each.key in allow) for each in refusals)

    def _warnings(
        self, found: Sequence[Measured], layers: tuple[Layers, Layers], called: tuple[str, str]
    ) -> tuple[str, ...]:
        question = self.request.question
        return (
            *attested.warnings(layers, called, question),
            *comparability.unchecked(self.first, self.second),
            *cautions(
                self.first,
                self.second,
                [(each.name, each.draws) for each in found],
                is_noise=question is Question.NOISE,
            ),
            *self.request.notes,
        )

    def _noise(
        self, found: Sequence[Measured], compared: Sequence[MeasurementComparison]
    ) -> NoiseFloor | None:
        if self.request.noise is None:
            # A/A is itself the answer to how much noise there is.
            asked = self.request.question is Question.OVERHEAD
            return halves(self.first, found, self.request.target) if asked else None
        legs = Leg.of(self.request.noise[0]), Leg.of(self.request.noise[1])
        question = Request(
            target=self.request.target,
            question=Question.NOISE,
            findings=self.request.noise_findings,
        )
        calibration = _Asked(*legs, question).answer()
        wanted = [(name, str(end.metric)) for name, end, _ in reasons.gating(compared)]
        return measured_floor(calibration, legs, self.first, wanted)

    def _verdict(
        self,
        compared: Sequence[MeasurementComparison],
        refusals: Sequence[Refusal],
        noise: NoiseFloor | None,
        terms: Terms,
    ) -> tuple[Verdict, str]:
        if any(not refusal.allowed for refusal in refusals):
            return Verdict.REFUSED, reasons.refused_reason(refusals)
        estimated = [end for each in compared for end in each.endpoints if end.estimate is not None]
        figures = together(estimated, terms)
        caps = reasons.caps(figures, refusals, noise, compared)
        verdict = Verdict.INCONCLUSIVE if caps else figures
        said = reasons.reason(figures, compared, caps, 100 * terms.target, self.request.question)
        return verdict, said

    def _mechanisms(self, found: Sequence[Measured]) -> tuple[Mechanism, ...]:
        paired = next((each for each in found if each.draws.paired), None)
        if paired is None or paired.draws.unit == "boot":
            sides = [_probed(leg.results) for leg in (self.first, self.second)]
            return mechanisms(sides[0], sides[1], is_paired=False)
        units = paired.draws.first, paired.draws.second
        sides = [[_probes(unit.blocks[0]) for unit in leg] for leg in units]
        return mechanisms(sides[0], sides[1], is_paired=True)


def _raw_refusal(finding: RawFinding) -> Refusal:
    return Refusal(
        "raw",
        f"{finding.measurement}, block {finding.block} of run {finding.run}: {finding.problem}",
    )


def _probes(block: Block) -> list[ProbeResult]:
    """Return what the probes found before a block."""
    return [probe for probe in block.result.probes if probe.block == block.measurement.block]


def _probed(results: Sequence[Result]) -> list[list[ProbeResult]]:
    """Return what the probes found, by block, in time order."""
    return [
        [probe for probe in result.probes if probe.block == number]
        for result in results
        for number in dict.fromkeys(probe.block for probe in result.probes)
    ]


def _further(
    verdict: Verdict,
    compared: Sequence[MeasurementComparison],
    found: Sequence[Measured],
    summaries: tuple[LegSummary, LegSummary],
) -> Further | None:
    """Return what would settle every gating figure that is open; None: nothing is, or no number of
    blocks would.
    """
    if verdict is not Verdict.INCONCLUSIVE:
        return None
    needed: list[int] = []
    for each, blocks in zip(compared, found, strict=True):
        for end in each.endpoints:
            if not end.gating or end.verdict is not Verdict.INCONCLUSIVE:
                continue
            if end.further_blocks is None:
                return None
            needed.append(end.further_blocks * _blocks_per_unit(blocks))
    if not needed:
        return None
    seconds = max(needed) * sum(each.seconds_per_block for each in summaries)
    return Further(max(needed), seconds)


def _blocks_per_unit(each: Measured) -> int:
    """Return how many blocks have to be measured for one more unit."""
    units = len(each.draws.first) + len(each.draws.second)
    return -(-(len(each.first) + len(each.second)) // units) if units else 1
