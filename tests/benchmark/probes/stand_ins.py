"""A clock that only work moves, and a GPU whose every act takes a known time on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmark.probes.model import Copy
from benchmark.probes.timing import Operation, Timer

MICROSECOND = 1000


class WorkClock:
    """Nanoseconds that go by when something is said to take them, and 10 ns at each reading."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 10
        return self.now

    def work(self, nanoseconds: float) -> None:
        self.now += round(nanoseconds)

    def sleep(self, seconds: float) -> None:
        """Sleep, and wake up 70 us late."""
        self.work(seconds * 1e9 + 70 * MICROSECOND)

    def timer(self, budget_ns: int = 250_000_000) -> Timer:
        return Timer(clock=self, sleep=self.sleep, budget_ns=budget_ns)


@dataclass
class StandInGpu:
    """A launch takes 3 us, waiting 5 us for each launch, a copy 8 us and 100 us a MiB (pageable
    300), an allocation 200 us where memory was released before and nothing where it was not.
    """

    clock: WorkClock
    waiting: int = 0
    released: bool = True
    copied: list[Copy] = field(default_factory=list)

    def launch(self) -> None:
        self.clock.work(3 * MICROSECOND)
        self.waiting += 1

    def synchronize(self) -> None:
        self.clock.work(5 * MICROSECOND * self.waiting)
        self.waiting = 0

    def copy(self, copy: Copy) -> Operation:
        # Buffers are made and touched outside of what is timed.
        self.clock.work(10_000 * MICROSECOND)
        self.copied.append(copy)
        a_mebibyte = (100 if copy.is_pinned else 300) * MICROSECOND
        return lambda: self.clock.work(8 * MICROSECOND + a_mebibyte * copy.bytes / 2**20)

    def allocate(self, size: int) -> None:
        self.clock.work(200 * MICROSECOND if self.released else 0)
        self.released = False

    def release(self) -> None:
        self.clock.work(50 * MICROSECOND)
        self.released = True
