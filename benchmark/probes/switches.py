"""Handing work to another process: a switch on the same CPU, a wake-up on another one.

The two differ in what a hypervisor sees. On one CPU the kernel switches between page tables; on two
the sleeper's CPU is woken by an interrupt that another CPU sends, which under a hypervisor leaves
the guest at both ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.probes.probe import Probe
from benchmark.probes.timing import CannotProbeError, Timer

_ROUNDS = 10
_VALUES = 400
_END_S = 5.0


def switch_probes() -> tuple[Probe, ...]:
    """Return the probes of switching between two processes."""
    return (
        Probe("context-switch", "context switch", "us", _same_cpu, {"operations": 2 * _ROUNDS}),
        Probe("cross-cpu", "waking another CPU", "us", _other_cpu, {"operations": 2 * _ROUNDS}),
    )


def _same_cpu(timer: Timer) -> list[float]:
    """Half a round trip of a byte through two pipes between two processes on one CPU: a switch, a
    write(2), a read(2) and their calls from Python (about 1 us together). Each value is the mean of
    20 such halves.
    """
    cpu = min(os.sched_getaffinity(0))
    return _ping_pong(timer, cpu, cpu)


def _other_cpu(timer: Timer) -> list[float]:
    """The same with the two processes on different CPUs, each of which falls idle meanwhile."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise CannotProbeError("this process may use one CPU only")
    return _ping_pong(timer, allowed[0], allowed[1])


def _ping_pong(timer: Timer, ours: int, theirs: int) -> list[float]:
    with _on_cpu(ours), _echo(theirs) as (write, read):

        def rounds() -> None:
            for _ in range(_ROUNDS):
                os.write(write, b"x")
                if not os.read(read, 1):
                    raise CannotProbeError("the other process ended")

        found = timer.each(rounds, most=_VALUES)
    return [value / (2 * _ROUNDS) for value in found]


@contextmanager
def _on_cpu(cpu: int) -> Iterator[None]:
    """Keep this thread on one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _echo(cpu: int) -> Iterator[tuple[int, int]]:
    """Start the other process; yield where to write to it and where to read from."""
    child = Path(__file__).with_name("echo_child.py")
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(child), str(cpu)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdin.fileno(), process.stdout.fileno()
        finally:
            process.stdin.close()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
