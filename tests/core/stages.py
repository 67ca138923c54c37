"""Stand-ins for a target's stages. They do no work of a benchmark; they only behave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmark.files import write_atomically
from benchmark.progress import Remarked
from core.errors import StageError
from core.run.events import Stage
from core.run.pipeline import StageContext

Work = Callable[[StageContext], Awaitable[str]]


@dataclass(frozen=True)
class StandIn:
    """A stage that does what the test gives it to do."""

    stage: Stage
    work: Work
    needs: frozenset[Stage] = frozenset()

    async def run(self, context: StageContext) -> str:
        return await self.work(context)


async def nothing(_context: StageContext) -> str:
    """Succeed at once."""
    return "nothing to do"


async def remark(context: StageContext) -> str:
    """Say three things and succeed."""
    for number in range(3):
        context.emit(Remarked(message=f"remark {number}"))
    context.log("stand-in", "a line of the log")
    return "said three things"


async def forever(context: StageContext) -> str:
    """Say that it began, then wait for a stop."""
    context.emit(Remarked(message="waiting"))
    await asyncio.Event().wait()
    return "never reached"


async def busy(context: StageContext) -> str:
    """Write events, log lines and a file, as fast as it can, until it is stopped."""
    number = 0
    while True:
        number += 1
        context.emit(Remarked(message=f"remark {number}"))
        context.log("stand-in", f"line {number}")
        write_atomically(context.folder / "state.json", '{"numbers": [' + "1, " * 5000 + "1]}")
        await asyncio.sleep(0)


async def fail(_context: StageContext) -> str:
    """Fail as a stage should."""
    raise StageError("The stand-in failed.", "Expect it.", exit_code=1)


async def refuse(_context: StageContext) -> str:
    """Fail for wrong input."""
    raise StageError("The stand-in was given nonsense.", "Give it sense.", exit_code=2)


async def crash(_context: StageContext) -> str:
    """Fail as a stage should not."""
    raise ZeroDivisionError("a fault of the stand-in")


def job_of(work: Work) -> tuple[StandIn, ...]:
    """The three stages of a run on this machine, ``work`` being its job."""
    return (
        StandIn(Stage.PREFLIGHT, nothing),
        StandIn(Stage.JOB, work, frozenset({Stage.PREFLIGHT})),
        StandIn(Stage.RESULTS, nothing, frozenset({Stage.JOB})),
    )


WORKS: dict[str, Work] = {
    work.__name__: work for work in (nothing, remark, forever, busy, fail, refuse, crash)
}
