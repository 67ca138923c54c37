"""Handing work to another process: a switch on the same CPU, a wake-up on another one.

The two differ in what a hypervisor sees. On one CPU the kernel switches between page tables; on two
the sleeper's CPU is woken by an interrupt that another CPU sends, which under a hypervisor leaves
the guest at both ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmark.probes.model import SIBLINGS
from benchmark.probes.probe import Probe
from benchmark.probes.timing import CannotProbeError, Timer

_ROUNDS = 10
_VALUES = 400
_END_S = 5.0


def switch_probes(root: Path = Path("/"), allowed: Collection[int] = ()) -> tuple[Probe, ...]:
    """Return the probes of switching between two processes.

    ``root``: below which ``sys`` lies. ``allowed``: the CPUs to choose from, by number; those that
    this process may use where there are none.
    """
    ours, theirs, kind = two_cpus(allowed or os.sched_getaffinity(0), root)
    operations = {"operations": 2 * _ROUNDS}
    return (
        Probe("context-switch", "context switch", "us", _same_cpu, operations),
        Probe(
            "cross-cpu",
            "waking another CPU",
            "us",
            partial(_other_cpu, ours, theirs),
            operations | kind,
        ),
    )


def two_cpus(allowed: Collection[int], root: Path) -> tuple[int, int | None, dict[str, int]]:
    """Return the first CPU, another one (None: there is none), and what kind of pair they are, as a
    parameter of the probe; empty: unknown.

    A thread of another core is taken before one of the same core, which shares its caches and is
    woken in less time, so that two machines that number their threads differently time the same.
    Siblings are what the kernel takes for such: a hypervisor may show a guest any it likes.
    """
    first, *others = sorted(allowed)
    if not others:
        return first, None, {}
    siblings = _siblings(first, root)
    if siblings is None:
        return first, others[0], {}
    elsewhere = [cpu for cpu in others if cpu not in siblings]
    return first, (elsewhere or others)[0], {SIBLINGS: int(not elsewhere)}


def _siblings(cpu: int, root: Path) -> set[int] | None:
    """Return the threads of a CPU's core, itself among them; None: the kernel does not tell."""
    file = root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
    found: set[int] = set()
    try:
        # "0-1", "0,64" or both: the kernel's cpulist (Documentation/admin-guide/cputopology.rst).
        for part in file.read_text(encoding="ascii").strip().split(","):
            low, _, high = part.partition("-")
            found |= set(range(int(low), int(high or low) + 1))
    except (OSError, ValueError):
        return None
    return found if cpu in found else None


def _same_cpu(timer: Timer) -> list[float]:
    """Half a round trip of a byte through two pipes between two processes on one CPU: a switch, a
    write(2), a read(2) and their calls from Python (about 1 us together). Each value is the mean of
    20 such halves.
    """
    cpu = min(os.sched_getaffinity(0))
    return _ping_pong(timer, cpu, cpu)


def _other_cpu(ours: int, theirs: int | None, timer: Timer) -> list[float]:
    """The same with the two processes on different CPUs, each of which falls idle meanwhile."""
    if theirs is None:
        raise CannotProbeError("this process may use one CPU only")
    return _ping_pong(timer, ours, theirs)


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
