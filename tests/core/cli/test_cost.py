"""``cost`` and what `show` says of it: past runs, one run's lines, and never a zero for unknown."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from benchmark.results import RESULT_FILE, Result, write_result
from core.report.costs import run_cost
from core.report.export import FORMATS, render_result
from core.run.events import RunState
from core.run.journal import Journal
from core.run.journal_file import FILE_NAME
from tests.core.conftest import CommandLine, Said
from tests.core.costs import after, deleted, ended, event, session, started
from tests.core.outcomes import measurement, result
from tests.core.runs import named_run
from tests.core.verdict.scene import a_result

Gpubench = Callable[..., Said]
FIRST = "20260504-120000-gke-baseline-aaaa"
SECOND = "20260504-130000-gke-xen-bbbb"
FREE = "20260504-110000-local-baseline-cccc"


@pytest.fixture
def runs(command_line: CommandLine) -> tuple[Result, Result]:
    """A baseline and a xen run that cost something, and one on this machine."""
    made = []
    with Journal(command_line.state) as journal:
        ended_at = {"state": RunState.DONE, "finished_at": after(3700), "exit_code": 0}
        named_run(journal, FREE, **ended_at)
        for name, leg, rate in ((FIRST, "baseline", 1000), (SECOND, "xen", 500)):
            folder = command_line.results / "runs" / name
            folder.mkdir(parents=True)
            found = result(
                measurement(rate, started_at=after(2000), duration_s=60.0), run_id=name, leg=leg
            )
            write_result(found, folder / RESULT_FILE)
            named_run(journal, name, leg=leg, target="gke", folder=folder, **ended_at)
            for told in session():
                journal.append(name, told.record, time=told.time)
            made.append(found)
    return made[0], made[1]


def add(command_line: CommandLine, run: str, *records: object) -> None:
    with Journal(command_line.state) as journal:
        for record in records:
            told = event(record)  # type: ignore[arg-type]
            journal.append(run, told.record, time=told.time)


class TestList:
    """All runs with their sums."""

    def test_each_run_leg_and_measurement_has_its_figure(
        self, gpubench: Gpubench, runs: tuple[Result, Result]
    ) -> None:
        said = gpubench("cost")
        assert said.code == 0
        lines = said.out.splitlines()
        for name in (FIRST, SECOND):
            (line,) = [line for line in lines if line.startswith(name)]
            assert "$0.3750" in line
        assert any(line.split() == ["baseline", "1", "$0.3750"] for line in lines)
        assert any(line.split() == ["xen", "singlestream-b1", "1", "$0.3611"] for line in lines), (
            said.out
        )
        assert FREE not in said.out
        assert "1 run has no known cost" in said.err
        assert "$0.0000" not in said.out

    def test_as_json(self, gpubench: Gpubench, runs: tuple[Result, Result]) -> None:
        document = json.loads(gpubench("cost", "--json").out)
        assert {entry["id"] for entry in document["runs"]} == {FIRST, SECOND}
        assert document["legs"] == [
            {"leg": leg, "runs": 1, "usd": pytest.approx(0.375), "unpriced_runs": 0}
            for leg in ("baseline", "xen")
        ]
        first, second = document["usd_per_million_inferences"]
        assert (first["leg"], first["median"]) == ("baseline", pytest.approx(0.65 / 3.6))
        assert (second["leg"], second["median"]) == ("xen", pytest.approx(0.65 / 1.8))

    def test_a_run_without_results_still_cost_something(
        self, gpubench: Gpubench, runs: tuple[Result, Result], command_line: CommandLine
    ) -> None:
        (command_line.results / "runs" / SECOND / RESULT_FILE).unlink()
        said = gpubench("cost")
        assert SECOND in said.out
        assert "$0.3611" not in said.out

    def test_what_is_billed_still_is_said_with_its_rate(
        self, gpubench: Gpubench, runs: tuple[Result, Result], command_line: CommandLine
    ) -> None:
        add(command_line, FIRST, started("node", "lost", 0.54, 4000))
        said = gpubench("cost")
        (line,) = [line for line in said.out.splitlines() if line.startswith(FIRST)]
        assert "and growing" in line
        assert line.endswith("$0.5400")
        assert "Billed still, as far as the run's events tell: node lost." in said.out

    def test_nothing_yet(self, gpubench: Gpubench) -> None:
        said = gpubench("cost")
        assert (said.code, said.out) == (0, "")
        assert "no runs yet" in said.err
        assert json.loads(gpubench("cost", "--json").out)["runs"] == []

    def test_a_run_that_cannot_be_read_hides_no_other(
        self, gpubench: Gpubench, runs: tuple[Result, Result], command_line: CommandLine
    ) -> None:
        with closing(sqlite3.connect(command_line.state / FILE_NAME)) as connection:
            connection.execute(
                "UPDATE events SET line = replace(line, '\"since\"', '\"sinse\"') WHERE run = ?",
                (FIRST,),
            )
            connection.commit()
        said = gpubench("cost")
        assert said.code == 1
        assert SECOND in said.out
        assert FIRST not in said.out
        assert f"of run {FIRST}" in said.err
        assert gpubench("show", FIRST).code == 0
        assert gpubench("cost", FIRST).code == 1


class TestOne:
    """One run's lines."""

    def test_what_was_billed_from_when_to_when_at_which_price_from_which_source(
        self, gpubench: Gpubench, runs: tuple[Result, Result]
    ) -> None:
        out = gpubench("cost", FIRST).out
        assert f"Run {FIRST} (done, leg baseline): $0.3750" in out
        (line,) = [line for line in out.splitlines() if line.startswith("node gpu-1")]
        assert line.split()[2:] == [
            *("2026-05-04", "12:20:00", "2026-05-04", "12:50:00"),
            *("30", "min", "00", "s", "$0.5400", "$0.2700"),
        ]
        (part,) = [line for line in out.splitlines() if line.startswith("a node")]
        assert part.split(maxsplit=4)[2:] == [
            *("$0.5400", "$0.2700"),
            "shipped prices as of 2026-11-22: a list",
        ]
        assert "singlestream-b1  $0.6500" in out

    def test_as_json(self, gpubench: Gpubench, runs: tuple[Result, Result]) -> None:
        document = json.loads(gpubench("cost", FIRST[:14], "--json").out)
        assert document["id"] == FIRST
        assert document["cost"]["usd"] == pytest.approx(0.375)
        node = next(line for line in document["cost"]["lines"] if line["kind"] == "node")
        assert (node["since"], node["until"]) == (
            "2026-05-04T12:20:00+00:00",
            "2026-05-04T12:50:00+00:00",
        )
        assert node["prices"][0]["source"].startswith("shipped prices")
        assert document["measurements"][0]["usd_per_million_inferences"] == pytest.approx(
            0.65 / 3.6
        )

    def test_of_a_run_without_cost_it_says_so_and_prints_no_zero(
        self, gpubench: Gpubench, runs: tuple[Result, Result]
    ) -> None:
        said = gpubench("cost", FREE)
        assert (said.code, said.out) == (0, "")
        assert "no cost is known" in said.err
        assert json.loads(gpubench("cost", FREE, "--json").out)["cost"] is None

    def test_a_price_that_is_not_known(
        self, gpubench: Gpubench, runs: tuple[Result, Result], command_line: CommandLine
    ) -> None:
        add(
            command_line,
            FREE,
            started("node", "odd", 0, priced=False),
            ended("node", "odd", 60),
            deleted("node", "odd"),
        )
        out = gpubench("cost", FREE).out
        assert "no price known" in out
        assert "$0" not in out
        assert "no price known" in gpubench("cost").out
        assert json.loads(gpubench("cost", FREE, "--json").out)["cost"]["usd"] is None

    def test_a_name_of_nothing(self, gpubench: Gpubench, runs: tuple[Result, Result]) -> None:
        said = gpubench("cost", "nobody")
        assert (said.code, said.out) == (2, "")
        assert "There is no run" in said.err


