"""What works on every page: help, palette, keys, themes, clipboard, notifications ..."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.drivers.headless_driver import HeadlessDriver
from textual.events import AppBlur, AppFocus

from core.console_settings import ConsoleSettings
from core.run.events import LogStreamInterrupted, LogStreamResumed, Stage
from core.run.journal import Journal
from tests.core.runs import NOON
from tests.tui.conftest import NOW, OpenConsole, SetClock, screen_text, until, until_shown
from tests.tui.recorded import add, recorded_events, replay
from tests.tui.test_teardown import with_cluster
from tui.commands import ALL


class TestHelp:
    async def test_it_lists_every_command_with_key_and_headless_form(
        self, open_console: OpenConsole
    ) -> None:
        async with open_console(size=(200, 90)) as pilot:
            await pilot.press("question_mark")
            await until_shown(pilot, "Log panel")
            text = screen_text(pilot)
            for commands in ALL.values():
                for command in commands:
                    assert command.help in text
                    assert command.id in text

    async def test_every_headless_form_is_a_command_that_there_is(self) -> None:
        from core.cli.parser import build_parser

        verbs = next(action.choices for action in build_parser()._actions if action.dest == "verb")
        assert verbs is not None
        for commands in ALL.values():
            for command in commands:
                verb = command.headless.partition(" ")[0]
                assert not verb or verb.startswith("{") or verb in verbs

    async def test_command_ids_are_unique_and_keys_within_a_page_too(self) -> None:
        ids = [command.id for commands in ALL.values() for command in commands]
        assert len(ids) == len(set(ids))
        everywhere = {command.key for command in ALL["Everywhere"]}
        for place, commands in ALL.items():
            keys = [command.key for command in commands]
            assert len(keys) == len(set(keys))
            assert place == "Everywhere" or everywhere.isdisjoint(keys)


class TestPalette:
    async def test_it_offers_what_is_possible_now(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "baseline")
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("ctrl+p")
            await until_shown(pilot, "Results", "Mark")
            # The run has ended, and there is no second leg.
            assert "Interrupt the run" not in screen_text(pilot)
            await pilot.press(*"figures, plots")
            await until_shown(pilot, "Figures, plots and evidence of the run")
            await pilot.press("enter")
            await until_shown(pilot, "SingleStream")


class TestKeys:
    async def test_a_users_key_replaces_the_shipped_one(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "baseline")
        settings = ConsoleSettings(keys={"runs.results": "ctrl+l"})
        async with open_console(settings=settings) as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("ctrl+l")
            await until_shown(pilot, "SingleStream")

    async def test_a_wrong_id_is_named_with_the_one_that_was_meant(
        self, open_console: OpenConsole
    ) -> None:
        settings = ConsoleSettings(keys={"runs.resluts": "ctrl+l"})
        async with open_console(settings=settings) as pilot:
            await until_shown(pilot, "no command 'runs.resluts'", "runs.results")


class TestThemes:
    @pytest.mark.parametrize("name", ["gpubench-dark", "gpubench-light", "gpubench-contrast"])
    async def test_a_theme_is_taken_from_the_settings(
        self, open_console: OpenConsole, name: str
    ) -> None:
        async with open_console(settings=ConsoleSettings(theme=name)) as pilot:
            assert pilot.app.theme == name

    async def test_a_theme_that_is_not_there_is_said(self, open_console: OpenConsole) -> None:
        async with open_console(settings=ConsoleSettings(theme="none")) as pilot:
            await until_shown(pilot, "no theme 'none'")
            assert pilot.app.theme == "gpubench-dark"


class TestNarrow:
    async def test_tabs_stand_in_for_columns_and_everything_is_reached(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "baseline")
        async with open_console(size=(80, 24)) as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("enter")
            await until_shown(pilot, "preflight", "4 checks passed")
            for key, wanted in (("2", "offline-b8 #1"), ("3", "Nothing is billed"), ("4", "log ")):
                await pilot.press(key)
                await until_shown(pilot, wanted)

    async def test_growing_shows_the_columns_and_shrinking_the_tabs(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "baseline")
        async with open_console(size=(80, 24)) as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("enter")
            await until_shown(pilot, "4 checks passed")
            assert "offline-b8 #1" not in screen_text(pilot)
            await pilot.resize_terminal(200, 60)
            await until_shown(pilot, "4 checks passed", "offline-b8 #1", "Nothing is billed")
            await pilot.resize_terminal(80, 24)
            await until(pilot, lambda: "offline-b8 #1" not in screen_text(pilot))


class TestLookingDeeper:
    async def test_commands_for_what_is_on_screen_are_copied(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        with_cluster(state, results)
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("enter")
            await until_shown(pilot, "4 checks passed")
            await pilot.press("c")
            await until_shown(pilot, "Copy a command", "start one like it")
            await pilot.press("enter")
            await until(pilot, lambda: pilot.app.clipboard.startswith("gpubench-tui --no-ui run"))

    async def test_describe_shows_what_the_program_says(
        self,
        open_console: OpenConsole,
        state: Path,
        results: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with_cluster(state, results)
        # Stands in for gcloud, which cannot be had here; it is a real program on the real path.
        program = tmp_path / "bin" / "gcloud"
        program.parent.mkdir()
        program.write_text('#!/bin/sh\necho "status: RUNNING \033[31m"; echo "asked: $*"\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("enter")
            await until_shown(pilot, "4 checks passed")
            await pilot.press("D")
            await until_shown(
                pilot, "status: RUNNING \\x1b[31m", "clusters describe gpu-benchmark-cluster"
            )

    async def test_a_program_that_is_not_there_is_one_sentence(
        self,
        open_console: OpenConsole,
        state: Path,
        results: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with_cluster(state, results)
        monkeypatch.setenv("PATH", "/nowhere")
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("enter")
            await until_shown(pilot, "4 checks passed")
            await pilot.press("K")
            await until_shown(pilot, "kubectl cannot be run here")

    async def test_nothing_can_be_described_where_there_is_nothing(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "baseline")
        async with open_console() as pilot:
            await until_shown(pilot, "✓ done")
            await pilot.press("enter")
            await until_shown(pilot, "4 checks passed")
            active = pilot.app.screen.active_bindings
            assert not active["K"].enabled

    async def test_a_stream_of_the_log_that_broke_is_said_until_it_goes_on(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        run = replay(state, results, "baseline", until="measurement_started")
        async with open_console() as pilot:
            await until_shown(pilot, "▶ running")
            await pilot.press("enter")
            await until_shown(pilot, "4 checks passed")
            with Journal(state) as journal:
                journal.append(
                    run.id,
                    LogStreamInterrupted(source="pod/x", reason="the API server restarted"),
                    time=NOON,
                    stage=Stage.JOB,
                )
                await until_shown(pilot, "the API server restarted")
                journal.append(
                    run.id,
                    LogStreamResumed(source="pod/x", seconds=3),
                    time=NOON,
                    stage=Stage.JOB,
                )
            await until(pilot, lambda: "the API server restarted" not in screen_text(pilot))


class TestNotifications:
    @contextmanager
    def written(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
        """What goes to the terminal as it is; the headless driver throws it away."""
        found: list[str] = []
        monkeypatch.setattr(HeadlessDriver, "write", lambda _self, data: found.append(data))
        yield found

    @pytest.mark.parametrize(
        ("notify", "focus", "rings"),
        [
            ("unfocused", False, True),
            ("unfocused", True, False),
            ("always", True, True),
            ("never", False, False),
        ],
    )
    async def test_the_end_of_a_run_rings_for_who_looks_elsewhere(
        self,
        open_console: OpenConsole,
        state: Path,
        results: Path,
        clock: SetClock,
        monkeypatch: pytest.MonkeyPatch,
        notify: str,
        focus: bool,
        rings: bool,
    ) -> None:
        run = replay(state, results, "baseline", until="measurement_started")
        # The console is opened before the recorded run's end.
        clock.now = NOW - timedelta(days=1)
        with self.written(monkeypatch) as terminal:
            async with open_console(settings=ConsoleSettings(notify=notify)) as pilot:
                await until_shown(pilot, "▶ running")
                await pilot.press("enter")
                await until_shown(pilot, "1/4")
                pilot.app.post_message(AppFocus() if focus else AppBlur())
                await until(pilot, lambda: pilot.app.app_focus is focus)
                events: list[Any] = recorded_events("baseline", run.folder, results)
                with Journal(state) as journal:
                    add(journal, run, events[len(journal.events(run.id)) :])
                await until_shown(pilot, "✓ done")
        said = "".join(terminal)
        assert ("\x1b]9;Run " in said and "\x1b]777;notify;gpubench;" in said) == rings

    async def test_a_run_that_is_only_listed_rings_too(
        self,
        open_console: OpenConsole,
        state: Path,
        results: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        run = replay(state, results, "baseline", until="measurement_started")
        with self.written(monkeypatch) as terminal:
            async with open_console(settings=ConsoleSettings(notify="always")) as pilot:
                await until_shown(pilot, "▶ running")
                with Journal(state) as journal:
                    events = recorded_events("baseline", run.folder, results)
                    add(journal, run, events[len(journal.events(run.id)) :])
                await until_shown(pilot, "✓ done")
        assert f"\x1b]9;Run {run.id}: done\x07" in "".join(terminal)

    async def test_what_was_before_does_not_ring(
        self,
        open_console: OpenConsole,
        state: Path,
        results: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        replay(state, results, "baseline")
        with self.written(monkeypatch) as terminal:
            async with open_console(settings=ConsoleSettings(notify="always")) as pilot:
                await until_shown(pilot, "✓ done")
                await pilot.press("enter")
                await until_shown(pilot, "4 checks passed")
        assert "\x1b]9;" not in "".join(terminal)
