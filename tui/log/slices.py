"""Long work on the console's own thread: in slices, and never in the way of a key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

SLICE_S = 0.008
"""The console stands still no longer than this at a time."""

_PAUSE_S = 0.001
# A pause that took longer than this was used by somebody else: a key is on its way through the
# widgets, or something is drawn.
_BUSY_S = 0.003
_MOST_PAUSES = 6


async def give_way(clock: Callable[[], float]) -> None:
    """Let everything else go first, for as long as it needs the time, up to a bound."""
    for _ in range(_MOST_PAUSES):
        started = clock()
        await asyncio.sleep(_PAUSE_S)
        if clock() - started < _BUSY_S:
            return
