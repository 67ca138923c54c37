"""``compare``: legs by any name, the documents, what is printed, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchmark.errors import InputError
from benchmark.results import RESULT_FILE, write_result
from core.cli.compare import target_overhead
from core.run.journal import Journal
from core.verdict.keys import KEYS
from core.verdict.legs import Source
from tests.core.conftest import CommandLine, Said
from tests.core.runs import named_run
from tests.core.verdict.scene import legs

Gpubench = Callable[..., Said]
Write = Callable[..., tuple[str, str]]
BLOCKS = [100.0, 101.0, 99.0, 100.5]


def slower(factor: float) -> list[float]:
    return [value * factor for value in BLOCKS]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write both legs, one result a run, and return their folders."""

    def written(
        second: Sequence[float] = BLOCKS, first: Sequence[float] = BLOCKS, **options: object
    ) -> tuple[str, str]:
        both = legs(list(first), list(second), **options)  # type: ignore[arg-type]
        for name, leg in zip(("first", "second"), both, strict=True):
            for source in leg:
                folder = tmp_path / name / source.result.run_id
                folder.mkdir(parents=True, exist_ok=True)
                write_result(source.result, folder / RESULT_FILE)
        return str(tmp_path / "first"), str(tmp_path / "second")

    return written


def assert_one_sentence(said: Said) -> None:
    assert (said.code, said.out) == (2, "")
    assert said.err.count("\n") == 1, said.err
    assert said.err.rstrip("\n").isprintable()


class TestVerdict:
    """The exit code is the verdict."""

    @pytest.mark.parametrize(
        ("second", "code", "word"),
        [
            (slower(0.99), 0, "within target"),
            (slower(0.9), 3, "exceeds target"),
            ([90.0, 105.0, 95.0, 101.0], 4, "inconclusive"),
        ],
    )
    def test_of_two_folders(
        self, gpubench: Gpubench, write: Write, second: list[float], code: int, word: str
    ) -> None:
        said = gpubench("compare", *write(second))
        assert said.code == code
        assert said.out.startswith(f"xen against baseline: {word}\n")
        assert "throughput (samples/s)" in said.out
        assert "In every pair baseline was measured first" in said.out

    def test_void_blocks_and_layers_are_told(self, gpubench: Gpubench, write: Write) -> None:
        blocks = [100.0, 101.0, 99.0, 100.5, 100.2, 99.7]
        names = write(blocks, blocks, of_second={"void": {2: "the GPU was lent to others"}})
        said = gpubench("compare", *names)
        assert "Blocks that are void" in said.out
        assert "the GPU was lent to others." in said.out
        assert "Measured under: baseline: bare-metal; xen: " in said.out

    def test_of_legs_that_differ_in_more(self, gpubench: Gpubench, write: Write) -> None:
        names = write(slower(0.99), of_second={"gpu": {"driver_version": "1"}})
        said = gpubench("compare", *names)
        assert said.code == 4
        assert "driver: The GPU's driver is not the same: 550.90.07 and 1." in said.out
        allowed = gpubench("compare", *names, "--allow", "driver")
        assert allowed.code == 4
        assert "inconclusive" in allowed.out.splitlines()[0]
        assert "--allow driver" in allowed.out

    def test_by_the_target_that_is_asked_for(self, gpubench: Gpubench, write: Write) -> None:
        names = write(slower(0.9))
        assert gpubench("compare", *names, "--target-overhead", "15%").code == 0
        assert gpubench("compare", *names, "--target-overhead", "5").code == 3

    def test_of_the_same_leg_twice(self, gpubench: Gpubench, write: Write) -> None:
        names = write(labels=("baseline", "baseline"))
        assert gpubench("compare", *names).code == 4
        said = gpubench("compare", *names, "--same")
        assert said.code == 0
        assert "Equal legs come out less than 5 % apart" in said.out

    def test_with_a_noise_floor(self, gpubench: Gpubench, write: Write, tmp_path: Path) -> None:
        first, second = write(slower(0.99))
        loud = legs([100.0, 70, 120, 90], [80.0, 130, 99, 60], labels=("baseline", "baseline"))
        places = []
        for name, leg in zip(("a", "b"), loud, strict=True):
            for number, source in enumerate(leg):
                folder = tmp_path / name / str(number)
                folder.mkdir(parents=True)
                write_result(source.result, folder / RESULT_FILE)
            places.append(str(tmp_path / name))
        said = gpubench("compare", first, second, "--noise", *places)
        assert said.code == 4
        assert "noise was not shown to be below the target" in said.out


