"""Why a verdict is what it is, in a sentence or two, with the numbers that decide."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.verdict.figures import percent_text, span_text
from core.verdict.model import (
    Endpoint,
    Estimate,
    MeasurementComparison,
    NoiseFloor,
    Question,
    Refusal,
    Verdict,
)

Gating = tuple[str, Endpoint, Estimate]
"""A gating endpoint with its measurement's name and its estimate."""


def gating(compared: Sequence[MeasurementComparison]) -> list[Gating]:
    """Return the gating endpoints that have an estimate."""
    return [
        (each.name, end, end.estimate)
        for each in compared
        for end in each.endpoints
        if end.gating and end.estimate is not None
    ]


def farthest(found: Sequence[Gating]) -> Gating:
    """Return the figure whose interval reaches farthest from equality, either way."""
    return max(found, key=lambda each: _reach(each[2]))


def figure_text(figure: Gating, target_percent: float) -> str:
    """Return ``p90 of server-b8, +1.20 % (90 % interval +0.40 to +2.00 %)``."""
    name, end, estimate = figure
    overhead = percent_text(estimate.overhead_percent, target_percent)
    span = span_text(estimate.interval_percent, target_percent)
    return f"{end.metric} of {name}, {overhead} % (90 % interval {span} %)"


def missing_text(missing: Sequence[tuple[str, str]]) -> str:
    """Return ``p90 of server-b8 and 3 more figures`` of (measurement, metric)."""
    name, metric = missing[0]
    more = f" and {len(missing) - 1} more figure(s)" if len(missing) > 1 else ""
    return f"{metric} of {name}{more}"


def refused_reason(refusals: Sequence[Refusal]) -> str:
    """Return why the legs are not compared."""
    forbidding = [refusal for refusal in refusals if not refusal.allowed]
    more = f" It is the first of {len(forbidding)} reasons." if len(forbidding) > 1 else ""
    return f"The legs are not comparable. {forbidding[0].sentence}{more}"


def bars(
    refusals: Sequence[Refusal], noise: NoiseFloor | None, circumstances: Sequence[str]
) -> list[str]:
    """Return what forbids "within target" whatever the figures say, a sentence each: so no number
    of blocks would settle it.

    It takes that nothing was allowed, and that the noise was not shown to be anything but below
    the target. ``circumstances`` are sentences on how the legs were measured.
    """
    found = []
    if allowed := list(dict.fromkeys(refusal.key for refusal in refusals if refusal.allowed)):
        found.append(
            f"It was allowed to compare in spite of {', '.join(allowed)}, which never yields "
            "within target."
        )
    if noise is not None and noise.source == "A/A" and noise.verdict is not Verdict.WITHIN:
        found.append(f"The noise was not shown to be below the target. {noise.sentence}")
    return [*found, *circumstances]


def caps(
    figures: Verdict,
    barred: Sequence[str],
    noise: NoiseFloor | None,
    compared: Sequence[MeasurementComparison],
) -> list[str]:
    """Return what forbids the verdict that the figures alone give, a sentence each.

    "Within target" takes that nothing bars it and no estimate is missing. "Exceeds target" says
    little only where equal legs do too.
    """
    if figures is Verdict.EXCEEDS:
        equal = noise is not None and noise.source == "A/A" and noise.verdict is Verdict.EXCEEDS
        return [f"So do equal legs. {noise.sentence}"] if equal and noise is not None else []
    if figures is not Verdict.WITHIN:
        return []
    found = list(barred)
    missing = [
        (each.name, str(end.metric))
        for each in compared
        for end in each.endpoints
        if end.gating and end.estimate is None
    ]
    if missing:
        found.append(f"There is no estimate of {missing_text(missing)}.")
    return found


def reason(
    figures: Verdict,
    compared: Sequence[MeasurementComparison],
    capped: Sequence[str],
    target_percent: float,
    question: Question,
    conditions: Sequence[str] = (),
) -> str:
    """Return why a verdict was given.

    ``figures`` is what the figures alone say, ``capped`` what forbids it, ``conditions`` what it
    holds under.
    """
    found = gating(compared)
    if not found:
        return "No gating figure has an estimate."
    if figures is Verdict.INCONCLUSIVE:
        return _unsure(found, target_percent, question)
    holds = [f"That holds {', '.join(conditions)}."] if conditions and not capped else []
    if figures is Verdict.EXCEEDS:
        return " ".join((_exceeds(found, target_percent, question), *capped, *holds))
    # What decided comes first.
    return " ".join((*capped, _within(found, target_percent, question), *holds))


def _within(found: Sequence[Gating], target: float, question: Question) -> str:
    if question is Question.NOISE:
        return (
            f"Equal legs come out less than {target:g} % apart in all {len(found)} gating figures; "
            f"farthest apart is {figure_text(farthest(found), target)}."
        )
    nearest = max(found, key=lambda each: each[2].p_within)
    return (
        f"All {len(found)} gating figures are below the target of {target:g} %; nearest to it is "
        f"{figure_text(nearest, target)}{_deciding(nearest[2], target)}."
    )


def _exceeds(found: Sequence[Gating], target: float, question: Question) -> str:
    surest = min(found, key=lambda each: each[2].p_exceeds)
    above = sum(end.verdict is Verdict.EXCEEDS for _, end, _ in found)
    what = f"Above the target of {target:g} %"
    if question is Question.NOISE:
        what = f"Equal legs come out more than {target:g} % apart"
    return (
        f"{what}: {above} of {len(found)} gating figures, the surest "
        f"{figure_text(surest, target)}{_deciding(surest[2], target)}."
    )


def _unsure(found: Sequence[Gating], target: float, question: Question) -> str:
    noise = question is Question.NOISE
    above = [each for each in found if each[1].verdict is Verdict.EXCEEDS]
    if above:
        surest = min(above, key=lambda each: each[2].p_exceeds)
        what = f"More than {target:g} % apart" if noise else f"Above the target of {target:g} %"
        how = "by itself is" if len(above) == 1 else f"by themselves are {len(above)} figures, as"
        count = "one" if len(above) == 1 else str(len(above))
        is_or_are = "is" if len(above) == 1 else "are"
        return (
            f"{what} {how} {figure_text(surest, target)}{_deciding(surest[2], target)}; that "
            f"{count} of {len(found)} gating figures {is_or_are} can happen by chance."
        )
    unsure = [each for each in found if each[1].verdict is Verdict.INCONCLUSIVE]
    least = max(unsure, key=lambda each: each[2].p_within)
    where = f"wholly on one side of the target of {target:g} %"
    if noise:
        least, where = farthest(unsure), f"surely less than {target:g} % apart"
    return (
        f"Not {where}: {len(unsure)} of {len(found)} gating figures, the least sure "
        f"{figure_text(least, target)}{_deciding(least[2], target)}."
    )


def _deciding(estimate: Estimate, target: float) -> str:
    """Return the interval that decided, where several looks made it wider than the 90 % one."""
    if estimate.decision_percent == estimate.interval_percent:
        return ""
    return f", deciding interval {span_text(estimate.decision_percent, target)} %"


def _reach(estimate: Estimate) -> float:
    span = estimate.ratio_interval
    return max(-math.log(span.low), math.log(span.high))
