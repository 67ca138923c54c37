"""Conducts a study: what the schedule says next is done, written down, and told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from benchmark.errors import WorkError
from core.cli.study_store import StudyStore, UnderWay
from core.errors import ExitCode
from core.verdict.model import Comparison
from core.verdict.study import (
    Block,
    BlockEnded,
    Check,
    Checked,
    End,
    LegPlan,
    Look,
    Looked,
    first_baseline,
    good_runs,
    next_step,
)

Pooled = tuple[str, ...]
"""Ids of the runs of one side."""


class LeftBehindError(WorkError):
    """A run's results count, or do not, but something that may cost money is left of it."""

    exit_code = ExitCode.CLEANUP_INCOMPLETE


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended, as a study sees it."""

    outcome: Literal["good", "void", "failed", "impossible", "interrupted", "died"]
    reason: str = ""
    left: str = ""
    """What of it could not be proved gone."""


class Runs(Protocol):
    """Starts runs and sees them to their ends."""

    @property
    def asked_to_stop(self) -> bool:
        """Whether there was a Ctrl-C."""

    def start(self, leg: LegPlan, block: Block, rates_from: str | None, note: str) -> str:
        """Write a run down, start its process and return its id. ``rates_from`` is the run whose
        Server arrival rates it takes.
        """

    def find(self, note: str) -> str | None:
        """Return the run that was written down with this note."""

    def follow(self, run: str) -> None:
        """Wait for a run's end, and go on with one that died where another process can."""

    def ending(self, run: str) -> Ran:
        """Return how a run ended."""


class Judge(Protocol):
    """Compares what was measured, and writes it down."""

    def refusal(self, first: Pooled, second: Pooled) -> str:
        """Return why two sides can never be compared; empty: nothing speaks against it."""

    def look(
        self, look: Look, first: Pooled, second: Pooled, noise: tuple[Pooled, Pooled] | None
    ) -> Comparison:
        """Compare at a declared look and write the documents. ``noise`` is the A/A."""

    def publish(self) -> None:
        """Make the latest documents of the legs the latest comparison of the results folder."""


class Words(Protocol):
    """Tells of it."""

    def begins(self, block: Block) -> None:
        """A run is about to be started."""

    def ended(self, entry: BlockEnded) -> None:
        """A run ended."""

    def looked(self, look: Look, comparison: Comparison) -> None:
        """The verdict was asked for."""

    def over(self, end: End) -> None:
        """The study is over."""


class Conductor:
    """Takes a study from where it is to its end.

    Raises (conduct):
        LeftBehindError: something may be left of a run; the study can be resumed.
        ProblemError: a run could not be started, or the study not be written.
    """

    def __init__(self, store: StudyStore, runs: Runs, judge: Judge, words: Words) -> None:
        self._store = store
        self._runs = runs
        self._judge = judge
        self._words = words

    def conduct(self) -> End | None:
        """Go on until the study ends, or until somebody stops it: then return None."""
        while True:
            state = self._store.state
            match next_step(state.plan, state.done):
                case End() as end:
                    if end.verdict is not None:
                        self._judge.publish()
                    self._store.update(ended=end)
                    self._words.over(end)
                    return end
                case Block() as block:
                    if self._runs.asked_to_stop or not self._measure(block):
                        return None
                case Check() as check:
                    refusal = self._judge.refusal(*self._sides("legs"))
                    self._note(Checked(check=check, refusal=refusal))
                case Look() as look:
                    self._look(look)

    def _measure(self, block: Block) -> bool:
        """Measure one block and return whether the study goes on."""
        store = self._store
        under_way = store.state.under_way
        run = None if under_way is None else under_way.run or self._runs.find(under_way.note)
        taken_up = run is not None
        if under_way is None or run is None:
            plan, done = store.state.plan, store.state.done
            number = sum(isinstance(entry, BlockEnded) for entry in done) + 1
            note = f"Run {number} of study {plan.id}."
            under_way = UnderWay(block=block, note=note)
            store.update(under_way=under_way)
            self._words.begins(block)
            leg = plan.baseline if block.is_baseline else plan.xen
            run = self._runs.start(leg, block, first_baseline(done), note)
        store.update(under_way=under_way.model_copy(update={"run": run}))
        self._runs.follow(run)
        ran = self._runs.ending(run)
        entry = BlockEnded(
            block=block, run=run, outcome=_counted(ran, taken_up=taken_up), reason=ran.reason
        )
        self._note(entry)
        self._words.ended(entry)
        if ran.left:
            raise LeftBehindError(
                f"Run {run} left what cannot be proved gone: {ran.left}.",
                f"gpubench-tui --no-ui teardown {run} removes it; after that study --resume "
                f"{store.state.plan.id} goes on.",
            )
        return entry.outcome != "interrupted" or (taken_up and not self._runs.asked_to_stop)

    def _look(self, look: Look) -> None:
        noise = None
        if look.phase == "legs" and self._store.state.plan.calibration:
            noise = self._sides("calibration")
        comparison = self._judge.look(look, *self._sides(look.phase), noise)
        self._note(Looked(look=look, verdict=comparison.verdict, reason=comparison.reason))
        self._words.looked(look, comparison)

    def _sides(self, phase: Literal["calibration", "legs"]) -> tuple[Pooled, Pooled]:
        done = self._store.state.done
        return good_runs(done, phase, "first"), good_runs(done, phase, "second")

    def _note(self, entry: BlockEnded | Checked | Looked) -> None:
        done: Sequence[BlockEnded | Checked | Looked] = self._store.state.done
        self._store.update(done=(*done, entry), under_way=None)


def _counted(
    ran: Ran, *, taken_up: bool
) -> Literal["good", "void", "failed", "impossible", "interrupted"]:
    """Return the outcome that is written down: what died with the study was nobody's failure."""
    if ran.outcome == "died":
        return "interrupted" if taken_up else "failed"
    return ran.outcome
