"""A study's plan: in which order the blocks of both legs are measured. Pure.

First the baseline is measured against itself (A/A) until that is within target, then pairs of
baseline and the other leg. Which of a pair comes first is drawn, half of the pairs each way: with
an order that repeats itself, a machine that remembers (its noise lasts longer than a block) makes
pairs err together, and 5 % is no longer 5 % (simulated: ``python -m tests.performance
calibration``). The verdict is asked for at the declared looks alone (DESIGN.md section 6: looking
spends alpha). What follows from what was done is in :mod:`core.verdict.study_course`.
"""

from __future__ import annotations

import itertools
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
    """Pairs of baseline blocks that are compared with each other first, at most; 0: none."""
    calibration_looks: tuple[Blocks, ...] = ()
    """After how many pairs of those it is asked whether they are within target; the last is
    ``calibration``."""
    target_overhead: float = Field(default=TARGET_OVERHEAD, gt=0, lt=1)
    """A fraction."""
    allow: tuple[str, ...] = ()
    """Refusals that the user sets aside."""
    interleaved: bool = True
    """Whether each block is a run of its own. Where a run costs much to set up there is one run of
    each leg between two looks, with that many blocks."""
    replacements: int = Field(default=FEWEST_REPLACEMENTS, ge=0, le=MOST_BLOCKS)
    """How many runs that failed or are void may be measured again, all together, before a person
    is asked."""
    order: tuple[Side, ...] = ()
    """The side that begins each pair of runs, A/A's pairs first; empty: not drawn yet."""

    @model_validator(mode="after")
    def _looks_lead_to_the_end(self) -> Self:
        for looks in (self.looks, self.calibration_looks):
            if any(first >= second for first, second in itertools.pairwise(looks)):
                raise ValueError("looks must grow")
        if self.looks[-1] != self.blocks:
            raise ValueError(f"the last look must come after all {self.blocks} blocks")
        if 0 < self.calibration < FEWEST_BLOCKS:
            raise ValueError(f"calibration must be 0 or at least {FEWEST_BLOCKS}")
        if (self.calibration_looks or (0,))[-1] != self.calibration:
            raise ValueError(f"the last look of A/A must come after all {self.calibration} pairs")
        if self.order and len(self.order) != sum(_balanced(self)):
            raise ValueError("the order must name a side for each pair")
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
    """After the first pair of runs: can the legs be compared at all? Nothing of their figures is
    read.
    """

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

    kind: Literal["decided", "undecided", "noisy", "refused"]
    """``noisy``: A/A did not come out within target, so the legs were not measured."""
    reason: str
    verdict: Verdict | None = None
    """Of the legs; None: they were not compared."""


class Halt(Record):
    """The study waits for a person to mend something and resume it."""

    reason: str
    wrong_input: bool
    """Whether what is to be mended is what was asked for, and not what went wrong."""


class BlockEnded(Record):
    """A run of the schedule ended."""

    kind: Literal["block"] = "block"
    block: Block
    run: str = Field(pattern=RUN_ID_PATTERN)
    outcome: Literal["good", "void", "failed", "impossible", "interrupted"]
    """``impossible``: it would fail again. ``interrupted``: by a person or a reboot; its pair is
    measured again and it counts as nothing."""
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
    further: int | None = None
    """Inconclusive: how many more blocks of each side would settle it; None: no number would."""


class Resumed(Record):
    """A person took the study up again."""

    kind: Literal["resumed"] = "resumed"
    at: AwareDatetime
    goes_on: bool
    """Whether the run that was under way is there: then the pair it belongs to is not broken."""


Step = Block | Check | Look
AnyEntry = BlockEnded | Checked | Looked | Resumed
Entry = Annotated[AnyEntry, Field(discriminator="kind")]


def default_looks(blocks: int) -> tuple[int, ...]:
    """Return the looks of who declares none: after half the blocks, where that is enough to say
    anything, and after all.
    """
    half = (blocks + 1) // 2
    return (half, blocks) if FEWEST_BLOCKS <= half < blocks else (blocks,)


def default_replacements(runs: int) -> int:
    """Return how many of ``runs`` runs may be measured again: one in five, and a few always."""
    return max(FEWEST_REPLACEMENTS, runs // 5)


def drawn(plan: StudyPlan) -> StudyPlan:
    """Return the plan with the order of every pair of runs, drawn by the study's id.

    Half of the pairs between two looks begin with each side. The very first run is the baseline's
    always, because the others take its Server arrival rates.
    """
    source = random.Random(plan.id)
    sides: list[Side] = []
    for pairs in _balanced(plan):
        baseline_begins = not plan.calibration and not sides
        turned = _turned(pairs, source, baseline_begins)
        sides += ["second" if each else "first" for each in turned]
    return plan.model_copy(update={"order": tuple(sides)})


def schedule(plan: StudyPlan) -> tuple[Step, ...]:
    """Return everything that is to be done if nothing fails and nothing ends the study early."""
    order = iter(plan.order or drawn(plan).order)
    steps: list[Step] = []
    if plan.calibration:
        steps += _phase(plan, "calibration", plan.calibration_looks, order)
    legs = _phase(plan, "legs", plan.looks, order)
    return (*steps, *legs[:2], Check(), *legs[2:])


def _phase(
    plan: StudyPlan, phase: Phase, looks: Sequence[int], order: Iterator[Side]
) -> list[Step]:
    """Return the steps of A/A or of the legs."""
    steps: list[Step] = []
    for number, (seen, until) in enumerate(itertools.pairwise((0, *looks)), start=1):
        each = 1 if plan.interleaved else until - seen
        for pair in range(seen + 1, until + 1, each):
            begins = next(order)
            other: Side = "second" if begins == "first" else "first"
            steps += [
                Block(phase=phase, side=side, number=pair, blocks=each) for side in (begins, other)
            ]
        steps.append(Look(phase=phase, number=number, blocks=until))
    return steps


def _balanced(plan: StudyPlan) -> list[int]:
    """Return how many pairs of runs there are in each group that is balanced in itself: those
    between two looks, or where a leg is one run from look to look, all of a phase.
    """
    groups: list[int] = []
    for looks in (plan.calibration_looks, plan.looks):
        if plan.interleaved:
            groups += [until - seen for seen, until in itertools.pairwise((0, *looks))]
        elif looks:
            groups.append(len(looks))
    return groups


def _turned(pairs: int, source: random.Random, baseline_begins: bool) -> list[bool]:
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
