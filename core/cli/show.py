"""``show``: a run's per-scenario table, or two runs compared; nothing but what was asked for is
written, and no exit code tells the verdict."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmark.errors import InputError
from benchmark.results import Result, read_result
from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.errors import JournalError
from core.report.comparing import comparison_cost, comparison_report
from core.report.costs import RunCost, run_cost
from core.report.export import (
    FORMATS,
    Format,
    format_of,
    render_comparison,
    render_result,
    write_report,
)
from core.report.reading import read_leg
from core.run.journal import Journal
from core.run.locate import locate_result
from core.run.process import utc_now
from core.settings import Settings
from core.text import harmless
from core.verdict.comparison import Request
from core.verdict.model import Question


def execute(options: Options) -> int:
    """Print the document in the wanted format, or write it to a file."""
    wanted = _format(options)
    settings = settings_of(options)
    with open_journal(settings) as journal:
        if options.other is None:
            text = _one(options.run, wanted, settings, journal)
        else:
            text = _two((options.run, options.other), wanted, settings, journal)
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


def _one(name: str, wanted: Format, settings: Settings, journal: Journal) -> str:
    found = _result(name, settings, journal)
    return render_result(found, wanted, _cost(found, journal))


def _two(names: tuple[str, str], wanted: Format, settings: Settings, journal: Journal) -> str:
    first, second = (read_leg(name, settings.results_dir, journal) for name in names)
    # Of one leg twice nobody asks what a layer costs.
    alike = len({source.result.leg for source in (*first, *second)}) == 1
    asked = Request(question=Question.NOISE if alike else Question.OVERHEAD)
    now = utc_now()
    cost = comparison_cost(first, second, journal, now)
    return render_comparison(comparison_report(first, second, asked, cost, now), wanted)


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
