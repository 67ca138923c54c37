"""Where a study is: what comes next, and which runs count, follow from its plan and from what was
done, alone. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from core.verdict.model import Verdict
from core.verdict.study import (
    AnyEntry,
    Block,
    BlockEnded,
    Checked,
    End,
    Halt,
    Looked,
    Phase,
    Resumed,
    Side,
    Step,
    StudyPlan,
    schedule,
)

_SHORTEST_PAUSE_S = 30.0
_LONGEST_PAUSE_S = 1800.0


def next_step(plan: StudyPlan, done: Sequence[AnyEntry]) -> Step | End | Halt:
    """Return what comes after all that was done.

    Raises:
        ValueError: it was not done by this plan.
    """
    course = _replayed(plan, done)
    return course.end or course.halt or course.steps[course.position]


def blocks_left(plan: StudyPlan, done: Sequence[AnyEntry]) -> tuple[Block, ...]:
    """Return the runs that are still to come if nothing fails and nothing ends the study early.

    Raises:
        ValueError: see :func:`next_step`.
    """
    course = _replayed(plan, done)
    if course.end is not None:
        return ()
    return tuple(step for step in course.steps[course.position :] if isinstance(step, Block))


def counted(plan: StudyPlan, done: Sequence[AnyEntry]) -> tuple[BlockEnded, ...]:
    """Return the runs that count, in the order in which they ended: good, and of no pair that an
    interruption broke.

    Raises:
        ValueError: see :func:`next_step`.
    """
    return tuple(_replayed(plan, done).counted)


def good_runs(
    plan: StudyPlan, done: Sequence[AnyEntry], phase: Phase, side: Side
) -> tuple[str, ...]:
    """Return the ids of the runs of one side that count, in the order in which they ended.

    Raises:
        ValueError: see :func:`next_step`.
    """
    return tuple(
        entry.run
        for entry in counted(plan, done)
        if (entry.block.phase, entry.block.side) == (phase, side)
    )


def first_baseline(done: Iterable[AnyEntry]) -> str | None:
    """Return the run whose Server arrival rates all later ones take; None: it is still to come. It
    lends them even where it counts no longer, because runs that do have them from it.
    """
    return next(
        (
            entry.run
            for entry in done
            if isinstance(entry, BlockEnded) and entry.outcome == "good" and entry.block.is_baseline
        ),
        None,
    )


def pause_s(done: Sequence[AnyEntry]) -> float:
    """Return how long to wait before the next run, in seconds: what makes runs fail one after the
    other may pass, and they should not all be gone by then.
    """
    failures = 0
    for entry in reversed(done):
        if not isinstance(entry, BlockEnded) or entry.outcome != "failed":
            break
        failures += 1
    if not failures:
        return 0.0
    return min(_SHORTEST_PAUSE_S * 2.0 ** min(failures - 1, 10), _LONGEST_PAUSE_S)


@dataclass
class _Course:
    """A study as far as it came."""

    plan: StudyPlan
    steps: tuple[Step, ...]
    position: int = 0
    again: int = 0
    """How many runs had to be measured again since a person looked after it."""
    counted: list[BlockEnded] = field(default_factory=list)
    halt: Halt | None = None
    end: End | None = None

    def take(self, entry: AnyEntry) -> None:
        """Take one entry in. Raises ValueError: it does not follow."""
        if isinstance(entry, Resumed):
            if self.end is not None:
                raise ValueError("what was done does not follow from the plan")
            self.again, self.halt = 0, None
            if not entry.goes_on:
                self._break_pair()
            return
        if self.end or self.halt or _step_of(entry) != self.steps[self.position]:
            raise ValueError("what was done does not follow from the plan")
        if isinstance(entry, BlockEnded):
            self._take_block(entry)
            return
        is_last = self.position + 1 == len(self.steps)
        self.end = _end_by(self.plan, entry, is_last=is_last)
        self.position += 1
        if isinstance(entry, Looked) and entry.look.phase == "calibration" and self.end is None:
            self._leave_calibration(entry)

    def _take_block(self, entry: BlockEnded) -> None:
        match entry.outcome:
            case "good":
                self.position += 1
                self.counted.append(entry)
            case "interrupted":
                self._break_pair()
            case "impossible":
                self.halt = Halt(
                    reason=f"Run {entry.run} would fail again: {entry.reason}", wrong_input=True
                )
            case "void" | "failed":
                self.again += 1
                if self.again > self.plan.replacements:
                    self.halt = Halt(
                        reason=f"{self.again} runs failed or are void, and "
                        f"{self.plan.replacements} may be measured again; the last was "
                        f"{entry.run}: {entry.reason}",
                        wrong_input=False,
                    )

    def _break_pair(self) -> None:
        """Begin the pair again of which one run is there: the two were to lie close in time. Where
        runs are costly they are no pairs.
        """
        previous = self.steps[self.position - 1] if self.position else None
        step = self.steps[self.position] if self.position < len(self.steps) else None
        if (
            self.plan.interleaved
            and isinstance(previous, Block)
            and isinstance(step, Block)
            and (previous.phase, previous.number) == (step.phase, step.number)
        ):
            self.position -= 1
            self.counted.pop()

    def _leave_calibration(self, entry: Looked) -> None:
        """Go to the legs where A/A is within target, whatever is left of it."""
        if entry.verdict is Verdict.WITHIN:
            while getattr(self.steps[self.position], "phase", "legs") == "calibration":
                self.position += 1


def _replayed(plan: StudyPlan, done: Sequence[AnyEntry]) -> _Course:
    course = _Course(plan, schedule(plan))
    for entry in done:
        course.take(entry)
    return course


def _step_of(entry: BlockEnded | Checked | Looked) -> Step:
    match entry:
        case BlockEnded():
            return entry.block
        case Checked():
            return entry.check
        case Looked():
            return entry.look


def _end_by(plan: StudyPlan, entry: Checked | Looked, *, is_last: bool) -> End | None:
    """Return the end that one entry brings about, if it does."""
    if isinstance(entry, Checked):
        if not entry.refusal:
            return None
        return End(kind="refused", reason=entry.refusal, verdict=Verdict.REFUSED)
    if entry.verdict is Verdict.REFUSED:
        return End(kind="refused", reason=entry.reason, verdict=_of_legs(entry))
    if entry.look.phase == "calibration":
        return _noisy(plan, entry)
    if entry.verdict in (Verdict.WITHIN, Verdict.EXCEEDS):
        return End(kind="decided", reason=entry.reason, verdict=entry.verdict)
    return End(kind="undecided", reason=entry.reason, verdict=entry.verdict) if is_last else None


def _noisy(plan: StudyPlan, entry: Looked) -> End | None:
    """Return the end that A/A brings about, if it does."""
    if entry.verdict is Verdict.EXCEEDS:
        return End(kind="noisy", reason=f"This machine is too noisy. {entry.reason}")
    if entry.verdict is Verdict.WITHIN or entry.look.blocks < plan.calibration:
        return None
    pairs = entry.look.blocks
    enough = "" if entry.further is None else f"; about {pairs + entry.further} would do"
    return End(
        kind="noisy",
        reason=f"A/A is not within target after {pairs} pairs{enough}. {entry.reason}",
    )


def _of_legs(entry: Looked) -> Verdict | None:
    return entry.verdict if entry.look.phase == "legs" else None
