"""Takes up a run whose process was killed, where only its end is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from core.errors import StageError
from core.run.ending import Ending
from core.run.events import Event, Stage, StopRequested, TeardownFinished
from core.run.journal import Journal, Run
from core.run.teardown import Hand, Teardown
from core.run.view import RunView, StageState


def only_ends(run: Run, view: RunView) -> bool:
    """Return whether nothing but its end is left of a run that is not under way. One that was being
    torn down, or had been, is not begun anew.
    """
    return run.state.ended or view.stopping or view.teardown is not None


async def end_teardown(
    journal: Journal,
    run: Run,
    clock: Callable[[], datetime],
    *,
    hands: Mapping[str, Hand],
    take: Callable[[str, Event], None],
) -> TeardownFinished:
    """Tear a run down to the end, and write down how the run itself ended where its process was
    killed before it could. ``hands`` and ``take`` are those of :class:`Teardown`.

    Raises:
        JournalError: the journal cannot be used.
        asyncio.CancelledError: somebody asked to stop; what was not done yet is in the stream.
    """
    finished = await Teardown(journal, run, clock, hands=hands, take=take).execute()
    stream = journal.events(run.id)
    view = RunView.of(stream)
    ending = None if view.state.ended else _ending(view, stream)
    if ending is not None:
        now = clock()
        record = ending.leaving(finished.left, run.id).record(
            (now - (view.created_at or now)).total_seconds()
        )
        event = journal.append(run.id, record, time=now)
        take(event.to_line(), event)
    return finished


def _ending(view: RunView, stream: list[Event]) -> Ending | None:
    """Return how the run had ended when its teardown began; None: it was killed at work."""
    if view.stopping:
        asked = [event.record for event in stream if isinstance(event.record, StopRequested)]
        if asked[-1].is_failure:
            return Ending.failed(StageError(asked[-1].reason, asked[-1].remedy))
        return Ending.interrupted(asked[-1].reason)
    if view.result_file:
        return Ending.done()
    for stage in view.stages.values():
        if stage.state is StageState.FAILED and stage.stage is not Stage.TEARDOWN:
            return Ending.failed(StageError(stage.sentence, stage.remedy))
    return None
