"""Stolen time is a share of the time in which there was work to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.probes.model import ProbeResult
from benchmark.probes.steal import StealProbe
from tests.benchmark.probes.stand_ins import WorkClock

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def stat(user: int, idle: int, steal: int) -> str:
    """/proc/stat of a machine on which each CPU that this test may use looks like this."""
    columns = f"{user} 0 0 {idle} 0 0 0 {steal} 0 0"
    cpus = "".join(f"cpu{cpu} {columns}\n" for cpu in sorted(os.sched_getaffinity(0)))
    return f"cpu {columns}\n{cpus}intr 1\n"


def between(*contents: str) -> ProbeResult:
    readings: Iterator[str] = iter(contents)
    steal = StealProbe(lambda: next(readings))
    return steal.probe().run(WorkClock().timer(), 1, NOON)


def test_what_was_stolen_is_told_of_what_was_wanted_and_idle_time_is_not() -> None:
    found = between(stat(1000, 5000, 70), stat(1075, 9000, 95))
    assert (found.unit, found.count) == ("%", 1)
    assert found.median == pytest.approx(25.0)
    assert found.minimum == found.p99 == found.median


def test_nothing_stolen_is_zero() -> None:
    assert between(stat(1000, 5000, 70), stat(1100, 5000, 70)).median == 0


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (stat(1, 1, 1), stat(1, 500, 1), "too few ticks"),
        ("", stat(100, 1, 1), "does not tell"),
        (stat(1, 1, 1), "cpu rubbish\n", "does not tell"),
    ],
)
def test_where_it_cannot_be_told_the_reason_stands_instead_of_a_zero(
    before: str, after: str, said: str
) -> None:
    found = between(before, after)
    assert said in found.problem
    assert found.median is None


def test_a_file_that_cannot_be_read_is_a_reason() -> None:
    def refuse() -> str:
        raise PermissionError("no")

    found = StealProbe(refuse).probe().run(WorkClock().timer(), 1, NOON)
    assert "does not tell" in found.problem


ticks = st.integers(0, 10**9)
readings = st.tuples(ticks, ticks, ticks)


@given(readings, readings)
def test_any_two_readings_are_a_share_or_a_reason(
    before: tuple[int, int, int], after: tuple[int, int, int]
) -> None:
    found = between(stat(*before), stat(*after))
    assert found.problem or (found.median is not None and 0 <= found.median <= 100)
