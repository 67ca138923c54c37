"""The process that a run lives in: how it ends, what it leaves, and what does not end it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import DiskFullError
from benchmark.files import write_atomically
from core.run.events import RunFinished, RunState
from core.run.follow import follow
from core.run.journal import Journal, Run
from core.run.log import LOG_FILE
from core.run.pipeline import StageContext
from core.run.process import utc_now
from core.run.status import STATUS_FILE
from core.run.view import RunView, StageState
from tests.core.conftest import fill
from tests.core.runs import (
    TickingClock,
    assert_no_torn_file,
    assert_whole,
    execute,
    new_run,
    start_stand_in,
)
from tests.core.stages import Work, crash, fail, forever, nothing, refuse, remark


def status(run: Run) -> str:
    return (run.folder / STATUS_FILE).read_text()


def log(run: Run) -> str:
    return (run.folder / LOG_FILE).read_text()


@pytest.mark.parametrize(
    ("work", "code", "end"),
    [
        (nothing, 0, RunState.DONE),
        (remark, 0, RunState.DONE),
        (fail, 1, RunState.FAILED),
        (refuse, 2, RunState.FAILED),
        (crash, 1, RunState.FAILED),
    ],
)
def test_the_end_is_the_same_wherever_it_is_told(
    journal: Journal, results: Path, work: Work, code: int, end: RunState
) -> None:
    clock = TickingClock()
    run = new_run(journal, results, clock=clock)
    assert execute(journal, run, work, results, clock) == code
    last = journal.events(run.id)[-1]
    assert isinstance(last.record, RunFinished)
    assert (last.record.state, last.record.exit_code) == (end, code)
    stored = journal.run(run.id)
    assert (stored.state, stored.exit_code) == (end, code)
    assert stored.finished_at == last.time
    assert f"- state: **{end}**" in status(run)
    assert f"exit code {code}" in status(run)


def test_a_run_begins_and_ends_its_stream(journal: Journal, results: Path) -> None:
    run = new_run(journal, results)
    execute(journal, run, remark, results)
    names = [event.record.event for event in journal.events(run.id)]
    assert names[:2] == ["run_created", "run_started"]
    assert names[-1] == "run_finished"
    assert names.count("run_finished") == 1
    assert names.count("stage_finished") == 3


def test_status_is_a_checklist_of_the_stages(journal: Journal, results: Path) -> None:
    run = new_run(journal, results)
    execute(journal, run, fail, results)
    text = status(run)
    assert re.search(r"^- \[x\] preflight, started .*, took .* s", text, re.M)
    assert re.search(r"^- \[ \] \(failed\) job, .*The stand-in failed\. Expect it\.", text, re.M)
    assert re.search(r"^- \[ \] results$", text, re.M)


def test_status_follows_the_run(journal: Journal, results: Path) -> None:
    run = new_run(journal, results)
    seen: list[str] = []

    async def looks(context: StageContext) -> str:
        seen.append(status(run))
        return "looked"

    execute(journal, run, looks, results)
    assert "- [ ] (running) job" in seen[0]
    assert "- state: **running**" in seen[0]
    assert "- [x] job" in status(run)


def test_a_fault_of_the_program_leaves_its_traceback_in_the_log(
    journal: Journal, results: Path
) -> None:
    run = new_run(journal, results)
    execute(journal, run, crash, results)
    assert "a fault of the stand-in" in log(run)
    assert "Traceback (most recent call last)" in log(run)
    assert "in crash" in log(run)
    assert all(
        re.match(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00 \[", line) for line in log(run).split("\n")[:-1]
    )


def test_log_lines_have_their_time_and_source_and_events_their_place_in_it(
    journal: Journal, results: Path
) -> None:
    clock = TickingClock()
    run = new_run(journal, results, clock=clock)
    execute(journal, run, remark, results, clock)
    assert re.search(
        r"^2026-05-04T12:00:00\.\d{3}\+00:00 \[stand-in\] a line of the log$", log(run), re.M
    )
    positions = [event.log_position for event in journal.events(run.id)]
    assert positions == sorted(positions)
    # Each event's own words come after its place.
    last = log(run)[positions[-1] :].splitlines()
    assert len(last) == 1
    assert "[run] The run is done." in last[0]


def test_the_log_tells_the_whole_story_by_itself(journal: Journal, results: Path) -> None:
    run = new_run(journal, results)
    execute(journal, run, remark, results)
    texts = [line.partition(" ")[2] for line in log(run).splitlines()]
    for wanted in ("[job] started", "[job] Note: remark 2", "[stand-in] a line of the log"):
        assert texts.count(wanted) == 1
    assert any(text.startswith("[job] done in") for text in texts)


def test_hostile_text_is_harmless_in_log_and_status(journal: Journal, results: Path) -> None:
    async def hostile(context: StageContext) -> str:
        context.log("benchmark", "\x1b[2Jcleared\u202e")
        return "\x1b]0;owned\x07 <script>alert(1)</script> | [x](javascript:1)"

    run = new_run(journal, results)
    execute(journal, run, hostile, results)
    for text in (log(run), status(run)):
        assert text.replace("\n", "").isprintable()
    assert "\\x1b[2Jcleared\\u202e" in log(run)
    assert "<script>" not in status(run).replace("\\<", "")
    assert "\\[x\\](javascript:1)" in status(run)


def test_a_full_disk_is_one_sentence_and_exit_one(
    journal: Journal, small_disk: Callable[[str], Path]
) -> None:
    results = small_disk("256k")

    async def writes(context: StageContext) -> str:
        fill(results)
        write_atomically(context.folder / "large", b"x" * 10_000)
        return "never reached"

    run = new_run(journal, results)
    assert execute(journal, run, writes, results) == DiskFullError.exit_code == 1
    end = journal.events(run.id)[-1].record
    assert isinstance(end, RunFinished)
    assert end.state is RunState.FAILED
    assert end.sentence.startswith("The disk is full: ")
    assert end.remedy
    assert_no_torn_file(run.folder)
    assert not (run.folder / "large").exists()


def test_a_fault_on_a_full_disk_still_ends_the_run_properly(
    journal: Journal, small_disk: Callable[[str], Path]
) -> None:
    results = small_disk("256k")

    async def breaks(_context: StageContext) -> str:
        fill(results)
        raise ZeroDivisionError("a long story\n" * 2000)

    run = new_run(journal, results)
    assert execute(journal, run, breaks, results) == 1
    assert journal.run(run.id).state is RunState.FAILED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_the_run_as_interrupted(
    state: Path, results: Path, number: signal.Signals
) -> None:
    process, run_id = start_stand_in(state, results, "forever")
    with Journal(state) as journal:
        for _line, event in follow(journal, run_id, utc_now):
            if event.record.event == "remarked":
                process.send_signal(number)
        assert process.wait(60) == 130
        run = journal.run(run_id)
        assert (run.state, run.exit_code) == (RunState.INTERRUPTED, 130)
        names = [event.record.event for event in journal.events(run_id)]
        assert names[-3:] == ["stop_requested", "stage_stopped", "run_finished"]
        view = RunView.of(journal.events(run_id))
        assert {str(stage.stage): stage.state for stage in view.stages.values()} == {
            "preflight": StageState.DONE,
            "job": StageState.STOPPED,
            "results": StageState.WAITING,
        }
        assert number.name in view.sentence
        assert "- [ ] (stopped) job" in status(run)


def test_a_hang_up_changes_nothing(state: Path, results: Path) -> None:
    process, run_id = start_stand_in(state, results, "forever")
    with Journal(state) as journal:
        for _line, event in follow(journal, run_id, utc_now):
            if event.record.event == "remarked":
                for _ in range(3):
                    process.send_signal(signal.SIGHUP)
                assert process.poll() is None
                process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        end = journal.events(run_id)[-1].record
        assert isinstance(end, RunFinished)
        assert "SIGINT" in end.sentence


def test_stopping_twice_is_stopping(state: Path, results: Path) -> None:
    process, run_id = start_stand_in(state, results, "forever")
    with Journal(state) as journal:
        for _line, event in follow(journal, run_id, utc_now):
            if event.record.event == "remarked":
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        names = [event.record.event for event in journal.events(run_id)]
        assert names.count("stop_requested") == 1
        assert names[-1] == "run_finished"


def test_what_fails_while_it_is_stopped_leaves_the_run_interrupted(
    journal: Journal, results: Path
) -> None:
    async def fails_when_stopped(context: StageContext) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return await fail(context)
        return "never reached"

    run = new_run(journal, results)
    assert execute(journal, run, fails_when_stopped, results) == 130
    assert journal.run(run.id).state is RunState.INTERRUPTED


def test_a_stop_that_came_before_the_run_could_answer_is_answered(
    journal: Journal, results: Path
) -> None:
    run = new_run(journal, results)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        # As start_process leaves it: blocked, and already on its way. To this thread, because
        # any other one of the test process would take it.
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        assert execute(journal, run, forever, results) == 130
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    assert journal.run(run.id).state is RunState.INTERRUPTED
    assert journal.events(run.id)[-1].record.event == "run_finished"


def test_executing_a_run_leaves_the_callers_signals_as_they_were(
    journal: Journal, results: Path
) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    execute(journal, new_run(journal, results), nothing, results)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_killed_run_is_shown_as_died_and_its_follower_comes_to_an_end(
    state: Path, results: Path
) -> None:
    process, run_id = start_stand_in(state, results, "forever")
    with Journal(state) as journal:
        names = []
        for _line, event in follow(journal, run_id, utc_now):
            names.append(event.record.event)
            if event.record.event == "remarked":
                process.kill()
        assert "run_finished" not in names
        assert journal.state_now(journal.run(run_id), utc_now()) is RunState.DIED
        assert_no_torn_file(journal.run(run_id).folder)
    process.wait()
    assert_whole(state)


def test_no_process_stays_behind_a_stopped_run(state: Path, results: Path) -> None:
    process, run_id = start_stand_in(state, results, "forever", start_new_session=True)
    with Journal(state) as journal:
        for _line, event in follow(journal, run_id, utc_now):
            if event.record.event == "remarked":
                process.send_signal(signal.SIGINT)
    process.wait(60)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
