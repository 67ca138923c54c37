"""The journal as many processes see it, and what is left when they are killed."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmark.progress import Remarked
from core.run.events import RunState
from core.run.journal import Journal
from core.run.process import utc_now
from tests.core.runs import (
    NOON,
    ROOT,
    assert_no_torn_file,
    assert_whole,
    execute,
    new_run,
)
from tests.core.stages import busy

PROCESSES = 10
EVENTS = 200
# The moments are random and each must do: a failure names the seed to try again with.
SEED = int(os.environ.get("GPUBENCH_TEST_SEED", random.SystemRandom().randrange(10**6)))

_fork = multiprocessing.get_context("fork")


def kill_at_random(work: Callable[[], object], most_s: float, chance: random.Random) -> int:
    """Run ``work`` in a process of its own and kill it without mercy; return its exit code."""
    process = _fork.Process(target=work)
    process.start()
    time.sleep(chance.uniform(0, most_s))
    process.kill()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def test_ten_processes_share_a_new_journal_without_an_error_or_a_lost_event(
    state: Path, results: Path
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.core.appender", str(state), str(results), str(EVENTS)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    answers = [None] * len(processes)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=200) for process in processes]
    assert [error for _output, error in answers] == [""] * PROCESSES
    assert [process.returncode for process in processes] == [0] * PROCESSES
    counts = assert_whole(state)
    assert counts == {output.strip(): EVENTS + 1 for output, _error in answers}
    with Journal(state) as journal:
        for run in journal.runs():
            said = [event.record for event in journal.events(run.id)[1:]]
            assert said == [Remarked(message=f"event {number}") for number in range(EVENTS)]


def test_writers_of_one_run_share_its_sequence(state: Path, results: Path) -> None:
    with Journal(state) as journal:
        run = new_run(journal, results)

    def append() -> None:
        with Journal(state) as journal:
            for number in range(20):
                journal.append(run.id, Remarked(message=f"{os.getpid()} {number}"), time=NOON)

    processes = [_fork.Process(target=append) for _ in range(5)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 5
    assert assert_whole(state) == {run.id: 101}


def test_a_writer_killed_at_any_moment_leaves_a_sound_journal(state: Path, results: Path) -> None:
    chance = random.Random(SEED)

    def write() -> None:
        with Journal(state) as journal:
            run = new_run(journal, results)
            while True:
                journal.append(run.id, Remarked(message="x" * 300), time=NOON)

    kept: dict[str, int] = {}
    for attempt in range(300):
        if attempt >= 30 and sum(kept.values()) > 30:
            break
        # Where a machine is slow the writers get more time, until enough was written to lose.
        code = kill_at_random(write, 0.08 * (1 + attempt // 30), chance)
        assert code == -signal.SIGKILL, f"seed {SEED}, attempt {attempt}"
        counts = assert_whole(state) if (state / "journal.db").exists() else {}
        assert counts.items() >= kept.items(), f"seed {SEED}, attempt {attempt}: events were lost"
        kept = counts
    assert sum(kept.values()) > 30, "no writer came far enough for the test to mean anything"


def test_a_kill_while_the_journal_is_made_leaves_one_that_can_be_made(
    tmp_path: Path, results: Path
) -> None:
    chance = random.Random(SEED)
    for attempt in range(15):
        state = tmp_path / f"state{attempt}"
        kill_at_random(lambda state=state: Journal(state), 0.015, chance)  # type: ignore[misc]
        with Journal(state) as journal:
            run = new_run(journal, results / str(attempt))
        assert assert_whole(state) == {run.id: 1}, f"seed {SEED}, attempt {attempt}"


def test_a_run_killed_at_any_moment_is_shown_as_died_and_leaves_nothing_torn(
    state: Path, results: Path
) -> None:
    chance = random.Random(SEED)
    started = 0
    for attempt in range(60):
        if attempt >= 15 and started:
            break
        with Journal(state) as journal:
            run = new_run(journal, results)

        def live(run_id: str = run.id) -> None:
            with Journal(state) as journal:
                execute(journal, journal.run(run_id), busy, results)

        code = kill_at_random(live, 0.25 * (1 + attempt // 15), chance)
        context = f"seed {SEED}, attempt {attempt}"
        assert code == -signal.SIGKILL, context
        counts = assert_whole(state)
        started += counts[run.id] > 1
        assert_no_torn_file(run.folder)
        with Journal(state) as journal:
            stored = journal.run(run.id)
            now = journal.state_now(stored, utc_now())
            if stored.process is None:
                # Killed before it had noted its process: the grace of a start still runs.
                assert now is RunState.CREATED, context
            else:
                assert now is RunState.DIED, context
                assert stored.exit_code is None, context
    assert started, "no run came far enough for the test to mean anything"
