"""Plans of studies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.verdict.model import Verdict
from core.verdict.study import (
    Block,
    BlockEnded,
    Check,
    Checked,
    LegPlan,
    Look,
    Looked,
    Resumed,
    Step,
    StudyPlan,
    default_looks,
    drawn,
    schedule,
)
from tests.core.runs import small_plan

Entry = BlockEnded | Checked | Looked | Resumed


def a_plan(**values: Any) -> StudyPlan:
    """Six pairs looked at after three and six, and three pairs of A/A."""
    calibration = values.get("calibration", 3)
    plan = StudyPlan.model_validate(
        {
            "id": "20261123-101500-study-e5e6",
            "created_at": datetime(2026, 11, 23, 10, 15, tzinfo=UTC),
            "baseline": LegPlan(settings={"leg": "baseline"}, plan=small_plan()),
            "xen": LegPlan(settings={"leg": "xen"}, plan=small_plan()),
            "blocks": 6,
            "looks": (3, 6),
            "calibration": calibration,
            "calibration_looks": default_looks(calibration) if calibration else (),
            "replacements": 2,
            **values,
        }
    )
    return drawn(plan)


def good(step: Step, verdict: Verdict = Verdict.INCONCLUSIVE) -> Entry:
    match step:
        case Block():
            return BlockEnded(block=step, run="run", outcome="good")
        case Check():
            return Checked(check=step)
        case Look():
            of_noise = step.phase == "calibration"
            return Looked(
                look=step, verdict=Verdict.WITHIN if of_noise else verdict, reason="it is"
            )


def until(plan: StudyPlan, wanted: Step) -> list[Entry]:
    """What is done before a step when nothing goes wrong."""
    steps = schedule(plan)
    return [good(step) for step in steps[: steps.index(wanted)]]
