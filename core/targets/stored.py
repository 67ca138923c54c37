"""What is left to do of a run whose process was killed after its results were stored: to measure
anew, or only to look for a GPU again, would cost money for nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from core.run.events import Event, ResultsStored, Stage
from core.run.pipeline import StageContext, StageWork
from core.run.view import RunView, StageState


async def _nothing(_context: StageContext) -> None:
    return


@dataclass(frozen=True)
class Stored:
    """The rest of the results stage."""

    latest: str
    """Where the results are found."""
    rest: Callable[[StageContext], Awaitable[None]] = _nothing
    """Done once they are stored."""
    stage: Stage = Stage.RESULTS
    needs: frozenset[Stage] = frozenset()

    async def run(self, context: StageContext) -> str:
        """Return where they are. Raises what ``rest`` raises."""
        await self.rest(context)
        return self.latest


def left_of(
    stages: Sequence[StageWork],
    before: Sequence[Event],
    rest: Callable[[StageContext], Awaitable[None]] = _nothing,
) -> Sequence[StageWork]:
    """Return those of a run's stages that are to be run, given what its stream holds. ``rest``: of
    the results stage, once they are stored.
    """
    stored = [event.record for event in before if isinstance(event.record, ResultsStored)]
    if not stored:
        return stages
    results = RunView.of(before).stages.get(Stage.RESULTS)
    if results is not None and results.state is StageState.DONE:
        return ()
    return (Stored(stored[-1].latest, rest),)
