"""``cost``: what past runs cost, or of one run what was billed, when, and at which price."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict

from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.errors import JournalError
from core.money.table import PriceItem
from core.report.cost_views import NOT_METERED, PER_MILLION_NOTE, summary
from core.report.costs import CostLine, RunCost, dollars
from core.report.scenarios import terminal_json
from core.report.spending import RunSpending, by_leg, per_million, run_document, spending_of
from core.run.journal import Journal
from core.run.process import utc_now
from core.settings import Settings
from core.text import columns, duration, harmless

_UNKNOWN = "no cost is known: nothing that its events tell of was billed"


def execute(options: Options) -> int:
    """Print all runs whose cost is known with their sums, or one run's lines."""
    settings = settings_of(options)
    with open_journal(settings) as journal:
        if options.run:
            return _show_one(spending_of(journal, journal.run(options.run), utc_now()), options)
        return _list(journal, settings, options)


def _list(journal: Journal, settings: Settings, options: Options) -> int:
    found, unread = [], []
    runs, now = journal.runs(), utc_now()
    for run in runs:
        try:
            found.append(spending_of(journal, run, now))
        except JournalError as problem:
            # One run that cannot be read hides no other's cost.
            unread.append(str(problem))
    known = [entry for entry in found if entry.cost is not None]
    if options.format == "json":
        _print_json(
            {
                "runs": [run_document(entry) for entry in known],
                "legs": [asdict(leg) for leg in by_leg(known)],
                "usd_per_million_inferences": [asdict(group) for group in per_million(known)],
            }
        )
    else:
        print("\n".join(_tables(known)), end="\n" if known else "")
    for sentence in unread:
        print(harmless(sentence), file=sys.stderr)
    if not runs:
        print("There are no runs yet: gpubench-tui --no-ui run starts one.", file=sys.stderr)
    elif len(found) > len(known):
        count = len(found) - len(known)
        words = "1 run has" if count == 1 else f"{count} runs have"
        print(f"{words} no known cost: nothing was billed.", file=sys.stderr)
    return 1 if unread else 0


def _tables(found: Sequence[RunSpending]) -> list[str]:
    if not found:
        return []
    runs = [("RUN", "STATE", "TARGET", "LEG", "CREATED (UTC)", "COST", "PER HOUR NOW")]
    runs += [
        (
            entry.run.id,
            str(entry.state),
            entry.run.target,
            entry.run.leg,
            f"{entry.run.created_at:%Y-%m-%d %H:%M}",
            cost.text,
            dollars(cost.usd_per_hour) if cost.open else "",
        )
        for entry in found
        if (cost := entry.cost) is not None
    ]
    legs = [("LEG", "RUNS", "COST")]
    for leg in by_leg(found):
        least = "at least " if leg.unpriced_runs else ""
        legs.append((leg.leg, str(leg.runs), f"{least}{dollars(leg.usd)}"))
    lines = [*columns(runs), "", *columns(legs)]
    if groups := per_million(found):
        cells = [("LEG", "MEASUREMENT", "RUNS", "USD PER MILLION INFERENCES")]
        for group in groups:
            text = dollars(group.median)
            if group.maximum > group.minimum:
                text += f" ({dollars(group.minimum)} to {dollars(group.maximum)})"
            cells.append((group.leg, harmless(group.measurement), str(group.runs), text))
        lines += ["", *columns(cells), "", PER_MILLION_NOTE]
    return [*lines, "", *_common_notes(found)]


def _common_notes(found: Sequence[RunSpending]) -> list[str]:
    notes = dict.fromkeys(note for entry in found if entry.cost for note in entry.cost.notes())
    return [*map(harmless, notes), NOT_METERED]


def _show_one(entry: RunSpending, options: Options) -> int:
    if options.format == "json":
        _print_json(run_document(entry))
        return 0
    if entry.cost is None:
        print(f"Run {entry.run.id}: {_UNKNOWN}.", file=sys.stderr)
        return 0
    print("\n".join(_one(entry, entry.cost)))
    return 0


def _one(entry: RunSpending, cost: RunCost) -> list[str]:
    lines = [f"Run {entry.run.id} ({entry.state}, leg {entry.run.leg}): {summary(cost)}", ""]
    if cost.lines:
        lines += [*columns(_line_cells(cost.lines)), "", *columns(_price_cells(cost.lines)), ""]
    if entry.rows:
        cells = [("MEASUREMENT", "USD PER HOUR", "USD PER MILLION INFERENCES")]
        for row in entry.rows:
            if row.cost is not None:
                figures = (row.cost.usd_per_hour, row.cost.usd_per_million)
                hour, million = map(dollars, figures)
                cells.append((harmless(row.name), hour, million))
        lines += [*columns(cells), "", PER_MILLION_NOTE]
    return [*lines, *map(harmless, cost.notes()), NOT_METERED]


def _line_cells(lines: Sequence[CostLine]) -> list[tuple[str, ...]]:
    cells: list[tuple[str, ...]] = [
        ("BILLED", "FROM (UTC)", "TO (UTC)", "FOR", "USD PER HOUR", "USD")
    ]
    cells += [
        (
            harmless(f"{line.kind} {line.name}"),
            f"{line.since:%Y-%m-%d %H:%M:%S}",
            f"{line.until:%Y-%m-%d %H:%M:%S}" if line.until else "still billed",
            duration(line.billed_s),
            dollars(line.usd_per_hour) if line.items else "no price known",
            dollars(line.usd) if line.usd is not None else "not known",
        )
        for line in lines
    ]
    return cells


def _price_cells(lines: Sequence[CostLine]) -> list[tuple[str, ...]]:
    parts: dict[PriceItem, list[float]] = {}
    for line in lines:
        for item in line.items:
            parts.setdefault(item, []).append(item.usd_per_hour * line.billed_s / 3600)
    cells: list[tuple[str, ...]] = [("PART", "USD PER HOUR", "USD", "SOURCE")]
    for item, usd in parts.items():
        figures = (dollars(item.usd_per_hour), dollars(math.fsum(usd)))
        cells.append((harmless(item.what), *figures, harmless(item.source)))
    return cells


def _print_json(document: dict[str, object]) -> None:
    print(terminal_json(json.dumps(document, allow_nan=False)))
