"""What is broken is said in one sentence, and the console goes on; mended, it is seen by itself."""

from __future__ import annotations

import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from textual.pilot import Pilot

from benchmark.results import RESULT_FILE
from core.run.events import RunFinished, RunState
from core.run.journal import Journal, Run
from core.run.journal_file import FILE_NAME
from core.run.log import LOG_FILE
from tests.core.conftest import CommandLine, small_disk
from tests.core.runs import ROOT
from tests.tui.conftest import NOW, Driver, OpenConsole, screen_text, until, until_shown
from tests.tui.recorded import replay

__all__ = ["small_disk"]

WIDE = (200, 50)


def change(state: Path, *statements: str) -> None:
    """Change a journal as no version of the program does."""
    with closing(sqlite3.connect(state / FILE_NAME, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def line_of(pilot: Pilot[int], text: str) -> str:
    """The line of the screen that has this text."""
    return next((line for line in screen_text(pilot).splitlines() if text in line), "")


async def still_usable(pilot: Pilot[int]) -> None:
    """Other pages open, and close again."""
    await pilot.press("question_mark")
    await until_shown(pilot, "List of runs")
    await pilot.press("escape")
    await pilot.press("r")
    await until_shown(pilot, "F2 copies it")
    await pilot.press("escape")
    await until(pilot, lambda: "F2 copies it" not in screen_text(pilot))


class TestJournal:
    @pytest.mark.parametrize("what", ["garbage", "truncated", "newer", "unreadable row"])
    async def test_a_journal_that_cannot_be_read_is_said_and_tried_again(
        self, open_console: OpenConsole, state: Path, results: Path, what: str
    ) -> None:
        run = replay(state, results, "baseline")
        file = state / FILE_NAME
        good = file.read_bytes()
        match what:
            case "garbage":
                file.write_bytes(b"\x1b[2J this is no database \x00" * 400)
                said = "file is not a database"
            case "truncated":
                file.write_bytes(good[:5000])
                said = "database disk image is malformed"
            case "newer":
                change(state, "PRAGMA user_version = 99")
                said = "was written by a newer version (schema 99"
            case _:
                change(state, "UPDATE runs SET state = 'molten'")
                said = "'molten' is not a valid RunState"
        async with open_console(WIDE) as pilot:
            await until_shown(pilot, said)
            assert "There are no runs" not in screen_text(pilot)
            await still_usable(pilot)
            await until_shown(pilot, said)
            for rest in state.glob("*-wal"):
                rest.unlink()
            good_again = file.with_suffix(".good")
            good_again.write_bytes(good)
            good_again.replace(file)
            await until_shown(pilot, run.id, "✓ done")
            assert said not in screen_text(pilot)

    async def test_a_journal_that_is_deleted_is_missed_and_found_again(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        run = replay(state, results, "baseline")
        async with open_console(WIDE) as pilot:
            await until_shown(pilot, run.id)
            away = state.with_name("away")
            state.rename(away)
            await until_shown(pilot, f"The journal {state / FILE_NAME} is gone.")
            assert run.id in screen_text(pilot)
            await still_usable(pilot)
            await pilot.press("enter")
            await until_shown(pilot, "is gone.", "preflight")
            await pilot.press("escape")
            away.rename(state)
            await until(pilot, lambda: "is gone" not in screen_text(pilot))
            assert run.id in screen_text(pilot)

    async def test_a_journal_that_is_replaced_is_read_from_its_beginning(
        self, open_console: OpenConsole, state: Path, results: Path, tmp_path: Path
    ) -> None:
        first = replay(state, results, "baseline", until="measurement_started")
        other = tmp_path / "other"
        replay(other, tmp_path / "elsewhere", "baseline")
        second = replay(other, results, "xen")
        async with open_console(WIDE) as pilot:
            await until_shown(pilot, first.id, "▶ running")
            await pilot.press("enter")
            await until_shown(pilot, "0/4 measurements")
            for file in state.iterdir():
                file.unlink()
            shutil.copyfile(other / FILE_NAME, state / "new")
            (state / "new").replace(state / FILE_NAME)
            await until_shown(pilot, "✓ done", "singlestream-b1 #1", "4 checks passed")
            # Each of its events was taken in once.
            assert screen_text(pilot).count("offline-b1 #1") == 1
            await pilot.press("escape")
            await until_shown(pilot, second.id)

    async def test_a_followed_run_that_the_new_journal_does_not_have_is_missed(
        self, open_console: OpenConsole, state: Path, results: Path, tmp_path: Path
    ) -> None:
        first = replay(state, results, "baseline")
        other = tmp_path / "other"
        replay(other, results, "xen")
        async with open_console(WIDE) as pilot:
            await until_shown(pilot, first.id)
            await pilot.press("enter")
            await until_shown(pilot, "4 checks passed")
            shutil.copyfile(other / FILE_NAME, state / "new")
            (state / "new").replace(state / FILE_NAME)
            await until_shown(pilot, f"There is no run '{first.id}'")
            await still_usable(pilot)

    async def test_a_journal_in_a_read_only_place_is_shown(
        self, open_console: OpenConsole, state: Path, results: Path,
        small_disk: Callable[[str], Path],
    ) -> None:  # fmt: skip
        place = small_disk("4m")
        run = replay(place, results, "baseline")
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        state.symlink_to(place)
        before = sorted(place.iterdir())
        async with open_console(WIDE) as pilot:
            await until_shown(pilot, run.id, "✓ done")
            await pilot.press("enter")
            await until_shown(pilot, "4 checks passed")
        assert sorted(place.iterdir()) == before

    async def test_a_journal_that_becomes_read_only_is_shown_on(
        self, open_console: OpenConsole, state: Path, results: Path,
        small_disk: Callable[[str], Path],
    ) -> None:  # fmt: skip
        place = small_disk("4m")
        run = replay(place, results, "baseline")
        state.symlink_to(place)
        async with open_console(WIDE) as pilot:
            await until_shown(pilot, run.id, "✓ done")
            subprocess.run(["mount", "-o", "remount,ro", place], check=False)
            await pilot.press("enter")
            await until_shown(pilot, "4 checks passed")
            await still_usable(pilot)


class TestEvents:
    async def test_an_event_of_a_newer_version_is_passed_over(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        run = replay(state, results, "baseline")
        document = {
            **{"sequence": 500, "run": run.id, "time": NOW.isoformat(), "stage": "job"},
            **{"log_position": 0, "event": "coffee_served", "cups": 3},
        }
        self.insert(state, run, 500, json.dumps(document))
        async with open_console(WIDE) as pilot:
            await until_shown(pilot, run.id)
            await pilot.press("enter")
            await until_shown(pilot, "✓ done", "singlestream-b1 #1")
            assert "cannot be read" not in screen_text(pilot)

    @pytest.mark.parametrize(
        "line",
        ["{", "null", '{"sequence": 500, "event": "run_finished"}'],
    )
    async def test_a_damaged_event_is_left_out_and_said(
        self, open_console: OpenConsole, state: Path, results: Path, line: str
    ) -> None:
        run = replay(state, results, "baseline", until="measurement_finished")
        self.insert(state, run, 500, line)
        async with open_console(WIDE) as pilot:
            await until_shown(pilot, run.id)
            await pilot.press("enter")
            await until_shown(pilot, f"Event 500 of run {run.id} cannot be read", "offline-b1 #1")
            # What comes after it is shown too.
            with Journal(state) as journal:
                end = RunFinished(state=RunState.DONE, exit_code=0, seconds=9, sentence="It ended.")
                journal.append(run.id, end, time=NOW)
            await until_shown(pilot, "✓ done", "Event 500")
            await still_usable(pilot)

    @staticmethod
    def insert(state: Path, run: Run, sequence: int, line: str) -> None:
        with closing(sqlite3.connect(state / FILE_NAME, isolation_level=None)) as connection:
            connection.execute("INSERT INTO events VALUES (?, ?, ?)", (run.id, sequence, line))


async def until_said(pilot: Driver, *texts: str) -> None:
    """Wait for sentences; where their lines break depends on the folder's name."""
    await until(pilot, lambda: all(text in " ".join(screen_text(pilot).split()) for text in texts))


class TestFiles:
    @pytest.mark.parametrize("what", ["missing", "damaged", "edited", "device"])
    async def test_a_result_file_that_cannot_be_used_is_said(
        self, open_console: OpenConsole, state: Path, results: Path, what: str
    ) -> None:
        run = replay(state, results, "baseline")
        other = replay(state, results, "xen")
        file = run.folder / RESULT_FILE
        text = file.read_text()
        file.unlink()
        match what:
            case "missing":
                said = f"{RESULT_FILE} "
            case "damaged":
                file.write_text(text[:2000])
                said = "is not a result file"
            case "edited":
                file.write_text(text.replace('"leg": "baseline"', '"leg": "baseline2"'))
                said = "was edited after it was"
            case _:
                file.symlink_to("/dev/zero")
                said = f"{RESULT_FILE} "
        async with open_console((160, 40)) as pilot:
            await until_shown(pilot, other.id)
            await pilot.press("down", "i")
            await until_said(pilot, said, "1 Figures")
            await pilot.press("2")
            await until_shown(pilot, "There is no result to plot")
            await pilot.press("escape", "up", "d")
            of_the_leg = "has no results" if what == "missing" else said
            await until_said(pilot, of_the_leg, "There is nothing to compare")
            await pilot.press("escape")
            await until_shown(pilot, other.id, run.id)
            await still_usable(pilot)

    async def test_damaged_raw_data_is_said_where_its_plot_would_be(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        run = replay(state, results, "xen")
        for file in run.folder.glob("measurements/*/*.npy"):
            file.write_bytes(b"\x93NUMPY but no more")
        async with open_console(WIDE) as pilot:
            await until_shown(pilot, run.id)
            await pilot.press("i")
            await until_shown(pilot, "SingleStream")
            await pilot.press("2")
            await until_shown(pilot, "batches.npy")
            await pilot.press("1")
            await until_shown(pilot, "SingleStream")

    async def test_a_run_whose_folder_is_gone_can_be_looked_at(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        run = replay(state, results, "baseline")
        shutil.rmtree(run.folder)
        async with open_console(WIDE) as pilot:
            await until_shown(pilot, run.id)
            await pilot.press("enter")
            await until_shown(pilot, "4 checks passed", "No log lines yet")
            await pilot.press("p")
            await until_shown(pilot, "There is no file")
            await pilot.press("i")
            await until_shown(pilot, RESULT_FILE, "1 Figures")
            await pilot.press("escape")
            await until_shown(pilot, "4 checks passed")

    async def test_a_log_that_vanishes_stays_on_screen_and_is_missed(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        run = replay(state, results, "baseline")
        log = run.folder / LOG_FILE
        async with open_console(WIDE) as pilot:
            await until_shown(pilot, run.id)
            await pilot.press("enter")
            await until_shown(pilot, "all sources")
            log.unlink()
            await until_shown(pilot, "deleted or moved away")
            log.mkdir()
            await until_shown(pilot, "not a regular file")
            log.rmdir()
            log.write_text("2026-11-22T23:43:25.697Z [job] a new line\n")
            await until_shown(pilot, "a new line")

    async def test_a_vanished_process_is_said_with_the_key_that_helps(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        replay(state, results, "baseline", until="measurement_finished", alive=False)
        async with open_console(WIDE) as pilot:
            await until_shown(pilot, "✗ died")
            await pilot.press("enter")
            await until_shown(pilot, "The run died", "T removes what it left")
            await pilot.press("T")
            await until_shown(pilot, "Teardown of", "process benchmark")
            await pilot.press("escape")
            await still_usable(pilot)


class TestSettings:
    async def test_wrong_settings_of_runs_are_said_and_taken_in_once_mended(
        self, open_console: OpenConsole, state: Path, results: Path, tmp_path: Path
    ) -> None:
        run = replay(state, results, "baseline")
        config = tmp_path / "gpubench.toml"
        config.write_text("repeets = 3\n")
        async with open_console(WIDE) as pilot:
            await until_shown(pilot, "Wrong settings", "repeets", "No run can be shown now")
            await pilot.press("question_mark")
            await until_shown(pilot, "List of runs")
            await pilot.press("escape")
            config.write_text("repeats = 3\n")
            await until_shown(pilot, run.id)
            assert "Wrong settings" not in screen_text(pilot)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[console]\nthema = 'x'\n", "console.thema is no setting of the console"),
            ("console = 3\n", "console must be a table"),
            ("[console]\nnotify = 'loud'\n", "console.notify must be one of"),
            ("[console\n", "is not valid TOML"),
        ],
    )
    def test_a_wrong_table_of_the_console_ends_with_one_sentence(
        self, command_line: CommandLine, text: str, said: str
    ) -> None:
        (command_line.home / "gpubench.toml").write_text(text)
        master, terminal = pty.openpty()
        try:
            answer = subprocess.run(
                [sys.executable, "-P", "-m", "tui"],
                cwd=command_line.home,
                env={**command_line.environment(), "PYTHONPATH": str(ROOT), "TERM": "xterm"},
                stdin=terminal,
                stdout=terminal,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
                check=False,
            )
        finally:
            os.close(terminal)
            os.close(master)
        assert answer.returncode == 2
        assert said in answer.stderr
        assert len(answer.stderr.strip().splitlines()) == 1
        assert not command_line.state.exists()
