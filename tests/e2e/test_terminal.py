"""The real program on a real terminal, over runs that were recorded or only stand in."""

from __future__ import annotations

import os
import random
import re
import signal
from pathlib import Path

import pytest

from core.run.events import RunFinished, RunState, Stage, StageFailed
from core.run.journal import Journal
from core.run.log import LOG_FILE
from core.run.process import utc_now
from tests.e2e.conftest import CommandLine, OpenConsole, stand_in
from tests.tui.recorded import replay

# Select Graphic Rendition with a colour in it: 30 to 49 but for plain resets, and 90 to 107.
_COLOUR = re.compile(r"\x1b\[(?:[0-9;:]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:[;:][0-9;:]*)?m")

_HOSTILE = (
    "\x1b]0;pwned\x07\x1b]2;pwned\x1b\\\x1b[?1049l\x1b[?1000l\x1b[?25h\x1bc\x9b?1049l"
    "[red]markup[/] \u202eback\u200bwards\U0001f600\ttab"
)


def test_without_a_terminal_it_says_so_in_one_sentence(command_line: CommandLine) -> None:
    answer = command_line()
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("gpubench-tui: The console needs a terminal")
    assert answer.stderr.count("\n") == 1
    assert not command_line.state.exists()


def test_no_color_leaves_no_colour(open_console: OpenConsole, state: Path, results: Path) -> None:
    run = replay(state, results, "baseline")
    coloured, plain = open_console(), open_console(NO_COLOR="1")
    for terminal in (coloured, plain):
        terminal.wait_for(run.id, "done")
    assert _COLOUR.search(coloured.screen(escapes=True))
    assert not _COLOUR.search(plain.screen(escapes=True))
    plain.press("Enter")
    plain.wait_for("measurements good")
    assert not _COLOUR.search(plain.screen(escapes=True))


