"""The runs of a study by leg: folders that ``compare`` takes as it takes any folder of results."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from benchmark.errors import writing


def link_runs(place: Path, runs: Iterable[Path]) -> None:
    """Let ``place`` hold a folder for each run's folder, with all files that lie in it. They are
    hard links, which take no room: a symbolic one would lead out of the result's folder, where raw
    files are not looked for. Where there are no hard links they are copies.

    Raises:
        OutputError, DiskFullError: they cannot be made.
    """
    with writing(place):
        for run in runs:
            shutil.copytree(run, place / run.name, copy_function=_linked, dirs_exist_ok=True)


def _linked(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except FileExistsError:
        # From an earlier look.
        return target
    except OSError:
        shutil.copy2(source, target)
    return target
