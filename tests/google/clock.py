"""Google's time: as fast as the test wants it, and exact however late an event is served."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Durations:
    """How long things take, in seconds of Google's clock."""

    control_plane: float = 300.0
    system_nodes: float = 60.0
    """From the control plane's end to the end of the cluster's creation."""
    pool_accepted: float = 10.0
    """From the request to the instances' insertion."""
    node_boot: float = 50.0
    """From the instance's insertion to the node's Ready."""
    driver: float = 130.0
    """From the node's Ready to its GPU being allocatable."""
    pool_create: float = 70.0
    pool_delete: float = 120.0
    cluster_delete: float = 180.0
    resize: float = 40.0
    instances_gone: float = 0.75
    """When the instances are gone, as a share of the deletion that removes them."""
    settings_change: float = 5.0
    stockout_shown: float = 30.0
    """Until conditions and instance-group errors tell it."""
    stockout_fails: float = 2100.0
    """Until the operation itself gives up."""
    quota_fails: float = 60.0
    cancel: float = 20.0
    autoscaler: float = 10.0
    """From the pending pod to the scale-up."""
    autoscaler_idle: float = 600.0
    """From a node's last pod to its removal."""
    repository: float = 5.0
    zone_operation: float = 5.0
    build: float = 240.0
    pull: float = 30.0
    benchmark: float = 420.0
    smoke: float = 3.0
    preemption_notice: float = 30.0


class GoogleClock:
    """Seconds since 1970, going ``speed`` times as fast as ours.

    With speed 0 it stands still but for :meth:`advance`.
    """

    def __init__(self, speed: float = 1.0, start: float | None = None) -> None:
        self.speed = speed
        self._start = time.time() if start is None else start
        self._zero = time.monotonic()
        self._advanced = 0.0
        self._serving: float | None = None
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def now(self) -> float:
        """The moment that is being served, else the present one."""
        return self._present() if self._serving is None else self._serving

    def now_ns(self) -> int:
        return int(self.now() * 1e9)

    def datetime(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC)

    def later(self, seconds: float, event: Callable[[], None]) -> None:
        """Serve ``event`` then; it sees that very moment as now, even when it is served late."""
        heapq.heappush(self._due, (self.now() + seconds, next(self._numbers), event))
        self._arm()

    async def sleep(self, seconds: float) -> None:
        """Wait for so many of Google's seconds."""
        woken = asyncio.get_running_loop().create_future()
        self.later(seconds, lambda: None if woken.done() else woken.set_result(None))
        await woken

    def catch_up(self, until: float | None = None) -> None:
        """Serve what is due, in order."""
        if self._serving is not None or self._closed:
            return
        limit = self._present() if until is None else until
        try:
            while self._due and self._due[0][0] <= limit:
                self._serving, _, event = heapq.heappop(self._due)
                event()
        finally:
            self._serving = None
        self._arm()

    async def advance(self, seconds: float) -> None:
        """Let time pass at once, with everybody who waits taking part."""
        end = self._present() + seconds
        while True:
            for _ in range(20):
                await asyncio.sleep(0)
            following = self._due[0][0] if self._due else end
            step = min(max(following, self._present()), end)
            self._advanced += step - self._present()
            self.catch_up()
            if step >= end:
                break
        for _ in range(20):
            await asyncio.sleep(0)

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Let all that is done inside happen at one moment."""
        before = self._serving
        self._serving = self.now()
        try:
            yield
        finally:
            self._serving = before

    def close(self) -> None:
        self._closed = True
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _present(self) -> float:
        passed = (time.monotonic() - self._zero) * self.speed
        return self._start + passed + self._advanced

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed or not self._due or not self.speed:
            return
        wait = max(0.0, (self._due[0][0] - self._present()) / self.speed)
        self._timer = asyncio.get_running_loop().call_later(wait, self.catch_up)


def rfc3339(moment: float) -> str:
    """As Google writes a moment."""
    return (
        datetime.fromtimestamp(moment, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