@pytest.mark.parametrize("form", FORMATS)
def test_show_tells_what_its_run_cost(
    gpubench: Gpubench, runs: tuple[Result, Result], command_line: CommandLine, form: str
) -> None:
    flags = () if form == "text" else (f"--{form}",)
    with Journal(command_line.state) as journal:
        cost = run_cost(journal, FIRST, after(9000))
    one = render_result(runs[0], form, cost)  # type: ignore[arg-type]
    path = str(Path(command_line.results / "runs" / FIRST))
    assert gpubench("show", FIRST, *flags).out == gpubench("show", path, *flags).out == one


def test_show_tells_what_both_of_its_runs_cost(
    gpubench: Gpubench, runs: tuple[Result, Result], command_line: CommandLine
) -> None:
    for name, leg, rate in ((FIRST, "baseline", 1000.0), (SECOND, "xen", 500.0)):
        whole = a_result([rate] * 3, leg=leg, run_id=name, started_at=after(2000))
        write_result(whole, command_line.results / "runs" / name / RESULT_FILE)
    cost = json.loads(gpubench("show", FIRST, SECOND, "--json").out)["cost"]
    assert [cost[leg]["usd"] for leg in ("first", "second")] == [pytest.approx(0.375)] * 2
    (row,) = cost["rows"]
    assert row["difference_percent"] == pytest.approx(100)
    shown = gpubench("show", FIRST, SECOND).out
    assert "cost of baseline: $0.3750" in shown
    assert "+100.00" in shown
