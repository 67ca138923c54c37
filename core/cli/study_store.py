"""Where a study is kept: ``RESULTS/studies/<id>/study.json``, written before a run is started and
after, so that a kill at any instant loses the block under way at most.
"""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError

from benchmark.errors import InputError, writing
from benchmark.files import write_atomically
from benchmark.plan import RUN_ID_PATTERN
from benchmark.validation import Record, sentence_of
from core.verdict.study import Block, End, Entry, StudyPlan
from core.verdict.study_course import next_step

STUDIES_FOLDER = "studies"
STUDY_FILE = "study.json"
_LOCK_FILE = "study.lock"
# A thousand blocks take some hundred kilobytes.
_LARGEST_FILE = 16 * 2**20


class StudyFileError(InputError):
    """A study's file that is not ours, is broken, or was edited."""


class UnderWay(Record):
    """A run that was to be started, and perhaps was."""

    block: Block
    note: str
    """What stands in the run's first event: by this it is found again."""
    run: str = ""
    """Its id; empty: not known to have been started."""


class StudyState(Record):
    """The whole of ``study.json``."""

    schema_version: Literal[1] = 1
    plan: StudyPlan
    done: tuple[Entry, ...] = ()
    under_way: UnderWay | None = None
    ended: End | None = None
    """With its comparison written down."""


class StudyStore:
    """One study's folder, locked for this process. A context manager.

    Raises (all methods):
        OutputError, DiskFullError: the folder cannot be written.
    """

    def __init__(self, folder: Path, state: StudyState, lock: int) -> None:
        self.folder = folder
        self.state = state
        self._lock = lock

    @classmethod
    def create(cls, results_dir: Path, plan: StudyPlan) -> StudyStore:
        """Write a new study down."""
        folder = results_dir / STUDIES_FOLDER / plan.id
        with writing(folder):
            folder.mkdir(parents=True)
        store = cls(folder, StudyState(plan=plan), _locked(folder))
        store.update()
        return store

    @classmethod
    def open(cls, results_dir: Path, name: str) -> StudyStore:
        """Take a study up: by its id, the unique beginning of one, or ``latest``: the latest that
        has not ended, or where all have, the latest.

        Raises:
            InputError: none, or more than one, answers to it; another process works on it.
            StudyFileError: its file cannot be read.
        """
        folder = _find(results_dir / STUDIES_FOLDER, name)
        lock = _locked(folder)
        try:
            return cls(folder, read_study(folder / STUDY_FILE), lock)
        except BaseException:
            os.close(lock)
            raise

    def update(self, **changes: Any) -> None:
        """Write the file with these fields changed."""
        self.state = self.state.model_copy(update=changes)
        write_atomically(self.folder / STUDY_FILE, self.state.model_dump_json(indent=1) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)


def read_study(path: Path) -> StudyState:
    """Read a study's file with suspicion.

    Raises:
        StudyFileError: it cannot be read, or does not follow from its own plan.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise StudyFileError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > _LARGEST_FILE:
        raise StudyFileError(f"{path} is larger than {_LARGEST_FILE >> 20} MiB; no study's is.")
    try:
        state = StudyState.model_validate_json(data)
    except ValidationError as error:
        raise StudyFileError(f"{path} is no study's file: {sentence_of(error)}.") from error
    try:
        next_step(state.plan, state.done)
    except ValueError as error:
        raise StudyFileError(
            f"{path} was edited: {error}.", "Begin a new study; the runs are still there."
        ) from error
    return state


def _find(studies: Path, name: str) -> Path:
    names = sorted(path.parent.name for path in studies.glob(f"*/{STUDY_FILE}"))
    if name == "latest":
        found = [each for each in names if not _has_ended(studies / each)][-1:] or names[-1:]
    else:
        found = [each for each in names if each == name] or [
            each for each in names if re.match(RUN_ID_PATTERN, name) and each.startswith(name)
        ]
    if len(found) == 1:
        return studies / found[0]
    if found:
        raise InputError(f"{len(found)} studies begin with {name!r}.", "Type more of the id.")
    known = f"There are {', '.join(names[-5:])}." if names else "There is none yet."
    wanted = "no study" if name == "latest" else f"no study {name!r}"
    raise InputError(f"{studies} holds {wanted}.", known)


def _has_ended(folder: Path) -> bool:
    """One that cannot be read has not: whoever takes it up is told what is wrong with it."""
    try:
        return read_study(folder / STUDY_FILE).ended is not None
    except StudyFileError:
        return False


def _locked(folder: Path) -> int:
    path = folder / _LOCK_FILE
    with writing(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise InputError(
            f"Study {folder.name} is under way in another process.",
            "Wait for its end, or stop that process with Ctrl-C.",
        ) from error
    return handle
