"""Removes what a run has left behind, and says it is gone only when somebody was asked.

A kind of resource has a hand; the order is: the run's own process, so that nothing new comes, then
the resources, the newest first. Done twice, or by two at once, it is the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from benchmark.errors import ProblemError
from benchmark.files import write_atomically
from core.errors import JournalError
from core.run.events import (
    AnyRecord,
    Event,
    Left,
    ResourceDeleted,
    ResourceIntended,
    RunState,
    Stage,
    StageFailed,
    StageFinished,
    StageStarted,
    TeardownFinished,
    TeardownStarted,
)
from core.run.journal import Journal, Run
from core.run.liveness import this_host
from core.run.log import LOG_FILE
from core.run.processes import PROCESS, identity_text
from core.run.status import STATUS_FILE, status_markdown
from core.run.stopping import STOP_PATIENCE_S, ask_to_end, ended, process_of, send
from core.run.view import ResourceView, RunView

RUN_PROCESS = (PROCESS, "run")
"""Kind and name of the run's own process, in plans and events."""
_CLUSTER = "cluster"
_KILLED_WITHIN_S = 5.0
_STILL_THERE = "It is still there"
# From a run's last event to the end of its process; a signal would spoil its exit status.
_LAST_STEPS_S = 5.0


class Hand(Protocol):
    """Removes resources of one kind."""

    async def delete(self, resource: ResourceView) -> None:
        """Have it removed, however far its creation came. Raises ProblemError."""

    async def gone(self, resource: ResourceView) -> str | None:
        """Ask whether it is gone: the proof, or None when it is there. Raises ProblemError."""


@dataclass(frozen=True, slots=True)
class TeardownPlan:
    """What a teardown would do now."""

    run: str
    removals: tuple[ResourceView, ...]
    """In the order of removal."""

    @property
    def usd_per_hour(self) -> float:
        """Return what everything together costs while it stands."""
        return sum(removal.intended.usd_per_hour for removal in self.removals)

    @property
    def confirmation(self) -> str:
        """Return the name that a person must type: empty when nothing costs money."""
        billable = [
            removal.intended for removal in self.removals if removal.intended.usd_per_hour > 0
        ]
        if not billable:
            return ""
        # Removals are newest first.
        clusters = [intended for intended in reversed(billable) if intended.kind == _CLUSTER]
        costliest = max(billable, key=lambda intended: intended.usd_per_hour)
        return (clusters or [costliest])[0].name

    @property
    def arguments(self) -> tuple[str, ...]:
        """Return the headless command that does it, from its verb on."""
        confirmed = ("--yes", self.confirmation) if self.confirmation else ()
        return ("teardown", self.run, *confirmed)

    @property
    def command(self) -> str:
        """Return that command as it is typed."""
        return shlex.join(["gpubench-tui", "--no-ui", *self.arguments])


def teardown_plan(view: RunView, run: Run, state: RunState) -> TeardownPlan:
    """Return what is there, or may be, in the order in which it is to be removed.

    ``state`` is the run's state now (:meth:`Journal.state_now`).
    """
    process = _run_process(run, state)
    own = () if process is None else (process,)
    return TeardownPlan(run.id, (*own, *_removals(view)))


def _removals(view: RunView) -> tuple[ResourceView, ...]:
    return tuple(resource for resource in reversed(view.resources.values()) if resource.exists)


def _run_process(run: Run, state: RunState) -> ResourceView | None:
    # On another machine, or about to start: what was written down is all that is known.
    known = run.process if run.host == this_host() else None
    if not (known.alive() if known is not None else not state.ended):
        return None
    kind, name = RUN_PROCESS
    intended = ResourceIntended(
        kind=kind,
        name=name,
        location=run.host,
        delete_command=shlex.join(["gpubench-tui", "--no-ui", "stop", run.id]),
    )
    return ResourceView(intended, identity_text(run.process) if run.process is not None else "")


def _ignore(_line: str, _event: Event) -> None:
    return


