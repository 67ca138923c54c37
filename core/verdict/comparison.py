"""The comparison: refuse before computing, then estimate, then decide (DESIGN.md section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from benchmark.errors import InputError
from benchmark.probes import ProbeResult
from benchmark.results import NOTICE, Result
from core.verdict import attested, comparability, reasons
from core.verdict.attested import Layers
from core.verdict.cautions import cautions, faster_clock
from core.verdict.conditions import conditions as conditions_of
from core.verdict.draws import Unit
from core.verdict.keys import KEYS
from core.verdict.left_out import against_voids, void_warnings
from core.verdict.legs import Leg, Source, labels
from core.verdict.measurements import (
    Measured,
    Terms,
    compare_measurement,
    measured,
    shortages,
    together,
)
from core.verdict.mechanism import Probed, causes, mechanisms, unlike
from core.verdict.model import (
    TARGET_OVERHEAD,
    Comparison,
    Further,
    LegSummary,
    Look,
    MeasurementComparison,
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
        noise, heard = (None, ()) if refused else self._noise(found, compared)
        barred = reasons.bars(refusals, noise, self._circumstances())
        if barred:
            compared = tuple(map(_without_further, compared))
        summaries = (
            summary(self.first, layers[0], called[0]),
            summary(self.second, layers[1], called[1]),
        )
        conditions = () if refused else conditions_of(self.first, self.second, found, called)
        figures = _figures(compared, terms)
        caps = reasons.caps(figures, barred, noise, compared)
        if figures is Verdict.WITHIN:
            caps += against_voids(found, compared, called, terms)
        verdict, reason = self._verdict(figures, compared, refusals, caps, conditions)
        probed = Probed() if refused else self._probed(found)
        dearer = mechanisms(probed)
        is_open = verdict is Verdict.INCONCLUSIVE
        return Comparison(
            question=self.request.question,
            target_percent=100 * self.request.target,
            first=summaries[0],
            second=summaries[1],
            verdict=verdict,
            reason=reason,
            conditions=conditions,
            refusals=refusals,
            warnings=(*self._warnings(found, layers, called), *heard),
            measurements=compared,
            noise=noise,
            look=self._look(),
            mechanisms=dearer,
            causes=(
                *causes(dearer, compared, self.first.results[0].configuration.precision),
                *unlike(probed),
            ),
            further=_further(compared, found, summaries) if is_open else None,
            notice=NOTICE,
            barred=tuple(barred),
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
            *void_warnings(found, called),
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
    ) -> tuple[NoiseFloor | None, tuple[str, ...]]:
        """Return the noise floor, and what a reader of A/A must know."""
        if self.request.noise is None:
            # A/A is itself the answer to how much noise there is.
            asked = self.request.question is Question.OVERHEAD
            return halves(self.first, found, self.request.target) if asked else None, ()
        legs = Leg.of(self.request.noise[0]), Leg.of(self.request.noise[1])
        question = Request(
            target=self.request.target,
            allow=self.request.allow,
            question=Question.NOISE,
            findings=self.request.noise_findings,
        )
        calibration = _Asked(*legs, question).answer()
        wanted = [(name, str(end.metric)) for name, end, _ in reasons.gating(compared)]
        heard = tuple(f"A/A: {warning}" for warning in calibration.warnings)
        return measured_floor(calibration, legs, self.first, wanted), heard

    def _circumstances(self) -> list[str]:
        is_noise = self.request.question is Question.NOISE
        return faster_clock(self.first, self.second, either=is_noise)

    def _verdict(
        self,
        figures: Verdict,
        compared: Sequence[MeasurementComparison],
        refusals: Sequence[Refusal],
        caps: Sequence[str],
        conditions: Sequence[str],
    ) -> tuple[Verdict, str]:
        if any(not refusal.allowed for refusal in refusals):
            return Verdict.REFUSED, reasons.refused_reason(refusals)
        target, question = 100 * self.request.target, self.request.question
        said = reasons.reason(figures, compared, caps, target, question, conditions)
        return Verdict.INCONCLUSIVE if caps else figures, said

    def _probed(self, found: Sequence[Measured]) -> Probed:
        drawn = [each.draws for each in found]
        draws = next((each for each in drawn if each.paired), None) or next(
            (each for each in drawn if each.unit == "boot"), None
        )
        if draws is None:
            legs = [_blocks_of_probes(leg.results) for leg in (self.first, self.second)]
            return Probed(legs[0], legs[1])
        units = [_units_of_probes(leg) for leg in (draws.first, draws.second)]
        return Probed(units[0], units[1], draws.paired)


def _raw_refusal(finding: RawFinding) -> Refusal:
    return Refusal(
        "raw",
        f"{finding.measurement}, block {finding.block} of run {finding.run}: {finding.problem}",
    )


def _units_of_probes(units: Sequence[Unit]) -> list[list[list[ProbeResult]]]:
    """Return what the probes found before each block of each unit."""
    return [
        [
            [probe for probe in block.result.probes if probe.block == block.measurement.block]
            for block in unit.blocks
        ]
        for unit in units
    ]


def _blocks_of_probes(results: Sequence[Result]) -> list[list[list[ProbeResult]]]:
    """Return what the probes found, each block a unit of its own, in time order."""
    return [
        [[probe for probe in result.probes if probe.block == number]]
        for result in results
        for number in dict.fromkeys(probe.block for probe in result.probes)
    ]


def _figures(compared: Sequence[MeasurementComparison], terms: Terms) -> Verdict:
    """Return what the figures alone say."""
    ends = [end for each in compared for end in each.endpoints if end.estimate is not None]
    return together(ends, terms)


def _without_further(each: MeasurementComparison) -> MeasurementComparison:
    """Return a measurement without what would settle it, where nothing would."""
    ends = (replace(end, further_blocks=None) for end in each.endpoints)
    return replace(each, endpoints=tuple(ends))


def _further(
    compared: Sequence[MeasurementComparison],
    found: Sequence[Measured],
    summaries: tuple[LegSummary, LegSummary],
) -> Further | None:
    """Return what would settle every gating figure that is open; None: nothing is, or no number of
    blocks would.
    """
    needed: list[tuple[int, int, Literal["block", "boot"]]] = []
    for each, blocks in zip(compared, found, strict=True):
        for end in each.endpoints:
            if not end.gating or end.verdict is not Verdict.INCONCLUSIVE:
                continue
            if end.further_blocks is None:
                return None
            units = end.further_blocks
            needed.append((units * _blocks_per_unit(blocks), units, each.unit))
    if not needed:
        return None
    most, units, unit = max(needed)
    seconds = most * sum(each.seconds_per_block for each in summaries)
    return Further(most, seconds, unit, units if unit == "boot" else 0)


def _blocks_per_unit(each: Measured) -> int:
    """Return how many blocks have to be measured for one more unit."""
    units = len(each.draws.first) + len(each.draws.second)
    # Blocks without a partner are in no unit.
    return max(1, (len(each.first) + len(each.second)) // units) if units else 1
