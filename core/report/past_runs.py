"""Finds the runs that a history is made of, in the journal and in the results folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from benchmark.errors import InputError, ResultFileError
from benchmark.plan import Plan
from benchmark.results import RESULT_FILE
from core.errors import JournalError
from core.report.reading import read_source
from core.run.journal import Journal, Run
from core.run.launch import RUNS_FOLDER
from core.run.locate import locate_result
from core.verdict.history import History, StoredRun, history_of, is_same_plan
from core.verdict.plans import deciding

MOST_RUNS = 500
"""So many runs a history has at most, the newest."""

_LATEST = "latest"
# 20261123-101500-kubernetes-baseline-e5e6 (core/run/launch.py)
_ID = re.compile(r"\d{8}-\d{6}-([a-z]+)-.+")


@dataclass(frozen=True, slots=True)
class FoundHistory:
    """A history, and what could not be read of it."""

    history: History
    skipped: tuple[str, ...]
    """A sentence for each run whose result is missing or cannot be used."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a run's result is, or would be."""

    id: str
    path: Path
    run: Run | None
    """None: the journal does not know it."""


class PastRuns:
    """The runs of one journal and one results folder, each result read once at most."""

    def __init__(
        self, journal: Journal, results_dir: Path, now: datetime, most: int = MOST_RUNS
    ) -> None:
        self._most = most
        self._journal = journal
        self._results_dir = results_dir
        self._now = now
        self._skipped: dict[str, str] = {}
        self._ids: frozenset[str] = frozenset()

    def history(self, name: str = _LATEST) -> FoundHistory:
        """Return the history of the plan of the run, leg or result file that ``name`` means.

        Raises:
            RunNotFoundError: nothing, or more than one run, answers to ``name``.
            ResultFileError: the named result cannot be used.
            InputError: there is no result yet, or none of that plan can be used.
            JournalError: the journal cannot be read.
        """
        places = self._places()
        anchor = self._newest(places) if name == _LATEST else self._named(name)
        # What was skipped on the way to the newest is told only where it is of the same plan.
        self._skipped.clear()
        of_plan = (self._of_plan(place, anchor) for place in places)
        stored = list(islice((found for found in of_plan if found is not None), self._most))
        history = history_of(anchor, stored)
        if not history.runs:
            raise InputError(
                f"No run of the plan of {anchor.result.run_id} can be used: "
                f"{' '.join(history.left_out)}",
                "A history needs runs that measured everything they had planned.",
            )
        skipped = list(self._skipped.values())
        if len(stored) == self._most:
            skipped.append(f"Only the newest {self._most} runs of the plan are looked at.")
        return FoundHistory(history, tuple(skipped))

    def _named(self, name: str) -> StoredRun:
        located = locate_result(name, self._results_dir, self._journal)
        if located.run is not None and not os.path.isfile(located.path):
            raise InputError(
                f"Run {located.run.id} ({self._journal.state_now(located.run, self._now)}) has no "
                "results.",
                f"gpubench-tui --no-ui logs {located.run.id} tells what happened.",
            )
        result = read_source(located.path).result
        known = located.run or next(
            (run for run in self._journal.runs() if run.id == result.run_id), None
        )
        return StoredRun(result, known.target if known else _target(result.run_id))

    def _newest(self, places: Sequence[_Place]) -> StoredRun:
        # ``latest`` is the journal's latest, as everywhere, and another machine's only without one.
        for place in sorted(places, key=lambda place: place.run is None):
            found = self._read(place)
            if found is not None and found.result.complete:
                return found
        raise InputError(
            "No run has results yet.", "gpubench-tui --no-ui run starts one; history comes of many."
        )

    def _places(self) -> list[_Place]:
        """Return where results may be, the newest first."""
        runs = self._journal.runs()
        places = {run.id: _Place(run.id, run.folder / RESULT_FILE, run) for run in runs}
        for folder in _folders(self._results_dir / RUNS_FOLDER):
            places.setdefault(folder.name, _Place(folder.name, folder / RESULT_FILE, None))
        self._ids = frozenset(places)
        return sorted(places.values(), key=lambda place: place.id, reverse=True)

    def _of_plan(self, place: _Place, anchor: StoredRun) -> StoredRun | None:
        """Return a run of the anchor's plan; None for one of another, or that cannot be read."""
        if place.run is not None and not self._may_be_of_plan(place.run, anchor):
            return None
        found = self._read(place)
        return found if found is not None and is_same_plan(anchor, found) else None

    def _may_be_of_plan(self, run: Run, anchor: StoredRun) -> bool:
        if (run.leg, run.target) != (anchor.result.leg, anchor.target):
            return False
        plan = self._plan(run)
        return plan is None or deciding(plan) == deciding(anchor.result.plan)

    def _plan(self, run: Run) -> Plan | None:
        try:
            return self._journal.plan(run.id)
        except JournalError as problem:
            self._skipped[run.id] = str(problem)
            return None

    def _read(self, place: _Place) -> StoredRun | None:
        run = place.run
        # Unlike opening, this does not wait at a named pipe for somebody to write.
        if not os.path.isfile(place.path):
            if run is None:
                return None
            state = self._journal.state_now(run, self._now)
            if state.ended:
                self._skipped[run.id] = f"Run {run.id} ({state}) has no results."
            return None
        try:
            result = read_source(place.path).result
        except ResultFileError as problem:
            self._skipped[place.id] = f"Run {place.id} is skipped: {problem}"
            return None
        if run is not None and result.run_id != run.id:
            self._skipped[run.id] = (
                f"Run {run.id} is skipped: {place.path} holds the result of run {result.run_id}."
            )
            return None
        if run is None and result.run_id != place.id and result.run_id in self._ids:
            # A copy of a run that is here itself.
            return None
        self._skipped.pop(place.id, None)
        return StoredRun(result, run.target if run else _target(result.run_id))


def _folders(place: Path) -> Iterator[Path]:
    try:
        with os.scandir(place) as entries:
            yield from (Path(entry.path) for entry in entries if entry.is_dir())
    except OSError:
        # No results folder yet, or one that may not be read: the journal's runs are left.
        return


def _target(run_id: str) -> str:
    """Return what a run's id says of its target, where the journal does not know the run."""
    match = _ID.fullmatch(run_id)
    return match.group(1) if match else ""
