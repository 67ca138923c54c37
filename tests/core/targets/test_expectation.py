"""How long a run will take: by runs like it, else by the plan's own sizes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from benchmark.plan import Plan
from core.run.events import RunFinished, RunState
from core.run.journal import Journal
from core.settings import Settings
from core.targets.expectation import Expectation, expect
from tests.core.runs import NOON, named_run, small_plan

SETTINGS = Settings()
PLAN = small_plan()


def finished(
    journal: Journal,
    name: str,
    seconds: float,
    plan: Plan = PLAN,
    state: RunState = RunState.DONE,
    **values: Any,
) -> None:
    """Write a run down that took so long."""
    run = named_run(journal, name, plan, **values)
    end = RunFinished(state=state, exit_code=0, seconds=seconds, sentence="It ended.")
    journal.append(run.id, end, time=run.created_at + timedelta(seconds=seconds))


class TestWithoutRunsLikeIt:
    def test_without_a_journal_the_plans_sizes_tell(self) -> None:
        found = expect(SETTINGS, PLAN, None)
        assert found.source == "roughly, by the plan's sizes"
        assert (found.measurements, found.usd) == (1, 0.0)
        assert found.seconds > 0

    def test_more_work_takes_longer(self) -> None:
        longer = small_plan(
            repeats=3,
            scenarios=[
                {"scenario": "SingleStream", "query_count": 4},
                {"scenario": "Offline", "batch_sizes": [1, 8], "duration_s": 30.0},
            ],
        )
        found = expect(SETTINGS, longer, None)
        assert found.measurements == 9
        # 6 of them offline, of 30 s at least.
        assert found.seconds > 180 + expect(SETTINGS, PLAN, None).seconds

    @pytest.mark.parametrize(
        "values",
        [
            {"target": "gke"},
            {"profile": "another"},
            {"state": RunState.FAILED},
            {"state": RunState.INTERRUPTED},
            {"plan": small_plan(repeats=2)},
            {"plan": small_plan(device="cpu")},
        ],
        ids=str,
    )
    def test_runs_of_another_kind_say_nothing(
        self, journal: Journal, values: dict[str, Any]
    ) -> None:
        finished(journal, "other", 1000.0, **values)
        assert expect(SETTINGS, PLAN, journal) == expect(SETTINGS, PLAN, None)

    def test_a_run_under_way_says_nothing(self, journal: Journal) -> None:
        named_run(journal, "now", PLAN)
        assert expect(SETTINGS, PLAN, journal) == expect(SETTINGS, PLAN, None)


class TestByRunsLikeIt:
    def test_the_last_run_tells(self, journal: Journal) -> None:
        finished(journal, "one", 77.0)
        assert expect(SETTINGS, PLAN, journal) == Expectation(
            77.0, "by the last run like it", measurements=1, usd=0.0
        )

    def test_the_median_of_the_last_five_tells(self, journal: Journal) -> None:
        # The oldest took so long that it would be seen.
        for number, seconds in enumerate((9000.0, 9000.0, 10.0, 50.0, 20.0, 40.0, 30.0)):
            created = NOON + timedelta(hours=5 * number)
            finished(journal, f"run{number}", seconds, created_at=created)
        found = expect(SETTINGS, PLAN, journal)
        assert (found.seconds, found.source) == (30.0, "by the last 5 runs like it")

    def test_the_other_legs_runs_count_and_so_do_those_of_another_arrival_rate(
        self, journal: Journal
    ) -> None:
        scenarios = [{"scenario": "Server", "query_count": 40, "batch_sizes": [8]}]
        plan = small_plan(scenarios=scenarios)
        taken = small_plan(scenarios=scenarios, server={"arrival_rates": {"server-b8": 12.5}})
        finished(journal, "xen", 60.0, taken, leg="xen")
        assert expect(SETTINGS, plan, journal).seconds == 60.0

    def test_a_plan_that_another_version_stored_is_passed_over(
        self, journal: Journal, state: Any
    ) -> None:
        import sqlite3
        from contextlib import closing

        from core.run.journal_file import FILE_NAME

        finished(journal, "strange", 1000.0)
        with closing(sqlite3.connect(state / FILE_NAME, isolation_level=None)) as connection:
            connection.execute('UPDATE runs SET plan = \'{"of": "another version"}\'')
        finished(journal, "known", 42.0)
        assert expect(SETTINGS, PLAN, journal).seconds == 42.0