class Teardown:
    """Tears one run down.

    ``hands`` are those that this version has, by kind of resource. ``take`` gets every event that
    the run's stream has from now on, the run's own last ones among them, as (the stored JSON line,
    the event). ``from_within``: it is the run itself that clears up, so its process stays.
    """

    def __init__(
        self,
        journal: Journal,
        run: Run,
        clock: Callable[[], datetime],
        *,
        hands: Mapping[str, Hand],
        take: Callable[[str, Event], None] = _ignore,
        stop_patience_s: float = STOP_PATIENCE_S,
        from_within: bool = False,
    ) -> None:
        self._journal = journal
        self._run = run
        self._clock = clock
        self._hands = hands
        self._from_within = from_within
        self._take = take
        self._stop_patience_s = stop_patience_s
        stream = journal.events(run.id)
        self._seen = stream[-1].sequence if stream else 0
        self._problem: JournalError | None = None
        self._unwritten = 0
        """Numbers events that are not in the journal, from -1 down."""
        self._view = RunView.of(stream)

    def plan(self) -> TeardownPlan:
        """Return what there is to remove now."""
        self._catch_up_if_possible()
        if self._from_within:
            return TeardownPlan(self._run.id, _removals(self._view))
        run = self._journal.run(self._run.id)
        return teardown_plan(self._view, run, self._journal.state_now(run, self._clock()))

    async def execute(self) -> TeardownFinished:
        """Remove everything and return what could not be proved gone.

        Raises:
            JournalError: the journal could not be used; what there was to remove was removed as far
                as that could be proved.
            asyncio.CancelledError: somebody asked to stop; what was not done yet is in the stream.
        """
        now = asyncio.get_running_loop().time
        started = now()
        self._emit(StageStarted())
        self._emit(
            TeardownStarted(
                resources=tuple(
                    f"{removal.intended.kind} {removal.intended.name}"
                    for removal in self.plan().removals
                )
            )
        )
        left: dict[tuple[str, str], Left] = {}
        try:
            # Asked anew each time: a run that ends may have removed some itself, or made more.
            while removal := self._next(left):
                await self._remove(removal, left)
            await self._once_more(left)
        except asyncio.CancelledError:
            while removal := self._next(left):
                left[_key(removal)] = _left(removal, "The teardown was interrupted before its end")
            self._finish(left, now() - started)
            raise
        finished = self._finish(left, now() - started)
        if self._problem is not None:
            raise _unwritten(self._problem, finished) from self._problem
        return finished

    async def _once_more(self, left: dict[tuple[str, str], Left]) -> None:
        """Look again at what could not be removed: with what held it, or held its place, gone it
        may be gone too.
        """
        for key in list(reversed(left)):
            removal = self._view.resources.get(key)
            if removal is not None and removal.intended.kind in self._hands:
                del left[key]
                await self._remove(removal, left)

    def _next(self, left: Mapping[tuple[str, str], Left]) -> ResourceView | None:
        removals = self.plan().removals
        return next((removal for removal in removals if _key(removal) not in left), None)

    async def _remove(self, removal: ResourceView, left: dict[tuple[str, str], Left]) -> None:
        kind, name = key = _key(removal)
        if key == RUN_PROCESS:
            run = self._journal.run(self._run.id)
            hand: Hand | None = _RunHand(run, self._stop_patience_s)
        else:
            hand = self._hands.get(kind)
        if hand is None:
            left[key] = _left(removal, f"This version cannot remove a {kind}")
            return
        proof, reason = await removed(hand, removal)
        self._catch_up_if_possible()
        if not proof:
            left[key] = _left(removal, reason)
        elif key == RUN_PROCESS or self._view.resources[key].exists:
            self._emit(ResourceDeleted(kind=kind, name=name, proof=proof))

    def _finish(self, left: Mapping[tuple[str, str], Left], took_s: float) -> TeardownFinished:
        seconds = round(took_s, 3)
        finished = TeardownFinished(left=tuple(left.values()), seconds=seconds)
        self._emit(finished)
        if left:
            names = ", ".join(f"{kind} {name}" for kind, name in left)
            self._emit(
                StageFailed(
                    seconds=seconds,
                    sentence=f"Not proved gone: {names}.",
                    remedy="; ".join(entry.delete_command for entry in left.values()),
                )
            )
        else:
            self._emit(StageFinished(seconds=seconds, summary="nothing is left"))
        # STATUS.md is a view, and its folder may be gone with the results.
        with contextlib.suppress(ProblemError):
            write_atomically(self._run.folder / STATUS_FILE, status_markdown(self._view))
        return finished

    def _emit(self, record: AnyRecord) -> None:
        """Write down what happened. What cannot be written is told and taken in all the same: a
        journal that fails is no reason to leave standing what costs money.
        """
        try:
            self._write(record)
            self._catch_up()
        except JournalError as problem:
            self._problem = self._problem or problem
            self._unwritten -= 1
            event = Event(
                sequence=self._unwritten,
                run=self._run.id,
                time=self._clock(),
                stage=Stage.TEARDOWN,
                log_position=0,
                record=record,
            )
            self._view.apply(event)
            self._take(event.to_line(), event)

    def _write(self, record: AnyRecord) -> None:
        log = self._run.folder / LOG_FILE
        try:
            position = log.stat().st_size
        except OSError:
            position = 0
        self._journal.append(
            self._run.id,
            record,
            time=self._clock(),
            stage=Stage.TEARDOWN,
            log_position=position,
        )

    def _catch_up_if_possible(self) -> None:
        try:
            self._catch_up()
        except JournalError as problem:
            self._problem = self._problem or problem

    def _catch_up(self) -> None:
        for line, event in self._journal.stream(self._run.id, self._seen):
            self._seen = event.sequence
            self._view.apply(event)
            self._take(line, event)


