"""Follows a run's stream, live or finished, from any process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime

from core.run.events import Event, RunFinished, RunState
from core.run.journal import Journal

POLL_S = 0.1


def follow(
    journal: Journal,
    run_id: str,
    clock: Callable[[], datetime],
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[str, Event]]:
    """Yield every event as (the stored JSON line, the event) until the run has ended.

    A run whose process died ends without ``run_finished``; ask :meth:`Journal.state_now`.
    """
    seen = 0
    while True:
        # The state is asked before the lines: what an ended process wrote is then all there.
        state = journal.state_now(journal.run(run_id), clock())
        stream = journal.stream(run_id, seen)
        for line, event in stream:
            seen = event.sequence
            yield line, event
            if isinstance(event.record, RunFinished):
                return
        if not stream:
            if state is RunState.DIED or state.ended:
                return
            pause(POLL_S)
