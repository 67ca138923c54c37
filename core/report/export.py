"""The formats of a report, in one place: who exports asks here and knows none of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from benchmark.errors import OutputError
from benchmark.files import write_atomically
from benchmark.results import RESULT_FILE, Result
from core.report import scenarios
from core.report.comparison_csv import render_csv
from core.report.comparison_html import render_html
from core.report.comparison_json import render_json
from core.report.comparison_markdown import render_markdown
from core.report.comparison_text import render_text
from core.report.comparisons import ComparisonReport
from core.report.costs import RunCost
from core.report.scenarios import ScenarioTable, scenario_table

Format = Literal["text", "markdown", "csv", "json", "html"]
FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES: dict[Format, str] = {
    "text": ".txt",
    "markdown": ".md",
    "csv": ".csv",
    "json": ".json",
    "html": ".html",
}
DOCUMENTS: tuple[Format, ...] = ("markdown", "json", "html")
"""What a comparison is kept as."""

_TABLES: dict[Format, Callable[[ScenarioTable], str]] = {
    "text": scenarios.render_text,
    "markdown": scenarios.render_markdown,
    "html": scenarios.render_html,
}
_COMPARISONS: dict[Format, Callable[[ComparisonReport], str]] = {
    "text": render_text,
    "markdown": render_markdown,
    "csv": render_csv,
    "json": render_json,
    "html": render_html,
}


def render_result(result: Result, wanted: Format, cost: RunCost | None = None) -> str:
    """Return one result as a document, with what its run cost where that is known. JSON is the
    result file itself, and no cost is in it.
    """
    if wanted in _TABLES:
        return _TABLES[wanted](scenario_table(result, cost))
    return scenarios.render_csv(result, cost) if wanted == "csv" else scenarios.render_json(result)


def render_comparison(report: ComparisonReport, wanted: Format) -> str:
    """Return two legs compared as a document."""
    return _COMPARISONS[wanted](report)


def documents_at(place: Path) -> dict[Format, Path]:
    """Return where a comparison's documents go: ``place`` is the Markdown report, whatever its
    ending, and the others lie beside it.
    """
    stem = str(place.with_suffix("") if place.suffix.lower() == SUFFIXES["markdown"] else place)
    beside = {name: Path(f"{stem}{SUFFIXES[name]}") for name in DOCUMENTS}
    return {**beside, "markdown": place}


def write_documents(report: ComparisonReport, place: Path) -> list[Path]:
    """Write every document of a comparison, each in one step, over those of an earlier one, and
    return where they are; ``place``: see :func:`documents_at`.

    Raises:
        OutputError: a path that cannot be written, or holds a result.
        DiskFullError: no space left.
    """
    paths = documents_at(place)
    if taken := next((path for path in paths.values() if path.name == RESULT_FILE), None):
        raise OutputError(f"{taken} would be written over a result.", "Name another file.")
    # All are made before the first is written: a failure leaves the earlier ones together.
    texts = {path: render_comparison(report, name) for name, path in paths.items()}
    for path, text in texts.items():
        write_report(path, text, replace=True)
    return [Path(os.path.normpath(path)) for path in texts]


def format_of(path: Path) -> Format | None:
    """Return the format that a file's ending stands for, or None."""
    ending = path.suffix.lower()
    return next((name for name, suffix in SUFFIXES.items() if suffix == ending), None)


def write_report(path: Path, text: str, *, replace: bool = False) -> None:
    """Write a document in one step; a file that is there stays, unless it is to be replaced.

    Raises:
        OutputError: something is there already, or the path cannot be written.
        DiskFullError: no space left.
    """
    if "\0" in str(path):
        raise OutputError(f"{path} cannot be written: it holds a NUL character.")
    if os.path.lexists(path):
        if not os.path.isfile(path):
            raise OutputError(f"{path} is there already and is no file.", "Name another path.")
        if not replace:
            raise OutputError(
                f"{path} is there already.", "Name another file, or replace it with --force."
            )
    # Through a link the file is replaced that it leads to, and the link stays.
    write_atomically(Path(os.path.realpath(path)), text)
