"""``show``: one result, or two compared, found by name or path, printed or written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.results import RESULT_FILE, Result, write_result
from core.cli.completing import complete_result
from core.report.comparing import comparison_report
from core.report.export import SUFFIXES, render_comparison, render_result
from core.run.journal import Journal
from core.verdict.comparison import Request
from core.verdict.legs import Source
from core.verdict.model import Question
from tests.core.conftest import CommandLine, Said
from tests.core.runs import NOON, named_run
from tests.core.verdict.scene import legs

Gpubench = Callable[..., Said]
FIRST = "20260504-120000-local-baseline-aaaa"
SECOND = "20260504-130000-local-xen-bbbb"


@pytest.fixture
def pair(command_line: CommandLine) -> tuple[Result, Result]:
    """A baseline and a xen run with results, 5 % apart, each the latest of its leg."""
    made = []
    with Journal(command_line.state) as journal:
        both = legs(
            [100.0, 101.0, 99.0],
            [95.0, 95.95, 94.05],
            interleaved=False,
            of_first={"run_id": FIRST},
            of_second={"run_id": SECOND},
        )
        for (source,) in both:
            found = source.result
            folder = command_line.results / "runs" / found.run_id
            folder.mkdir(parents=True)
            write_result(found, folder / RESULT_FILE)
            (command_line.results / found.leg).symlink_to(f"runs/{found.run_id}")
            named_run(journal, found.run_id, leg=found.leg, folder=folder)
            made.append(found)
    return made[0], made[1]


def compared(pair: tuple[Result, Result], form: str) -> str:
    """What core.report makes of both, whenever."""
    sources = [(Source(found),) for found in pair]
    report = comparison_report(*sources, Request(), None, NOON)
    return at_any_time(render_comparison(report, form))  # type: ignore[arg-type]


def at_any_time(document: str) -> str:
    document = re.sub(r"Report of [-\d]+ [:\d]+ UTC", "Report of then", document)
    return re.sub(r'"written_at": "[^"]*"', '"written_at": "then"', document)


def assert_one_sentence(said: Said) -> None:
    assert (said.code, said.out) == (2, "")
    assert said.err.count("\n") == 1, said.err
    assert said.err.rstrip("\n").isprintable()


@pytest.mark.parametrize("form", ["text", "markdown", "csv", "json", "html"])
class TestFormats:
    """What is printed is what core.report makes, and nothing else."""

    def test_of_one_run(self, gpubench: Gpubench, pair: tuple[Result, Result], form: str) -> None:
        flags = () if form == "text" else (f"--{form}",)
        expected = render_result(pair[0], form)  # type: ignore[arg-type]
        assert gpubench("show", FIRST, *flags) == Said(0, expected, "")

    def test_of_two(self, gpubench: Gpubench, pair: tuple[Result, Result], form: str) -> None:
        flags = () if form == "text" else (f"--{form}",)
        said = gpubench("show", FIRST, SECOND, *flags)
        assert (said.code, said.err) == (0, "")
        assert at_any_time(said.out) == compared(pair, form)

    def test_into_a_file_by_its_ending(
        self, gpubench: Gpubench, pair: tuple[Result, Result], form: str, command_line: CommandLine
    ) -> None:
        name = f"report{SUFFIXES[form]}"  # type: ignore[index]
        said = gpubench("show", "baseline", "xen", "--output", name)
        assert (said.code, said.out) == (0, "")
        assert said.err == f"Written to {name}.\n"
        assert at_any_time((command_line.home / name).read_text()) == compared(pair, form)


class TestNames:
    """Runs, legs and paths, in any mixture."""

    def test_legs_and_paths_show_the_same_as_runs(
        self, gpubench: Gpubench, pair: tuple[Result, Result], command_line: CommandLine
    ) -> None:
        expected = at_any_time(gpubench("show", FIRST, SECOND).out)
        assert "+5.00" in expected
        folder = command_line.results / "runs"
        for names in (
            ("baseline", "xen"),
            (str(folder / FIRST), str(folder / SECOND / RESULT_FILE)),
            (FIRST[:14], "xen"),
            ("baseline", "results/xen"),
        ):
            assert at_any_time(gpubench("show", *names).out) == expected

    def test_the_default_is_the_latest(
        self, gpubench: Gpubench, pair: tuple[Result, Result]
    ) -> None:
        assert gpubench("show") == gpubench("show", "latest") == gpubench("show", SECOND)

    def test_the_order_of_the_legs_is_the_order_of_the_names(
        self, gpubench: Gpubench, pair: tuple[Result, Result]
    ) -> None:
        document = json.loads(gpubench("show", "xen", "baseline", "--json").out)
        assert (document["first"]["name"], document["second"]["name"]) == ("xen", "baseline")

    def test_one_leg_twice_is_asked_how_much_noise_there_is(
        self, gpubench: Gpubench, pair: tuple[Result, Result]
    ) -> None:
        document = json.loads(gpubench("show", FIRST, "baseline", "--json").out)
        assert document["question"] == Question.NOISE
        assert document["first"]["label"] != document["second"]["label"]
        document = json.loads(gpubench("show", "baseline", "xen", "--json").out)
        assert document["question"] == Question.OVERHEAD

    def test_nothing_is_written_and_a_refusal_is_no_failure(
        self, gpubench: Gpubench, pair: tuple[Result, Result], command_line: CommandLine
    ) -> None:
        before = sorted(map(str, command_line.home.rglob("*")))
        said = gpubench("show", "xen", "baseline")
        assert said.code == 0
        assert "Refused: " in said.out
        assert sorted(map(str, command_line.home.rglob("*"))) == before

    @pytest.mark.parametrize("names", [("baseline", "nobody"), ("nobody", "baseline"), ("", "")])
    def test_a_name_of_nothing(
        self, gpubench: Gpubench, pair: tuple[Result, Result], names: tuple[str, str]
    ) -> None:
        said = gpubench("show", *names)
        assert_one_sentence(said)
        assert "There is no run" in said.err

    @pytest.mark.parametrize("place", [0, 1])
    def test_a_run_without_results_says_what_to_look_at(
        self, gpubench: Gpubench, pair: tuple[Result, Result], command_line: CommandLine, place: int
    ) -> None:
        names = (FIRST, SECOND)
        (command_line.results / "runs" / names[place] / RESULT_FILE).unlink()
        said = gpubench("show", *names)
        assert_one_sentence(said)
        assert f"Run {names[place]}" in said.err
        assert f"logs {names[place]}" in said.err

    def test_a_damaged_second_result_prints_nothing_of_the_first(
        self, gpubench: Gpubench, pair: tuple[Result, Result], command_line: CommandLine
    ) -> None:
        (command_line.results / "runs" / SECOND / RESULT_FILE).write_text("{}")
        said = gpubench("show", FIRST, SECOND)
        assert_one_sentence(said)
        assert SECOND in said.err

    def test_runs_and_legs_complete(self, gpubench: Gpubench, pair: tuple[Result, Result]) -> None:
        assert complete_result("") == ["baseline", "xen", SECOND, FIRST]
        assert complete_result("b") == ["baseline"]
        assert complete_result("20260504-13") == [SECOND]


class TestOutput:
    """A report goes where it was asked to go, and over nothing."""

    def test_a_flag_beats_the_ending(
        self, gpubench: Gpubench, pair: tuple[Result, Result], command_line: CommandLine
    ) -> None:
        assert gpubench("show", "xen", "--csv", "--output", "report.md").code == 0
        expected = render_result(pair[1], "csv")
        assert (command_line.home / "report.md").read_text() == expected

    def test_an_unknown_ending_is_text(
        self, gpubench: Gpubench, pair: tuple[Result, Result], command_line: CommandLine
    ) -> None:
        assert gpubench("show", "xen", "--output", "report").code == 0
        assert (command_line.home / "report").read_text() == render_result(pair[1], "text")

    def test_a_file_that_is_there_is_replaced_only_by_force(
        self, gpubench: Gpubench, pair: tuple[Result, Result], command_line: CommandLine
    ) -> None:
        path = command_line.home / "report.md"
        path.write_text("mine")
        said = gpubench("show", "xen", "--output", "report.md")
        assert_one_sentence(said)
        assert "--force" in said.err
        assert path.read_text() == "mine"
        assert gpubench("show", "xen", "--output", "report.md", "--force").code == 0
        assert path.read_text() == render_result(pair[1], "markdown")

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--force",),
            ("--output", "nowhere/report.md"),
            ("--output", "results"),
            ("--output", "results", "--force"),
            ("--output", ""),
            ("--output", "\x1b[31m/report.md"),
            ("--json", "--html"),
        ],
    )
    def test_what_cannot_be_written_is_one_sentence(
        self,
        gpubench: Gpubench,
        pair: tuple[Result, Result],
        command_line: CommandLine,
        arguments: tuple[str, ...],
    ) -> None:
        before = sorted(map(str, command_line.home.rglob("*")))
        assert_one_sentence(gpubench("show", "xen", *arguments))
        assert sorted(map(str, command_line.home.rglob("*"))) == before

    def test_results_are_read_before_anything_is_written(
        self, gpubench: Gpubench, pair: tuple[Result, Result], command_line: CommandLine
    ) -> None:
        assert_one_sentence(gpubench("show", "nobody", "--output", "report.md"))
        assert not Path(command_line.home / "report.md").exists()
