"""Conducts a study: what the schedule says next is done, written down, and told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from benchmark.errors import WorkError
from core.cli.study_store import StudyStore, UnderWay
from core.errors import ExitCode
from core.verdict.model import Comparison, Verdict
from core.verdict.study import (
    AnyEntry,
    Block,
    BlockEnded,
    Check,
    Checked,
    End,
    Halt,
    LegPlan,
    Look,
    Looked,
    Phase,
    Resumed,
)
from core.verdict.study_course import first_baseline, good_runs, next_step, pause_s

Pooled = tuple[str, ...]
"""Ids of the runs of one side."""


# How soon a Ctrl-C ends a pause.
_NAP_S = 1.0


class LeftBehindError(WorkError):
    """A run's results count, or do not, but something that may cost money is left of it."""

    exit_code = ExitCode.CLEANUP_INCOMPLETE


class HaltedError(WorkError):
    """A person has to mend something before the study can go on."""

    def __init__(self, halt: Halt, study: str) -> None:
        super().__init__(
            halt.reason,
            f"Mend that; after it gpubench-tui --no-ui study --resume {study} goes on.",
        )
        self.exit_code = ExitCode.WRONG_INPUT if halt.wrong_input else ExitCode.FAILED


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

    def waits(self, seconds: float) -> None:
        """Runs failed, so the next one is started only after these seconds."""

    def looked(self, look: Look, comparison: Comparison) -> None:
        """The verdict was asked for."""

    def over(self, end: End) -> None:
        """The study is over."""


class Conductor:
    """Takes a study from where it is to its end. ``sleep`` takes seconds.

    Raises (conduct):
        HaltedError: a run would fail again, or too many did; the study can be resumed.
        LeftBehindError: something may be left of a run; the study can be resumed.
        ProblemError: a run could not be started, or the study not be written.
    """

    def __init__(
        self,
        store: StudyStore,
        runs: Runs,
        judge: Judge,
        words: Words,
        sleep: Callable[[float], None],
    ) -> None:
        self._store = store
        self._runs = runs
        self._judge = judge
        self._words = words
        self._sleep = sleep

    def resume(self, now: datetime) -> End | None:
        """Go on with a study that somebody takes up again: see :meth:`conduct`."""
        state = self._store.state
        # Killed after its last look it has only to end.
        if not isinstance(next_step(state.plan, state.done), End):
            resumed = Resumed(at=now, goes_on=self._known_run() is not None)
            self._store.update(done=(*state.done, resumed))
        return self.conduct()

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
                case Halt() as halt:
                    raise HaltedError(halt, state.plan.id)
                case Block() as block:
                    self._pause()
                    if self._runs.asked_to_stop or not self._measure(block):
                        return None
                case Check() as check:
                    refusal = self._judge.refusal(*self._sides("legs"))
                    self._note(Checked(check=check, refusal=refusal))
                case Look() as look:
                    self._look(look)

    def _known_run(self) -> str | None:
        """Return the run that is under way, where it is known to have been started."""
        under_way = self._store.state.under_way
        return None if under_way is None else under_way.run or self._runs.find(under_way.note)

    def _pause(self) -> None:
        """Wait after failures, as long as nobody asks to stop."""
        seconds = pause_s(self._store.state.done)
        if seconds:
            self._words.waits(seconds)
        while seconds > 0 and not self._runs.asked_to_stop:
            self._sleep(min(seconds, _NAP_S))
            seconds -= _NAP_S

    def _measure(self, block: Block) -> bool:
        """Measure one block and return whether the study goes on."""
        store = self._store
        under_way, run = store.state.under_way, self._known_run()
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
        excused = taken_up or self._runs.asked_to_stop
        entry = BlockEnded(
            block=block, run=run, outcome=_counted(ran, excused=excused), reason=ran.reason
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
        further = None if comparison.further is None else comparison.further.blocks
        self._note(
            Looked(
                look=look,
                verdict=_verdict(look, comparison),
                reason=comparison.reason,
                further=further,
            )
        )
        self._words.looked(look, comparison)

    def _sides(self, phase: Phase) -> tuple[Pooled, Pooled]:
        state = self._store.state
        return (
            good_runs(state.plan, state.done, phase, "first"),
            good_runs(state.plan, state.done, phase, "second"),
        )

    def _note(self, entry: AnyEntry) -> None:
        self._store.update(done=(*self._store.state.done, entry), under_way=None)


def _counted(
    ran: Ran, *, excused: bool
) -> Literal["good", "void", "failed", "impossible", "interrupted"]:
    """Return the outcome that is written down: what died with the study, or after somebody asked
    it to stop, was nobody's failure.
    """
    if ran.outcome == "died":
        return "interrupted" if excused else "failed"
    return ran.outcome


def _verdict(look: Look, comparison: Comparison) -> Verdict:
    """Return what a look says. Of A/A only its figures are asked: what a user allowed keeps the
    legs from being called within target anyway, and is no noise.
    """
    gating = [end for each in comparison.measurements for end in each.endpoints if end.gating]
    if (
        look.phase == "calibration"
        and comparison.allowed
        and comparison.verdict is Verdict.INCONCLUSIVE
        and gating
        and all(end.verdict is Verdict.WITHIN for end in gating)
    ):
        return Verdict.WITHIN
    return comparison.verdict
