"""A result is found by run, by leg or by path, and by none of them in place of another."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.results import RESULT_FILE
from core.errors import RunNotFoundError
from core.run.journal import Journal
from core.run.locate import locate_result
from tests.core.runs import named_run

RUN = "20260504-120000-local-baseline-abcd"


def make_result(folder: Path) -> Path:
    folder.mkdir(parents=True)
    path = folder / RESULT_FILE
    path.write_text("{}")
    return path


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "working"
    place.mkdir()
    monkeypatch.chdir(place)


@pytest.mark.parametrize("name", [RUN, RUN[:12], "latest"])
def test_a_run_by_its_names(journal: Journal, results: Path, name: str) -> None:
    run = named_run(journal, RUN, folder=results / "runs" / RUN)
    found = locate_result(name, results, journal)
    assert found.run == run
    assert found.path == results / "runs" / RUN / RESULT_FILE


def test_a_run_without_results_is_found_all_the_same(journal: Journal, results: Path) -> None:
    named_run(journal, RUN, folder=results / "runs" / RUN)
    assert not locate_result(RUN, results, journal).path.exists()


def test_a_leg_by_its_link(journal: Journal, results: Path) -> None:
    make_result(results / "runs" / RUN)
    (results / "xen").symlink_to(f"runs/{RUN}")
    found = locate_result("xen", results, journal)
    assert (found.path, found.run) == (results / "xen" / RESULT_FILE, None)


def test_a_path_to_a_file_or_to_its_folder(journal: Journal, results: Path) -> None:
    path = make_result(Path.cwd() / "somebody's")
    for name in (str(path), str(path.parent), f"{path.parent}/", "somebody's", "./somebody's"):
        found = locate_result(name, results, journal)
        assert found.path.resolve() == path.resolve()
        assert found.run is None


@pytest.mark.parametrize("name", [RUN, "latest"])
def test_a_runs_own_name_beats_folders_of_that_name(
    journal: Journal, results: Path, name: str
) -> None:
    run = named_run(journal, RUN, folder=results / "runs" / RUN)
    make_result(results / name)
    make_result(Path.cwd() / name)
    assert locate_result(name, results, journal).run == run


def test_a_leg_beats_the_beginning_of_a_run_and_a_folder(journal: Journal, results: Path) -> None:
    named_run(journal, "xen-run")
    make_result(Path.cwd() / "xen")
    leg = make_result(results / "xen")
    assert locate_result("xen", results, journal).path == leg


def test_a_beginning_of_two_runs_is_refused(journal: Journal, results: Path) -> None:
    for place in ("a", "b"):
        named_run(journal, f"20260504-{place}")
    with pytest.raises(RunNotFoundError, match="2 runs begin"):
        locate_result("2026", results, journal)


@pytest.mark.parametrize(
    "name",
    ["", "nobody", "latest", "../x", "a" * 5000, "\udcff", "nul\0", "\x1b[31m", "/", "."],
)
def test_nobody_is_one_sentence(journal: Journal, results: Path, name: str) -> None:
    with pytest.raises(RunNotFoundError, match="There is no run"):
        locate_result(name, results, journal)


def test_an_empty_name_is_not_the_working_folder(journal: Journal, results: Path) -> None:
    (Path.cwd() / RESULT_FILE).write_text("{}")
    with pytest.raises(RunNotFoundError):
        locate_result("", results, journal)
    assert locate_result(".", results, journal).path == Path(RESULT_FILE)
