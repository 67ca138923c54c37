"""A whole study with the real benchmark on this machine: killed, taken up, stopped.

Both legs run under the same layer here, which only an expert may compare: the verdict is never
"within target".
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from benchmark.results import RESULT_FILE, read_result
from core.run.journal import Journal
from tests.core.conftest import CommandLine
from tests.core.runs import assert_whole

pytestmark = pytest.mark.real

# As small as LoadGen can call VALID at p90.
TINY = """
profile = "tiny"
sample_count = 4
execution = "eager"
weights = "random"

[[scenarios]]
scenario = "SingleStream"
query_count = 64

[server]
percentile = 0.9

[warm_up]
minimum_s = 0.2
maximum_s = 0.5
"""
PAIRS = 3


def begin(place: Path) -> tuple[CommandLine, subprocess.Popen[str]]:
    (place / "tiny.toml").write_text(TINY)
    command_line = CommandLine(place)
    process = command_line.start(
        *("--no-ui", "study", "--profile", "tiny.toml", "--target-overhead", "90%"),
        *("--blocks", str(PAIRS), "--calibration", "0"),
        *("--allow", "attestation", "--allow", "layer"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # As a shell does for a job in the foreground.
        process_group=0,
    )
    return command_line, process


def wait_for(process: subprocess.Popen[str], event: str, times: int = 1) -> None:
    """Read what a study says until it has said this so often."""
    assert process.stdout is not None
    for line in process.stdout:
        times -= json.loads(line)["event"] == event
        if not times:
            return
    raise AssertionError(f"it ended without {event}")


def study_of(command_line: CommandLine) -> dict[str, Any]:
    (path,) = (command_line.results / "studies").glob("*/study.json")
    document: dict[str, Any] = json.loads(path.read_text())
    return document


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_that_is_killed_goes_on_and_ends_with_its_documents(tmp_path: Path) -> None:
    command_line, process = begin(tmp_path)
    # In the middle of the second run, which lives on without the study.
    wait_for(process, "measurement_started", times=2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert study_of(command_line)["under_way"]["run"]

    answer = command_line("--no-ui", "study", "--resume", timeout=800)
    assert answer.returncode == 4, answer.stderr
    assert "Traceback" not in answer.stderr
    study = study_of(command_line)
    runs = [entry["run"] for entry in study["done"] if entry["kind"] == "block"]
    assert len(runs) == 2 * PAIRS
    assert [entry["kind"] for entry in study["done"]].count("look") == 1
    assert study["ended"]["kind"] == "undecided"
    with Journal(command_line.state) as journal:
        # Nothing was measured twice, and the order within pairs is the one that was drawn.
        assert sorted(run.id for run in journal.runs()) == sorted(runs)
        legs = [journal.run(run).leg for run in runs]
    assert legs == [
        leg
        for side in study["plan"]["order"]
        for leg in (("baseline", "xen") if side == "first" else ("xen", "baseline"))
    ]
    assert_whole(command_line.state)

    events = [json.loads(line)["event"] for line in answer.stdout.splitlines()]
    assert events[0] == "study_planned"
    assert events.count("study_looked") == 1
    assert events[-1] == "study_ended"
    folder = command_line.results / "studies" / study["plan"]["id"]
    for name in ("comparison.md", "comparison.json", "comparison.html"):
        assert (command_line.results / name).read_bytes() == (folder / name).read_bytes()
    for leg in ("baseline", "xen"):
        latest = read_result(command_line.results / leg / RESULT_FILE)
        assert latest.run_id in runs
    again = command_line("--no-ui", "study", "--resume")
    assert again.returncode == 4
    assert [json.loads(line)["event"] for line in again.stdout.splitlines()] == ["study_ended"]
    legs_folders = [str(folder / leg) for leg in ("baseline", "xen")]
    compared = command_line(
        *("--no-ui", "compare", *legs_folders, "--target-overhead", "90%"),
        *("--allow", "attestation", "--allow", "layer", "--json"),
    )
    assert compared.returncode == 4, compared.stderr
    sides = [json.loads(compared.stdout)[side]["runs"] for side in ("first", "second")]
    assert sorted(sides[0] + sides[1]) == sorted(runs)


@pytest.mark.timeout(300)
def test_ctrl_c_stops_the_run_and_leaves_a_study_that_goes_on(tmp_path: Path) -> None:
    command_line, process = begin(tmp_path)
    wait_for(process, "benchmark_started")
    other = command_line("--no-ui", "study", "--resume")
    assert other.returncode == 2
    assert "under way in another process" in other.stderr
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    study = study_of(command_line)
    assert f"study --resume {study['plan']['id']} goes on" in err
    shown = command_line("--no-ui", "study", "--resume", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "0 runs are done, at most 6 are left" in shown.stdout
    assert json.loads(out.splitlines()[-1])["event"] == "study_stopped"
    assert [entry["outcome"] for entry in study["done"]] == ["interrupted"]
    assert (study["under_way"], study["ended"]) == (None, None)
    with Journal(command_line.state) as journal:
        (run,) = journal.runs()
    deadline = time.monotonic() + 30
    assert run.process is not None
    while run.process.alive():
        assert time.monotonic() < deadline
        time.sleep(0.1)
