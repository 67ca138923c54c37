"""What makes two plans the same, for a history and for a comparison."""

from __future__ import annotations

import pytest

from benchmark.plan import Plan
from core.verdict.plans import RESOLVED, deciding
from tests.core.verdict.scene import plan_of

PLAN = plan_of(("server-b8", "offline-b8"))


def changed(**values: object) -> Plan:
    return PLAN.model_copy(update=values)


@pytest.mark.parametrize(
    "other",
    [
        changed(profile="another"),
        changed(description="words"),
        changed(repeats=PLAN.repeats + 1),
        changed(probes=not PLAN.probes),
        changed(server=PLAN.server.model_copy(update={"arrival_rates": {"server-b8": 12.5}})),
    ],
)
def test_what_a_plan_is_called_and_how_often_it_repeats_decide_no_block(other: Plan) -> None:
    assert other != PLAN
    assert deciding(other) == deciding(PLAN)


def test_what_is_resolved_decides_unless_it_is_compared_by_itself() -> None:
    other = changed(device="cpu" if PLAN.device != "cpu" else "cuda")
    assert deciding(other) != deciding(PLAN)
    assert deciding(other, without=RESOLVED) == deciding(PLAN, without=RESOLVED)


def test_what_is_measured_decides() -> None:
    assert deciding(plan_of(("offline-b8",))) != deciding(PLAN)


def test_every_field_that_may_be_left_out_is_one() -> None:
    assert set(RESOLVED) < set(Plan.model_fields)
