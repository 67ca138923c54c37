"""A first session at a real terminal, with the real benchmark: start a run, go away, come back and
look at what it found.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from core.run.events import RunState
from core.run.journal import Journal, Run
from tests.core.cli.test_real_run import place, processes_of, wait_until
from tests.e2e.conftest import CommandLine, OpenConsole

# The screen's words for columns of the report.
_COLUMNS = {
    "scenario": "scenario",
    "batch": "batch",
    "samples/s": "throughput (samples/s)",
    "p50 ms": "p50 (ms)",
    "p90 ms": "p90 (ms)",
    "p99 ms": "p99 (ms)",
    "marks": "marks",
}
_A_RUN_S = 400.0

pytestmark = pytest.mark.real


def only_run(state: Path) -> Run:
    """The journal's one run."""
    with Journal(state) as journal:
        (run,) = journal.runs()
        return run


def table(text: str, columns: list[str]) -> list[list[str]]:
    """The rows of a table in a text, these columns of them."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    head = next(number for number, row in enumerate(rows) if row[0] == "scenario")
    places = [rows[head].index(column) for column in columns]
    scenarios = ("Offline", "Server", "SingleStream")
    return [[row[place] for place in places] for row in rows[head:] if row[0] in scenarios]


@pytest.mark.timeout(900)
def test_a_run_is_started_left_found_again_and_its_results_are_read(
    open_console: OpenConsole, command_line: CommandLine, state: Path
) -> None:
    terminal = open_console()
    terminal.wait_for("There are no runs yet", "Enter  set up a first run here")
    terminal.press("Enter")
    terminal.wait_for("start a run", "measurements  4", "nothing is billed", "--no-ui run")
    terminal.press("C-s")
    terminal.wait_for("running", "preflight", "checks passed", "job")
    terminal.wait_for("1/4", "Offline, batch 1", patience_s=_A_RUN_S)
    run = only_run(state)
    assert run.id in terminal.screen()

    # Closing the console is nothing to the run.
    terminal.press("q")
    assert terminal.exit_code() == 0
    assert terminal.state() == terminal.before
    run = only_run(state)
    assert run.state is RunState.RUNNING
    assert run.process is not None
    assert run.process.alive()

    # Whoever comes back finds it at work, and sees it end.
    terminal = open_console()
    terminal.wait_for(run.id, "▶ running", "1 under way")
    terminal.press("Enter")
    terminal.wait_for(run.id, "▶ running", "measurements")
    terminal.wait_for("The run is done", "measurements good", patience_s=_A_RUN_S)
    assert only_run(state).state is RunState.DONE

    # The screen's figures are those of the report.
    terminal.press("i")
    screen = terminal.wait_for("SingleStream", "MLPerf result")
    report = command_line("--no-ui", "show").stdout
    figures = table(screen, list(_COLUMNS))
    # Of a single block the screen says "void" where the report counts.
    report = report.replace("1 of 1 void", "void       ")
    assert figures == table(report, list(_COLUMNS.values()))
    assert len(figures) == 4
    terminal.press("Escape")
    # On a machine that others slow down some of them may be void.
    terminal.wait_for("measurements good")
    terminal.press("q")
    assert terminal.exit_code() == 0
    assert terminal.state() == terminal.before
    wait_until(lambda: not processes_of(run.folder))


def test_a_terminal_that_vanishes_takes_the_console_along_but_no_run(
    open_console: OpenConsole, tmp_path: Path, state: Path
) -> None:
    command_line = place(tmp_path, queries=100_000)
    (tmp_path / "config.toml").write_text('profile = "tiny.toml"\n')
    terminal = open_console("--config", "config.toml")
    terminal.wait_for("There are no runs yet")
    terminal.press("Enter")
    terminal.wait_for("measurements  1")
    terminal.press("C-s")
    terminal.wait_for("1/1", "SingleStream")
    run = only_run(state)
    assert run.profile == "tiny"
    assert run.process is not None
    assert terminal.seconds_to_end(terminal.vanish) < 10
    assert run.process.alive()
    # The hang-up of a whole session, as some shells send it, is nothing to it either.
    os.kill(run.process.pid, signal.SIGHUP)
    with Journal(state) as journal:
        seen = len(journal.lines(run.id))
        wait_until(lambda: len(journal.lines(run.id)) > seen)
    assert command_line("--no-ui", "stop", run.id).returncode == 0
    assert only_run(state).state is RunState.INTERRUPTED
    wait_until(lambda: not processes_of(run.folder))
