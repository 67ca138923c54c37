"""A study: in which order the blocks of both legs are measured, and when it is over. Pure.

First the baseline is measured against itself (A/A), then pairs of baseline and the other leg. Which
of a pair comes first is drawn, half of the pairs each way: with an order that repeats itself, a
machine that remembers (its noise lasts longer than a block) makes pairs err together, and 5 % is no
longer 5 % (simulated: ``python -m tests.performance calibration``). The verdict is asked for at the
declared looks alone (DESIGN.md section 6: looking spends alpha).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from benchmark.plan import RUN_ID_PATTERN, Plan
from benchmark.validation import Record
from core.verdict.model import FEWEST_BLOCKS, TARGET_OVERHEAD, Verdict

MOST_BLOCKS = 1000
FEWEST_REPLACEMENTS = 3

Phase = Literal["calibration", "legs"]
Side = Literal["first", "second"]
Blocks = Annotated[int, Field(ge=FEWEST_BLOCKS, le=MOST_BLOCKS)]


class LegPlan(Record):
    """How one leg is measured."""

    settings: dict[str, Any]
    """Every setting, as JSON has it."""
    plan: Plan
    """What each of its blocks measures: the profile may change while a study lasts."""

    @property
    def label(self) -> str:
        """``baseline``, ``xen`` ..."""
        return str(self.settings["leg"])


class StudyPlan(Record):
    """Everything that is decided before the first block."""

    id: str = Field(pattern=RUN_ID_PATTERN)
    created_at: AwareDatetime
    baseline: LegPlan
    xen: LegPlan
    blocks: Blocks
    """Of each leg at most."""
    looks: tuple[Blocks, ...] = Field(min_length=1)
    """After how many pairs of blocks the verdict is asked for; the last is ``blocks``."""
    calibration: int = Field(ge=0, le=MOST_BLOCKS)
    """Pairs of baseline blocks that are compared with each other first; 0: none."""
    target_overhead: float = Field(default=TARGET_OVERHEAD, gt=0, lt=1)
    """A fraction."""
    allow: tuple[str, ...] = ()
    """Refusals that the user sets aside."""
    interleaved: bool = True
    """Whether each block is a run of its own. Where a run costs much to set up there is one run of
    each leg between two looks, with that many blocks."""
    replacements: int = Field(default=FEWEST_REPLACEMENTS, ge=0, le=MOST_BLOCKS)
    """How many runs that failed or are void may be measured again, all together."""

    @model_validator(mode="after")
    def _looks_lead_to_the_end(self) -> Self:
        if any(first >= second for first, second in zip(self.looks, self.looks[1:], strict=False)):
            raise ValueError("looks must grow")
        if self.looks[-1] != self.blocks:
            raise ValueError(f"the last look must come after all {self.blocks} blocks")
        if 0 < self.calibration < FEWEST_BLOCKS:
            raise ValueError(f"calibration must be 0 or at least {FEWEST_BLOCKS}")
        return self


class Block(Record):
    """One run of the schedule."""

    phase: Phase
    side: Side
    """Of the A/A or of the legs; the first is the baseline in both."""
    number: int
    """Its pair, from 1; where it holds several blocks, the first one's."""
    blocks: int = 1

    @property
    def is_baseline(self) -> bool:
        """Whether the baseline is what it measures."""
        return self.phase == "calibration" or self.side == "first"


class Check(Record):
    """After the first pair: can the legs be compared at all? Nothing of their figures is read."""

    after: Literal[1] = 1


class Look(Record):
    """A point where the verdict is asked for."""

    phase: Phase
    number: int
    """From 1."""
    blocks: int
    """How many of each side there are by then."""


class End(Record):
    """The study is over."""

    kind: Literal["decided", "undecided", "noisy", "refused", "failed"]
    """``noisy``: A/A did not come out within target, so the legs were not measured."""
    reason: str
    verdict: Verdict | None = None
    """Of the legs; None: they were not compared."""