class TestSmallTerminal:
    def test_title_footer_and_every_pane_are_there(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        run = replay(state, results, "baseline")
        terminal = open_console(size=(80, 24))
        lines = terminal.wait_for(run.id, "done").splitlines()
        assert lines[0].startswith(" gpubench  runs")
        assert all(word in lines[23] for word in ("Results", "Run", "Teardown", "Help", "Quit"))
        terminal.press("Enter")
        terminal.wait_for("1 Stages", "measurements good")
        terminal.wait_until(lambda screen: "Back" in screen.splitlines()[23])
        assert terminal.screen().splitlines()[0].startswith(f" gpubench  {run.id}")
        for key, text in (
            ("2", "singlestream-b1 #1"),
            ("3", "CPU use"),
            ("4", "following"),
            ("1", "preflight"),
        ):
            terminal.press(key)
            terminal.wait_for("1 Stages", text)

    def test_results_help_and_form_can_be_used(
        self, open_console: OpenConsole, state: Path, results: Path
    ) -> None:
        run = replay(state, results, "baseline")
        terminal = open_console(size=(80, 24))
        terminal.wait_for(run.id, "done")
        terminal.press("i")
        terminal.wait_for("1 Figures", "SingleStream", "MLPerf result.")
        for key, text in (("2", "latency"), ("3", "Attestation"), ("4", "content sha256")):
            terminal.press(key)
            terminal.wait_for("1 Figures", text)
        terminal.press("Escape")
        terminal.wait_for("in the journal")
        terminal.press("?")
        terminal.wait_for("Everywhere", "Close the console; runs go on")
        terminal.press("Escape")
        terminal.wait_for("in the journal")
        terminal.press("r")
        terminal.wait_for("start a run", "Start (ctrl+s)", "gpubench-tui --no-ui run")
        terminal.press("Escape")
        terminal.wait_for("in the journal")
        terminal.press("q")
        assert terminal.exit_code() == 0


def test_fifty_sizes_at_random_while_a_run_is_at_work(
    open_console: OpenConsole, state: Path, results: Path
) -> None:
    with stand_in(state, results, "busy") as (process, run_id):
        terminal = open_console()
        terminal.wait_for(run_id, "running")
        terminal.press("Enter")
        terminal.wait_for("preflight", "following")
        sizes = random.Random(20260504)
        for _ in range(50):
            terminal.resize(sizes.randint(20, 250), sizes.randint(5, 70))
            terminal.press(sizes.choice("1234z"))
        terminal.resize(120, 40)
        terminal.press("?")
        terminal.wait_for("Everywhere", "Dashboard of a run")
        terminal.press("Escape")
        terminal.wait_for(run_id, "running")
        terminal.press("q")
        assert terminal.exit_code() == 0
        assert terminal.state() == terminal.before
        assert process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back_and_leaves_the_run(
    open_console: OpenConsole, state: Path, results: Path, number: signal.Signals
) -> None:
    with stand_in(state, results, "forever") as (process, run_id):
        terminal = open_console()
        terminal.wait_for(run_id, "running")
        terminal.press("Enter")
        terminal.wait_for("preflight", "following")
        assert terminal.state() != terminal.before
        terminal.seconds_to_end(lambda: os.kill(terminal.pid, number))
        assert terminal.exit_code() == 128 + number
        assert terminal.state() == terminal.before
        assert process.poll() is None
        with Journal(state) as journal:
            assert journal.run(run_id).state is RunState.RUNNING


def test_a_window_that_is_closed_ends_the_console_and_not_the_run(
    open_console: OpenConsole, state: Path, results: Path
) -> None:
    with stand_in(state, results, "busy") as (process, run_id):
        terminal = open_console()
        terminal.wait_for(run_id, "running")
        terminal.press("Enter")
        terminal.wait_for("preflight", "following")
        assert terminal.seconds_to_end(terminal.vanish) < 10
        assert process.poll() is None


def test_a_hostile_run_changes_nothing_of_the_terminal(
    open_console: OpenConsole, command_line: CommandLine, state: Path, results: Path
) -> None:
    (command_line.home / "config.toml").write_text('[console]\nnotify = "always"\n')
    run = replay(state, results, "baseline", until="stage_started")
    terminal = open_console("--config", "config.toml")
    terminal.wait_for(run.id, "running")
    terminal.press("Enter")
    terminal.wait_for("preflight", "following")
    opened = terminal.state()
    assert opened.title == terminal.before.title
    with (run.folder / LOG_FILE).open("ab") as log:
        log.write(f"2026-05-04T12:00:00.000+00:00 [job] {_HOSTILE}\n".encode())
        log.write(b"\xff\xfe" + b"\x1b]0;pwned" + b"x" * 2**20 + b"\n")
        log.write(f"2026-05-04T12:00:01.000+00:00 [{_HOSTILE}] the last line\n".encode())
    with Journal(state) as journal:
        for record in (
            StageFailed(seconds=3, sentence=f"SENTENCE {_HOSTILE}", remedy=f"REMEDY {_HOSTILE}"),
            RunFinished(state=RunState.FAILED, exit_code=1, seconds=3, sentence=f"END {_HOSTILE}"),
        ):
            journal.append(run.id, record, time=utc_now(), stage=Stage.PREFLIGHT)
    # What steers a terminal is shown as text.
    terminal.wait_for(
        r"12:00:00 job \x1b]0;pwned\x07", r"END \x1b]0;pwned\x07", "SENTENCE", "[red]"
    )
    assert terminal.state() == opened
    terminal.press("Escape")
    terminal.wait_for("in the journal")
    assert terminal.state() == opened
    terminal.press("q")
    assert terminal.exit_code() == 0
    assert terminal.state() == terminal.before


def test_the_pager_has_the_terminal_to_itself_and_its_ctrl_c(
    open_console: OpenConsole, state: Path, results: Path, tmp_path: Path
) -> None:
    run = replay(state, results, "baseline")
    # A pager of two keys: it shows that it has the terminal, and what Ctrl-C does to it.
    pager = tmp_path / "pager"
    pager.write_text(
        "#!/bin/sh\ntrap 'echo interrupted' INT\necho shown: $1\n"
        'while :; do read -r line && [ "$line" = end ] && exit; done\n'
    )
    pager.chmod(0o755)
    terminal = open_console(PAGER=str(pager))
    terminal.wait_for(run.id, "done")
    terminal.press("Enter")
    terminal.wait_for("measurements good", "1 void")
    terminal.press("p")
    terminal.wait_for("shown:")
    terminal.press("C-c")
    terminal.wait_for("interrupted")
    terminal.press("e", "n", "d", "Enter")
    terminal.wait_for("measurements good", "Teardown")
    # It lives, and ends at its own key. (The shell around it heard Ctrl-C too.)
    terminal.press("Escape")
    terminal.wait_for("1 in the journal")
    terminal.seconds_to_end(lambda: terminal.press("q"))
