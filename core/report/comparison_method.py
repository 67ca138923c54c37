"""How a comparison was computed, in a paragraph, with the literature that it rests on."""

from __future__ import annotations

from core.report.comparison_words import target_text
from core.verdict.model import (
    CONFIDENCE,
    Comparison,
    Estimate,
    MeasurementComparison,
    Question,
    Verdict,
)


def method_text(comparison: Comparison) -> str:
    """Return the method of this very comparison: what was not done in it is not told."""
    estimates = [
        end.estimate
        for each in comparison.measurements
        for end in each.endpoints
        if end.estimate is not None
    ]
    if not estimates:
        return (
            "Before anything is computed the legs must be comparable: the same device, software, "
            "configuration and plan, layers that are attested, and enough blocks that are not void."
        )
    parts = [
        *_unit(comparison.measurements),
        *_interval(estimates),
        *_decision(comparison, estimates),
        *_looks(comparison),
        *_noise(comparison),
        *_mechanisms(comparison),
    ]
    return " ".join(parts)


def _unit(measurements: tuple[MeasurementComparison, ...]) -> list[str]:
    units = {each.unit for each in measurements}
    what = "the boot of a machine, of which blocks are subsamples" if "boot" in units else "a block"
    if units == {"block", "boot"}:
        what = "a block, or where both legs have several boots, a boot"
    return [
        f"The unit is {what}: one process that measures from the start, never a query, because "
        "queries of one process share all that it was dealt (Kalibera and Jones 2020).",
        "What is averaged are the logarithms of the units' throughputs and latencies: their "
        "difference is the logarithm of the ratio second/first.",
    ]


def _interval(estimates: list[Estimate]) -> list[str]:
    methods = {each.method for each in estimates}
    parts = []
    if "paired t" in methods:
        parts.append(
            "Where units of the two legs alternate in time, each is set against its partner: "
            "paired t (Student 1908)."
        )
    if "Welch t" in methods:
        parts.append(
            "Where they do not alternate, the legs' means are compared without assuming that they "
            "scatter alike: Welch t (Welch 1947)."
        )
    if any(each.bootstrap_percent is not None for each in estimates):
        parts.append(
            "A bootstrap of the units (Efron 1979) is printed as a cross-check; it decides nothing."
        )
    return parts


def _decision(comparison: Comparison, estimates: list[Estimate]) -> list[str]:
    gating = [
        end
        for each in comparison.measurements
        for end in each.endpoints
        if end.gating and end.estimate is not None
    ]
    parts = [_question(comparison)]
    if len(gating) > 1:
        parts.append(
            "The whole is within target only when every endpoint that gates is (intersection-union "
            "test, Berger 1982), and exceeds it when Simes' test over them rejects (Simes 1986; "
            "for endpoints that rise and fall together, Sarkar 1998), so that many endpoints do "
            "not add up to a false alarm."
        )
    return parts


def _question(comparison: Comparison) -> str:
    target = target_text(comparison)
    look = comparison.look
    alpha = look.alpha if look is not None else (1 - CONFIDENCE) / 2
    level = f"{100 * alpha:.3g} %"
    interval = f"{100 * (1 - 2 * alpha):.4g} % interval"
    decides = f"its {interval}"
    if look is not None:
        decides = f"the interval that decides at this look, its {interval},"
    if comparison.question is Question.NOISE:
        return (
            "Neither of two equal legs is the one that may be worse, so both directions are asked "
            f"alike, on the scale of logarithms, with a margin of {target}: an endpoint is within "
            f"target when {decides} lies wholly inside of the margin (two one-sided tests at "
            f"{level}, Schuirmann 1987), exceeds it when the legs are further apart in either "
            f"direction, each at half of {level}, and is inconclusive otherwise."
        )
    return (
        f"The question is one of non-inferiority with a margin of {target}: two one-sided tests at "
        f"{level} (Schuirmann 1987). An endpoint is within target when {decides} lies wholly "
        f"below {target}, exceeds it when that lies wholly above, and is inconclusive otherwise."
    )


def _looks(comparison: Comparison) -> list[str]:
    if comparison.look is None:
        return []
    return [
        "Looks were declared beforehand, and the 5 % are shared among them by the O'Brien-Fleming-"
        "like spending function of Lan and DeMets (1983), its boundaries by recursive integration "
        "(Armitage, McPherson and Rowe 1969) and applied to t as nominal levels (Jennison and "
        "Turnbull 2000)."
    ]


def _noise(comparison: Comparison) -> list[str]:
    if comparison.noise is None:
        return []
    parts = "The noise floor is the same computation on a leg against itself"
    if comparison.noise.verdict is Verdict.WITHIN or comparison.noise.source == "halves":
        return [f"{parts}."]
    return [f'{parts}; not within target itself, it allows no "within target".']


def _mechanisms(comparison: Comparison) -> list[str]:
    if not comparison.mechanisms:
        return []
    return [
        "Probes are compared in the same way; which of them differ is told at 5 % for all together "
        "(Holm 1979)."
    ]
