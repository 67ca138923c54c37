"""The real benchmark through the real command: one small measurement, start to end.

SingleStream, because its validity does not hang on how fast this machine is just now.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from benchmark.results import RESULT_FILE, read_result
from core.run.events import RunState
from core.run.journal import Journal, Run
from tests.core.conftest import GPUBENCH, CommandLine
from tests.core.runs import assert_no_torn_file, assert_whole

pytestmark = pytest.mark.real

TINY = """
profile = "tiny"
sample_count = 4
execution = "eager"
weights = "random"

[[scenarios]]
scenario = "SingleStream"
query_count = {queries}

[server]
percentile = 0.9

[warm_up]
minimum_s = 0.2
maximum_s = 0.5
"""


@dataclass(frozen=True)
class Finished:
    """A run that ``run`` followed to its end, and what it printed."""

    command_line: CommandLine
    code: int
    out: str
    err: str
    attached: str
    """What ``follow``, attached in the middle, printed."""

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def folder(self) -> Path:
        return Path(self.events[0]["folder"])


def place(folder: Path, queries: int) -> CommandLine:
    (folder / "tiny.toml").write_text(TINY.format(queries=queries))
    return CommandLine(folder)


def event_of(command_line: CommandLine, name: str, process: subprocess.Popen[str]) -> Run:
    """Wait until the only run has had an event of this name."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, "the run ended too early"
        if (command_line.state / "journal.db").exists():
            with Journal(command_line.state) as journal:
                for run in journal.runs():
                    if any(event.record.event == name for event in journal.events(run.id)):
                        return run
        time.sleep(0.1)
    raise AssertionError(f"no {name}")


