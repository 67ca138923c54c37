"""``teardown``: events on stdout, words on stderr, 5 when something may be left."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from core.errors import ExitCode
from core.run.events import parse_event
from core.run.journal import Journal, Run
from core.run.liveness import ProcessIdentity, this_host
from core.run.view import RunView
from tests.core.conftest import CommandLine, Said
from tests.core.records import HOSTILE
from tests.core.runs import new_run, start_stand_in
from tests.core.teardowns import (
    OBEDIENT,
    STUBBORN,
    Start,
    billed,
    ended,
    note,
    note_process,
    starting,
)

Gpubench = Callable[..., Said]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start shell scripts; what a test leaves of them is killed."""
    with starting() as begin:
        yield begin


@pytest.fixture
def left(command_line: CommandLine, journal: Journal, start: Start) -> tuple[Run, ProcessIdentity]:
    """A run that died, and the process that outlived it."""
    run, process = ended(journal, command_line.results), start(OBEDIENT)
    note_process(journal, run, process)
    return run, process


@pytest.fixture
def billable(command_line: CommandLine, journal: Journal) -> Run:
    """A run whose cluster costs money, written by a version that could create one."""
    run = ended(journal, command_line.results)
    note(journal, run, billed("cluster", "gpu-benchmark-cluster", 0.54))
    note(journal, run, billed("disk", "scratch", 0.0125))
    return run


def names(text: str) -> list[str]:
    return [json.loads(line)["event"] for line in text.splitlines()]


def test_what_is_left_is_removed_and_proved(
    gpubench: Gpubench, journal: Journal, left: tuple[Run, ProcessIdentity]
) -> None:
    run, process = left
    said = gpubench("--no-ui", "teardown", run.id)
    assert said.code == 0
    assert not process.alive()
    assert names(said.out) == [
        *("stage_started", "teardown_started", "resource_deleted"),
        *("teardown_finished", "stage_finished"),
    ]
    assert said.out.splitlines() == [line for _n, line in journal.lines(run.id)[-5:]]
    assert "process benchmark is gone: /proc has no process" in said.err
    assert "nothing is left" in said.err


def test_the_second_says_that_there_is_nothing(
    gpubench: Gpubench, left: tuple[Run, ProcessIdentity]
) -> None:
    run, _process = left
    gpubench("teardown", run.id)
    said = gpubench("teardown", run.id)
    assert said.code == 0
    assert "nothing to remove" in said.err
    assert "resource_deleted" not in names(said.out)


def test_a_run_that_is_done_has_left_nothing(gpubench: Gpubench, command_line: CommandLine) -> None:
    process, run_id = start_stand_in(command_line.state, command_line.results, "remark")
    assert process.wait(60) == 0
    said = gpubench("teardown", run_id)
    assert said.code == 0
    assert json.loads(said.out.splitlines()[-2])["left"] == []
    assert gpubench("runs").out.split("\n")[1].split()[1] == "done"


def test_a_run_that_was_killed_is_cleared_away(
    gpubench: Gpubench, command_line: CommandLine, journal: Journal, start: Start
) -> None:
    run, itself = new_run(journal, command_line.results), start(OBEDIENT)
    journal.set_process(run.id, ProcessIdentity(itself.pid, itself.started - 1))
    benchmark = start(OBEDIENT, run.id)
    note_process(journal, run, None)
    assert gpubench("teardown", run.id).code == 0
    assert not benchmark.alive()
    assert itself.alive()


class TestMoney:
    """What costs money goes only when its name was typed, and is never called gone unproved."""

    @pytest.mark.parametrize("given", [(), ("--yes", "scratch"), ("--yes", "")])
    def test_its_name_must_be_typed(
        self, gpubench: Gpubench, journal: Journal, billable: Run, given: tuple[str, ...]
    ) -> None:
        before = journal.lines(billable.id)
        said = gpubench("teardown", billable.id, *given)
        assert (said.code, said.out) == (2, "")
        assert said.err.count("\n") == 1
        assert "$0.55 an hour" in said.err
        assert f"teardown {billable.id} --yes gpu-benchmark-cluster" in said.err
        assert journal.lines(billable.id) == before

    def test_what_this_version_cannot_remove_is_listed_with_its_command(
        self, gpubench: Gpubench, billable: Run
    ) -> None:
        said = gpubench("teardown", billable.id, "--yes", "gpu-benchmark-cluster")
        assert said.code == ExitCode.CLEANUP_INCOMPLETE == 5
        (finished,) = (
            json.loads(line)
            for line in said.out.splitlines()
            if json.loads(line)["event"] == "teardown_finished"
        )
        assert [entry["name"] for entry in finished["left"]] == ["scratch", "gpu-benchmark-cluster"]
        assert "This version cannot remove a cluster. remove gpu-benchmark-cluster" in said.err
        assert "resource_deleted" not in names(said.out)


