"""Finds the result file that a person names: by run, by leg or by path."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from benchmark.plan import LEG_PATTERN, RUN_ID_PATTERN
from benchmark.results import RESULT_FILE
from core.errors import RunNotFoundError
from core.run.journal import Journal, Run


@dataclass(frozen=True, slots=True)
class Located:
    """Where a result is."""

    path: Path
    """The result file; it may be missing when a run was named that has none."""
    run: Run | None
    """The run, when it was found by the journal."""


def locate_result(name: str, results_dir: Path, journal: Journal) -> Located:
    """Return the result that ``name`` means: a run's id or ``latest``, a leg that has a good run,
    a result file or the folder of one, or the unique beginning of a run's id, in this order.

    Raises:
        RunNotFoundError: nothing, or more than one run, answers to it.
        JournalError: the journal cannot be read.
    """
    begins: Run | None = None
    refused: RunNotFoundError | None = None
    # The journal knows no other names, and SQLite takes no text that is not Unicode.
    if re.fullmatch(RUN_ID_PATTERN, name):
        try:
            begins = journal.run(name)
        except RunNotFoundError as error:
            refused = error
    if begins is not None and name in (begins.id, "latest"):
        return _of_run(begins)
    found = _leg(name, results_dir) or _path(name)
    if found is not None:
        return Located(found, None)
    if begins is not None:
        return _of_run(begins)
    if refused is not None and any(run.id.startswith(name) for run in journal.runs()):
        raise refused
    raise RunNotFoundError(
        f"There is no run {name!r}, and no leg or result file of that name.",
        "`gpubench-tui --no-ui runs` lists the runs.",
    )


def _of_run(run: Run) -> Located:
    return Located(run.folder / RESULT_FILE, run)


def _leg(name: str, results_dir: Path) -> Path | None:
    if not re.fullmatch(LEG_PATTERN, name):
        return None
    path = results_dir / name / RESULT_FILE
    return path if os.path.isfile(path) else None


def _path(name: str) -> Path | None:
    if not name:
        return None
    given = Path(name)
    # Unlike Path.is_file, os.path.isfile answers no for a name that is too long.
    return next((path for path in (given, given / RESULT_FILE) if os.path.isfile(path)), None)
