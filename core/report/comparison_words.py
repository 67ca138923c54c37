"""The words and numbers of a comparison, alike in every document and on the screen."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from core.report.comparison_costs import CostPair
from core.report.costs import dollars
from core.text import duration
from core.verdict.model import (
    Comparison,
    Endpoint,
    Further,
    LegSummary,
    MeasurementComparison,
    Question,
    Verdict,
)

SYMBOLS = {
    Verdict.WITHIN: "\N{CHECK MARK}",
    Verdict.EXCEEDS: "\N{MULTIPLICATION X}",
    Verdict.INCONCLUSIVE: "?",
    Verdict.REFUSED: "\N{CIRCLED DIVISION SLASH}",
}
"""Beside the words, so that no verdict is told by its colour alone."""


def target_text(comparison: Comparison) -> str:
    """Return the target with its unit: ``5 %``."""
    return f"{comparison.target_percent:.10g} %"


def headline(comparison: Comparison) -> str:
    """Return the verdict in one line, with all that it holds under, for whoever reads no second
    one.
    """
    first, second = comparison.first.label, comparison.second.label
    target = target_text(comparison)
    if comparison.verdict is Verdict.REFUSED:
        return f"{first} and {second} cannot be compared."
    limits = _limits(comparison)
    yet = "" if comparison.allowed else " yet"
    if comparison.question is Question.NOISE:
        return {
            Verdict.WITHIN: f"The same leg measured twice differs by less than {target}{limits}: "
            "the measurement is steady enough.",
            Verdict.EXCEEDS: f"The same leg measured twice differs by more than {target}{limits}: "
            "what is measured here is not steady enough to compare anything.",
            Verdict.INCONCLUSIVE: f"It is not sure{yet} whether the same leg measured twice "
            f"differs by less than {target}{limits}.",
        }[comparison.verdict]
    everything = limits or ", in everything that the verdict depends on"
    return {
        Verdict.WITHIN: f"{second} is less than {target} worse than {first}{everything}.",
        Verdict.EXCEEDS: f"{second} is more than {target} worse than {first}{limits}.",
        Verdict.INCONCLUSIVE: f"It is not sure{yet} whether {second} is less than {target} worse "
        f"than {first}{limits}.",
    }[comparison.verdict]


def _limits(comparison: Comparison) -> str:
    """Return the clauses that limit a verdict, each after a comma. What is not sure anyway needs
    no condition but the one that it is a comparison at all.
    """
    sure = comparison.verdict is not Verdict.INCONCLUSIVE
    clauses = (
        *(("if the legs are comparable",) if comparison.allowed else ()),
        *(comparison.conditions if sure else ()),
    )
    return "".join(f", {clause}" for clause in clauses)


def title(comparison: Comparison) -> str:
    """Return the title of a report."""
    against = f"{comparison.second.label} against {comparison.first.label}"
    verdict = verdict_text(comparison.verdict, allowed=bool(comparison.allowed))
    return f"{against}: {verdict}"


def layers_text(comparison: Comparison) -> str:
    """Return which layer each leg was measured under; the documents tell the evidence."""
    first, second = comparison.first, comparison.second
    return (
        f"Measured under: {first.label}: {first.hypervisor}; {second.label}: {second.hypervisor}."
    )


def allowed_keys(comparison: Comparison) -> list[str]:
    """Return the keys of what was allowed, each once."""
    return list(dict.fromkeys(each.key for each in comparison.allowed))


def allowed_mark(comparison: Comparison) -> str:
    """Return the sentence that every page bears where something was allowed; else nothing."""
    keys = ", ".join(allowed_keys(comparison))
    if not keys:
        return ""
    return (
        f"Compared with --allow {keys} although the legs are not comparable: what is shown may "
        'come from that alone, and the verdict is never "within target".'
    )


def table_mark(comparison: Comparison) -> str:
    """Return the same in a few words, for above a table."""
    keys = ", ".join(allowed_keys(comparison))
    return f"Not comparable, and allowed all the same: {keys}." if keys else ""


def verdict_text(verdict: Verdict | None, *, allowed: bool = False) -> str:
    """Return a part's verdict as a table's cell shows it. ``allowed``: something was, so that what
    it says is on a condition.
    """
    if verdict is None:
        return "no verdict"
    if allowed and verdict is not Verdict.REFUSED:
        return f"{verdict}, if comparable"
    return str(verdict)


def endpoint_verdict_text(
    endpoint: Endpoint, unit: Literal["block", "boot"] = "block", *, allowed: bool = False
) -> str:
    """Return the same of an endpoint; ``*`` marks what only advises. ``unit``: what is drawn anew,
    and more of which would settle it.
    """
    words = verdict_text(endpoint.verdict, allowed=allowed)
    if endpoint.verdict is Verdict.INCONCLUSIVE and endpoint.further_blocks is not None:
        words += f" ({counted(endpoint.further_blocks, f'more {unit}')})"
    return words if endpoint.gating else f"{words} *"


def counted(count: int, what: str) -> str:
    """Return ``1 more block`` or ``3 more blocks``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def advisory_notes(comparison: Comparison) -> list[str]:
    """Return a sentence for each reason why endpoints only advise, with the names of those."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for measurement in comparison.measurements:
        for endpoint in measurement.endpoints:
            if endpoint.advisory:
                of_reason = reasons.setdefault(endpoint.advisory, {})
                of_reason.setdefault(endpoint.metric, []).append(measurement.name)
    return [
        f"* {metric} of {', '.join(names)}: {reason}."
        for reason, metrics in reasons.items()
        for metric, names in metrics.items()
    ]


def look_text(comparison: Comparison) -> str:
    """Return which of the declared looks this is; nothing where there is only one."""
    look = comparison.look
    if look is None:
        return ""
    blocks = ", ".join(map(str, look.blocks))
    return (
        f"look {look.number} of {look.of} that were declared (after {blocks} blocks), at a "
        f"one-sided level of {100 * look.alpha:.3g} %"
    )


def further_text(comparison: Comparison, cost: CostPair | None) -> str:
    """Return how many more blocks or boots, how much time and how many dollars would settle an
    inconclusive comparison; nothing where it is not inconclusive for want of blocks.
    """
    further = comparison.further
    if further is not None:
        return (
            f"About {_further_units(further)} would settle it with 90 % power, if the overhead is "
            f"what it seems: about {duration(further.seconds)} of measuring"
            f"{_further_cost(comparison, cost, further.blocks)}."
        )
    gating = (end for each in comparison.measurements for end in each.endpoints if end.gating)
    noise = comparison.noise
    is_capped = bool(comparison.allowed or comparison.barred) or (
        noise is not None and noise.source == "A/A" and noise.verdict is not Verdict.WITHIN
    )
    if (
        comparison.verdict is Verdict.INCONCLUSIVE
        and not is_capped
        and any(end.verdict is Verdict.INCONCLUSIVE for end in gating)
    ):
        return (
            "No number of further blocks that is worth measuring would settle it: the overhead is "
            "too near the target."
        )
    return ""


def when(moment: datetime) -> str:
    """Return a time of day of UTC."""
    # The calendar's first and last day have no other zone's time.
    with contextlib.suppress(OverflowError):
        if moment.tzinfo is not None:
            return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return moment.isoformat(sep=" ", timespec="seconds")


def leg_facts(leg: LegSummary) -> list[tuple[str, str]]:
    """Return what is known of a leg: the name of each fact, and the fact."""
    boots = str(leg.boots) if leg.boots else "not known"
    return [
        ("leg", leg.name),
        ("layer", leg.hypervisor),
        ("evidence", leg.evidence),
        ("device", leg.device),
        ("software", leg.software),
        ("configuration", leg.configuration),
        ("runs", f"{len(leg.runs)}: {', '.join(leg.runs)}"),
        ("hosts", ", ".join(leg.hosts) or "not known"),
        ("boots", boots),
        ("good blocks", str(leg.blocks)),
        ("measured", f"{when(leg.started_at)} to {when(leg.ended_at)}"),
        ("median time of a block", duration(leg.seconds_per_block)),
    ]


def several_paths(measurements: Sequence[MeasurementComparison]) -> bool:
    """Return whether the path must be said of each measurement."""
    return len({each.path for each in measurements}) > 1


def _further_units(further: Further) -> str:
    if further.unit == "block" or not further.boots:
        return f"{counted(further.blocks, 'more block')} of each leg"
    each = counted(math.ceil(further.blocks / further.boots), "block")
    return f"{counted(further.boots, 'more boot')} of each leg ({each} each)"


def _further_cost(comparison: Comparison, cost: CostPair | None, blocks: int) -> str:
    if cost is None:
        return ""
    dear = [
        leg_cost.usd_per_hour * leg.seconds_per_block / 3600
        for leg, leg_cost in ((comparison.first, cost.first), (comparison.second, cost.second))
        if leg_cost is not None and leg_cost.usd_per_hour is not None
    ]
    if not dear or not all(map(math.isfinite, dear)):
        return ""
    least = "at least" if len(dear) < 2 else "about"
    return f", {least} {dollars(blocks * math.fsum(dear))} while measuring"