@dataclass(frozen=True, slots=True)
class _RunHand:
    """Stops the run's own process as ``stop`` does; a run that does not listen is killed, for it
    could go on to create what was just removed.
    """

    run: Run
    patience_s: float

    async def delete(self, resource: ResourceView) -> None:
        process = process_of(self.run)
        if self.run.state.ended and await ended(process, _LAST_STEPS_S):
            return
        if not await ask_to_end(process, self.patience_s):
            send(process, signal.SIGKILL)
            await ended(process, _KILLED_WITHIN_S)

    async def gone(self, resource: ResourceView) -> str | None:
        process = process_of(self.run)
        if process.alive():
            return None
        return f"/proc has no process {process.pid} started at tick {process.started}"


async def removed(hand: Hand, resource: ResourceView) -> tuple[str, str]:
    """Remove a resource and return the proof that it is gone, else an empty one and the reason."""
    reason = _STILL_THERE
    try:
        await hand.delete(resource)
    except Exception as error:
        reason = _reason(error)
    # Whatever came of that: whether it is gone is asked, not concluded.
    return await asked(hand, resource, reason)


async def asked(hand: Hand, resource: ResourceView, reason: str = _STILL_THERE) -> tuple[str, str]:
    """Ask whether a resource is gone and return the proof, else an empty one and why not:
    ``reason`` where it is just there.
    """
    try:
        if proof := await hand.gone(resource):
            return proof, ""
    except Exception as error:
        reason = _reason(error)
    return "", reason


def _reason(error: Exception) -> str:
    # Also a fault: what else costs money must not be kept by it.
    if isinstance(error, ProblemError):
        return error.sentence.rstrip(".")
    return f"A fault of this program: {error!r}"


def _unwritten(problem: JournalError, finished: TeardownFinished) -> JournalError:
    names = ", ".join(f"{left.kind} {left.name}" for left in finished.left)
    what = f"Not proved gone: {names}." if names else "Everything was removed all the same."
    commands = "; ".join(left.delete_command for left in finished.left)
    return JournalError(f"{problem.sentence} {what}", f"{commands} {problem.remedy}".strip())


def _key(resource: ResourceView) -> tuple[str, str]:
    return resource.intended.kind, resource.intended.name


def _left(resource: ResourceView, reason: str) -> Left:
    intended = resource.intended
    return Left(
        kind=intended.kind,
        name=intended.name,
        reason=reason,
        delete_command=intended.delete_command,
    )
