"""From two legs that were read to the report of their comparison: the one way there, for every
command and screen that shows one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from core.report.comparison_costs import CostPair, cost_pair, with_costs
from core.report.comparisons import ComparisonReport
from core.run.journal import Journal
from core.verdict.comparison import Request, compare
from core.verdict.legs import Source
from core.verdict.raw import RawEvidenceOfLegs, examine_legs


def comparison_cost(
    first: Sequence[Source], second: Sequence[Source], journal: Journal, now: datetime
) -> CostPair | None:
    """Return what both legs cost by ``now``, as far as this journal knows it."""
    legs = [[source.result for source in leg] for leg in (first, second)]
    return cost_pair(*(with_costs(leg, journal, now) for leg in legs))


def comparison_report(
    first: Sequence[Source],
    second: Sequence[Source],
    request: Request,
    cost: CostPair | None,
    now: datetime,
) -> ComparisonReport:
    """Hold both legs against the raw files beside them, and compare them.

    What the raw files contradict is added to the request's findings; what could not be checked,
    because it does not lie there, to its notes.

    Raises:
        InputError: see :func:`core.verdict.comparison.compare`.
        ResultFileError: a raw file that cannot be read, or holds what no benchmark writes.
    """
    evidence = examine_legs(first, second)
    noise = examine_legs(*request.noise).findings if request.noise is not None else ()
    asked = replace(
        request,
        findings=(*request.findings, *evidence.findings),
        noise_findings=(*request.noise_findings, *noise),
        notes=(*request.notes, *_notes(evidence)),
    )
    found = compare(first, second, asked)
    return ComparisonReport(found, cost, evidence, now)


def _notes(evidence: RawEvidenceOfLegs) -> tuple[str, ...]:
    """Return what could not be checked; a leg of ten runs does not say it ten times."""
    said = []
    for leg in (evidence.first, evidence.second):
        more = f" So it is with {len(leg.notes) - 1} more runs." if len(leg.notes) > 1 else ""
        said += [f"{note}{more}" for note in leg.notes[:1]]
    return tuple(said)
