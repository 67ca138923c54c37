"""The looks of a study: what was measured is read back, compared, and written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from benchmark.files import write_atomically
from benchmark.results import RESULT_FILE
from core.cli.study_conduct import Pooled
from core.cli.study_links import link_runs
from core.cli.study_store import StudyStore
from core.report.comparing import comparison_cost, comparison_report
from core.report.comparisons import ComparisonReport
from core.report.export import SUFFIXES, documents_at, write_documents
from core.report.reading import read_source
from core.run.journal import Journal
from core.verdict.comparison import Request
from core.verdict.legs import Source
from core.verdict.looks import Looks
from core.verdict.model import Comparison, Question
from core.verdict.study import Block, BlockEnded, Look, Phase
from core.verdict.study_course import counted

COMPARISON_STEM = "comparison"
CALIBRATION_STEM = "calibration"
# What one pair cannot have yet; more of them can.
_TOO_EARLY = ("blocks", "void")


class StudyJudge:
    """Compares by the study's plan and writes into its folder."""

    def __init__(
        self,
        store: StudyStore,
        results_dir: Path,
        journal: Journal,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._plan = store.state.plan
        self._folder = store.folder
        self._results_dir = results_dir
        self._journal = journal
        self._clock = clock

    def refusal(self, first: Pooled, second: Pooled) -> str:
        """See :class:`core.cli.study_conduct.Judge`."""
        self._link("legs", first, second)
        report = self._report(first, second, self._request())
        lasting = [
            refusal.sentence
            for refusal in report.comparison.refusals
            if not refusal.allowed and refusal.key not in _TOO_EARLY
        ]
        if lasting:
            self._write(report, COMPARISON_STEM)
        return " ".join(lasting)

    def look(
        self, look: Look, first: Pooled, second: Pooled, noise: tuple[Pooled, Pooled] | None
    ) -> Comparison:
        """See :class:`core.cli.study_conduct.Judge`."""
        self._link(look.phase, first, second)
        report = self._report(first, second, self._request(look, noise))
        self._write(report, CALIBRATION_STEM if look.phase == "calibration" else COMPARISON_STEM)
        return report.comparison

    def publish(self) -> None:
        """See :class:`core.cli.study_conduct.Judge`."""
        places = self._place(COMPARISON_STEM), self._results_dir / self._place(COMPARISON_STEM).name
        for made, place in zip(*(documents_at(each).values() for each in places), strict=True):
            write_atomically(place, made.read_bytes())

    def _link(self, phase: Phase, first: Pooled, second: Pooled) -> None:
        """Keep each leg's runs together, and those of A/A apart from them."""
        labels = self._plan.baseline.label, self._plan.xen.label
        names = labels if phase == "legs" else (f"{CALIBRATION_STEM}-1", f"{CALIBRATION_STEM}-2")
        for name, runs in zip(names, (first, second), strict=True):
            link_runs(self._folder / name, [self._journal.run(run).folder for run in runs])

    def _report(self, first: Pooled, second: Pooled, request: Request) -> ComparisonReport:
        sides = self._sources(first), self._sources(second)
        now = self._clock()
        cost = comparison_cost(*sides, self._journal, now)
        return comparison_report(*sides, request, cost, now)

    def _write(self, report: ComparisonReport, stem: str) -> None:
        write_documents(report, self._place(stem))

    def _place(self, stem: str) -> Path:
        return self._folder / f"{stem}{SUFFIXES['markdown']}"

    def _request(
        self, look: Look | None = None, noise: tuple[Pooled, Pooled] | None = None
    ) -> Request:
        plan = self._plan
        asked = Request(plan.target_overhead, frozenset(plan.allow), notes=self._left_out())
        if look is None:
            return asked
        if look.phase == "calibration":
            looks = Looks(plan.calibration_looks)
            return replace(asked, question=Question.NOISE, looks=looks, look=look.number)
        return replace(
            asked,
            noise=None if noise is None else (self._sources(noise[0]), self._sources(noise[1])),
            looks=Looks(plan.looks),
            look=look.number,
        )

    def _left_out(self) -> tuple[str, ...]:
        """Return a sentence for each run that does not count: a reader may want to know of it."""
        state = self._store.state
        kept = counted(state.plan, state.done)
        return tuple(
            f"Run {entry.run} of the study ({_phase(entry.block)}) does not count and was measured "
            f"again; {_why(entry)}"
            for entry in state.done
            if isinstance(entry, BlockEnded) and entry not in kept
        )

    def _sources(self, runs: Pooled) -> tuple[Source, ...]:
        return tuple(read_source(self._journal.run(run).folder / RESULT_FILE) for run in runs)


def _phase(block: Block) -> str:
    if block.phase == "calibration":
        return "A/A"
    return "the first leg" if block.is_baseline else "the second leg"


def _why(entry: BlockEnded) -> str:
    if entry.outcome == "good":
        return "its pair was interrupted before the other run was over."
    how = "it failed" if entry.outcome == "impossible" else f"it is {entry.outcome}"
    return f"{how}: {entry.reason}"
