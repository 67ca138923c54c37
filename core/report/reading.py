"""Reads what a person calls a leg: a run, a leg, a result file, or a folder with results below."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.errors import InputError, ResultFileError
from benchmark.results import RESULT_FILE, read_result
from core.errors import RunNotFoundError
from core.run.journal import Journal
from core.run.locate import locate_result
from core.verdict.consistency import inconsistency
from core.verdict.legs import Source

# A folder that somebody names by mistake may be a whole disk.
_DEEPEST = 5
_MOST_RESULTS = 1000
_MOST_ENTRIES = 200_000


def read_leg(name: str, results_dir: Path, journal: Journal) -> tuple[Source, ...]:
    """Return the results that ``name`` means, which one leg is pooled from: a run, a leg, a result
    file, the folder of one, or a folder with several below it, in the order of their paths. Of
    copies of one result the first is taken that has most of its raw files beside it.

    Raises:
        RunNotFoundError: nothing, or more than one run, answers to it.
        InputError: a run without results, or a folder without any, or with too many.
        ResultFileError: a result that cannot be read, or contradicts itself.
        JournalError: the journal cannot be read.
    """
    try:
        located = locate_result(name, results_dir, journal)
    except RunNotFoundError:
        if "\0" in name or not os.path.isdir(name):
            raise
        return _each_once([read_source(path) for path in _results_below(Path(name))])
    if located.run is not None and not located.path.exists():
        raise InputError(
            f"Run {located.run.id} has no results.",
            f"gpubench-tui --no-ui logs {located.run.id} tells what happened.",
        )
    return (read_source(located.path),)


def read_source(path: Path) -> Source:
    """Return one result file, checked, with the folder that it lies in.

    Raises:
        ResultFileError: see :func:`benchmark.results.read_result`, and what contradicts itself.
    """
    result = read_result(path)
    if problem := inconsistency(result):
        raise ResultFileError(
            f"{path} is not a valid result file: {problem}.",
            "Use the file that the benchmark wrote.",
        )
    return Source(result, path.parent)


def _each_once(sources: Sequence[Source]) -> tuple[Source, ...]:
    found: dict[str, tuple[int, Source]] = {}
    for source in sources:
        files = _raw_files_there(source)
        known = found.get(source.result.content_sha256)
        if known is None or files > known[0]:
            found[source.result.content_sha256] = (files, source)
    return tuple(source for _, source in found.values())


def _raw_files_there(source: Source) -> int:
    folder = source.folder
    if folder is None:
        return 0
    entries = source.result.benchmarks
    return sum(os.path.isfile(folder / raw.path) for each in entries for raw in each.raw_files)


def _results_below(folder: Path) -> list[Path]:
    """Return the result files below a folder, each file once, sorted by path."""
    found: dict[str, Path] = {}
    for path in _walk(folder):
        found.setdefault(os.path.realpath(path), path)
        if len(found) > _MOST_RESULTS:
            raise InputError(
                f"{folder} holds more than {_MOST_RESULTS:,} results.",
                "Name a folder with the runs of one leg.",
            )
    if not found:
        raise InputError(
            f"{folder} is no run and no leg, and no {RESULT_FILE} lies in it or below it.",
            "`gpubench-tui --no-ui runs` lists the runs.",
        )
    return sorted(found.values())


def _walk(folder: Path) -> Iterator[Path]:
    """Yield result files. Links to folders are not followed: they may lead anywhere, or back."""
    seen = 0
    waiting = [(folder, 0)]
    while waiting:
        current, depth = waiting.pop()
        path = current / RESULT_FILE
        if os.path.isfile(path):
            yield path
            continue
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    seen += 1
                    if depth < _DEEPEST and entry.is_dir(follow_symlinks=False):
                        waiting.append((Path(entry.path), depth + 1))
        except OSError as error:
            raise InputError(f"{current} cannot be read: {error.strerror}.") from error
        if seen > _MOST_ENTRIES:
            raise InputError(
                f"{folder} holds more than {_MOST_ENTRIES:,} files.",
                "Name a folder with the runs of one leg.",
            )