class TestDryRun:
    """The plan, and nothing else."""

    def test_a_table(self, gpubench: Gpubench, journal: Journal, billable: Run) -> None:
        before = journal.lines(billable.id)
        said = gpubench("teardown", billable.id, "--dry-run")
        assert said.code == 0
        assert [line.split() for line in said.out.splitlines()] == [
            ["ORDER", "KIND", "NAME", "WHERE", "$/H"],
            ["1", "disk", "scratch", "us-central1-a", "0.013"],
            ["2", "cluster", "gpu-benchmark-cluster", "us-central1-a", "0.540"],
        ]
        assert "--yes gpu-benchmark-cluster" in said.err
        assert journal.lines(billable.id) == before

    def test_one_object(
        self, gpubench: Gpubench, journal: Journal, left: tuple[Run, ProcessIdentity]
    ) -> None:
        run, process = left
        note(journal, run, billed("cluster", "c", 0.5))
        said = gpubench("teardown", run.id, "--dry-run", "--json")
        document = json.loads(said.out)
        assert document["removals"][1] == {
            "order": 2,
            "kind": "process",
            "name": "benchmark",
            "location": this_host(),
            "identity": f"{process.pid}:{process.started}",
            "usd_per_hour": 0,
            "delete_command": f"pkill -TERM -f -- '--run-id {run.id}'",
        }
        assert (document["confirmation"], document["usd_per_hour"]) == ("c", 0.5)
        assert document["command"] == f"gpubench-tui --no-ui teardown {run.id} --yes c"
        assert process.alive()

    def test_of_nothing(
        self, gpubench: Gpubench, command_line: CommandLine, journal: Journal
    ) -> None:
        run = ended(journal, command_line.results)
        said = gpubench("teardown", run.id, "--dry-run")
        assert (said.code, said.out) == (0, "")
        assert "nothing to remove" in said.err
        assert json.loads(gpubench("teardown", run.id, "--dry-run", "--json").out)["removals"] == []


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_steer_no_terminal(
    gpubench: Gpubench, command_line: CommandLine, journal: Journal, name: str
) -> None:
    run = ended(journal, command_line.results)
    note(journal, run, billed(name, name, 0).model_copy(update={"location": name}))
    for arguments in (("--dry-run",), ("--dry-run", "--json"), ()):
        said = gpubench("teardown", run.id, *arguments)
        assert all(line.isprintable() for line in said.out.split("\n"))
        assert all(line.isprintable() for line in said.err.split("\n"))


def test_an_unknown_run_is_wrong_input(gpubench: Gpubench) -> None:
    said = gpubench("teardown", "never")
    assert (said.code, said.out) == (2, "")


def test_quiet_says_nothing_but_events(
    gpubench: Gpubench, left: tuple[Run, ProcessIdentity]
) -> None:
    said = gpubench("teardown", left[0].id, "--quiet")
    assert (said.code, said.err) == (0, "")
    assert "teardown_finished" in names(said.out)


class TestInterruption:
    """Whoever goes away, the teardown is done or says what it did not do."""

    def begin(self, command_line: CommandLine, run: Run) -> subprocess.Popen[str]:
        """Start the command and wait until it is at work."""
        process = command_line.start(
            *("--no-ui", "teardown", run.id), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert parse_event(process.stdout.readline()).record.event == "stage_started"
        assert parse_event(process.stdout.readline()).record.event == "teardown_started"
        return process

    def test_a_terminal_that_goes_away_ends_nothing(
        self, command_line: CommandLine, left: tuple[Run, ProcessIdentity]
    ) -> None:
        process = self.begin(command_line, left[0])
        process.send_signal(signal.SIGHUP)
        output, _words = process.communicate(timeout=60)
        assert process.returncode == 0
        assert names(output)[-1] == "stage_finished"

    def test_a_reader_that_goes_away_ends_nothing(
        self, command_line: CommandLine, left: tuple[Run, ProcessIdentity]
    ) -> None:
        run, survivor = left
        process = command_line.start(
            *("--no-ui", "teardown", run.id), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
        assert process.wait(60) == 0
        assert not survivor.alive()

    def test_an_interrupt_is_written_down(
        self, command_line: CommandLine, journal: Journal, start: Start
    ) -> None:
        run, survivor = ended(journal, command_line.results), start(STUBBORN)
        note_process(journal, run, survivor)
        process = self.begin(command_line, run)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
        torn_down = RunView.of(journal.events(run.id)).torn_down
        assert torn_down is not None
        assert [entry.name for entry in torn_down.left] == ["benchmark"]
        assert survivor.alive()

    def test_two_at_once_end_alike(
        self, command_line: CommandLine, journal: Journal, left: tuple[Run, ProcessIdentity]
    ) -> None:
        run, survivor = left
        processes = [
            command_line.start(
                *("--no-ui", "teardown", run.id),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(3)
        ]
        assert [process.wait(60) for process in processes] == [0, 0, 0]
        assert not survivor.alive()
        assert RunView.of(journal.events(run.id)).resources["process", "benchmark"].proof
