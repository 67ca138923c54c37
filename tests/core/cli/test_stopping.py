"""Ctrl-C and ``stop``: every run that was started ends, and none in the middle of clearing up."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmark.errors import OutputError
from core.cli.following import Stopper
from core.cli.parser import Options
from core.cli.starting import start_all
from core.cli.stop import stop
from core.errors import WorkError
from core.run.events import ResourceDeleted, ResourceIntended, TeardownStarted
from core.run.journal import Journal, Run
from core.run.liveness import ProcessIdentity
from core.run.process import utc_now
from core.settings import Settings
from tests.core.conftest import CommandLine, Said
from tests.core.runs import ROOT, new_run
from tests.core.teardowns import OBEDIENT, STUBBORN, Start, note, note_process, starting

LATE = "trap 'sleep 0.3; exit 0' INT; echo ready; while :; do sleep 0.02; done"
JOB = ResourceIntended(kind="job", name="gpu-benchmark", delete_command="kubectl delete job")


@pytest.fixture
def start() -> Iterator[Start]:
    """Start shell scripts; what a test leaves of them is killed."""
    with starting() as begin:
        yield begin


@pytest.fixture
def living(journal: Journal, results: Path, start: Start) -> Callable[[str], Run]:
    """Write runs down that live in a shell script."""

    def begin(script: str) -> Run:
        run = new_run(journal, results)
        journal.set_process(run.id, start(script))
        return journal.run(run.id)

    return begin


def process_of(run: Run) -> ProcessIdentity:
    assert run.process is not None
    return run.process


def goes(run: Run) -> bool:
    deadline = time.monotonic() + 60
    while process_of(run).alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not process_of(run).alive()


def stopper_of(journal: Journal, *runs: Run) -> tuple[Stopper, list[str]]:
    said: list[str] = []
    stopper = Stopper(journal, said.append)
    for run in runs:
        stopper.take(run.id)
    return stopper, said


class TestCtrlC:
    """What each one does to the runs that a command has started."""

    def test_the_first_ends_every_run(self, journal: Journal, living: Callable[[str], Run]) -> None:
        runs = [living(OBEDIENT), living(OBEDIENT)]
        stopper, said = stopper_of(journal, *runs)
        stopper()
        assert all(goes(run) for run in runs)
        assert said == ["Stopping 2 runs ..."]

    def test_a_run_that_starts_afterwards_is_ended_too(
        self, journal: Journal, living: Callable[[str], Run]
    ) -> None:
        stopper, _said = stopper_of(journal)
        stopper()
        run = living(OBEDIENT)
        stopper.take(run.id)
        assert goes(run)

    def test_the_second_ends_at_once_what_has_nothing_to_remove(
        self, journal: Journal, living: Callable[[str], Run]
    ) -> None:
        run = living(STUBBORN)
        note_process(journal, run, None)
        stopper, said = stopper_of(journal, run)
        stopper()
        stopper()
        assert goes(run)
        assert said[-1] == "Ending it at once."

    @pytest.mark.parametrize("record", [JOB, TeardownStarted(resources=())], ids=lambda r: r.event)
    def test_what_has_something_to_remove_is_left_to_it_until_the_third(
        self,
        journal: Journal,
        living: Callable[[str], Run],
        record: ResourceIntended | TeardownStarted,
    ) -> None:
        run, other = living(STUBBORN), living(STUBBORN)
        note(journal, run, record)
        stopper, said = stopper_of(journal, run, other)
        stopper()
        stopper()
        assert goes(other)
        assert process_of(run).alive()
        assert f"a third Ctrl-C leaves that to `gpubench-tui --no-ui teardown {run.id}`" in said[1]
        stopper()
        assert goes(run)

    def test_what_was_proved_gone_holds_nothing_up(
        self, journal: Journal, living: Callable[[str], Run]
    ) -> None:
        run = living(STUBBORN)
        note(journal, run, JOB, ResourceDeleted(kind=JOB.kind, name=JOB.name, proof="not listed"))
        stopper, _said = stopper_of(journal, run)
        stopper()
        stopper()
        assert goes(run)

    def test_of_a_run_that_was_killed_the_teardown_is_named(
        self,
        gpubench: Callable[..., Said],
        journal: Journal,
        living: Callable[[str], Run],
    ) -> None:
        run = living(STUBBORN)
        note(journal, run, JOB)
        stopper, _said = stopper_of(journal, run)
        for _ in range(3):
            stopper()
        assert goes(run)
        said = gpubench("follow", run.id)
        assert said.code == 1
        assert f"gpubench-tui --no-ui teardown {run.id} removes what it created" in said.err


class TestStop:
    """It waits for what a run has to remove, and names what does the rest."""

    def test_a_run_that_clears_up_is_waited_for(
        self, journal: Journal, living: Callable[[str], Run], capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = living(LATE)
        note(journal, run, JOB)
        stop(journal, run, 0.05, 10)
        assert not process_of(run).alive()
        assert "is removing what it created" in capsys.readouterr().err

    def test_one_that_does_not_end_is_left_to_teardown(
        self, journal: Journal, living: Callable[[str], Run]
    ) -> None:
        run = living(STUBBORN)
        note(journal, run, JOB)
        with pytest.raises(WorkError) as caught:
            stop(journal, run, 0.05, 0.1)
        assert f"gpubench-tui --no-ui teardown {run.id}" in caught.value.remedy
        assert "kill" not in caught.value.remedy

    def test_one_that_created_nothing_can_be_killed(
        self, journal: Journal, living: Callable[[str], Run]
    ) -> None:
        run = living(STUBBORN)
        with pytest.raises(WorkError) as caught:
            stop(journal, run, 0.05, 10)
        assert f"kill -9 {process_of(run).pid}" in caught.value.remedy


class TestSeveral:
    """Several runs of one command."""

    def settings(self, place: CommandLine, **values: object) -> Settings:
        """Settings whose run ends in its preflight."""
        given = {"results_dir": place.results, "state_dir": place.state, "weights": "no.pt"}
        return Settings.model_validate({**given, **values})

    def test_each_is_named_when_it_starts(
        self, command_line: CommandLine, journal: Journal, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = signal.getsignal(signal.SIGINT)
        wanted = [self.settings(command_line), self.settings(command_line, leg="xen")]
        assert start_all(wanted, journal, Options()) == 2
        said = capsys.readouterr().err
        runs = journal.runs()
        assert len(runs) == 2
        assert all(f"Run {run.id} has started." in said for run in runs)
        assert signal.getsignal(signal.SIGINT) == before

    @pytest.mark.parametrize("detach", [False, True])
    def test_when_one_cannot_start_those_before_are_named(
        self,
        command_line: CommandLine,
        journal: Journal,
        capsys: pytest.CaptureFixture[str],
        detach: bool,
    ) -> None:
        (command_line.home / "file").touch()
        wanted = [
            self.settings(command_line),
            self.settings(command_line, results_dir=command_line.home / "file"),
        ]
        with pytest.raises(WorkError, match="cannot be written") as caught:
            start_all(wanted, journal, Options(detach=detach))
        (run,) = journal.runs()
        assert run.id in caught.value.sentence
        assert capsys.readouterr().out == (f"{run.id}\n" if detach else "")
        deadline = time.monotonic() + 60
        while not journal.state_now(journal.run(run.id), utc_now()).ended:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def test_when_the_first_cannot_start_its_own_words_are_said(
        self, command_line: CommandLine, journal: Journal
    ) -> None:
        (command_line.home / "file").touch()
        wanted = [self.settings(command_line, results_dir=command_line.home / "file")] * 2
        with pytest.raises(OutputError):
            start_all(wanted, journal, Options())

    @pytest.mark.real
    def test_ctrl_c_ends_all_of_them(self, command_line: CommandLine, journal: Journal) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", _TWO_RUNS, command_line.results, command_line.state],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 120
        while not self._at_work(journal):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert {run.state.value for run in journal.runs()} == {"interrupted"}

    @staticmethod
    def _at_work(journal: Journal) -> bool:
        runs = journal.runs()
        begun = [
            any(event.record.event == "benchmark_started" for event in journal.events(run.id))
            for run in runs
        ]
        return len(begun) == 2 and all(begun)


_TWO_RUNS = """
import sys
from core.cli.parser import Options
from core.cli.starting import start_all
from core.run.journal import Journal
from core.settings import Settings

results, state = sys.argv[1:]
wanted = [
    Settings(leg=leg, weights="random", results_dir=results, state_dir=state, threads=1)
    for leg in ("one", "other")
]
with Journal(wanted[0].state_dir) as journal:
    sys.exit(start_all(wanted, journal, Options()))
"""
