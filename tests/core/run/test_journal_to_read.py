"""The journal as the console opens it: only looked at, wherever it lies."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from benchmark.progress import Remarked
from core.errors import JournalError
from core.run.events import RunFinished, RunState, Stage, StageFailed, StageFinished
from core.run.journal import Journal, Run
from core.run.journal_file import FILE_NAME, SCHEMA_VERSION
from core.run.liveness import ProcessIdentity
from tests.core.runs import NOON, named_run, new_run

# What SQLite keeps beside a journal while it is open: its log, and memory that processes share.
BESIDE = {f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"}


def listing(place: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in place.iterdir()}


def opened(place: Path) -> Journal:
    journal = Journal.to_read(place)
    assert journal is not None
    return journal


def problem_of(place: Path, run: Run) -> JournalError | None:
    """What is wrong with a journal when everything in it is read."""
    try:
        with opened(place) as reader:
            reader.runs()
            reader.stream(run.id)
            reader.plan(run.id)
    except JournalError as problem:
        return problem
    return None


def read_only(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)


class TestMissing:
    def test_there_is_none_and_none_is_made(self, state: Path) -> None:
        assert Journal.to_read(state) is None
        assert not state.exists()

    def test_a_folder_without_one_stays_as_it_is(self, state: Path) -> None:
        state.mkdir()
        before = state.stat().st_mtime_ns
        assert Journal.to_read(state) is None
        assert (listing(state), state.stat().st_mtime_ns) == ({}, before)

    def test_one_that_its_first_writer_has_only_begun_is_none_yet(self, state: Path) -> None:
        state.mkdir()
        with closing(sqlite3.connect(state / FILE_NAME)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        assert Journal.to_read(state) is None
        (state / FILE_NAME).write_bytes(b"")
        assert Journal.to_read(state) is None

    def test_a_link_that_leads_nowhere_is_a_journal_that_cannot_be_opened(
        self, state: Path
    ) -> None:
        state.mkdir()
        (state / FILE_NAME).symlink_to("nowhere")
        with pytest.raises(JournalError, match="cannot be used"):
            Journal.to_read(state)


class TestReading:
    def test_what_was_written_can_be_read(self, state: Path, results: Path) -> None:
        with Journal(state) as journal:
            run = new_run(journal, results)
        with opened(state) as reader:
            assert reader.runs() == [run]
            assert [event.record.event for event in reader.events(run.id)] == ["run_created"]
            assert reader.plan(run.id).profile == "small"
            assert reader.run("latest").id == run.id

    def test_no_file_of_the_journal_is_changed(self, state: Path, results: Path) -> None:
        with Journal(state) as journal:
            new_run(journal, results)
        before = {file: file.stat().st_mtime_ns for file in state.iterdir()}
        content = listing(state)
        with opened(state) as reader:
            reader.runs()
            reader.changes()
        assert {name: listing(state)[name] for name in content} == content
        assert {file: file.stat().st_mtime_ns for file in before} == before
        assert {file.name for file in state.iterdir()} <= {*content, *BESIDE}

    def test_nothing_can_be_written(self, state: Path, results: Path) -> None:
        with Journal(state) as journal:
            run = new_run(journal, results)
        with opened(state) as reader:
            with pytest.raises(JournalError, match="readonly"):
                reader.append(run.id, Remarked(message="no"), time=NOON)
            with pytest.raises(JournalError, match="readonly"):
                named_run(reader, "another")
            with pytest.raises(JournalError, match="readonly"):
                reader.set_process(run.id, ProcessIdentity(1, 1))

    def test_what_others_commit_is_seen_and_announced(self, state: Path, results: Path) -> None:
        with Journal(state) as journal:
            run = new_run(journal, results)
            with opened(state) as reader:
                first = reader.changes()
                assert reader.changes() == first
                journal.append(run.id, Remarked(message="news"), time=NOON)
                second = reader.changes()
                assert second != first
                assert reader.events(run.id)[-1].record == Remarked(message="news")
                assert reader.changes() == second
                another = named_run(journal, "another")
                assert reader.changes() != second
                assert another.id in {found.id for found in reader.runs()}

    def test_a_writer_at_work_holds_no_reader_up(self, state: Path, results: Path) -> None:
        with Journal(state) as journal:
            run = new_run(journal, results)
            with closing(sqlite3.connect(state / FILE_NAME, isolation_level=None)) as writer:
                writer.execute("BEGIN IMMEDIATE")
                writer.execute("UPDATE runs SET leg = 'not yet'")
                with opened(state) as reader:
                    assert reader.run(run.id).leg == "baseline"
                writer.execute("ROLLBACK")

    def test_a_reader_holds_no_writer_up(self, state: Path, results: Path) -> None:
        with Journal(state) as journal:
            run = new_run(journal, results)
            with opened(state) as reader:
                reader.runs()
                journal.append(run.id, Remarked(message="news"), time=NOON)
        with Journal(state) as again:
            assert len(again.events(run.id)) == 2

    def test_it_belongs_to_the_thread_that_opened_it(self, state: Path, results: Path) -> None:
        with Journal(state) as journal:
            new_run(journal, results)
        caught: list[BaseException] = []

        def read(reader: Journal) -> None:
            try:
                reader.runs()
            except JournalError as error:
                caught.append(error)

        with opened(state) as reader:
            thread = threading.Thread(target=read, args=(reader,))
            thread.start()
            thread.join()
        assert "thread" in str(caught[0])


class TestRefusals:
    def test_a_newer_version_is_refused_and_left_alone(self, state: Path, results: Path) -> None:
        with Journal(state) as journal:
            new_run(journal, results)
        with closing(sqlite3.connect(state / FILE_NAME)) as connection:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        before = (state / FILE_NAME).read_bytes()
        with pytest.raises(JournalError, match="newer version") as caught:
            Journal.to_read(state)
        assert "Update gpubench-tui" in caught.value.remedy
        assert (state / FILE_NAME).read_bytes() == before

    def test_a_file_that_is_no_journal_is_refused_and_left_alone(self, state: Path) -> None:
        state.mkdir()
        (state / FILE_NAME).write_bytes(b"this is no database" * 300)
        before = listing(state)
        with pytest.raises(JournalError, match="not a database") as caught:
            Journal.to_read(state)
        assert "Move the file away" in caught.value.remedy
        assert listing(state) == before

    @pytest.mark.parametrize("seed", range(20))
    def test_whatever_a_damaged_journal_holds_is_said_in_a_sentence(
        self, state: Path, results: Path, seed: int
    ) -> None:
        with Journal(state) as journal:
            run = new_run(journal, results)
        path = state / FILE_NAME
        data = bytearray(path.read_bytes())
        chance = random.Random(seed)
        # The header's beginning stays, so that SQLite goes further in.
        for place in chance.sample(range(100, len(data)), 4000):
            data[place] = chance.randrange(256)
        path.write_bytes(data)
        problem = problem_of(state, run)
        # No other exception came out of it; and what can still be read is shown.
        if problem is not None:
            assert str(path) in problem.sentence or "entry of run" in problem.sentence
            assert problem.remedy

    @pytest.mark.parametrize(
        "change", ["state = 'molten'", "created_at = 'noon'", "folder = '/a' || char(0) || 'b'"]
    )
    def test_an_entry_that_cannot_be_read_is_said_with_its_run(
        self, state: Path, results: Path, change: str
    ) -> None:
        with Journal(state) as journal:
            run = new_run(journal, results)
        with closing(sqlite3.connect(state / FILE_NAME, isolation_level=None)) as connection:
            connection.execute(f"UPDATE runs SET {change}")
        with opened(state) as reader, pytest.raises(JournalError, match=run.id):
            reader.runs()

    def test_a_folder_in_its_place_is_refused(self, state: Path) -> None:
        (state / FILE_NAME).mkdir(parents=True)
        with pytest.raises(JournalError, match="cannot be used"):
            Journal.to_read(state)


class TestReadOnlyPlace:
    """Where nothing may be written; ``chmod`` would stop everybody but root."""

    def test_a_closed_journal_is_read(
        self, small_disk: Callable[[str], Path], results: Path
    ) -> None:
        place = small_disk("4m")
        with Journal(place) as journal:
            run = new_run(journal, results)
        before = listing(place)
        read_only(place)
        with opened(place) as reader:
            assert reader.runs() == [run]
            assert len(reader.events(run.id)) == 1
            assert reader.changes() == reader.changes()
        assert listing(place) == before

    def test_one_that_was_left_open_is_read_to_its_last_commit(
        self, state: Path, small_disk: Callable[[str], Path], results: Path
    ) -> None:
        place = small_disk("4m")
        with Journal(state) as journal:
            run = new_run(journal, results)
            for file in state.iterdir():
                shutil.copyfile(file, place / file.name)
        assert (place / f"{FILE_NAME}-wal").stat().st_size > 0
        read_only(place)
        with opened(place) as reader:
            assert [found.id for found in reader.runs()] == [run.id]

    def test_one_whose_log_cannot_be_used_is_refused_and_not_shown_in_part(
        self, state: Path, small_disk: Callable[[str], Path], results: Path
    ) -> None:
        place = small_disk("4m")
        with Journal(state) as journal:
            new_run(journal, results)
            for name in (FILE_NAME, f"{FILE_NAME}-wal"):
                shutil.copyfile(state / name, place / name)
        read_only(place)
        with pytest.raises(JournalError, match="cannot be used") as caught:
            Journal.to_read(place)
        assert caught.value.remedy


def finished(journal: Journal, name: str, seconds: float, **values: object) -> Run:
    """Write a run down whose job took so long."""
    run = named_run(journal, name, **values)
    journal.append(
        run.id, StageFinished(seconds=seconds, summary="done"), time=NOON, stage=Stage.JOB
    )
    journal.append(
        run.id,
        RunFinished(state=RunState.DONE, exit_code=0, seconds=seconds, sentence="Done."),
        time=NOON,
    )
    return run


class TestStageSeconds:
    def test_the_latest_runs_of_the_same_target_and_profile_come_first(
        self, journal: Journal
    ) -> None:
        for number in (1, 3, 2):
            created = NOON + timedelta(hours=number)
            finished(journal, f"run{number}", 100.0 * number, created_at=created)
        now = named_run(journal, "now")
        assert journal.stage_seconds(now) == {Stage.JOB: [300.0, 200.0, 100.0]}

    def test_other_targets_profiles_and_the_run_itself_do_not_count(self, journal: Journal) -> None:
        finished(journal, "gke", 1.0, target="gke")
        finished(journal, "long", 2.0, profile="long")
        itself = finished(journal, "itself", 3.0)
        assert journal.stage_seconds(itself) == {}

    def test_a_run_that_is_not_done_does_not_count(self, journal: Journal) -> None:
        run = named_run(journal, "failed")
        journal.append(
            run.id, StageFinished(seconds=9, summary=""), time=NOON, stage=Stage.PREFLIGHT
        )
        journal.append(
            run.id, StageFailed(seconds=9, sentence="", remedy=""), time=NOON, stage=Stage.JOB
        )
        end = RunFinished(state=RunState.FAILED, exit_code=1, seconds=9, sentence="It failed.")
        journal.append(run.id, end, time=NOON)
        assert journal.stage_seconds(named_run(journal, "now")) == {}

    def test_an_event_that_cannot_be_read_is_left_out(self, state: Path, journal: Journal) -> None:
        run = finished(journal, "one", 7.0)
        with closing(sqlite3.connect(state / FILE_NAME, isolation_level=None)) as connection:
            for sequence, line in enumerate(('{"event":"stage_finished"', "null"), start=90):
                text = line if "stage" in line else '["event":"stage_finished"]'
                connection.execute("INSERT INTO events VALUES (?, ?, ?)", (run.id, sequence, text))
        assert journal.stage_seconds(named_run(journal, "now")) == {Stage.JOB: [7.0]}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_journal_that_may_not_be_read_is_refused(state: Path, results: Path) -> None:
    with Journal(state) as journal:
        new_run(journal, results)
    (state / FILE_NAME).chmod(0)
    with pytest.raises(JournalError, match="cannot be used"):
        Journal.to_read(state)
