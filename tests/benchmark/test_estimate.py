"""The estimate of the remaining time is never negative and shrinks as work is done."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from benchmark.estimate import Estimate, planned_seconds
from benchmark.plan import Plan, make_plan

PLAN = make_plan(
    {
        "scenarios": [
            {"scenario": "Offline", "batch_sizes": [1, 8], "duration_s": 30},
            {"scenario": "Server", "batch_sizes": [8], "query_count": 1000},
            {"scenario": "SingleStream", "query_count": 500},
        ],
        "repeats": 2,
    },
    "the test's plan",
)

ONE_BLOCK = PLAN.model_copy(update={"repeats": 1})


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def measure(estimate: Estimate, clock: Clock, plan: Plan, position: int, timed_s: float) -> None:
    """Live through one measurement that takes 5 s before its timed part."""
    measurement = plan.measurements()[position]
    estimate.begin(measurement, 50.0 if measurement.scenario == "Server" else None)
    clock.now += 5
    estimate.phase("measuring")
    clock.now += timed_s
    estimate.phase("collecting")
    estimate.end()


def test_without_a_measurement_under_way_nothing_is_estimated() -> None:
    estimate = Estimate(PLAN, Clock())
    assert estimate.remaining(0, None) is None


def test_the_first_estimate_knows_the_plans_durations_and_blocks() -> None:
    estimate = Estimate(PLAN, Clock())
    estimate.begin(PLAN.measurements()[0], None)
    first = estimate.remaining(0, None)
    assert first is not None
    assert first >= 4 * 30


def test_the_remaining_time_falls_by_the_time_that_passes_at_a_steady_rate() -> None:
    clock = Clock()
    estimate = Estimate(PLAN, clock)
    estimate.begin(PLAN.measurements()[0], None)
    estimate.phase("measuring")
    seen = []
    for second in range(1, 31):
        clock.now += 1
        remaining = estimate.remaining(second * 10, 300)
        assert remaining is not None
        seen.append(remaining)
    assert [before - after for before, after in pairwise(seen)] == (
        pytest.approx([1.0] * 29, abs=0.11)
    )


def test_the_estimate_shrinks_from_one_measurement_to_the_next() -> None:
    clock = Clock()
    estimate = Estimate(PLAN, clock)
    seen: list[float] = []
    for position in range(4):
        estimate.begin(PLAN.measurements()[position], None)
        remaining = estimate.remaining(0, None)
        assert remaining is not None
        seen.append(remaining)
        clock.now += 10
        estimate.phase("measuring")
        clock.now += 25
        estimate.phase("collecting")
        estimate.end()
    assert seen == sorted(seen, reverse=True)


def test_a_second_block_is_estimated_by_what_the_first_one_took() -> None:
    clock = Clock()
    estimate = Estimate(PLAN, clock)
    for position, timed_s in enumerate((40.0, 41.0, 20.0, 100.0)):
        measure(estimate, clock, PLAN, position, timed_s)
    estimate.begin(PLAN.measurements()[0], None)
    assert estimate.remaining(0, None) == pytest.approx(4 * 5 + 40 + 41 + 20 + 100)


@pytest.mark.parametrize("rate", [10.0, 1000.0])
def test_a_server_measurement_is_estimated_by_its_arrival_rate(rate: float) -> None:
    clock = Clock()
    estimate = Estimate(ONE_BLOCK, clock)
    for position in range(2):
        measure(estimate, clock, ONE_BLOCK, position, 33)
    estimate.begin(ONE_BLOCK.measurements()[2], rate)
    estimate.phase("measuring")
    server_s = 1000 / rate
    whole = estimate.remaining(0, 1000)
    assert whole is not None
    assert whole >= server_s
    clock.now += server_s
    rest = estimate.remaining(1000, 1000)
    assert rest is not None
    assert whole - rest == pytest.approx(server_s, abs=0.11)


def test_more_samples_than_were_promised_leave_nothing_to_wait_for() -> None:
    clock = Clock()
    plan = make_plan({"scenarios": [{"scenario": "Offline", "duration_s": 30}]}, "one measurement")
    estimate = Estimate(plan, clock)
    estimate.begin(plan.measurements()[0], None)
    estimate.phase("measuring")
    clock.now += 30
    assert estimate.remaining(400, 300) == 0


def test_probes_that_are_still_to_come_count_by_what_those_before_them_took() -> None:
    clock = Clock()
    with_probes, without = (PLAN.model_copy(update={"probes": probes}) for probes in (True, False))
    assert planned_seconds(with_probes) > planned_seconds(without)
    estimates = [Estimate(plan, clock) for plan in (with_probes, without)]
    estimates[0].probed(40.0)
    for estimate in estimates:
        estimate.begin(PLAN.measurements()[0], None)
    remaining = [estimate.remaining(0, None) or 0.0 for estimate in estimates]
    # Two blocks, the first of which has had its probes.
    assert remaining[0] - remaining[1] == pytest.approx(40.0)


class AnySession(RuleBasedStateMachine):
    """Whatever a session does, the estimate is a time or nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.estimate = Estimate(PLAN, self.clock)
        self.left = list(PLAN.measurements()) * PLAN.repeats
        self.under_way = False
        self.done = 0
        self.total: int | None = None

    @precondition(lambda self: not self.under_way and self.left)
    @rule(rate=st.none() | st.floats(0.001, 1e6))
    def begin(self, rate: float | None) -> None:
        self.estimate.begin(self.left.pop(0), rate)
        self.under_way, self.done, self.total = True, 0, None

    @precondition(lambda self: self.under_way)
    @rule(phase=st.sampled_from(["loading", "building", "measuring", "collecting"]))
    def enter(self, phase: str) -> None:
        self.estimate.phase(phase)

    @rule(seconds=st.floats(0, 1e5))
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(done=st.integers(0, 10**6), total=st.none() | st.integers(0, 10**6))
    def progress(self, done: int, total: int | None) -> None:
        self.done, self.total = done, total

    @precondition(lambda self: self.under_way)
    @rule()
    def end(self) -> None:
        self.estimate.end()
        self.under_way = False

    @invariant()
    def the_remaining_time_is_never_negative(self) -> None:
        remaining = self.estimate.remaining(self.done, self.total)
        assert (remaining is not None) == self.under_way
        assert remaining is None or 0 <= remaining < float("inf")


TestAnySession = AnySession.TestCase