def processes_of(folder: Path) -> list[str]:
    """Command lines of living processes that name the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if str(folder) in words:
            found.append(words)
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One run, followed by its starter, and by another who came in the middle."""
    command_line = place(tmp_path_factory.mktemp("finished"), queries=64)
    process = command_line.start(
        *("--no-ui", "run", "--profile", "tiny.toml"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    event_of(command_line, "benchmark_started", process)
    attached = command_line.start(
        "--no-ui", "follow", "--quiet", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    out, err = process.communicate(timeout=250)
    answer, _nothing = attached.communicate(timeout=60)
    return Finished(command_line, process.returncode, out, err, answer)


def test_the_run_is_done_and_its_measurement_good(finished: Finished) -> None:
    assert finished.code == 0, finished.err
    names = [event["event"] for event in finished.events]
    assert names[0] == "run_created"
    assert names[-1] == "run_finished"
    assert "measurement_finished" in names
    stages = [event["stage"] for event in finished.events if event["event"] == "stage_finished"]
    assert stages == ["preflight", "job", "results"]
    assert [event["sequence"] for event in finished.events] == list(range(1, len(names) + 1))


def test_whoever_attaches_in_the_middle_sees_the_same(finished: Finished) -> None:
    assert finished.attached == finished.out


def test_a_replay_is_byte_for_byte_what_the_run_printed(finished: Finished) -> None:
    answer = finished.command_line("--no-ui", "follow")
    assert (answer.returncode, answer.stdout) == (0, finished.out)
    # A person's view of it is the same each time, too.
    assert finished.command_line("--no-ui", "follow").stderr == answer.stderr


def test_words_for_people_go_to_stderr(finished: Finished) -> None:
    assert "SingleStream, batch 1, block 1" in finished.err
    assert "The run is done." in finished.err
    assert "Traceback" not in finished.err


def test_the_result_is_whole_and_the_legs_latest(finished: Finished) -> None:
    result = read_result(finished.folder / RESULT_FILE)
    assert result.run_id == finished.events[0]["run"]
    assert result.complete
    (measured,) = result.benchmarks
    assert measured.queries == 64
    assert not measured.void
    latest = finished.command_line.results / "baseline"
    assert latest.is_symlink()
    assert latest.resolve() == finished.folder.resolve()
    assert_no_torn_file(finished.folder)
    assert not list(finished.folder.rglob("*.tmp"))


def test_status_and_log_tell_the_same_end(finished: Finished) -> None:
    status = (finished.folder / "STATUS.md").read_text()
    assert "- state: **done**" in status
    assert status.count("- [x]") == 4
    positions = [event["log_position"] for event in finished.events]
    assert positions == sorted(positions)
    assert positions[-1] <= (finished.folder / "deployment.log").stat().st_size


def test_show_prints_the_measurement(finished: Finished) -> None:
    text = finished.command_line("show").stdout
    assert "SingleStream" in text
    assert "not an MLPerf result" in text
    assert "measured on: " in text
    document = json.loads(finished.command_line("show", "--json").stdout)
    schema = json.loads(finished.command_line("schema", "result").stdout)
    jsonschema.validate(document, schema)
    assert document == json.loads((finished.folder / RESULT_FILE).read_text())


def test_the_journal_is_sound_and_no_process_is_left(finished: Finished) -> None:
    assert list(assert_whole(finished.command_line.state).values()) == [len(finished.events)]
    wait_until(lambda: not processes_of(finished.folder))


def test_ctrl_c_ends_the_run_cleanly(tmp_path: Path) -> None:
    command_line = place(tmp_path, queries=100_000)
    process = command_line.start(
        *("--no-ui", "run", "--profile", "tiny.toml"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # As a shell does for a job in the foreground.
        process_group=0,
    )
    run = event_of(command_line, "measurement_started", process)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    last = json.loads(out.splitlines()[-1])
    assert (last["event"], last["state"], last["exit_code"]) == ("run_finished", "interrupted", 130)
    with Journal(command_line.state) as journal:
        assert journal.run(run.id).state is RunState.INTERRUPTED
    assert "- state: **interrupted**" in (run.folder / "STATUS.md").read_text()
    assert_no_torn_file(run.folder)
    wait_until(lambda: not processes_of(run.folder))
    # The leg's latest good run is not this one.
    assert not (command_line.results / "baseline").exists()


def test_ctrl_c_at_the_very_first_event_is_a_clean_end_too(tmp_path: Path) -> None:
    command_line = place(tmp_path, queries=100_000)
    process = command_line.start(
        *("--no-ui", "run", "--profile", "tiny.toml"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert json.loads(out.splitlines()[-1])["state"] == "interrupted"
    folder = Path(json.loads(first)["folder"])
    wait_until(lambda: not processes_of(folder))


def test_a_run_outlives_its_starter_and_a_hang_up(tmp_path: Path) -> None:
    command_line = place(tmp_path, queries=100_000)
    # A shell that starts the run, as a terminal has one; no setsid, no nohup.
    shell = subprocess.Popen(
        ["bash", "-c", f"'{GPUBENCH}' --no-ui run --profile tiny.toml --quiet; true"],
        cwd=tmp_path,
        env=command_line.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    run = event_of(command_line, "benchmark_started", shell)  # type: ignore[arg-type]
    with Journal(command_line.state) as journal:
        identity = journal.run(run.id).process
    assert identity is not None
    # The terminal goes away: the whole foreground group is hung up, then killed.
    os.killpg(shell.pid, signal.SIGHUP)
    os.kill(identity.pid, signal.SIGHUP)
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
    assert identity.alive()
    follower = command_line.start(
        "follow", run.id, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    # It gets further than it was, and ends when somebody else asks for it.
    event_of(command_line, "measurement_started", follower)
    stop = command_line("stop", run.id)
    assert (stop.returncode, stop.stdout) == (0, ""), stop.stderr
    out, _nothing = follower.communicate(timeout=60)
    assert follower.returncode == 130
    events = [json.loads(line) for line in out.splitlines()]
    assert events[0]["event"] == "run_created"
    assert events[-1]["state"] == "interrupted"
    wait_until(lambda: not processes_of(run.folder))


def test_a_detached_run_prints_its_id_alone_and_a_kill_takes_everything_along(
    tmp_path: Path,
) -> None:
    command_line = place(tmp_path, queries=100_000)
    answer = command_line("--no-ui", "run", "--profile", "tiny.toml", "--detach")
    assert (answer.returncode, answer.stderr) == (0, "")
    run_id = answer.stdout.removesuffix("\n")
    with Journal(command_line.state) as journal:
        assert [run.id for run in journal.runs()] == [run_id]
    follower = command_line.start("follow", run_id, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    run = event_of(command_line, "measurement_started", follower)
    with Journal(command_line.state) as journal:
        identity = journal.run(run_id).process
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    _out, err = follower.communicate(timeout=60)
    assert follower.returncode == 1
    assert "died" in err
    assert json.loads(command_line("runs", "--json").stdout)["state"] == "died"
    assert_whole(command_line.state)
    assert_no_torn_file(run.folder)
    wait_until(lambda: not processes_of(run.folder))
