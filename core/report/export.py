"""The formats of a report, in one place: who exports asks here and knows none of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from benchmark.errors import OutputError
from benchmark.files import write_atomically
from benchmark.results import Result
from core.report import scenarios, side_by_side_views
from core.report.costs import RunCost
from core.report.scenarios import ScenarioTable, scenario_table
from core.report.side_by_side import SideBySide, side_by_side

Format = Literal["text", "markdown", "csv", "json", "html"]
FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES: dict[Format, str] = {
    "text": ".txt",
    "markdown": ".md",
    "csv": ".csv",
    "json": ".json",
    "html": ".html",
}

_TABLES: dict[Format, Callable[[ScenarioTable], str]] = {
    "text": scenarios.render_text,
    "markdown": scenarios.render_markdown,
    "html": scenarios.render_html,
}
_PAIRS: dict[Format, Callable[[SideBySide], str]] = {
    "text": side_by_side_views.render_text,
    "markdown": side_by_side_views.render_markdown,
    "csv": side_by_side_views.render_csv,
    "json": side_by_side_views.render_json,
    "html": side_by_side_views.render_html,
}


def render_result(result: Result, wanted: Format, cost: RunCost | None = None) -> str:
    """Return one result as a document, with what its run cost where that is known. JSON is the
    result file itself, and no cost is in it.
    """
    if wanted in _TABLES:
        return _TABLES[wanted](scenario_table(result, cost))
    return scenarios.render_csv(result, cost) if wanted == "csv" else scenarios.render_json(result)


def render_side_by_side(
    first: Result,
    second: Result,
    wanted: Format,
    costs: tuple[RunCost | None, RunCost | None] = (None, None),
) -> str:
    """Return two results beside each other as a document."""
    return _PAIRS[wanted](side_by_side(first, second, costs))


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
