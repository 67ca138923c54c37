"""``show``: a run's per-scenario table, or two runs side by side."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmark.errors import InputError
from benchmark.results import Result, read_result
from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.errors import JournalError
from core.report.costs import RunCost, run_cost
from core.report.export import (
    FORMATS,
    Format,
    format_of,
    render_result,
    render_side_by_side,
    write_report,
)
from core.run.journal import Journal
from core.run.locate import locate_result
from core.run.process import utc_now
from core.settings import Settings
from core.text import harmless


def execute(options: Options) -> int:
    """Print the document in the wanted format, or write it to a file."""
    wanted = _format(options)
    settings = settings_of(options)
    with open_journal(settings) as journal:
        first = _result(options.run, settings, journal)
        second = _result(options.other, settings, journal) if options.other is not None else None
        costs = [_cost(found, journal) for found in (first, second) if found is not None]
    if second is None:
        text = render_result(first, wanted, costs[0])
    else:
        text = render_side_by_side(first, second, wanted, (costs[0], costs[1]))
    if options.output is None:
        sys.stdout.write(text)
        return 0
    write_report(Path(options.output), text, replace=options.force)
    print(f"Written to {harmless(options.output)}.", file=sys.stderr)
    return 0


def _format(options: Options) -> Format:
    if options.output is None and options.force:
        raise InputError("--force says what to do with a file: it goes with --output FILE.")
    # argparse leaves None where no format was asked for.
    asked = next((name for name in FORMATS if name == options.format), None)
    by_ending = format_of(Path(options.output)) if options.output is not None else None
    return asked or by_ending or "text"


def _cost(result: Result, journal: Journal) -> RunCost | None:
    # A result stands without its cost: another machine's run is not in this journal, and what is
    # wrong with an entry of it, `cost` tells.
    try:
        return run_cost(journal, result.run_id, utc_now())
    except JournalError:
        return None


def _result(name: str, settings: Settings, journal: Journal) -> Result:
    found = locate_result(name, settings.results_dir, journal)
    if found.run is not None and not found.path.exists():
        state = journal.state_now(found.run, utc_now())
        raise InputError(
            f"Run {found.run.id} ({state}) has no results.",
            f"gpubench-tui --no-ui logs {found.run.id} tells what happened.",
        )
    return read_result(found.path)
