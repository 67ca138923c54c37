"""What a study tells: its plan, where it is, and what it saw at its looks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.cli.study_plan import differences, layer_problem
from core.cli.study_store import StudyState, StudyStore
from core.report.comparison_words import further_text
from core.text import columns, duration
from core.verdict.looks import Looks
from core.verdict.model import Comparison, MeasurementComparison
from core.verdict.study import (
    Block,
    BlockEnded,
    End,
    Look,
    StudyPlan,
    schedule,
)
from core.verdict.study_course import blocks_left, counted


@dataclass(frozen=True, slots=True)
class Outlook:
    """What some blocks will take."""

    seconds: float
    usd: float | None
    """None: no price is known."""

    def __str__(self) -> str:
        cost = "a cost that is not known" if self.usd is None else f"${self.usd:.2f}"
        return f"{duration(self.seconds)} and {cost}"


Expect = Callable[[Sequence[Block]], Outlook]


def plan_lines(plan: StudyPlan, expect: Expect, *, is_draft: bool = False) -> list[str]:
    """Return the plan as text: what is compared, the order, the looks and their levels, the time
    and the cost. A draft's id, and with it the side that begins, is nobody's yet.
    """
    labels = (plan.baseline.label, plan.xen.label)
    steps = schedule(plan)
    everything = [step for step in steps if isinstance(step, Block)]
    target = f"{100 * plan.target_overhead:g} %"
    rows: list[tuple[str, ...]] = [("STEP", "RUNS", "ORDER", "TAKES", "$", "ONE-SIDED LEVEL")]
    since: list[Block] = []
    for step in steps:
        if isinstance(step, Block):
            since.append(step)
        elif isinstance(step, Look):
            rows.append(_segment(plan, step, since, expect(since)))
            since = []
    name = "Study" if is_draft else f"Study {plan.id}"
    return [
        f"{name}: {labels[1]} against {labels[0]}, target: overhead below {target}.",
        *_legs(plan),
        *columns(rows),
        *_rules(plan),
        *([_DRAWN] if is_draft else []),
        f"At most {len(everything)} runs, {expect(everything)}; up to {plan.replacements} that "
        "fail or are void are measured again.",
        *([f"It would be refused: {problem}."] if (problem := layer_problem(plan)) else []),
    ]


def _legs(plan: StudyPlan) -> list[str]:
    profile = plan.baseline.plan
    measurements = ", ".join(each.name for each in profile.measurements())
    lines = [f"Each block: profile {profile.profile} once ({measurements})."]
    different = differences(plan)
    if not different:
        return [*lines, "The legs have the same settings: only where they run can tell them apart."]
    first, second = plan.baseline.label, plan.xen.label
    lines.append(
        "The legs differ in "
        + "; ".join(
            f"{name}: {first} {_shown(a)}, {second} {_shown(b)}"
            for name, (a, b) in different.items()
        )
        + "."
    )
    return lines


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)


def _segment(
    plan: StudyPlan, look: Look, blocks: Sequence[Block], outlook: Outlook
) -> tuple[str, ...]:
    step = _look_name(plan, look)
    level = Looks(_declared(plan, look)).level(look.number)
    usd = "?" if outlook.usd is None else f"{outlook.usd:.2f}"
    order = _order(blocks)
    return (step, str(len(blocks)), order, duration(outlook.seconds), usd, f"{level:.4f}")


def _look_name(plan: StudyPlan, look: Look) -> str:
    units = "pairs" if plan.interleaved else "blocks of each"
    phase = "A/A, " if look.phase == "calibration" else ""
    of = len(_declared(plan, look))
    return f"{phase}look {look.number} of {of}, after {look.blocks} {units}"


def _declared(plan: StudyPlan, look: Look) -> tuple[int, ...]:
    return plan.calibration_looks if look.phase == "calibration" else plan.looks


def _order(blocks: Sequence[Block]) -> str:
    """Return who runs when, a letter a run: ``AB BA AB``; long orders are cut."""
    names = {"first": "A", "second": "B"}
    if any(block.blocks > 1 for block in blocks):
        return " ".join(f"{names[block.side]}x{block.blocks}" for block in blocks)
    letters = [names[block.side] for block in blocks]
    pairs = ["".join(letters[place : place + 2]) for place in range(0, len(letters), 2)]
    return " ".join(pairs if len(pairs) <= 6 else [*pairs[:4], "...", pairs[-1]])


def _rules(plan: StudyPlan) -> list[str]:
    first, second = plan.baseline.label, plan.xen.label
    lines = [f"A is {first}, B is {second}; in A/A both are {first}."]
    if plan.calibration:
        lines.append(
            "A/A lasts until a look finds it within target. If none does the study ends there: "
            "this machine is then too noisy, or would take more pairs."
        )
    lines.append("After the first pair of the legs it ends if they can never be compared.")
    if not plan.interleaved:
        lines.append(
            "Each run creates a cluster of its own and removes it, so the blocks of a leg run one "
            "after the other in one run between two looks: they are compared unpaired. Each run "
            f"keeps to a budget of its own, ${plan.baseline.settings['budget']:.2f}."
        )
    return [
        *lines,
        "The study ends early only at a look, and only when the verdict is sure at its level.",
        "Server arrival rates are the first baseline run's for every later run of both legs.",
    ]


def look_lines(plan: StudyPlan, look: Look, comparison: Comparison) -> list[str]:
    """Return what a look saw: the figures that decide, and the verdict."""
    rows = [row for each in comparison.measurements for row in _rows(each)]
    head = ("MEASUREMENT", "METRIC", "OVERHEAD", "90 % INTERVAL", "DECIDES", "VERDICT")
    return [
        f"Study: {_look_name(plan, look)}: {comparison.verdict}. {comparison.reason}",
        *(columns([head, *rows]) if rows else []),
        *filter(None, [further_text(comparison, None)]),
    ]


def _rows(measurement: MeasurementComparison) -> list[tuple[str, ...]]:
    return [
        (
            measurement.name,
            end.metric,
            f"{end.estimate.overhead_percent:+.2f} %",
            f"{end.estimate.interval_percent.low:+.2f} to "
            f"{end.estimate.interval_percent.high:+.2f} %",
            f"{end.estimate.decision_percent.low:+.2f} to "
            f"{end.estimate.decision_percent.high:+.2f} %",
            str(end.verdict),
        )
        for end in measurement.endpoints
        if end.gating and end.estimate is not None
    ]


def begin_line(plan: StudyPlan, done: int, left: Sequence[Block], expect: Expect) -> str:
    """Return where the study is. ``left`` begins with the block that begins; ``done`` are good."""
    block = left[0]
    label = plan.baseline.label if block.is_baseline else plan.xen.label
    of = plan.calibration if block.phase == "calibration" else plan.blocks
    what = (
        f"pair {block.number} of {of}"
        if plan.interleaved
        else (f"{block.blocks} blocks from {block.number} of {of}")
    )
    phase = "A/A, " if block.phase == "calibration" else ""
    return (
        f"Study: run {done + 1} of at most {done + len(left)}: {phase}{what}, {label}. "
        f"{expect(left)} left at most."
    )


def left_lines(state: StudyState, expect: Expect) -> list[str]:
    """Return what is left of a study that was begun; nothing of one that was not."""
    if not state.done and state.under_way is None:
        return []
    left = blocks_left(state.plan, state.done)
    done = len(counted(state.plan, state.done))
    return [f"{done} runs are done, at most {len(left)} are left: {expect(left)}."]


class StudyWords:
    """Tells people on stderr and programs on stdout. ``emit`` None: nobody reads stdout."""

    def __init__(
        self,
        store: StudyStore,
        expect: Expect,
        say: Callable[[str], None],
        emit: Callable[[str], None] | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._expect = expect
        self._say = say
        self._emit = emit
        self._clock = clock
        self._explained: int | None = None

    def planned(self) -> None:
        """Tell the plan, and of one that is taken up again what is left."""
        state = self._store.state
        for line in (*plan_lines(state.plan, self._expect), *left_lines(state, self._expect)):
            self._say(line)
        self._event("study_planned", plan=state.plan.model_dump(mode="json"), done=len(state.done))

    def begins(self, block: Block) -> None:
        """See :class:`core.cli.study_conduct.Words`."""
        state = self._store.state
        left = blocks_left(state.plan, state.done)
        done = len(counted(state.plan, state.done))
        self._say(begin_line(state.plan, done, left, self._expect))
        self._explain(block)
        outlook = self._expect(left)
        self._event(
            "study_block_begins",
            block=block.model_dump(),
            number=done + 1,
            of=done + len(left),
            seconds_left=outlook.seconds,
            usd_left=outlook.usd,
        )

    def _explain(self, block: Block) -> None:
        """Say once before each look why there is no verdict until then."""
        if block.phase == "calibration":
            return
        coming = next(look for look in self._store.state.plan.looks if look >= block.number)
        if coming != self._explained:
            self._explained = coming
            self._say(
                f"Study: no verdict before {coming} pairs are there: every look costs some of the "
                "5 % that the verdict may be wrong, so looks are declared and no others taken."
            )

    def ended(self, entry: BlockEnded) -> None:
        """See :class:`core.cli.study_conduct.Words`."""
        if entry.outcome != "good":
            again = "" if entry.outcome == "impossible" else " It is measured again."
            self._say(
                f"Study: run {entry.run} does not count ({entry.outcome}): {entry.reason}{again}"
            )
        self._event("study_block_ended", **entry.model_dump(exclude={"kind"}))

    def waits(self, seconds: float) -> None:
        """See :class:`core.cli.study_conduct.Words`."""
        self._say(f"Study: the next run begins in {duration(seconds)}, because the last failed.")
        self._event("study_waits", seconds=seconds)

    def looked(self, look: Look, comparison: Comparison) -> None:
        """See :class:`core.cli.study_conduct.Words`."""
        for line in look_lines(self._store.state.plan, look, comparison):
            self._say(line)
        self._event(
            "study_looked",
            look=look.model_dump(),
            verdict=comparison.verdict,
            reason=comparison.reason,
        )

    def over(self, end: End) -> None:
        """See :class:`core.cli.study_conduct.Words`."""
        for line in end_lines(self._store, end):
            self._say(line)
        self._event("study_ended", **end.model_dump())

    def stopped(self) -> None:
        """Tell that somebody stopped it."""
        study = self._store.state.plan.id
        self._say(
            f"Study {study} is stopped; gpubench-tui --no-ui study --resume {study} goes on. A run "
            "that was not over is measured again, and so is its partner."
        )
        self._event("study_stopped")

    def _event(self, event: str, **values: Any) -> None:
        if self._emit is not None:
            head = {"event": event, "study": self._store.state.plan.id}
            time = self._clock().isoformat()
            self._emit(json.dumps({**head, "time": time, **values}))


_DRAWN = "The order within the pairs is drawn when the study begins; this is one of those."
_ENDS = {
    "decided": "The verdict is sure",
    "undecided": "All blocks are measured",
    "noisy": "A/A did not come out within target, so the legs were not measured",
    "refused": "The legs cannot be compared",
}


def end_lines(store: StudyStore, end: End) -> list[str]:
    """Return how the study ended, and where its documents are."""
    verdict = f": {end.verdict}" if end.verdict is not None else ""
    lines = [f"Study {store.state.plan.id}: {_ENDS[end.kind]}{verdict}. {end.reason}"]
    if end.kind == "noisy":
        lines.append(
            "Measure longer (a profile with more queries and seconds) or more pairs "
            "(--calibration, --blocks), keep other work off the machine, or set a wider "
            "--target-overhead."
        )
    else:
        labels = store.state.plan.baseline.label, store.state.plan.xen.label
        names = " ".join(str(store.folder / label) for label in labels)
        lines.append(f"gpubench-tui --no-ui compare {names} compares all their runs once more.")
    return [*lines, f"Its documents are in {store.folder}."]
