"""The plan's minutes and dollars: what runs beside what, and what each step costs."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money.forecast import Charge, Task, expected_seconds, forecast

SESSION = (
    Task("preflight", 10, (), "typical"),
    Task("cluster", 360, ("preflight",), "median of 4 runs"),
    Task("image", 240, ("preflight",)),
    Task("drivers", 150, ("cluster", "image")),
    Task("job", 450, ("drivers",)),
    Task("teardown", 300, ("job",)),
)


def test_steps_start_as_soon_as_they_can_beside_each_other() -> None:
    found = forecast(SESSION, [])
    assert found.seconds == 10 + 360 + 150 + 450 + 300
    steps = {step.name: step for step in found.steps}
    assert (steps["cluster"].starts_s, steps["image"].starts_s) == (10, 10)
    assert steps["drivers"].starts_s == steps["cluster"].ends_s == 370
    assert steps["image"].beside == ("cluster",)
    assert steps["job"].beside == ()
    assert [step.name for step in found.steps if not step.critical] == ["image"]
    assert steps["cluster"].basis == "median of 4 runs"


def test_what_is_billed_is_shared_by_the_steps_that_run() -> None:
    charges = [
        Charge("cluster fee", 3.6, "cluster", "teardown"),
        Charge("GPU node", 36.0, "drivers", "job"),
    ]
    found = forecast(SESSION, charges)
    usd = {step.name: step.usd for step in found.steps}
    assert usd["preflight"] == 0
    # 240 s beside each other, each half of them, and 120 s of the cluster alone.
    assert usd["image"] == pytest.approx(0.12)
    assert usd["cluster"] == pytest.approx(0.24)
    assert usd["job"] == pytest.approx(450 * 0.011)
    assert found.usd == pytest.approx(1260 * 0.001 + 600 * 0.01)


def test_a_minimum_counts_where_the_steps_are_shorter() -> None:
    found = forecast([Task("job", 20)], [Charge("node", 36, "job", "job", 60)])
    assert found.usd == pytest.approx(0.6)


def test_an_unknown_price_makes_the_total_unknown() -> None:
    found = forecast(
        SESSION,
        [Charge("node", None, "job", "job"), Charge("cluster fee", 0.1, "cluster", "teardown")],
    )
    assert found.usd is None
    assert sum(step.usd for step in found.steps) > 0


@pytest.mark.parametrize(
    ("tasks", "charges"),
    [
        ([Task("a", 1, ("b",)), Task("b", 1, ("a",))], []),
        ([Task("a", 1, ("nothing",))], []),
        ([Task("a", 1)], [Charge("node", 1, "a", "nothing")]),
    ],
)
def test_what_cannot_be_planned_is_refused(tasks: list[Task], charges: list[Charge]) -> None:
    with pytest.raises(ValueError, match=r"there is not"):
        forecast(tasks, charges)


def test_no_steps_take_no_time_and_cost_nothing() -> None:
    found = forecast([], [])
    assert (found.steps, found.seconds, found.usd) == ((), 0, 0)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], (300.0, "typical")),
        ([200.0], (200.0, "median of 1 run")),
        ([100.0, 900.0, 200.0], (200.0, "median of 3 runs")),
    ],
)
def test_a_steps_length_comes_from_history_if_there_is_any(
    history: list[float], expected: tuple[float, str]
) -> None:
    assert expected_seconds(history, 300.0) == expected


@st.composite
def plans(draw: st.DrawFn) -> list[Task]:
    count = draw(st.integers(1, 7))
    tasks = []
    for place in range(count):
        before = draw(st.sets(st.integers(0, place - 1), max_size=3)) if place else set()
        length = draw(st.integers(0, 600))
        tasks.append(Task(f"s{place}", length, tuple(f"s{number}" for number in sorted(before))))
    return tasks


@given(plans(), st.randoms(use_true_random=False))
def test_a_plan_is_no_longer_than_in_sequence_and_no_shorter_than_its_chains(
    tasks: list[Task], random: object
) -> None:
    found = forecast(tasks, [])
    starts = {step.name: step for step in found.steps}
    for task in tasks:
        for before in task.after:
            assert starts[before].ends_s <= starts[task.name].starts_s
    assert max(task.seconds for task in tasks) <= found.seconds
    assert found.seconds <= sum(task.seconds for task in tasks)
    shuffled = list(tasks)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = {step.name: step.starts_s for step in forecast(shuffled, []).steps}
    assert again == {name: step.starts_s for name, step in starts.items()}


@given(plans(), st.data())
def test_the_steps_dollars_are_the_charges(tasks: list[Task], data: st.DataObject) -> None:
    names = [task.name for task in tasks]
    spans = {step.name: step for step in forecast(tasks, []).steps}
    first, last = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(names))
    charge = Charge("node", 3.6, first, last, minimum_s=data.draw(st.sampled_from([0.0, 60.0])))
    found = forecast(tasks, [charge])
    billed = max(0.0, spans[last].ends_s - spans[first].starts_s)
    assert found.usd is not None
    assert math.isclose(found.usd, max(billed, charge.minimum_s) * 0.001, abs_tol=1e-9)


@given(plans(), st.data())
def test_a_step_is_critical_when_the_plan_grows_with_it(
    tasks: list[Task], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(tasks) - 1))
    before = forecast(tasks, [])
    critical = next(step.critical for step in before.steps if step.name == tasks[place].name)
    longer = list(tasks)
    longer[place] = Task(tasks[place].name, tasks[place].seconds + 1, tasks[place].after)
    assert (forecast(longer, []).seconds > before.seconds) == critical
