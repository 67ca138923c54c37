"""What a run will do, how long it takes and what it costs, as a table."""

from __future__ import annotations

from core.run.cost_events import ForecastStep, RunPlanned
from core.text import columns, duration


def plan_lines(planned: RunPlanned) -> list[str]:
    """Return the plan as text: its steps, what runs beside what, time and dollars, the sum."""
    rows = [("STEP", "FROM", "TAKES", "BESIDE", "$", "BY")]
    rows += [
        (
            step.name,
            duration(step.starts_s),
            duration(step.seconds),
            ", ".join(beside(step, planned)) or "-",
            f"{step.usd:.4f}",
            step.basis,
        )
        for step in planned.steps
    ]
    return [*columns(rows), *summary(planned)]


def beside(step: ForecastStep, planned: RunPlanned) -> list[str]:
    """Return the names of the steps that run during some of this one."""
    ends_s = step.starts_s + step.seconds
    return [
        other.name
        for other in planned.steps
        if other.name != step.name
        and other.starts_s < ends_s
        and step.starts_s < other.starts_s + other.seconds
    ]


def summary(planned: RunPlanned) -> list[str]:
    """Return the sum: time against the deadline, dollars against the budget, whose prices."""
    time = f"Together {duration(planned.seconds)}"
    if planned.deadline_s is not None:
        time += f", torn down after {duration(planned.deadline_s)} at the latest"
    cost = "What it costs is not known" if planned.usd is None else f"About ${planned.usd:.4f}"
    if planned.budget_usd is not None:
        cost += f" of a budget of ${planned.budget_usd:.2f}"
    return [f"{time}.", f"{cost}. Prices: {planned.source}."]
