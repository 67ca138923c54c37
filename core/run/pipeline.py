"""Runs the stages of a run: each when what it needs is done, independent ones side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from benchmark.errors import ProblemError
from benchmark.plan import Plan
from core.errors import StageError
from core.run.events import (
    AnyRecord,
    Event,
    Stage,
    StageFailed,
    StageFinished,
    StageStarted,
    StageStopped,
)
from core.run.view import ResourceView


class LogWriter(Protocol):
    """Writes one line of a source."""

    def __call__(self, source: str, text: str, time: datetime | None = None) -> None:
        """Append it. ``time`` is when it was written, where its source says so."""


@dataclass(frozen=True, slots=True)
class StageContext:
    """What a stage may use of the run."""

    run_id: str
    leg: str
    folder: Path
    results_dir: Path
    plan: Plan
    emit: Callable[[AnyRecord], None]
    """Adds an event of this stage to the stream."""
    log: LogWriter
    """Adds a line to deployment.log."""
    resources: Callable[[], Mapping[tuple[str, str], ResourceView]] = dict
    """What the run has created so far, by kind and name."""
    before: Sequence[Event] = ()
    """What the run's stream held when this process took it up: of a process that was killed."""


class StageWork(Protocol):
    """One stage of a target."""

    @property
    def stage(self) -> Stage:
        """Which one."""

    @property
    def needs(self) -> frozenset[Stage]:
        """The stages that must be done before."""

    async def run(self, context: StageContext) -> str:
        """Do the work and return one line that sums it up.

        Raises:
            ProblemError: the stage failed. On cancellation it stops what it has started.
        """


class Pipeline:
    """Orders stages by what they need.

    Raises:
        ValueError: a stage needs one that is not there, or two need each other.
    """

    def __init__(self, stages: Sequence[StageWork]) -> None:
        self._stages = {work.stage: work for work in stages}
        if len(self._stages) != len(stages):
            raise ValueError("a stage stands twice")
        self.order = tuple(_ordered(self._stages.values()))

    async def run(self, context_of: Callable[[Stage], StageContext]) -> None:
        """Run all stages. The first failure stops the others and is raised.

        Raises:
            ProblemError: of the stage that failed.
            asyncio.CancelledError: the run was stopped.
        """
        finished = {stage: asyncio.Event() for stage in self._stages}

        async def when_ready(work: StageWork) -> None:
            for needed in work.needs:
                await finished[needed].wait()
            await _run_stage(work, context_of(work.stage))
            finished[work.stage].set()

        try:
            async with asyncio.TaskGroup() as group:
                for work in self._stages.values():
                    group.create_task(when_ready(work), name=str(work.stage))
        except BaseExceptionGroup as failures:
            # One failure is the cause; what else failed did so while it was being stopped.
            first = failures.exceptions[0]
            raise first from first.__cause__


async def _run_stage(work: StageWork, context: StageContext) -> None:
    now = asyncio.get_running_loop().time
    started = now()

    def elapsed() -> float:
        return round(now() - started, 3)

    def fault(error: BaseException) -> StageError:
        sentence = f"Stage {work.stage} failed by a fault of this program: {error!r}."
        remedy = "The traceback is in deployment.log; please report it."
        context.emit(StageFailed(seconds=elapsed(), sentence=sentence, remedy=remedy))
        return StageError(sentence, remedy)

    context.emit(StageStarted())
    try:
        summary = await work.run(context)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            # Nobody asked for it; left so, the stages that wait for this one would wait for ever.
            raise fault(error) from error
        context.emit(StageStopped(seconds=elapsed()))
        raise
    except ProblemError as problem:
        context.emit(
            StageFailed(seconds=elapsed(), sentence=problem.sentence, remedy=problem.remedy)
        )
        raise
    except Exception as error:
        raise fault(error) from error
    context.emit(StageFinished(seconds=elapsed(), summary=summary))


def _ordered(stages: Iterable[StageWork]) -> Iterable[Stage]:
    waiting = list(stages)
    done: set[Stage] = set()
    while waiting:
        ready = [work for work in waiting if work.needs <= done]
        if not ready:
            names = ", ".join(str(work.stage) for work in waiting)
            raise ValueError(f"these stages can never start: {names}")
        for work in ready:
            yield work.stage
            done.add(work.stage)
            waiting.remove(work)
