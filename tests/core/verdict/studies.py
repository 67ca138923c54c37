"""Plans of studies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.verdict.study import LegPlan, StudyPlan
from tests.core.runs import small_plan


def a_plan(**values: Any) -> StudyPlan:
    """Six pairs looked at after three and six, and three pairs of A/A."""
    return StudyPlan.model_validate(
        {
            "id": "20261123-101500-study-e5e6",
            "created_at": datetime(2026, 11, 23, 10, 15, tzinfo=UTC),
            "baseline": LegPlan(settings={"leg": "baseline"}, plan=small_plan()),
            "xen": LegPlan(settings={"leg": "xen"}, plan=small_plan()),
            "blocks": 6,
            "looks": (3, 6),
            "calibration": 3,
            "replacements": 2,
            **values,
        }
    )
