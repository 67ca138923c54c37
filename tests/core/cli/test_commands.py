"""The commands' answers: data on stdout, words on stderr, the verdict in the exit code."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from benchmark.files import write_atomically
from benchmark.plan import SHIPPED_PROFILES, load_profile
from benchmark.results import RESULT_FILE, write_result
from core import __version__
from core.run.journal import Journal, Run
from core.settings import Settings
from tests.core.conftest import GPUBENCH, CommandLine, Said, fill
from tests.core.outcomes import measurement, result
from tests.core.records import HOSTILE
from tests.core.runs import execute, new_run
from tests.core.stages import Work, fail, remark

VERBS = (
    *("run", "follow", "runs", "show", "stop", "logs"),
    *("config", "profile", "schema", "completion"),
)
Gpubench = Callable[..., Said]


@pytest.fixture
def finished(command_line: CommandLine) -> Run:
    """A finished run of stand-ins, with a result file."""
    with Journal(command_line.state) as journal:
        return finish(journal, command_line, remark)


def finish(journal: Journal, command_line: CommandLine, work: Work) -> Run:
    run = new_run(journal, command_line.results)
    execute(journal, run, work, command_line.results)
    return journal.run(run.id)


def store_result(run: Run) -> None:
    write_result(result(measurement(12.5, 2.0), run_id=run.id), run.folder / RESULT_FILE)


def assert_one_sentence(said: Said, code: int = 2) -> None:
    assert said.code == code
    assert said.out == ""
    assert said.err.count("\n") == 1, said.err
    assert said.err.startswith("gpubench-tui")
    assert "Traceback" not in said.err


class TestHelp:
    """--help and --version answer and do nothing."""

    def test_help_names_every_command_and_no_inner_one(self, gpubench: Gpubench) -> None:
        said = gpubench("--help")
        assert said.code == 0
        assert all(re.search(rf"^    {verb}\s", said.out, re.M) for verb in VERBS)
        assert "_execute" not in said.out
        assert "exit codes" in said.out

    def test_version(self, gpubench: Gpubench) -> None:
        assert gpubench("--version") == Said(0, f"gpubench-tui {__version__}\n", "")

    @pytest.mark.parametrize("verb", VERBS)
    def test_every_command_has_help(self, gpubench: Gpubench, verb: str) -> None:
        said = gpubench(verb, "--help")
        assert said.code == 0
        assert said.out.startswith(f"usage: gpubench-tui {verb}")

    def test_no_command_is_wrong_input(self, gpubench: Gpubench) -> None:
        said = gpubench()
        assert (said.code, said.out) == (2, "")
        assert "usage:" in said.err

    def test_the_installed_command_answers(self, command_line: CommandLine) -> None:
        answer = command_line("--no-ui", "runs")
        assert (answer.returncode, answer.stdout) == (0, "")
        assert "no runs yet" in answer.stderr
        assert command_line("--version").stdout == f"gpubench-tui {__version__}\n"


class TestWrongInput:
    """One line, exit 2, and nothing made."""

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--unknown",),
            ("dance",),
            ("run", "--unknown"),
            ("run", "stray"),
            ("show", "--json", "--csv"),
            ("stop",),
            ("config",),
            ("config", "dance"),
            ("completion", "tcsh"),
            ("schema", "dance"),
            ("run", "--profile"),
            ("run", "--\x1b[31m"),
        ],
    )
    def test_a_command_line_that_cannot_be(
        self, gpubench: Gpubench, command_line: CommandLine, arguments: tuple[str, ...]
    ) -> None:
        assert_one_sentence(gpubench(*arguments))
        assert list(command_line.home.iterdir()) == []

    def test_an_unknown_command_names_those_that_a_person_can_use(self, gpubench: Gpubench) -> None:
        said = gpubench("dance")
        assert "'follow'" in said.err
        assert "_execute" not in said.err

    def test_settings_of_all_sources_at_once(
        self, gpubench: Gpubench, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = command_line.home / "gpubench.toml"
        config.write_text('threads = "many"\nreapeats = 3\n')
        monkeypatch.setenv("GPUBENCH_PRECISION", "fp8")
        said = gpubench("run", "--repeats", "0")
        assert_one_sentence(said)
        for source in ("flag --repeats", "GPUBENCH_PRECISION", "gpubench.toml: threads"):
            assert source in said.err
        assert "reapeats is not a known field" in said.err
        assert list(command_line.home.iterdir()) == [config]

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("sample_count = 0", "sample_count"),
            (
                "sample_count = 4\n[[scenarios]]\nscenario = 'Offline'\nduration_s = 1\n"
                "batch_sizes = [8]",
                "larger than the QSL",
            ),
            ("[[scenarios]]\nscenario = 'Offline'\nduration_s = -1", "duration_s"),
            ("[[scenarios]]\nscenario = 'Offline'\nquery_count = 5", "Offline takes duration_s"),
            ("scenarios = []", "scenarios"),
            ("not toml", "not valid TOML"),
        ],
    )
    def test_an_impossible_profile(
        self, gpubench: Gpubench, command_line: CommandLine, content: str, words: str
    ) -> None:
        profile = command_line.home / "mine.toml"
        profile.write_text(content)
        said = gpubench("run", "--profile", "mine.toml")
        assert_one_sentence(said)
        assert words in said.err
        assert not command_line.results.exists()
        assert gpubench("runs").out == ""

    def test_a_profile_that_is_not_there(self, gpubench: Gpubench) -> None:
        said = gpubench("run", "--profile", "nowhere.toml")
        assert_one_sentence(said)
        assert "quick" in said.err

    @pytest.mark.parametrize("rates", ["nobody", "a" * 300])
    def test_arrival_rates_of_nobody(
        self, gpubench: Gpubench, command_line: CommandLine, rates: str
    ) -> None:
        assert_one_sentence(gpubench("run", "--arrival-rates-from", rates))
        assert not command_line.results.exists()

    def test_results_below_a_file(self, gpubench: Gpubench, command_line: CommandLine) -> None:
        (command_line.home / "file").write_text("mine")
        said = gpubench("run", "--results-dir", str(command_line.home / "file"))
        assert_one_sentence(said)
        assert "cannot be written" in said.err
        assert (command_line.home / "file").read_text() == "mine"
        assert gpubench("runs").out == ""

    def test_results_that_may_not_be_written(
        self, gpubench: Gpubench, small_disk: Callable[[str], Path]
    ) -> None:
        disk = small_disk("1m")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        said = gpubench("run", "--results-dir", str(disk))
        assert_one_sentence(said)
        assert "Read-only" in said.err

    def test_a_journal_that_cannot_be_used(
        self, gpubench: Gpubench, command_line: CommandLine
    ) -> None:
        command_line.state.mkdir()
        (command_line.state / "journal.db").write_text("mine" * 500)
        for verb in ("runs", "show", "run"):
            assert_one_sentence(gpubench(verb), code=1)

    @pytest.mark.parametrize("verb", ["follow", "show", "stop", "logs"])
    def test_a_run_that_is_not_there(self, gpubench: Gpubench, verb: str) -> None:
        said = gpubench(verb, "\x1b[31mnobody")
        assert_one_sentence(said)
        assert "There is no run" in said.err
        assert said.err.rstrip("\n").isprintable()


class TestConfig:
    """Each setting's value and where it came from."""

    def test_provenance_in_its_order(
        self, gpubench: Gpubench, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = command_line.home / "gpubench.toml"
        config.write_text('leg = "file"\nthreads = 2\nrepeats = 2\n')
        monkeypatch.setenv("GPUBENCH_LEG", "variable")
        monkeypatch.setenv("GPUBENCH_REPEATS", "3")
        arguments = ("config", "show", "--leg", "flag")
        lines = {line.split()[0]: line for line in gpubench(*arguments).out.splitlines()}
        assert "flag  [flag --leg]" in lines["leg"]
        assert "3  [GPUBENCH_REPEATS]" in lines["repeats"]
        assert "2  [gpubench.toml]" in lines["threads"]
        assert "quick  [default]" in lines["profile"]
        document = json.loads(gpubench(*arguments, "--json").out)
        assert document.keys() == lines.keys() == Settings.model_fields.keys()
        assert document["leg"] == {"value": "flag", "from": "flag --leg"}
        assert document["repeats"] == {"value": 3, "from": "GPUBENCH_REPEATS"}
        assert document["threads"] == {"value": 2, "from": "gpubench.toml"}
        assert document["profile"] == {"value": "quick", "from": "default"}
        assert document["precision"] == {"value": None, "from": "default"}

    def test_a_named_file(self, gpubench: Gpubench, command_line: CommandLine) -> None:
        (command_line.home / "named.toml").write_text('leg = "named"')
        said = gpubench("config", "show", "--json", "--config", "named.toml")
        assert json.loads(said.out)["leg"] == {"value": "named", "from": "named.toml"}

    def test_the_reference_tells_every_setting(self, gpubench: Gpubench) -> None:
        text = gpubench("config", "reference").out
        for name, field in Settings.model_fields.items():
            assert f"{name}  (--{name.replace('_', '-')}, GPUBENCH_{name.upper()})" in text
            assert " ".join((field.description or "?").split()) in text
        assert text.count("default: ") >= len(Settings.model_fields)


class TestDocuments:
    """profile, schema and completion print what can be used as it is."""

    def test_a_printed_profile_is_one_to_start_from(
        self, gpubench: Gpubench, tmp_path: Path
    ) -> None:
        listed = gpubench("profile").out
        for name in SHIPPED_PROFILES:
            assert f"{name}: " in listed
            (tmp_path / "mine.toml").write_text(gpubench("profile", name).out)
            assert load_profile(str(tmp_path / "mine.toml")) == load_profile(name)
        assert_one_sentence(gpubench("profile", "nobody"))

    def test_the_schema_takes_a_result_and_refuses_what_is_none(self, gpubench: Gpubench) -> None:
        schema = json.loads(gpubench("schema", "result").out)
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = jsonschema.Draft202012Validator(schema)
        document = result(measurement(1)).model_dump(mode="json")
        assert validator.is_valid(document)
        assert not validator.is_valid({**document, "device": "abacus"})

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_a_completion_script_is_valid_for_its_shell(
        self, gpubench: Gpubench, tmp_path: Path, shell: str
    ) -> None:
        script = tmp_path / "script"
        script.write_text(gpubench("completion", shell).out)
        assert "gpubench-tui" in script.read_text()
        if shutil.which(shell) is None:
            pytest.skip(f"{shell} is not installed; that its script is there was checked")
        subprocess.run([shell, "-n", script], check=True)


def complete(command_line: CommandLine, line: str) -> list[str]:
    """Ask as a shell does: by argcomplete's protocol, the answer on file descriptor 8."""
    answer = command_line.home / "completions"
    subprocess.run(
        ["bash", "-c", 'exec "$0" 8>"$1" 9>/dev/null', GPUBENCH, answer],
        check=True,
        cwd=command_line.home,
        env={
            **command_line.environment(),
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_IFS": "\n",
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
            "COMP_TYPE": "9",
        },
    )
    return [word.strip() for word in answer.read_text().split("\n") if word.strip()]


class TestCompletion:
    """The shell completes commands, flags and run ids."""

    def test_run_ids(self, command_line: CommandLine, finished: Run) -> None:
        assert complete(command_line, "gpubench-tui show 20") == [finished.id]
        assert complete(command_line, "gpubench-tui follow never") == []

    def test_commands_and_flags(self, command_line: CommandLine) -> None:
        found = set(complete(command_line, "gpubench-tui s"))
        assert found == {"show", "stop", "study", "schema", "serve", "sweep"}
        assert "--arrival-rates-from" in complete(command_line, "gpubench-tui run --arr")
        assert "_execute" not in complete(command_line, "gpubench-tui ")


class TestLookingAtRuns:
    """runs, show, follow and logs of runs that have ended."""

    def test_runs_lists_the_newest_first(
        self, gpubench: Gpubench, command_line: CommandLine
    ) -> None:
        with Journal(command_line.state) as journal:
            first = finish(journal, command_line, remark)
            second = finish(journal, command_line, fail)
        lines = gpubench("runs").out.splitlines()
        assert lines[0].split()[:2] == ["RUN", "STATE"]
        assert {line.split()[0]: line.split()[1] for line in lines[1:]} == {
            second.id: "failed",
            first.id: "done",
        }
        documents = [json.loads(line) for line in gpubench("runs", "--json").out.splitlines()]
        assert [(d["id"], d["state"], d["exit_code"]) for d in documents] == [
            (second.id, "failed", 1),
            (first.id, "done", 0),
        ] or first.created_at == second.created_at
        assert documents[0]["folder"] == str(command_line.results / "runs" / documents[0]["id"])

    def test_follow_of_a_finished_run_prints_the_stored_lines_and_nothing_else(
        self, gpubench: Gpubench, command_line: CommandLine, finished: Run
    ) -> None:
        with Journal(command_line.state) as journal:
            stored = "".join(f"{line}\n" for _sequence, line in journal.lines(finished.id))
        said = gpubench("follow", finished.id)
        assert (said.code, said.out) == (0, stored)
        assert "The run is done." in said.err
        assert gpubench("follow", finished.id, "--quiet") == Said(0, stored, "")
        assert gpubench("follow").out == stored

    def test_follow_returns_the_runs_own_verdict(
        self, gpubench: Gpubench, command_line: CommandLine
    ) -> None:
        with Journal(command_line.state) as journal:
            finish(journal, command_line, fail)
        said = gpubench("follow")
        assert said.code == 1
        assert "The stand-in failed. Expect it." in said.err

    def test_follow_of_a_run_that_died_says_so(
        self, gpubench: Gpubench, command_line: CommandLine
    ) -> None:
        from core.run.liveness import ProcessIdentity

        with Journal(command_line.state) as journal:
            run = new_run(journal, command_line.results)
            journal.set_process(run.id, ProcessIdentity(2**22, 1))
        said = gpubench("follow")
        assert said.code == 1
        assert "died" in said.err
        assert [json.loads(line)["event"] for line in said.out.splitlines()] == ["run_created"]
        assert json.loads(gpubench("runs", "--json").out)["state"] == "died"

    def test_show_prints_the_result_in_every_form(self, gpubench: Gpubench, finished: Run) -> None:
        store_result(finished)
        assert "SingleStream" in gpubench("show").out
        assert "not an MLPerf result" in gpubench("show", finished.id).out
        assert json.loads(gpubench("show", "--json").out)["run_id"] == finished.id
        assert gpubench("show", "--markdown").out.startswith("# Results of ")
        (line,) = csv.DictReader(io.StringIO(gpubench("show", "--csv").out))
        assert line["throughput_samples_per_s"] == "12.5"

    def test_show_of_a_run_without_results_says_what_to_look_at(
        self, gpubench: Gpubench, finished: Run
    ) -> None:
        said = gpubench("show")
        assert_one_sentence(said)
        assert "has no results" in said.err
        assert f"logs {finished.id}" in said.err

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"not JSON",
            b"[1, 2]",
            b"\xff\xfe",
            b'{"schema_version": 2}',
            b'{"schema_version": "\\u001b[31m"}',
            b'{"schema_version": 1, "run_id": 5}',
            b'{"schema_version": NaN}',
            b"[" * 100_000,
        ],
    )
    def test_show_of_a_file_that_is_not_ours(
        self, gpubench: Gpubench, finished: Run, content: bytes
    ) -> None:
        (finished.folder / RESULT_FILE).write_bytes(content)
        for form in ((), ("--json",), ("--csv",)):
            said = gpubench("show", *form)
            assert_one_sentence(said)
            assert RESULT_FILE in said.err
            assert said.err.rstrip("\n").isprintable()

    def test_show_of_a_file_that_was_edited(self, gpubench: Gpubench, finished: Run) -> None:
        store_result(finished)
        path = finished.folder / RESULT_FILE
        write_atomically(path, path.read_text().replace("12.5", "99.5"))
        said = gpubench("show")
        assert_one_sentence(said)
        assert "edited" in said.err

    def test_logs_prints_the_log_and_neutralises_what_others_wrote_there(
        self, gpubench: Gpubench, finished: Run
    ) -> None:
        log = finished.folder / "deployment.log"
        written = log.read_text()
        assert gpubench("logs") == Said(0, written, "")
        with log.open("a") as stream:
            stream.write("\n".join(text.replace("\n", " ") for text in HOSTILE))
        said = gpubench("logs", "--follow")
        assert said.out.startswith(written)
        assert all(line.isprintable() for line in said.out.split("\n"))
        log.unlink()
        assert_one_sentence(gpubench("logs"))

    def test_stop_of_a_run_that_has_ended_is_no_error(
        self, gpubench: Gpubench, finished: Run
    ) -> None:
        said = gpubench("stop", finished.id)
        assert (said.code, said.out) == (0, "")
        assert "has ended already" in said.err


