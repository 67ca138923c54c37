"""What both legs of a comparison cost, however many runs each is made of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from benchmark.plan import Execution
from benchmark.results import MeasurementResult, Result
from core.report.comparison_costs import (
    Costed,
    cost_pair,
    leg_text,
    per_million_text,
    with_costs,
)
from core.report.costs import RunCost, cost_of
from core.run.journal import Journal
from core.run.journal_file import FILE_NAME
from tests.core.costs import after, event, session, started
from tests.core.outcomes import result
from tests.core.runs import named_run
from tests.core.verdict.scene import a_measurement, plan_of

PLAN = plan_of(["singlestream-b1", "offline-b8"])
PER_MILLION = 0.65 / 3.6
"""Of 1000 samples/s on what the session has billed in its middle: 0.65 dollars an hour."""


def session_cost() -> RunCost:
    found = cost_of(session(), after(9000))
    assert found is not None
    return found


def run(name: str, *rates: float, **values: object) -> Result:
    blocks = [
        block_of("singlestream-b1", rate, block=block, **values)
        for block, rate in enumerate(rates, 1)
    ]
    return result(*blocks, run_id=name, plan=PLAN)


def block_of(name: str, rate: float, **values: object) -> MeasurementResult:
    """A good block that runs while everything that the session has is billed."""
    usual = {"started_at": after(2000), "duration_s": 60.0, "execution": Execution.EAGER}
    return a_measurement(name, rate, **{**usual, **values})  # type: ignore[arg-type]


def legs(*pairs: tuple[Result, RunCost | None]) -> list[Costed]:
    return list(pairs)


class TestLegs:
    """A leg's total is that of all its runs, each counted once."""

    def test_two_runs_add_up_and_one_run_given_twice_does_not(self) -> None:
        cost = session_cost()
        pair = cost_pair(
            legs((run("a", 1000), cost), (run("b", 1000), cost)),
            legs((run("c", 1000), cost), (run("c", 1000), cost)),
        )
        assert pair is not None
        assert pair.first is not None
        assert pair.second is not None
        assert pair.first.usd == pytest.approx(0.75)
        assert pair.second.usd == pytest.approx(0.375)
        assert (pair.first.text, pair.second.text) == ("$0.7500", "$0.3750")
        assert not pair.first.at_least
        assert pair.first.usd_per_hour == pytest.approx(0.65)

    def test_a_run_of_unknown_cost_makes_the_total_a_least(self) -> None:
        pair = cost_pair(
            legs((run("a", 1000), session_cost()), (run("b", 1000), None)),
            legs((run("c", 1000), None)),
        )
        assert pair is not None
        assert pair.first is not None
        assert pair.first.text == "at least $0.3750"
        # Part of its blocks ran at a price that nobody knows.
        assert pair.first.usd_per_hour is None
        assert pair.rows == ()
        assert pair.second is None
        assert leg_text(pair.second) == "not known"

    def test_one_run_says_what_the_run_itself_says(self) -> None:
        growing = cost_of([*session(), event(started("node", "late", 0.5, 3000))], after(9000))
        unpriced = cost_of(
            [*session(), event(started("disk", "odd", 0, priced=False))], after(9000)
        )
        for cost in (session_cost(), growing, unpriced):
            assert cost is not None
            pair = cost_pair(legs((run("a", 1000), cost)), legs((run("b", 1000), None)))
            assert pair is not None
            assert leg_text(pair.first) == cost.text

    def test_nothing_known_is_nothing(self) -> None:
        assert cost_pair(legs((run("a", 1000), None)), legs((run("b", 1000), None))) is None
        assert cost_pair([], []) is None


class TestInferences:
    """A million inferences of each measurement, over all good blocks of a leg."""

    def test_the_difference_is_how_much_dearer_the_second_is(self) -> None:
        cost = session_cost()
        pair = cost_pair(
            legs((run("a", 1000, 1000), cost)), legs((run("b", 500), cost), (run("c", 500), cost))
        )
        assert pair is not None
        (row,) = pair.rows
        assert row.first_usd_per_million == pytest.approx(PER_MILLION)
        assert row.second_usd_per_million == pytest.approx(2 * PER_MILLION)
        assert row.difference_percent == pytest.approx(100)

    def test_the_throughput_is_the_median_of_all_good_blocks(self) -> None:
        cost = session_cost()
        void = all_void(run("b", 10))
        pair = cost_pair(
            legs((run("a", 800, 1000), cost), (run("c", 5000), cost), (void, cost)),
            legs((run("d", 1000), None)),
        )
        assert pair is not None
        (row,) = pair.rows
        assert row.first_usd_per_million == pytest.approx(PER_MILLION)
        assert (row.second_usd_per_million, row.difference_percent) == (None, None)
        assert per_million_text(row.second_usd_per_million) == "-"

    def test_what_is_void_by_its_own_record_counts_no_more_than_what_is_marked(self) -> None:
        (entry,) = run("b", 10).benchmarks
        unmarked = entry.model_copy(update={"loadgen": None})
        taken_away = run("b", 10).model_copy(update={"benchmarks": (unmarked,)})
        pair = cost_pair(
            legs((run("a", 1000), session_cost()), (taken_away, session_cost())),
            legs((run("d", 1000), None)),
        )
        assert pair is not None
        (row,) = pair.rows
        assert row.first_usd_per_million == pytest.approx(PER_MILLION)

    def test_all_void_has_none(self) -> None:
        pair = cost_pair(
            legs((all_void(run("a", 1000)), session_cost())), legs((run("b", 1000), None))
        )
        assert pair is not None
        assert pair.rows == ()
        assert not any("million" in note for note in pair.notes())


class TestJournal:
    """A result stands without its cost."""

    def test_what_the_journal_knows_is_found_and_the_rest_is_not_known(
        self, tmp_path: Path
    ) -> None:
        with Journal(tmp_path) as journal:
            named_run(journal, "known")
            for told in session():
                journal.append("known", told.record, time=told.time)
            found = with_costs([run("known", 1000), run("other", 1000)], journal, after(9000))
        costs = [cost for _result, cost in found]
        assert costs[0] is not None
        assert costs[0].usd == pytest.approx(0.375)
        assert costs[1] is None
        assert (tmp_path / FILE_NAME).exists()


def test_the_sources_of_both_are_said_once_each() -> None:
    cost = session_cost()
    other = replace(cost, source="another table")
    pair = cost_pair(legs((run("a", 1), cost)), legs((run("b", 1), other), (run("c", 1), cost)))
    assert pair is not None
    (prices,) = [note for note in pair.notes() if note.startswith("Prices")]
    assert cost.source in prices
    assert "another table" in prices


def all_void(found: Result) -> Result:
    return found.model_copy(
        update={
            "benchmarks": tuple(
                entry.model_copy(update={"void": True}) for entry in found.benchmarks
            )
        }
    )


def test_an_hour_is_the_mean_over_the_measurements() -> None:
    cost = session_cost()
    late = block_of("offline-b8", 1000, started_at=after(2000) + timedelta(days=9))
    found = result(block_of("singlestream-b1", 1000), late, run_id="a", plan=PLAN)
    pair = cost_pair(legs((found, cost)), legs((run("b", 1), None)))
    assert pair is not None
    assert pair.first is not None
    # When nothing was billed any more, an hour of it has no price, and is left out.
    assert pair.first.usd_per_hour == pytest.approx(0.65)
