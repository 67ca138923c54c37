"""Starts the session's child processes, listens to them, and ends them."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from benchmark.errors import InputError, MeasurementError, ProblemError, WorkError, writing
from benchmark.files import write_atomically
from benchmark.plan import Plan
from benchmark.process import environment_of_child
from benchmark.protocol import SPEC_FILE, Spec

TICK_S = 0.5
CHILD_MODULE = "benchmark.child"
"""What a child process runs."""


class Interrupted(Exception):
    """The session was asked to stop."""


@dataclass
class StopSwitch:
    """Turned by SIGTERM or SIGINT; whoever runs a child process watches it."""

    turned: bool = False
    child: subprocess.Popen[str] | None = None

    def listen(self) -> None:
        """Take SIGTERM and SIGINT over. Call on the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._turn)

    def _turn(self, _number: int, _frame: FrameType | None) -> None:
        self.turned = True
        if self.child is not None:
            end_group(self.child)


def end_group(child: subprocess.Popen[str]) -> None:
    """Kill a child and what it started: LoadGen knows no gentle end."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def run_child(
    stop: StopSwitch,
    folder: Path,
    spec: Spec,
    hear: Callable[[dict[str, Any]], None],
    tick: Callable[[], None],
    module: str = CHILD_MODULE,
) -> None:
    """Run one child process to its end.

    ``tick`` is called every TICK_S until then. What it raises ends the waiting, not the child: so
    does a caller give up on one that no signal ends, as it waits in the kernel for a device.

    Raises:
        Interrupted: the stop switch was turned.
        MeasurementError: the child died without a word.
        InputError, WorkError: the child said so.
    """
    make_folder(folder)
    write_atomically(folder / SPEC_FILE, spec.model_dump_json(indent=1))
    if stop.turned:
        raise Interrupted
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", module, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=_child_environment(spec.plan),
        # A group of its own: a terminal's Ctrl-C must reach the session alone, and a stop
        # must reach the compilers that the child has started.
        start_new_session=True,
    )
    stop.child = child
    if stop.turned:
        end_group(child)
    failure: ProblemError | None = None
    try:
        for message in _messages(child, tick):
            if message.get("kind") == "failed":
                failure = _failure_of(message)
            else:
                hear(message)
        status = _status(child, tick)
    finally:
        stop.child = None
    if stop.turned:
        raise Interrupted
    if failure is not None:
        raise failure
    if status != 0:
        raise MeasurementError(f"The measurement process {_ending(status)}.")


def make_folder(folder: Path) -> None:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _child_environment(plan: Plan) -> dict[str, str]:
    # OpenMP threads that spin while they wait make a busy machine ten times slower instead of
    # half as fast (seen on two CPUs with one competitor), and a hypervisor that takes a CPU away
    # is such a competitor: threads sleep unless the user says otherwise. The choice is recorded.
    environment = environment_of_child()
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if plan.threads:
        environment["OMP_NUM_THREADS"] = str(plan.threads)
    else:
        environment.pop("OMP_NUM_THREADS", None)
    return environment


def _messages(child: subprocess.Popen[str], tick: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """Yield the child's messages, calling ``tick`` whenever TICK_S has passed."""
    assert child.stdout is not None
    stream = child.stdout
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, name="child-output", daemon=True).start()
    due = time.monotonic() + TICK_S
    while True:
        try:
            line = lines.get(timeout=max(0.0, due - time.monotonic()))
        except queue.Empty:
            tick()
            due = time.monotonic() + TICK_S
            continue
        if line is None:
            return
        try:
            message = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(message, dict):
            yield message


def _status(child: subprocess.Popen[str], tick: Callable[[], None]) -> int:
    """Return a child's exit status. One that has closed its output may still wait for a driver that
    does not let go of it.
    """
    while True:
        try:
            return child.wait(TICK_S)
        except subprocess.TimeoutExpired:
            tick()


def _failure_of(message: dict[str, Any]) -> ProblemError:
    kind: type[ProblemError] = InputError if message.get("exit_code") == 2 else WorkError
    if message.get("this_only"):
        kind = MeasurementError
    return kind(str(message.get("sentence", "")), str(message.get("remedy", "")))


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    hint = ", perhaps for lack of memory" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"