class TestRefusedRuns:
    """A run that cannot be done ends in its preflight, and says why."""

    def test_weights_that_are_not_there(
        self, gpubench: Gpubench, command_line: CommandLine
    ) -> None:
        said = gpubench("run", "--weights", "nowhere.pt")
        assert said.code == 2
        events = [json.loads(line) for line in said.out.splitlines()]
        assert events[-1]["event"] == "run_finished"
        assert events[-1]["state"] == "failed"
        assert "nowhere.pt" in events[-1]["sentence"]
        assert gpubench("follow").out == said.out
        status = next(command_line.results.glob("runs/*/STATUS.md")).read_text()
        assert "- [ ] (failed) preflight" in status

    def test_quiet_says_nothing_on_stderr(self, gpubench: Gpubench) -> None:
        assert gpubench("run", "--weights", "nowhere.pt", "--quiet").err == ""

    def test_the_recorded_command_starts_the_same_run(self, gpubench: Gpubench) -> None:
        said = gpubench("run", "--weights", "no where.pt", "--leg", "xen", "--threads", "1")
        command = json.loads(said.out.splitlines()[0])["command"]
        assert command == ("gpubench-tui --no-ui run --leg xen --threads 1 --weights 'no where.pt'")

    def test_what_a_variable_set_is_in_the_recorded_command_too(
        self, gpubench: Gpubench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GPUBENCH_THREADS", "1")
        said = gpubench("run", "--weights", "nowhere.pt")
        command = json.loads(said.out.splitlines()[0])["command"]
        assert command == "gpubench-tui --no-ui run --threads 1 --weights nowhere.pt"

    def test_too_little_space_is_refused_before_anything_is_measured(
        self, gpubench: Gpubench, small_disk: Callable[[str], Path]
    ) -> None:
        said = gpubench("run", "--results-dir", str(small_disk("1m")))
        last = json.loads(said.out.splitlines()[-1])
        assert (last["event"], last["state"]) == ("run_finished", "failed")
        assert "disk space" in last["sentence"]
        assert said.code == last["exit_code"] == 1

    def test_a_full_disk_is_one_sentence_and_exit_one(
        self, gpubench: Gpubench, small_disk: Callable[[str], Path]
    ) -> None:
        disk = small_disk("64k")
        fill(disk)
        said = gpubench("run", "--results-dir", str(disk), "--quiet")
        assert said.code == 1
        last = json.loads(said.out.splitlines()[-1])
        assert (last["event"], last["state"]) == ("run_finished", "failed")
        assert "disk" in last["sentence"]
        assert said.err == ""


class TestPipes:
    """A reader that goes away is no error."""

    @pytest.mark.parametrize(
        "arguments", [("schema", "result"), ("config", "reference"), ("runs",), ("follow",)]
    )
    def test_a_closed_reader_gives_no_traceback(
        self, command_line: CommandLine, finished: Run, arguments: tuple[str, ...]
    ) -> None:
        process = command_line.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        # Closed before the command can have written anything.
        process.stdout.close()
        error = process.stderr.read()
        assert process.wait(60) == 0
        assert "Traceback" not in error
        assert "BrokenPipe" not in error

    def test_head_gets_its_line(self, command_line: CommandLine, finished: Run) -> None:
        answer = subprocess.run(
            ["bash", "-c", f"set -o pipefail; '{GPUBENCH}' schema result | head -1"],
            env=command_line.environment(),
            capture_output=True,
            text=True,
        )
        assert (answer.returncode, answer.stdout, answer.stderr) == (0, "{\n", "")


def test_a_terminal_gets_the_live_display_and_its_bytes_are_safe(
    command_line: CommandLine, finished: Run
) -> None:
    import os
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [GPUBENCH, "follow"],
        env={**command_line.environment(), "TERM": "xterm", "COLUMNS": "100"},
        cwd=command_line.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            piece = os.read(leader, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    assert process.wait(60) == 0
    text = shown.decode()
    assert "The run is done." in text
    assert "preflight" in text
    assert "Traceback" not in text
