"""Removes what runs have left in a project, with or without their journal, and proves it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.gcp.access import GoogleAccess
from core.gcp.connection import Google
from core.gcp.specs import label_beginning, label_value
from core.run.events import ResourceDeleted, ResourceIntended, Stage
from core.run.journal import Journal, Run
from core.run.liveness import this_host
from core.run.teardown import Hand, asked, removed
from core.run.view import ResourceView, RunView
from core.targets.gke.creating import POOL
from core.targets.gke.hands import OpenGoogle, Reach, gke_hands
from core.targets.gke.image import BUCKET, REPOSITORY
from core.targets.gke.image_hands import BucketHand, RepositoryHand
from core.targets.gke.surveying import Found, Missed, buckets, repositories, survey
from core.text import duration

_RUNS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of what is found goes."""

    run: str | None = None
    """Only this run's, overdue or not: its id, or its beginning."""
    every: bool = False
    """Also what is not overdue."""
    images: bool = False
    """The repositories of images too, and the bucket of their builds."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether something goes, and why not."""

    found: Found
    goes: bool
    why: str
    """``overdue since ...``, ``needed until ...``, ``run ... is alive``."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went with something that was to go."""

    found: Found
    proof: str
    """Empty: it is not proved gone."""
    reason: str
    """Why not."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One look at a project, and the removal of what goes."""

    access: GoogleAccess
    clock: Callable[[], datetime]
    open_google: OpenGoogle = Google

    async def look(self, missed: Missed | None = None) -> tuple[Found, ...]:
        """Return what stands there of any run; ``missed`` and errors as of
        :func:`core.targets.gke.surveying.survey`.
        """
        async with self.open_google(self.access) as google:
            found = await survey(google, missed)
            return (*found, *await repositories(google), *await buckets(google))

    async def remove(
        self, going: Sequence[Found], told: Callable[[Outcome], None]
    ) -> tuple[Outcome, ...]:
        """Remove these, several runs' side by side; ``told`` hears of each as it is done. Nothing
        that goes wrong with one keeps another.
        """
        # A pool may be in another run's cluster, which could not go under it.
        phases = ([each for each in going if each.kind == POOL], going)
        done: dict[Found, Outcome] = {}
        for phase in phases:
            by_run: dict[str, list[Found]] = {}
            for each in phase:
                if each not in done:
                    by_run.setdefault(each.run, []).append(each)
            several = asyncio.Semaphore(_RUNS_AT_ONCE)

            async def of(run: str, things: Sequence[Found], several: asyncio.Semaphore) -> None:
                async with several:
                    hands = self.hands(run)
                    for each in things:
                        done[each] = await _removed(hands[each.kind], each)
                        told(done[each])

            await asyncio.gather(*(of(*pair, several) for pair in by_run.items()))
        return tuple(done[each] for each in going)

    def hands(self, run: str) -> dict[str, Hand]:
        """Return the hands for a run, by its id or by the value of its label at Google."""
        reach = Reach(self.access, run, self.open_google, self.clock)
        shared = (self.access, self.open_google)
        return {
            **gke_hands(reach),
            REPOSITORY: RepositoryHand(*shared),
            BUCKET: BucketHand(*shared),
        }

    async def note(self, journal: Journal, run: Run) -> None:
        """Write down of a run that this machine's journal knows which of its resources are gone, so
        that its teardown and every view agree.

        Raises:
            JournalError: the journal cannot be used.
        """
        hands = self.hands(run.id)
        for resource in RunView.of(journal.events(run.id)).resources.values():
            intended = resource.intended
            hand = hands.get(intended.kind)
            if not resource.exists or hand is None:
                continue
            proof, _reason = await asked(hand, resource)
            if proof:
                record = ResourceDeleted(kind=intended.kind, name=intended.name, proof=proof)
                journal.append(run.id, record, time=self.clock(), stage=Stage.TEARDOWN)


def run_label(run: Run) -> str:
    """Return the value of a run's label at Google."""
    return label_value(run.id)


def alive_here(journal: Journal, now: datetime) -> dict[str, Run]:
    """Return the runs whose process is at work on this machine, by their label. Raises
    JournalError.
    """
    return {
        run_label(run): run
        for run in journal.runs()
        if run.host == this_host() and not journal.state_now(run, now).ended
    }


def judge(
    found: Iterable[Found], choice: Choice, alive: Collection[str], now: datetime
) -> tuple[Verdict, ...]:
    """Say of each thing whether it goes; of one run's alone where the choice names it. ``alive``:
    labels of runs that are at work here.
    """
    return tuple(
        _judged(each, choice, alive, now)
        for each in found
        if choice.run is None or is_of_run(each.run, choice.run)
    )


def is_of_run(label: str, run: str) -> bool:
    """Return whether a label's value is a run's, by its id or the id's beginning."""
    return label == label_value(run) or label.startswith(label_beginning(run))


def _judged(found: Found, choice: Choice, alive: Collection[str], now: datetime) -> Verdict:
    if choice.run is not None:
        return Verdict(found, True, "asked for by name")
    if found.kind in (REPOSITORY, BUCKET):
        return Verdict(found, choice.images, "all runs share it")
    if found.run in alive:
        return Verdict(found, False, "its run is at work here")
    if found.is_overdue(now):
        return Verdict(found, True, f"overdue for {duration(_seconds(found, now))}")
    if found.expires is None:
        return Verdict(found, choice.every, "does not say until when it is needed")
    needed = f"needed for {duration(max(0.0, -_seconds(found, now)))} still"
    return Verdict(found, choice.every, f"kept, {needed}" if found.is_kept else needed)


def _seconds(found: Found, now: datetime) -> float:
    return (now - found.expires).total_seconds() if found.expires is not None else 0.0


async def _removed(hand: Hand, found: Found) -> Outcome:
    """As a teardown does it: whatever comes of the removal, whether it is gone is asked."""
    intended = ResourceIntended(
        kind=found.kind,
        name=found.name,
        location=found.location,
        usd_per_hour=found.usd_per_hour or 0.0,
        delete_command=found.delete_command,
    )
    resource = ResourceView(intended, identity=found.name)
    proof, reason = await removed(hand, resource)
    return Outcome(found, proof, reason)
