"""An event loop and a clock whose time goes faster than ours: the code that waits on them does not
know.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


class _Selector(selectors.DefaultSelector):
    """Waits a fraction of what it is asked to."""

    speed = 1.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0:
            timeout /= self.speed
        return super().select(timeout)


class SpedUpLoop(asyncio.SelectorEventLoop):
    """``time()``, and so every sleep and timeout, goes ``speed`` times as fast."""

    def __init__(self, speed: float) -> None:
        selector = _Selector()
        selector.speed = speed
        self._speed = speed
        self._zero = time.monotonic()
        super().__init__(selector)

    def time(self) -> float:
        return self._zero + (time.monotonic() - self._zero) * self._speed


class SpedUpPolicy(asyncio.DefaultEventLoopPolicy):
    """Makes such loops."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def new_event_loop(self) -> Any:
        return SpedUpLoop(self._speed)


@dataclass(frozen=True)
class Anchor:
    """Ties a faster clock to this machine's monotonic one, so that several processes share it."""

    speed: float
    monotonic: float
    unix: float

    def clock(self) -> Callable[[], datetime]:
        def now() -> datetime:
            passed = (time.monotonic() - self.monotonic) * self.speed
            return datetime.fromtimestamp(self.unix + passed, UTC)

        return now
