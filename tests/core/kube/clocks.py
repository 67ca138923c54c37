"""Time that passes only by sleeping."""

from __future__ import annotations

import asyncio


class Clock:
    """For ``sleep`` and ``monotonic`` of the code under test."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        # Let the servers in this process have their turn.
        await asyncio.sleep(0)

    def monotonic(self) -> float:
        return self.now