class TestDocuments:
    """Three documents beside each other, each whole."""

    def test_they_go_to_the_results(
        self, gpubench: Gpubench, write: Write, command_line: CommandLine
    ) -> None:
        said = gpubench("compare", *write())
        for ending in ("md", "json", "html"):
            path = command_line.results / f"comparison.{ending}"
            assert path.stat().st_size
            assert str(path) in said.err
        assert json.loads((command_line.results / "comparison.json").read_text())

    def test_they_replace_those_of_an_earlier_comparison(
        self, gpubench: Gpubench, write: Write, command_line: CommandLine
    ) -> None:
        gpubench("compare", *write(slower(0.9)))
        path = command_line.results / "comparison.md"
        assert "exceeds target" in path.read_text()
        gpubench("compare", *write(slower(0.99)))
        assert "within target" in path.read_text().splitlines()[0]

    @pytest.mark.parametrize("name", ["report.md", "report"])
    def test_they_go_where_they_are_asked_to(
        self, gpubench: Gpubench, write: Write, command_line: CommandLine, name: str
    ) -> None:
        gpubench("compare", *write(), "--output", name)
        made = {path.name for path in command_line.home.glob("report*")}
        assert made == {name, "report.json", "report.html"}
        assert not command_line.results.exists()

    def test_json_is_printed_as_it_is_written(
        self, gpubench: Gpubench, write: Write, command_line: CommandLine
    ) -> None:
        said = gpubench("compare", *write(slower(0.9)), "--json", "--quiet")
        assert (said.code, said.err) == (3, "")
        assert said.out == (command_line.results / "comparison.json").read_text()
        assert json.loads(said.out)

    def test_no_result_is_written_over(
        self, gpubench: Gpubench, write: Write, tmp_path: Path
    ) -> None:
        first, second = write()
        run = next(Path(first).iterdir())
        before = (run / RESULT_FILE).read_bytes()
        said = gpubench("compare", first, second, "--output", str(run / "benchmark_results.md"))
        assert_one_sentence(said)
        assert "written over a result" in said.err
        assert (run / RESULT_FILE).read_bytes() == before

    @pytest.mark.parametrize("name", ["report.json", "no/such/folder/report.md", "a\0b", "."])
    def test_a_place_that_cannot_be_is_one_sentence(
        self, gpubench: Gpubench, write: Write, name: str
    ) -> None:
        assert_one_sentence(gpubench("compare", *write(), "--output", name))


class TestNames:
    """Runs, legs, files and folders, as everywhere else."""

    def test_a_run_a_leg_and_a_file(self, gpubench: Gpubench, command_line: CommandLine) -> None:
        first, second = (leg[0] for leg in legs(BLOCKS, slower(0.99), interleaved=False))
        with Journal(command_line.state) as journal:
            for source in (first, second):
                self.stored(source, journal, command_line)
        runs = first.result.run_id, second.result.run_id
        expected = gpubench("compare", *runs)
        assert expected.code == 0
        file = command_line.results / "runs" / runs[1] / RESULT_FILE
        for names in (("baseline", "xen"), (runs[0], str(file)), ("baseline", str(file.parent))):
            assert gpubench("compare", *names).out == expected.out

    @staticmethod
    def stored(source: Source, journal: Journal, command_line: CommandLine) -> None:
        run_id, leg = source.result.run_id, source.result.leg
        folder = command_line.results / "runs" / run_id
        folder.mkdir(parents=True)
        write_result(source.result, folder / RESULT_FILE)
        (command_line.results / leg).symlink_to(f"runs/{run_id}")
        named_run(journal, run_id, leg=leg, folder=folder)

    @pytest.mark.parametrize("name", ["nobody", "", "/dev/zero", "a\nb\x1b[2J"])
    def test_a_name_of_nothing(self, gpubench: Gpubench, write: Write, name: str) -> None:
        first, _ = write()
        assert_one_sentence(gpubench("compare", first, name))
        assert_one_sentence(gpubench("compare", first, first, "--noise", name, first))

    def test_a_run_without_results(self, gpubench: Gpubench, command_line: CommandLine) -> None:
        with Journal(command_line.state) as journal:
            named_run(journal, "empty-run")
        said = gpubench("compare", "empty-run", "empty-run")
        assert_one_sentence(said)
        assert "has no results" in said.err


class TestWords:
    """Wrong words are one sentence, before anything is read or written."""

    @pytest.mark.parametrize(
        ("text", "fraction"),
        [
            ("5%", 0.05),
            ("5 %", 0.05),
            ("5", 0.05),
            (" 2.5% ", 0.025),
            ("0.5%", 0.005),
            (".5%", 0.005),
            ("99.9", 0.999),
            (None, 0.05),
        ],
    )
    def test_a_target(self, text: str | None, fraction: float) -> None:
        assert target_overhead(text) == pytest.approx(fraction)

    @pytest.mark.parametrize(
        "text",
        ["", "0", "0%", "100", "100%", "-5%", "five", "5%%", "1e1", "nan", "inf", "5 0", "\u0665"],
    )
    def test_no_target(self, text: str) -> None:
        with pytest.raises(InputError, match="no percentage"):
            target_overhead(text)

    def test_a_target_that_could_be_two(self) -> None:
        with pytest.raises(InputError, match=r"could be 0\.05 % or 5 %") as caught:
            target_overhead("0.05")
        assert caught.value.remedy == "Say 0.05% or 5%."

    def test_an_unknown_key_lists_them_all(
        self, gpubench: Gpubench, command_line: CommandLine
    ) -> None:
        said = gpubench("compare", "nobody", "nobody", "--allow", "kernel")
        assert_one_sentence(said)
        assert all(key in said.err for key in KEYS)
        assert not command_line.state.exists()

    def test_the_noise_of_the_noise(self, gpubench: Gpubench) -> None:
        said = gpubench("compare", "a", "b", "--same", "--noise", "a", "b")
        assert_one_sentence(said)
