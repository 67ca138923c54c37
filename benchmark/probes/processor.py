"""System calls, the clock, wake-ups and interruptions of a CPU that only wants to work."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.probes.probe import Probe
from benchmark.probes.timing import Timer

# Few enough that most values see no interruption.
_CALLS = 200
_VALUES = 1500
_WINDOW_NS = 2_000_000
_WINDOWS = 100
_SLEEP_S = 0.001
_SLEEPS = 200

# prctl(2).
_PR_SET_TIMERSLACK = 29
_PR_GET_TIMERSLACK = 30


def processor_probes() -> tuple[Probe, ...]:
    """Return the probes of the CPU alone."""
    return (
        Probe("syscall", "system call", "ns", _syscall, {"operations": _CALLS}),
        Probe("clock-read", "reading the clock", "ns", _clock_read, {"operations": _CALLS}),
        Probe("interruption", "longest interruption in 2 ms", "us", _interruption),
        Probe("wake-up", "lateness of a 1 ms sleep", "us", _wake_up),
    )


def _syscall(timer: Timer) -> list[float]:
    """getppid(2), which no library caches and no vDSO answers, so that the kernel is entered.

    The interpreter's loop and call (about 30 ns) are taken away by way of a call of the same shape
    that stays in the process; glibc's wrapper and the making of a Python integer remain.
    """
    return timer.per_call(os.getppid, threading.get_ident, calls=_CALLS, most=_VALUES)


def _clock_read(timer: Timer) -> list[float]:
    """clock_gettime(CLOCK_MONOTONIC), from the vDSO where the clock source allows that: 20 to 30 ns
    then, and a system call where a hypervisor's clock does not. The interpreter's share is taken
    away as with a system call.
    """
    return timer.per_call(time.perf_counter_ns, threading.get_ident, calls=_CALLS, most=_VALUES)


def _interruption(timer: Timer) -> list[float]:
    """The longest time between two readings of the clock in each window of 2 ms: what took the CPU
    away (interrupts, other processes, the hypervisor). Without any, it is one turn of the
    interpreter's loop, 0.1 to 0.2 us, which is therefore the least that can be seen.
    """
    clock = timer.clock
    longest: list[float] = []
    deadline = clock() + timer.budget_ns
    while len(longest) < timer.fewest or (len(longest) < _WINDOWS and clock() < deadline):
        worst = 0
        before = started = clock()
        while before - started < _WINDOW_NS:
            now = clock()
            if now - before > worst:
                worst = now - before
            before = now
        longest.append(worst)
    return longest


def _wake_up(timer: Timer) -> list[float]:
    """How much later than asked a sleep of 1 ms ends: timer interrupt, leaving the idle state,
    being scheduled, and the interpreter's way back (some 2 us). The kernel's own slack of 50 us is
    turned off for it (prctl PR_SET_TIMERSLACK).
    """
    with _no_timer_slack():
        slept = timer.each(lambda: timer.sleep(_SLEEP_S), most=_SLEEPS)
    return [max(0.0, value - _SLEEP_S * 1e9) for value in slept]


@contextmanager
def _no_timer_slack() -> Iterator[None]:
    prctl = ctypes.CDLL(None).prctl
    before = prctl(_PR_GET_TIMERSLACK, 0, 0, 0, 0)
    prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    try:
        yield
    finally:
        if before > 0:
            prctl(_PR_SET_TIMERSLACK, before, 0, 0, 0)
