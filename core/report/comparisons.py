"""A comparison with all that its documents tell beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from core.report.comparison_costs import CostPair
from core.verdict.model import Comparison

if TYPE_CHECKING:
    from core.verdict.raw import RawEvidenceOfLegs


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """What a comparison's documents are made of."""

    comparison: Comparison
    cost: CostPair | None
    """None: nothing is known of either leg's."""
    evidence: RawEvidenceOfLegs | None
    """None: no raw file was read, and no plot of them is drawn."""
    written_at: datetime
