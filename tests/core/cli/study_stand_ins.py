"""Stand-ins for runs and verdicts of a study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from core.cli.study_conduct import Conductor, Pooled, Ran
from core.cli.study_store import StudyStore
from core.verdict.model import Comparison, Verdict
from core.verdict.study import (
    Block,
    BlockEnded,
    End,
    LegPlan,
    Look,
    StudyPlan,
)
from tests.core.runs import NOON
from tests.core.verdict.comparison_parts import comparison


class KilledError(BaseException):
    """The process is gone."""


@dataclass
class Place:
    """What outlives the study's process: runs, and how often its process may still breathe."""

    breaths: int = 10**9
    runs: dict[str, str] = field(default_factory=dict)
    """Ids by note."""
    rates_from: list[str | None] = field(default_factory=list)
    legs: list[str] = field(default_factory=list)
    outcomes: Callable[[int], Ran] = lambda _number: Ran("good")
    asked: bool = False
    slept: list[float] = field(default_factory=list)

    def breathe(self) -> None:
        self.breaths -= 1
        if self.breaths < 0:
            raise KilledError


@dataclass
class StandInRuns:
    place: Place

    @property
    def asked_to_stop(self) -> bool:
        return self.place.asked

    def start(self, leg: LegPlan, block: Block, rates_from: str | None, note: str) -> str:
        self.place.breathe()
        assert note not in self.place.runs, "measured twice"
        run = f"run-{len(self.place.runs) + 1}"
        self.place.runs[note] = run
        self.place.rates_from.append(rates_from)
        self.place.legs.append(leg.label)
        self.place.breathe()
        return run

    def find(self, note: str) -> str | None:
        self.place.breathe()
        return self.place.runs.get(note)

    def follow(self, run: str) -> None:
        self.place.breathe()

    def ending(self, run: str) -> Ran:
        return self.place.outcomes(int(run.removeprefix("run-")))


@dataclass
class StandInJudge:
    place: Place
    verdicts: dict[tuple[str, int], Verdict] = field(default_factory=dict)
    refused: str = ""
    asked: list[tuple[Look, Pooled, Pooled, tuple[Pooled, Pooled] | None]] = field(
        default_factory=list
    )
    published: int = 0

    def refusal(self, first: Pooled, second: Pooled) -> str:
        self.place.breathe()
        assert (len(first), len(second)) == (1, 1)
        return self.refused

    def look(
        self, look: Look, first: Pooled, second: Pooled, noise: tuple[Pooled, Pooled] | None
    ) -> Comparison:
        self.place.breathe()
        self.asked.append((look, first, second, noise))
        default = Verdict.WITHIN if look.phase == "calibration" else Verdict.INCONCLUSIVE
        return comparison(self.verdicts.get((look.phase, look.number), default), "It is so.")

    def publish(self) -> None:
        self.place.breathe()
        self.published += 1


@dataclass
class Listener:
    place: Place
    heard: list[object] = field(default_factory=list)

    def begins(self, block: Block) -> None:
        self.place.breathe()
        self.heard.append(block)

    def ended(self, entry: BlockEnded) -> None:
        self.place.breathe()
        self.heard.append(entry)

    def waits(self, seconds: float) -> None:
        self.heard.append(seconds)

    def looked(self, look: Look, comparison: Comparison) -> None:
        self.place.breathe()

    def over(self, end: End) -> None:
        self.place.breathe()
        self.heard.append(end)


def conductor(store: StudyStore, place: Place, judge: StandInJudge | None = None) -> Conductor:
    return Conductor(
        store,
        StandInRuns(place),
        judge or StandInJudge(place),
        Listener(place),
        place.slept.append,
    )


def conduct(store: StudyStore, place: Place, judge: StandInJudge | None = None) -> End | None:
    return conductor(store, place, judge).conduct()


def resume(store: StudyStore, place: Place) -> End | None:
    return conductor(store, place).resume(NOON)


def study(tmp_path: Path, plan: StudyPlan, place: Place, judge: StandInJudge | None = None) -> End:
    with StudyStore.create(tmp_path, plan) as store:
        end = conduct(store, place, judge)
    assert end is not None
    return end