class BlockEnded(Record):
    """A run of the schedule ended."""

    kind: Literal["block"] = "block"
    block: Block
    run: str = Field(pattern=RUN_ID_PATTERN)
    outcome: Literal["good", "void", "failed", "impossible", "interrupted"]
    """``impossible``: it would fail again. ``interrupted``: by a person or a reboot; it is measured
    again and counts as nothing."""
    reason: str = ""


class Checked(Record):
    """It was looked whether the legs can be compared."""

    kind: Literal["check"] = "check"
    check: Check
    refusal: str = ""
    """Why they cannot; empty: they can."""


class Looked(Record):
    """The verdict was asked for."""

    kind: Literal["look"] = "look"
    look: Look
    verdict: Verdict
    reason: str


Step = Block | Check | Look
Entry = Annotated[BlockEnded | Checked | Looked, Field(discriminator="kind")]


def default_looks(blocks: int) -> tuple[int, ...]:
    """Return the looks of who declares none: after half the blocks, where that is enough to say
    anything, and after all.
    """
    half = (blocks + 1) // 2
    return (half, blocks) if FEWEST_BLOCKS <= half < blocks else (blocks,)


def default_replacements(runs: int) -> int:
    """Return how many of ``runs`` runs may be measured again: one in five, and a few always."""
    return max(FEWEST_REPLACEMENTS, runs // 5)


def schedule(plan: StudyPlan) -> tuple[Step, ...]:
    """Return everything that is to be done if nothing fails and nothing ends the study early.

    The orders are drawn by the study's id. The very first run is the baseline's always, because the
    others take its Server arrival rates.
    """
    source = random.Random(plan.id)
    steps: list[Step] = []
    if plan.calibration:
        pairs = plan.calibration if plan.interleaved else 1
        steps += _blocks(plan, "calibration", 0, plan.calibration, _turned(pairs, source))
        steps.append(Look(phase="calibration", number=1, blocks=plan.calibration))
    for phase_steps in _between_looks(plan, source, baseline_begins=not steps):
        steps += phase_steps
    if plan.interleaved:
        first_pair = [isinstance(step, Block) and step.phase == "legs" for step in steps].index(
            True
        )
        steps.insert(first_pair + 2, Check())
    return tuple(steps)


def _between_looks(
    plan: StudyPlan, source: random.Random, *, baseline_begins: bool
) -> Iterator[list[Step]]:
    """Yield the legs' steps up to each look."""
    # Where a leg is one run from look to look, the looks' pairs are balanced with each other.
    several = _turned(len(plan.looks), source, baseline_begins)
    seen = 0
    for number, blocks in enumerate(plan.looks, start=1):
        turned = several[number - 1 : number]
        if plan.interleaved:
            turned = _turned(blocks - seen, source, baseline_begins and number == 1)
        look = Look(phase="legs", number=number, blocks=blocks)
        yield [*_blocks(plan, "legs", seen, blocks, turned), look]
        seen = blocks


def _blocks(
    plan: StudyPlan, phase: Phase, seen: int, until: int, turned: Sequence[bool]
) -> Iterator[Block]:
    sides: tuple[Side, Side] = ("first", "second")
    each = 1 if plan.interleaved else until - seen
    for number, is_turned in zip(range(seen + 1, until + 1, each), turned, strict=True):
        for side in reversed(sides) if is_turned else sides:
            yield Block(phase=phase, side=side, number=number, blocks=each)


def _turned(pairs: int, source: random.Random, baseline_begins: bool = False) -> list[bool]:
    """Return for each pair whether the second side comes first: half of them, in a drawn order."""
    turned = [place % 2 == 1 for place in range(pairs)]
    if pairs % 2:
        turned[-1] = source.random() < 0.5
    source.shuffle(turned)
    if baseline_begins and turned[0] and pairs > 1:
        place = turned.index(False)
        turned[0], turned[place] = turned[place], turned[0]
    elif baseline_begins:
        turned[0] = False
    return turned


def next_step(plan: StudyPlan, done: Sequence[BlockEnded | Checked | Looked]) -> Step | End:
    """Return what comes after all that was done.

    Raises:
        ValueError: it was not done by this plan.
    """
    steps = schedule(plan)
    place = _replayed(plan, steps, done)
    return place if isinstance(place, End) else steps[place]


def blocks_left(
    plan: StudyPlan, done: Sequence[BlockEnded | Checked | Looked]
) -> tuple[Block, ...]:
    """Return the runs that are still to come if nothing fails and nothing ends the study early.

    Raises:
        ValueError: see :func:`next_step`.
    """
    steps = schedule(plan)
    place = _replayed(plan, steps, done)
    if isinstance(place, End):
        return ()
    return tuple(step for step in steps[place:] if isinstance(step, Block))


def _replayed(
    plan: StudyPlan, steps: Sequence[Step], done: Sequence[BlockEnded | Checked | Looked]
) -> int | End:
    """Return the place in the schedule that was reached, or the end."""
    position = again = 0
    end: End | None = None
    for entry in done:
        if end is not None or _step_of(entry) != steps[position]:
            raise ValueError("what was done does not follow from the plan")
        end = _end_by(plan, entry, is_last=position + 1 == len(steps))
        if not isinstance(entry, BlockEnded) or entry.outcome == "good":
            position += 1
        elif entry.outcome != "interrupted":
            again += 1
            if end is None and again > plan.replacements:
                end = End(
                    kind="failed",
                    reason=f"{again} runs failed or are void, and {plan.replacements} may be "
                    f"measured again; the last was {entry.run}: {entry.reason}",
                )
    return position if end is None else end


def _step_of(entry: BlockEnded | Checked | Looked) -> Step:
    match entry:
        case BlockEnded():
            return entry.block
        case Checked():
            return entry.check
        case Looked():
            return entry.look


def _end_by(plan: StudyPlan, entry: BlockEnded | Checked | Looked, *, is_last: bool) -> End | None:
    """Return the end that one entry brings about, if it does."""
    if isinstance(entry, BlockEnded):
        if entry.outcome != "impossible":
            return None
        return End(kind="failed", reason=f"Run {entry.run} would fail again: {entry.reason}")
    if isinstance(entry, Checked):
        if not entry.refusal:
            return None
        return End(kind="refused", reason=entry.refusal, verdict=Verdict.REFUSED)
    if entry.verdict is Verdict.REFUSED:
        return End(kind="refused", reason=entry.reason, verdict=_of_legs(entry))
    if entry.look.phase == "calibration":
        if entry.verdict is Verdict.WITHIN:
            return None
        return End(kind="noisy", reason=entry.reason)
    if entry.verdict in (Verdict.WITHIN, Verdict.EXCEEDS):
        return End(kind="decided", reason=entry.reason, verdict=entry.verdict)
    return End(kind="undecided", reason=entry.reason, verdict=entry.verdict) if is_last else None


def _of_legs(entry: Looked) -> Verdict | None:
    return entry.verdict if entry.look.phase == "legs" else None


def good_runs(
    done: Sequence[BlockEnded | Checked | Looked], phase: Phase, side: Side
) -> tuple[str, ...]:
    """Return the ids of the runs of one side that count, in the order in which they ended."""
    return tuple(
        entry.run
        for entry in done
        if isinstance(entry, BlockEnded)
        and entry.outcome == "good"
        and (entry.block.phase, entry.block.side) == (phase, side)
    )


def first_baseline(done: Sequence[BlockEnded | Checked | Looked]) -> str | None:
    """Return the run whose Server arrival rates all later ones take; None: it is still to come."""
    return next(
        (
            entry.run
            for entry in done
            if isinstance(entry, BlockEnded) and entry.outcome == "good" and entry.block.is_baseline
        ),
        None,
    )
