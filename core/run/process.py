"""The process that a run lives in: it outlives the terminal and says how the run ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from benchmark.errors import ProblemError
from benchmark.files import write_atomically
from core import __version__
from core.errors import StageError
from core.run.ending import Ending
from core.run.events import (
    AnyRecord,
    Event,
    RunStarted,
    RunState,
    Stage,
    StopRequested,
)
from core.run.journal import Journal, Run
from core.run.liveness import identify
from core.run.log import LOG_FILE, RunLog
from core.run.narrate import sentence
from core.run.pipeline import Pipeline, StageContext
from core.run.status import STATUS_FILE, status_markdown
from core.run.teardown import Hand, Teardown
from core.run.view import RunView

Clock = Callable[[], datetime]
Unwind = Callable[[RunState], Mapping[str, Hand] | None]
"""Given how the run ended: the hands that remove what it created, None to leave that standing."""

Emit = Callable[[AnyRecord], None]
Stop = Callable[[ProblemError], None]


class Watch(Protocol):
    """Watches over a run beside its stages, to the end of its teardown: what it costs, say."""

    async def run(self, emit: Emit, stop: Stop) -> None:
        """Work until cancelled. ``stop`` ends the stages; the run then fails with that problem."""


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Blocked while a run cannot answer them: before its pipeline runs, and after."""


def utc_now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


class RunProcess:
    """Runs one run of the journal in this process."""

    def __init__(
        self,
        journal: Journal,
        run: Run,
        pipeline: Pipeline,
        results_dir: Path,
        clock: Clock,
        unwind: Unwind = lambda _state: None,
        watch: Watch | None = None,
    ) -> None:
        self._journal = journal
        self._run = run
        self._plan = journal.plan(run.id)
        self._pipeline = pipeline
        self._results_dir = results_dir
        self._clock = clock
        self._unwind = unwind
        self._watch = watch
        self._log = RunLog(run.folder / LOG_FILE, clock)
        self._before = tuple(journal.events(run.id))
        self._view = RunView.of(self._before)
        self._started_at = self._view.created_at or clock()
        self._stop_reason = ""
        self._problem: ProblemError | None = None
        self._taken: set[int] = set()

    def execute(self) -> int:
        """Run everything, write the end down and return the exit code."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            return self._execute()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _execute(self) -> int:
        identity = identify()
        assert identity is not None
        self._journal.set_process(self._run.id, identity)
        resumed = self._view.state is not RunState.CREATED
        self._emit(None, RunStarted(pid=os.getpid(), version=__version__, resumed=resumed))
        ending = asyncio.run(self._until_the_end())
        self._emit(None, ending.record((self._clock() - self._started_at).total_seconds()))
        self._log.close()
        return ending.exit_code

    async def _until_the_end(self) -> Ending:
        work = asyncio.ensure_future(self._pipeline.run(self._context_of))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, work, signal.Signals(number).name)
        # A terminal that goes away is no reason to stop.
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        try:
            async with self._watched(work):
                # Asked to stop once more, what is being removed is still removed.
                return await self._unwound(await self._worked(work))
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)

    @contextlib.asynccontextmanager
    async def _watched(self, work: asyncio.Future[None]) -> AsyncIterator[None]:
        if self._watch is None:
            yield
            return

        def stop(problem: ProblemError) -> None:
            if self._problem is None and not work.done():
                self._problem = problem
                # Before it is written down: a journal that fails must not keep the run going.
                work.cancel()
                with contextlib.suppress(ProblemError):
                    self._emit(
                        None,
                        StopRequested(
                            reason=problem.sentence, is_failure=True, remedy=problem.remedy
                        ),
                    )

        watching = asyncio.ensure_future(
            self._watch.run(lambda record: self._emit(None, record), stop)
        )
        watching.add_done_callback(lambda watched: _stop_unwatched(watched, stop))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _worked(self, work: asyncio.Future[None]) -> Ending:
        try:
            await work
        except asyncio.CancelledError:
            if self._problem is not None:
                return Ending.failed(self._problem)
            return Ending.interrupted(self._stop_reason)
        except ProblemError as problem:
            self._log_cause(problem)
            if self._problem is not None:
                return Ending.failed(self._problem)
            if self._stop_reason:
                # What fails while it is being stopped is no failure of the run.
                return Ending.interrupted(self._stop_reason)
            return Ending.failed(problem)
        return Ending.done()

    async def _unwound(self, ending: Ending) -> Ending:
        """Remove what the run created, and return how it ended when that is known too."""
        hands = self._unwind(ending.state)
        if hands is None or not self._view.resources:
            return ending
        finished = await Teardown(
            self._journal,
            self._run,
            self._clock,
            hands=hands,
            take=lambda _line, event: self._take(event),
            from_within=True,
        ).execute()
        return ending.leaving(finished.left, self._run.id)

    def _log_cause(self, problem: ProblemError) -> None:
        if not isinstance(problem, StageError) or problem.__cause__ is None:
            return
        # A full disk must not keep the run from saying how it ended.
        with contextlib.suppress(ProblemError):
            for entry in traceback.format_exception(problem.__cause__):
                for line in entry.splitlines():
                    self._log.write("run", line)

    def _stop(self, work: asyncio.Future[None], reason: str) -> None:
        work.cancel()
        if not self._stop_reason:
            self._stop_reason = reason
            self._emit(None, StopRequested(reason=reason))

    def _context_of(self, stage: Stage) -> StageContext:
        return StageContext(
            run_id=self._run.id,
            leg=self._run.leg,
            folder=self._run.folder,
            results_dir=self._results_dir,
            plan=self._plan,
            emit=lambda record: self._emit(stage, record),
            log=self._log.write,
            resources=lambda: self._view.resources,
            before=self._before,
        )

    def _emit(self, stage: Stage | None, record: AnyRecord) -> None:
        self._take(
            self._journal.append(
                self._run.id,
                record,
                time=self._clock(),
                stage=stage,
                log_position=self._log.position,
            )
        )

    def _take(self, event: Event) -> None:
        if event.sequence in self._taken:
            # The teardown reads the stream, and what was written beside it stands there too.
            return
        self._taken.add(event.sequence)
        self._view.apply(event)
        # Both are views: the journal has what they would say when the disk is full.
        with contextlib.suppress(ProblemError):
            if text := sentence(event):
                stage = event.stage
                self._log.write(str(stage or "run"), text.removeprefix(f"[{stage}] "))
            if _changes_status(event):
                write_atomically(self._run.folder / STATUS_FILE, status_markdown(self._view))


def _stop_unwatched(watched: asyncio.Future[None], stop: Stop) -> None:
    """End a run that nobody watches any more: its limits would be none."""
    if watched.cancelled():
        return
    reason = watched.exception() or "it ended"
    stop(
        StageError(
            f"What watches over the run's costs failed by a fault of this program: {reason!r}.",
            "Please report it.",
        )
    )


def _changes_status(event: Event) -> bool:
    return event.record.event not in (
        "measurement_progressed",
        "measurement_phase_entered",
        "stage_progressed",
        "part_changed",
        "cost_metered",
    )
