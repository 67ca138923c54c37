"""The runs of a study by leg: folders that ``compare`` takes as it takes any folder of results."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from benchmark.errors import writing


def link_runs(place: Path, runs: Iterable[Path]) -> None:
    """Let ``place`` hold a folder for each run's folder, with links to all that lies in it. They
    are relative, so the results' folder can be moved; to the folder itself there is none, because
    a search through folders follows no such links.

    Raises:
        OutputError, DiskFullError: they cannot be made.
    """
    with writing(place):
        for run in runs:
            folder = place / run.name
            folder.mkdir(parents=True, exist_ok=True)
            for entry in run.iterdir():
                link = folder / entry.name
                if not link.is_symlink():
                    link.symlink_to(os.path.relpath(entry, folder))
