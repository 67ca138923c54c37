"""``compare``: the verdict on two legs, its documents, and an exit code that says it."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import InputError, OutputError, writing
from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.errors import ExitCode
from core.report.comparing import comparison_cost, comparison_report
from core.report.comparison_text import render_summary
from core.report.comparisons import ComparisonReport
from core.report.export import render_comparison, write_documents
from core.report.reading import read_leg
from core.text import harmless
from core.verdict.comparison import Request, check_request
from core.verdict.model import TARGET_OVERHEAD, Question, Verdict

if TYPE_CHECKING:
    from core.run.journal import Journal
    from core.settings import Settings

EXIT_CODES = {
    Verdict.WITHIN: ExitCode.DONE,
    Verdict.EXCEEDS: ExitCode.EXCEEDS_TARGET,
    Verdict.INCONCLUSIVE: ExitCode.NO_VERDICT,
    Verdict.REFUSED: ExitCode.NO_VERDICT,
}
REPORT = "comparison.md"
"""In the results' folder, with its JSON and HTML beside it."""

_SHOWN = ("refusals", "results", "warnings", "void", "noise", "mechanisms")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?|\.[0-9]{1,6}) ?(%?)")


def execute(options: Options) -> int:
    """Compare, write the documents, print the verdict and the table, and return its exit code."""
    if options.same and options.noise:
        raise InputError(
            "--same asks for the noise itself, and --noise for what it is below.",
            "Leave one of the two out.",
        )
    question = Question.NOISE if options.same else Question.OVERHEAD
    asked = Request(
        target=target_overhead(options.target_overhead),
        allow=frozenset(options.allow or ()),
        question=question,
    )
    check_request(asked)
    settings = settings_of(options)
    with open_journal(settings) as journal:
        report = _report(options, asked, settings, journal, datetime.now(UTC))
    written = write_documents(report, _place(options, settings))
    if options.format == "json":
        sys.stdout.write(render_comparison(report, "json"))
    else:
        sys.stdout.write(render_summary(report, _SHOWN))
    if not options.quiet:
        names = ", ".join(harmless(str(path)) for path in written)
        print(f"Written: {names}.", file=sys.stderr)
    return EXIT_CODES[report.comparison.verdict]


def target_overhead(text: str | None) -> float:
    """Return the target as a fraction: ``5%``, ``5 %`` and ``5`` are 5 %, as is none at all.

    A number below one without its sign could be meant as per cent or as a fraction, so it is asked
    for again and never guessed.

    Raises:
        InputError: no percentage between 0 and 100, or one that could be read in two ways.
    """
    if text is None:
        return TARGET_OVERHEAD
    found = _PERCENT.fullmatch(text.strip())
    percent = float(found[1]) if found is not None else 0.0
    if found is None or not 0 < percent < 100:
        raise InputError(
            f"--target-overhead {text!r} is no percentage between 0 and 100.", "Say 5%, say."
        )
    if percent < 1 and not found[2]:
        raise InputError(
            f"--target-overhead {text} could be {percent:g} % or {100 * percent:g} %.",
            f"Say {percent:g}% or {100 * percent:g}%.",
        )
    return percent / 100


def _report(
    options: Options, asked: Request, settings: Settings, journal: Journal, now: datetime
) -> ComparisonReport:
    first, second, *noise = (
        read_leg(name, settings.results_dir, journal)
        for name in (options.first, options.second, *(options.noise or ()))
    )
    if noise:
        asked = replace(asked, noise=(noise[0], noise[1]))
    cost = comparison_cost(first, second, journal, now)
    return comparison_report(first, second, asked, cost, now)


def _place(options: Options, settings: Settings) -> Path:
    """Return where the Markdown document goes. Raises OutputError."""
    if options.output is None:
        with writing(settings.results_dir):
            settings.results_dir.mkdir(parents=True, exist_ok=True)
        return settings.results_dir / REPORT
    given = Path(options.output)
    if given.suffix.lower() in (".json", ".html"):
        raise OutputError(
            f"{given} is no name for the Markdown report.",
            "Name a file that ends in .md; JSON and HTML go beside it.",
        )
    return given
