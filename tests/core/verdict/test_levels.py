"""Changes of level: what is pointed out, how seldom wrongly, and that it is what scipy computes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from core.verdict.levels import (
    deviation,
    family_size,
    holm,
    level_changes,
    mean_interval,
    prediction_interval,
)

Rows = list[list[float]]

logarithms = st.floats(-20, 20, allow_nan=False)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def metrics(generator: numpy.random.Generator, runs: int, noise: float) -> Rows:
    """Four metrics of each of two measurements; most of a run's noise is common to its metrics."""
    rows: Rows = []
    for _ in range(2):
        common = generator.normal(0, noise, runs)
        own = generator.normal(0, noise, (4, runs))
        rows += (math.sqrt(0.7) * common + math.sqrt(0.3) * own).tolist()
    return rows


def share(happens: Callable[[], bool], trials: int) -> float:
    return sum(happens() for _ in range(trials)) / trials


@pytest.mark.parametrize("runs", [4, 7, 20])
def test_of_histories_without_a_change_at_most_one_in_twenty_is_said_to_have_one(
    runs: int,
) -> None:
    generator = numpy.random.default_rng(7)
    assert share(lambda: any(level_changes(metrics(generator, runs, 0.01))), 300) <= 0.05


@pytest.mark.parametrize("place", [3, 4, 5])
def test_a_step_of_five_per_cent_is_found_among_six_runs(place: int) -> None:
    """Five blocks a run, each with a CV of 1 %; the newest run alone is the hardest."""
    generator = numpy.random.default_rng(11)

    def found() -> bool:
        rows = metrics(generator, 6, 0.01 / math.sqrt(5))
        for row in rows:
            row[place:] = [value + math.log(1.05) for value in row[place:]]
        return any(change.place == place for row in level_changes(rows) for change in row)

    assert share(found, 200) >= 0.9


def test_the_newest_run_is_held_against_the_prediction_interval_of_those_before() -> None:
    row = [0.01, -0.02, 0.005, 0.0, 0.09]
    (change,) = level_changes([row])[0]
    before = numpy.asarray(row[:4])
    distance = (row[4] - before.mean()) / (before.std(ddof=1) * math.sqrt(1 + 1 / 4))
    assert change.place == 4
    assert change.p_value == pytest.approx(2 * stats.t.sf(distance, 3), rel=1e-9)
    assert change.adjusted == pytest.approx(2 * change.p_value, rel=1e-9)


def test_an_older_change_is_the_t_test_of_the_runs_from_it_on_against_those_before() -> None:
    row = [0.01, -0.02, 0.005, 0.0, 0.09, 0.11, 0.10]
    (change,) = level_changes([row])[0]
    answer = stats.ttest_ind(row[4:], row[:4])
    interval = answer.confidence_interval(0.90)
    assert (change.place, change.before, change.after) == (4, 4, 3)
    assert change.p_value == pytest.approx(answer.pvalue, rel=1e-9)
    assert change.change == pytest.approx(sum(row[4:]) / 3 - sum(row[:4]) / 4)
    assert change.interval is not None
    assert change.interval.low == pytest.approx(interval.low, rel=1e-9)
    assert change.interval.high == pytest.approx(interval.high, rel=1e-9)


def test_each_of_two_steps_is_found_and_sized_between_its_own_levels() -> None:
    steps = [0.0] * 6 + [0.1] * 6 + [0.05] * 6
    row = [step + 0.002 * (-1) ** number for number, step in enumerate(steps)]
    changes = level_changes([row])[0]
    assert [change.place for change in changes] == [6, 12]
    assert [change.change for change in changes] == pytest.approx([0.1, -0.05])
    assert [(change.before, change.after) for change in changes] == [(6, 6), (6, 6)]


def test_a_run_that_strayed_and_came_back_is_noise_and_no_change() -> None:
    row = [0.001 * (-1) ** number for number in range(12)]
    row[5] += 0.05
    assert level_changes([row]) == ((),)


@given(st.lists(logarithms, max_size=3), st.lists(logarithms, max_size=3))
def test_with_fewer_than_three_runs_before_nothing_is_pointed_out(
    one: list[float], other: list[float]
) -> None:
    assert level_changes([one, other], alpha=1.0) == ((), ())
    assert family_size([one, other]) == 0


def test_figures_that_are_all_equal_have_no_change_and_one_step_among_them_is_certain() -> None:
    assert level_changes([[4.2] * 9]) == ((),)
    # The last bit of a logarithm is rounding, and no change.
    assert level_changes([[4.2] * 8 + [math.nextafter(4.2, 5)]]) == ((),)
    (change,) = level_changes([[4.2] * 5 + [4.3] * 4])[0]
    assert change.place == 5
    assert change.adjusted < 1e-9
    assert change.interval is not None
    assert change.interval.low == pytest.approx(change.interval.high)


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=10), st.floats(-5, 5))
def test_another_unit_changes_nothing(row: list[float], shift: float) -> None:
    rounded = [round(value, 3) for value in row]
    moved = [value + round(shift, 3) for value in rounded]
    places = [change.place for change in level_changes([rounded])[0]]
    assert [change.place for change in level_changes([moved])[0]] == places


@given(st.lists(st.lists(logarithms, max_size=8), max_size=5), st.randoms())
def test_the_order_of_the_rows_changes_nothing(rows: Rows, random: object) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    changes = level_changes(rows)
    assert level_changes([rows[index] for index in order]) == tuple(
        changes[index] for index in order
    )


@given(p_values)
def test_holm_rejects_what_the_step_down_test_rejects(values: list[float]) -> None:
    adjusted = holm(values)
    rejected = set()
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        if (len(values) - rank) * values[index] > 0.05:
            break
        rejected.add(index)
    assert {index for index, value in enumerate(adjusted) if value <= 0.05} == rejected
    assert all(value <= other <= 1 for value, other in zip(values, adjusted, strict=True))


def test_intervals_are_scipys() -> None:
    row = [0.3, 0.1, 0.25, 0.2]
    mean, spread = numpy.mean(row), numpy.std(row, ddof=1)
    for found, scale in (
        (mean_interval(row), spread / 2),
        (prediction_interval(row), spread * math.sqrt(1.25)),
    ):
        low, high = stats.t.interval(0.90, 3, loc=mean, scale=scale)
        assert found is not None
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)


def test_too_few_values_have_no_interval_and_no_deviation() -> None:
    assert mean_interval([1.0]) is None
    assert prediction_interval([1.0, 2.0]) is None
    assert deviation([]) is None
    assert deviation([[1.0], [2.0]]) is None
    assert deviation([[1.0, 2.0], [5.0, 6.0]]) == pytest.approx(math.sqrt(0.5))
