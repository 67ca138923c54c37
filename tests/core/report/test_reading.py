"""A folder of results is a leg in which each result is once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy
import pytest

from core.report.reading import read_leg
from core.run.journal import Journal
from tests.core.verdict.raw_scene import raw_source


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with its raw files, in a folder that comes last."""
    random = numpy.random.default_rng(1)
    latencies = [(10e6 * random.lognormal(0, 0.02, 500)).astype(numpy.int64) for _ in range(3)]
    folder = tmp_path / "leg" / "run"
    raw_source(folder, latencies)
    return folder


def test_of_copies_the_one_with_its_raw_files_is_taken(run: Path, tmp_path: Path) -> None:
    # Before and after it: what was copied, and lost its files, wholly or in part.
    for name in ("a-copy", "z-copy"):
        shutil.copytree(run, run.parent / name)
    shutil.rmtree(run.parent / "a-copy" / "measurements")
    next((run.parent / "z-copy").rglob("*.npy")).unlink()
    with Journal(tmp_path) as journal:
        (found,) = read_leg(str(run.parent), tmp_path, journal)
    assert found.folder == run


def test_of_equal_copies_the_first_is_taken(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, run.parent / "a-copy")
    with Journal(tmp_path) as journal:
        (found,) = read_leg(str(run.parent), tmp_path, journal)
    assert found.folder == run.parent / "a-copy"
