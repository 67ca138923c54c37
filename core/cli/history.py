"""``history``: one plan's runs over time, and what changed beyond the noise."""

from __future__ import annotations

import sys

from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.report.history import ASCII_BARS, BARS, render_json, render_text
from core.report.past_runs import PastRuns
from core.run.process import utc_now
from core.text import harmless

_MOST_SKIPPED = 10


def execute(options: Options) -> int:
    """Print the history; runs that could not be read are named on stderr."""
    settings = settings_of(options)
    with open_journal(settings) as journal:
        found = PastRuns(journal, settings.results_dir, utc_now()).history(options.run)
    if options.format == "json":
        sys.stdout.write(render_json(found))
    else:
        sys.stdout.write(render_text(found, _bars(sys.stdout.encoding)))
    for sentence in found.skipped[:_MOST_SKIPPED]:
        print(harmless(sentence), file=sys.stderr)
    if (more := len(found.skipped) - _MOST_SKIPPED) > 0:
        print(f"{more} more runs could not be read; --json names them all.", file=sys.stderr)
    return 0


def _bars(encoding: str | None) -> str:
    """Return signs that a stream of this encoding can take."""
    try:
        BARS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII_BARS
    return BARS
