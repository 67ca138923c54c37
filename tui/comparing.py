"""Two runs compared as the ``compare`` command compares them, off the console's thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from textual.message import Message

from tui.background import in_background

if TYPE_CHECKING:
    from core.report.comparisons import ComparisonReport
    from core.run.journal import Run
    from core.settings import Settings


@dataclass
class RunsCompared(Message):
    """Two runs were compared, or cannot be."""

    first: Run
    second: Run
    report: ComparisonReport | None
    problem: str
    """Why there is no report."""


def same_leg(first: Run, second: Run) -> bool:
    """Return whether the two are one leg measured twice: an A/A."""
    return first.leg == second.leg


def compare_words(first: Run, second: Run, *more: str) -> list[str]:
    """Return the words of the headless command that compares two runs."""
    same = ("--same",) if same_leg(first, second) else ()
    return ["compare", first.id, second.id, *same, *more]


async def compare_runs(
    first: Run, second: Run, settings: Settings, clock: Callable[[], datetime]
) -> RunsCompared:
    """Compare two runs of the journal; result files and raw files are read in a thread."""

    def work() -> RunsCompared:
        from benchmark.errors import ProblemError

        try:
            return RunsCompared(first, second, _report(first, second, settings, clock()), "")
        except ProblemError as problem:
            return RunsCompared(first, second, None, str(problem))

    return await in_background(work)


def _report(first: Run, second: Run, settings: Settings, now: datetime) -> ComparisonReport:
    from core.errors import JournalError
    from core.report.comparing import comparison_cost, comparison_report
    from core.report.reading import read_leg
    from core.run.journal import Journal
    from core.verdict.comparison import Request
    from core.verdict.model import Question

    journal = Journal.to_read(settings.state_dir)
    if journal is None:
        raise JournalError(
            f"The journal in {settings.state_dir} is gone.",
            "Where it is, --state-dir says when the console is started.",
        )
    with journal:
        legs = [read_leg(run.id, settings.results_dir, journal) for run in (first, second)]
        cost = comparison_cost(legs[0], legs[1], journal, now)
    question = Question.NOISE if same_leg(first, second) else Question.OVERHEAD
    return comparison_report(legs[0], legs[1], Request(question=question), cost, now)
