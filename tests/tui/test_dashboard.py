"""The list of runs and the dashboard of one, over runs that were recorded."""

from __future__ import annotations

from pathlib import Path

from core.run.events import RunState
from core.run.journal import Journal
from tests.tui.conftest import OpenConsole, screen_text, until, until_shown
from tests.tui.recorded import add, recorded_events, replay


class TestFirstRun:
    async def test_the_first_page_says_what_this_machine_is_and_the_next_step(
        self, open_console: OpenConsole
    ) -> None:
        async with open_console() as pilot:
            await until_shown(pilot, "There are no runs yet", "GPU", "hypervisor", "Enter  ")

    async def test_looking_makes_no_journal(self, open_console: OpenConsole, state: Path) -> None:
        async with open_console() as pilot:
            await until_shown(pilot, "There are no runs yet")
        assert not state.exists()

    async def test_enter_opens_the_form(self, open_console: OpenConsole) -> None:
        async with open_console() as pilot:
            await until_shown(pilot, "Enter  ")
            await pilot.press("enter")
            await until_shown(pilot, "start a run")


class TestRuns:
    async def test_the_newest_run_comes_first_with_its_state(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        first = replay(state, results, "baseline")
        second = replay(state, results, "xen", until="measurement_finished")
        async with open_console() as pilot:
            await until_shown(pilot, first.id, second.id, "✓ done", "▶ running")
            lines = screen_text(pilot).splitlines()
            places = [
                next(number for number, line in enumerate(lines) if run.id in line)
                for run in (first, second)
            ]
            assert places[1] < places[0]

    async def test_a_run_whose_process_is_gone_is_shown_as_died(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "baseline", until="measurement_finished", alive=False)
        async with open_console() as pilot:
            await until_shown(pilot, "✗ died")
            await pilot.press("enter")
            await until_shown(pilot, "its process is gone and left no word")

    async def test_a_run_that_is_started_elsewhere_appears(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        async with open_console() as pilot:
            await until_shown(pilot, "There are no runs yet")
            run = replay(state, results, "baseline")
            await until_shown(pilot, run.id)


class TestDashboard:
    async def test_every_stage_has_a_panel_with_state_and_time(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "baseline")
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("enter")
            await until_shown(
                pilot, "preflight", "4 checks passed", "job", "results", "Nothing is billed"
            )

    async def test_a_run_under_way_is_followed_as_it_goes_on(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        run = replay(state, results, "baseline", until="measurement_started")
        async with open_console() as pilot:
            await until_shown(pilot, "▶ running")
            await pilot.press("enter")
            await until_shown(pilot, "1/4", "0/4 measurements")
            events = recorded_events("baseline", run.folder, results)
            done = [event.record.event for event in events].index("measurement_started") + 1
            with Journal(state) as journal:
                add(journal, run, events[done:], until="measurement_finished")
                await until_shown(pilot, "offline-b1 #1", "1/4 measurements")
                done += [event.record.event for event in events[done:]].index(
                    "measurement_finished"
                ) + 1
                add(journal, run, events[done:])
            await until_shown(pilot, "singlestream-b1 #1", "done")

    async def test_the_eta_of_a_stage_comes_from_earlier_runs(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "xen")
        replay(state, results, "baseline", until="stage_started")
        async with open_console() as pilot:
            await until_shown(pilot, "▶ running")
            # The newest run is the recorded xen leg; the one under way is below it.
            await pilot.press("down", "enter")
            await until_shown(pilot, "waiting", "usually")

    async def test_a_stage_that_failed_says_why_and_which_key_helps(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        from core.run.events import Stage, StageFailed
        from tests.core.runs import NOON

        run = replay(state, results, "baseline", until="stage_started")
        with Journal(state) as journal:
            journal.append(
                run.id,
                StageFailed(seconds=3, sentence="The disk is full.", remedy="Free some space."),
                time=NOON,
                stage=Stage.PREFLIGHT,
            )
        async with open_console() as pilot:
            await until_shown(pilot, run.id)
            await pilot.press("enter")
            await until_shown(pilot, "failed", "The disk is full.", "Free some space.", "R runs it")

    async def test_telemetry_is_drawn_while_measuring(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "baseline", until="measurement_finished")
        async with open_console() as pilot:
            await until_shown(pilot, "▶ running")
            await pilot.press("enter")
            await until_shown(pilot, "CPU use", "CPU steal", "█")

    async def test_the_state_of_an_ended_run_is_the_one_that_the_journal_has(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        run = replay(state, results, "baseline")
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("enter")
            app = pilot.app
            await until(pilot, lambda: app.state.followed and app.state.followed.complete)  # type: ignore[attr-defined]
            assert app.state.followed.view.state is RunState.DONE  # type: ignore[attr-defined]
            assert app.state.followed.run_id == run.id  # type: ignore[attr-defined]
