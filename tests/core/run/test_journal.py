"""The journal as one process sees it: runs by name, states, and what is said when it cannot be."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from benchmark.progress import Remarked
from core.errors import JournalError, RunNotFoundError
from core.run.events import RunFinished, RunState
from core.run.journal import Journal
from core.run.journal_file import FILE_NAME, SCHEMA_VERSION
from core.run.liveness import ProcessIdentity, identify, this_host
from tests.core.conftest import fill
from tests.core.runs import NOON, TickingClock, assert_whole, named_run, new_run, small_plan


def user_version(state: Path) -> int:
    with closing(sqlite3.connect(state / FILE_NAME)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def finish(journal: Journal, state: RunState, exit_code: int) -> None:
    end = RunFinished(state=state, exit_code=exit_code, seconds=1, sentence="The end.")
    journal.append("run", end, time=NOON)


def assert_has_a_remedy(problem: JournalError, path: Path) -> None:
    """One line that names the file, says what is wrong, and what to do."""
    assert str(path) in problem.sentence
    assert problem.sentence.endswith(".")
    assert problem.remedy.endswith(".")
    assert "\n" not in str(problem)
    assert problem.exit_code == 1


def test_a_run_comes_back_as_it_was_written_down(journal: Journal, results: Path) -> None:
    written = new_run(journal, results, leg="xen", clock=TickingClock())
    assert journal.run(written.id) == written
    assert journal.runs() == [written]
    assert written.folder.is_dir()
    assert written.folder.parent == results / "runs"


def test_what_was_written_is_there_after_opening_again(state: Path, results: Path) -> None:
    with Journal(state) as first:
        run = new_run(first, results)
        first.append(run.id, Remarked(message="kept"), time=NOON)
    with Journal(state) as second:
        assert second.run(run.id) == run
        assert [event.record.event for event in second.events(run.id)] == [
            "run_created",
            "remarked",
        ]


def test_sequences_count_each_run_from_one(journal: Journal, results: Path) -> None:
    one, other = new_run(journal, results), new_run(journal, results)
    for number in (2, 3):
        for run in (one, other):
            event = journal.append(run.id, Remarked(message="x"), time=NOON)
            assert event.sequence == number
    assert [sequence for sequence, _line in journal.lines(one.id, after=1)] == [2, 3]


def test_the_last_event_and_the_stored_end_are_one_step(journal: Journal) -> None:
    named_run(journal, "run")
    finish(journal, RunState.INTERRUPTED, 130)
    run = journal.run("run")
    assert (run.state, run.exit_code, run.finished_at) == (RunState.INTERRUPTED, 130, NOON)


def test_a_refused_event_leaves_nothing_and_the_journal_goes_on(journal: Journal) -> None:
    named_run(journal, "run")
    with pytest.raises(JournalError):
        journal.append("nobody", Remarked(message="x"), time=NOON)
    assert journal.lines("nobody") == []
    assert journal.append("run", Remarked(message="x"), time=NOON).sequence == 1


class TestNames:
    """A run is found by its id, the beginning of it, or as the latest."""

    def test_the_whole_id(self, journal: Journal) -> None:
        named_run(journal, "2026-a")
        # The id of one run may be the beginning of another's.
        named_run(journal, "2026-a-longer")
        assert journal.run("2026-a").id == "2026-a"

    def test_a_unique_beginning(self, journal: Journal) -> None:
        named_run(journal, "2026-abc")
        named_run(journal, "2026-xyz")
        assert journal.run("2026-x").id == "2026-xyz"

    def test_an_ambiguous_beginning_says_how_many(self, journal: Journal) -> None:
        named_run(journal, "2026-abc")
        named_run(journal, "2026-xyz")
        with pytest.raises(RunNotFoundError, match="2 runs begin with '2026-'") as caught:
            journal.run("2026-")
        assert caught.value.exit_code == 2
        assert caught.value.remedy

    @pytest.mark.parametrize("name", ["", "latest", "2025", "2026-abcd", "2026-ABC"])
    def test_an_unknown_name_says_how_to_list_them(self, journal: Journal, name: str) -> None:
        if name not in ("", "latest"):
            named_run(journal, "2026-abc")
        with pytest.raises(RunNotFoundError, match=f"no run {name!r}") as caught:
            journal.run(name)
        assert "runs" in caught.value.remedy

    @pytest.mark.parametrize("name", ["%", "_", "2026%", "2026_a", "*", "2026-?", "' OR 1 --"])
    def test_wildcards_are_plain_characters(self, journal: Journal, name: str) -> None:
        named_run(journal, "2026-abc")
        with pytest.raises(RunNotFoundError):
            journal.run(name)

    def test_a_name_that_holds_a_wildcard_is_found(self, journal: Journal) -> None:
        named_run(journal, "100%_done")
        assert journal.run("100%").id == "100%_done"

    def test_latest_is_the_one_created_last(self, journal: Journal) -> None:
        named_run(journal, "newest", created_at=NOON + timedelta(hours=1))
        named_run(journal, "oldest", created_at=NOON - timedelta(hours=1))
        named_run(journal, "middle")
        assert journal.run("latest").id == "newest"
        assert [run.id for run in journal.runs()] == ["newest", "middle", "oldest"]


class TestStateNow:
    """What is shown of a run is what is true now, not what was written last."""

    def test_a_living_process_is_running(self, journal: Journal) -> None:
        run = named_run(journal, "run", host=this_host())
        identity = identify()
        assert identity is not None
        journal.set_process(run.id, identity)
        assert journal.state_now(journal.run("run"), NOON) is RunState.RUNNING

    def test_a_run_whose_process_is_gone_has_died(self, journal: Journal) -> None:
        run = named_run(journal, "run", host=this_host())
        process = subprocess.Popen(["sleep", "60"])
        identity = identify(process.pid)
        assert identity is not None
        journal.set_process(run.id, identity)
        assert journal.state_now(journal.run("run"), NOON) is RunState.RUNNING
        process.kill()
        process.wait()
        assert journal.state_now(journal.run("run"), NOON) is RunState.DIED

    def test_another_process_with_the_same_id_is_not_the_run(self, journal: Journal) -> None:
        named_run(journal, "run", host=this_host())
        identity = identify()
        assert identity is not None
        journal.set_process("run", ProcessIdentity(identity.pid, identity.started - 1))
        assert journal.state_now(journal.run("run"), NOON) is RunState.DIED

    def test_a_zombie_is_dead(self, journal: Journal) -> None:
        named_run(journal, "run", host=this_host())
        process = subprocess.Popen(["sleep", "60"])
        identity = identify(process.pid)
        assert identity is not None
        journal.set_process("run", identity)
        process.kill()
        # Ended, and left as a zombie by a parent that does not ask.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{process.pid}").exists()
        assert journal.state_now(journal.run("run"), NOON) is RunState.DIED
        process.wait()

    @pytest.mark.parametrize(
        ("seconds", "shown"), [(0, RunState.CREATED), (5, RunState.CREATED), (60, RunState.DIED)]
    )
    def test_a_run_that_never_got_a_process_dies_after_a_while(
        self, journal: Journal, seconds: int, shown: RunState
    ) -> None:
        run = named_run(journal, "run", host=this_host())
        assert journal.state_now(run, NOON + timedelta(seconds=seconds)) is shown

    @pytest.mark.parametrize("stored", [RunState.CREATED, RunState.RUNNING, RunState.DONE])
    def test_another_machines_run_is_left_as_stored(
        self, journal: Journal, stored: RunState
    ) -> None:
        run = named_run(journal, "run", host="elsewhere/boot", state=stored)
        gone = replace(run, process=ProcessIdentity(2**22, 1))
        assert journal.state_now(gone, NOON + timedelta(days=1)) is stored

    def test_a_run_that_ended_between_two_looks_has_not_died(self, journal: Journal) -> None:
        named_run(journal, "run", host=this_host())
        journal.set_process("run", ProcessIdentity(2**22, 1))
        seen_before = journal.run("run")
        finish(journal, RunState.DONE, 0)
        assert journal.state_now(seen_before, NOON) is RunState.DONE

    def test_a_finished_run_keeps_its_state_when_its_starter_notes_the_process(
        self, journal: Journal
    ) -> None:
        named_run(journal, "run", host=this_host())
        finish(journal, RunState.FAILED, 1)
        journal.set_process("run", ProcessIdentity(2**22, 1))
        stored = journal.run("run")
        assert (stored.state, stored.exit_code) == (RunState.FAILED, 1)


class TestRefusals:
    """A journal that cannot be used says so in a sentence, with the mend, and is left alone."""

    def test_a_newer_schema(self, state: Path) -> None:
        Journal(state).close()
        with closing(sqlite3.connect(state / FILE_NAME)) as connection:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        with pytest.raises(JournalError, match="newer version") as caught:
            Journal(state)
        assert_has_a_remedy(caught.value, state / FILE_NAME)
        assert "Update" in caught.value.remedy
        assert user_version(state) == SCHEMA_VERSION + 1

    @pytest.mark.parametrize("content", [b"not a journal at all" * 100, b"SQLite format 3\0oh"])
    def test_a_file_that_is_no_journal(self, state: Path, content: bytes) -> None:
        state.mkdir()
        (state / FILE_NAME).write_bytes(content)
        with pytest.raises(JournalError) as caught:
            Journal(state)
        assert_has_a_remedy(caught.value, state / FILE_NAME)
        assert "Move the file away" in caught.value.remedy
        assert (state / FILE_NAME).read_bytes() == content

    def test_a_damaged_journal(self, state: Path, results: Path) -> None:
        with Journal(state) as journal:
            for _ in range(30):
                new_run(journal, results)
        path = state / FILE_NAME
        data = bytearray(path.read_bytes())
        data[200:] = os.urandom(len(data) - 200)
        path.write_bytes(data)
        with pytest.raises(JournalError) as caught, Journal(state) as journal:
            journal.runs()
        assert_has_a_remedy(caught.value, path)

    def test_a_folder_in_its_place(self, state: Path) -> None:
        (state / FILE_NAME).mkdir(parents=True)
        with pytest.raises(JournalError) as caught:
            Journal(state)
        assert_has_a_remedy(caught.value, state / FILE_NAME)

    def test_a_file_where_the_folder_should_be(self, state: Path) -> None:
        state.write_text("in the way")
        with pytest.raises(JournalError) as caught:
            Journal(state)
        assert_has_a_remedy(caught.value, state / FILE_NAME)
        assert "GPUBENCH_STATE_DIR" in caught.value.remedy
        assert state.read_text() == "in the way"

    def test_a_folder_that_may_not_be_written(self, tmp_path: Path) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        if os.access(closed, os.W_OK):
            pytest.skip("root may write everywhere")
        with pytest.raises(JournalError) as caught:
            Journal(closed / "state")
        assert_has_a_remedy(caught.value, closed / "state" / FILE_NAME)

    def test_a_read_only_file_system(self, small_disk: Callable[[str], Path]) -> None:
        disk = small_disk("1m")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(JournalError, match="Read-only") as caught:
            Journal(disk / "state")
        assert_has_a_remedy(caught.value, disk / "state" / FILE_NAME)

    def test_a_full_disk_when_it_is_opened(self, small_disk: Callable[[str], Path]) -> None:
        disk = small_disk("64k")
        state = disk / "state"
        state.mkdir()
        fill(disk)
        with pytest.raises(JournalError) as caught:
            Journal(state)
        assert_has_a_remedy(caught.value, state / FILE_NAME)

    def test_a_disk_that_fills_loses_nothing_and_goes_on_when_there_is_space(
        self, small_disk: Callable[[str], Path], results: Path
    ) -> None:
        disk = small_disk("512k")
        state = disk / "state"
        with Journal(state) as journal:
            run = new_run(journal, results)
            ballast = fill(disk)
            written = 1

            def append_until_it_fails() -> None:
                nonlocal written
                for _ in range(2000):
                    journal.append(run.id, Remarked(message="x" * 500), time=NOON)
                    written += 1

            with pytest.raises(JournalError, match=re.compile("full", re.I)) as caught:
                append_until_it_fails()
            assert_has_a_remedy(caught.value, state / FILE_NAME)
            assert "space" in caught.value.remedy
            assert len(journal.lines(run.id)) == written
            ballast.unlink()
            event = journal.append(run.id, Remarked(message="again"), time=NOON)
            assert event.sequence == written + 1
        assert assert_whole(state) == {run.id: written + 1}


def test_an_empty_file_becomes_a_journal(state: Path, results: Path) -> None:
    state.mkdir()
    (state / FILE_NAME).touch()
    with Journal(state) as journal:
        run = new_run(journal, results)
    assert user_version(state) == SCHEMA_VERSION
    assert assert_whole(state) == {run.id: 1}


def test_a_database_of_version_zero_is_migrated(state: Path, results: Path) -> None:
    state.mkdir()
    with closing(sqlite3.connect(state / FILE_NAME)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("VACUUM")
    assert user_version(state) == 0
    with Journal(state) as journal:
        new_run(journal, results)
    assert user_version(state) == SCHEMA_VERSION


def test_opening_twice_migrates_once(state: Path, results: Path) -> None:
    with Journal(state) as first, Journal(state) as second:
        run = new_run(first, results)
        assert second.run(run.id) == run


def test_the_plan_is_stored_unchanged(journal: Journal) -> None:
    plan = small_plan(repeats=7, server={"load": 0.6}, threads=3)
    named_run(journal, "run", plan=plan)
    assert journal.plan("run") == plan


def test_only_the_user_may_look_into_a_new_state_folder(state: Path) -> None:
    Journal(state).close()
    assert state.stat().st_mode & 0o077 == 0
