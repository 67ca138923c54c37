"""What a run will do, as a table for people."""

from __future__ import annotations

from core.report.plans import beside, plan_lines, summary
from core.run.cost_events import ForecastStep, RunPlanned


def step(name: str, starts_s: float, seconds: float, usd: float = 0.0) -> ForecastStep:
    return ForecastStep(
        name=name, starts_s=starts_s, seconds=seconds, usd=usd, basis="typical (a test)"
    )


CLUSTER, IMAGE, DRIVERS = (
    step("cluster", 10, 360, 0.009),
    step("image", 10, 240),
    step("drivers", 370, 180, 0.0274),
)


def planned(**values: object) -> RunPlanned:
    return RunPlanned.model_validate(
        {
            "steps": (CLUSTER, IMAGE, DRIVERS),
            "seconds": 930,
            "usd": 0.0812,
            "budget_usd": 5.0,
            "deadline_s": 7200,
            "source": "live prices of 2026-11-23",
            **values,
        }
    )


def test_each_step_is_a_line_with_what_runs_beside_it() -> None:
    head, cluster, image, drivers, *rest = plan_lines(planned())
    assert head.split() == ["STEP", "FROM", "TAKES", "BESIDE", "$", "BY"]
    assert cluster.split("  ")[0] == "cluster"
    assert "6 min 00 s" in cluster
    assert "image" in cluster
    assert "0.0090" in cluster
    assert "4 min 00 s" in image
    assert "typical (a test)" in image
    assert drivers.split()[0] == "drivers"
    assert "  -  " in drivers
    assert rest == summary(planned())


def test_steps_that_only_touch_are_not_beside_each_other() -> None:
    assert beside(CLUSTER, planned()) == ["image"]
    assert beside(IMAGE, planned()) == ["cluster"]
    assert beside(DRIVERS, planned()) == []


def test_the_sum_holds_time_against_the_deadline_and_dollars_against_the_budget() -> None:
    assert summary(planned()) == [
        "Together 15 min 30 s, torn down after 2 h 00 min at the latest.",
        "About $0.0812 of a budget of $5.00. Prices: live prices of 2026-11-23.",
    ]


def test_what_has_no_limit_and_no_price_says_so() -> None:
    time, cost = summary(planned(usd=None, budget_usd=None, deadline_s=None))
    assert time == "Together 15 min 30 s."
    assert cost.startswith("What it costs is not known. ")
