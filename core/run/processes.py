"""The processes that a run has started: how they are marked, found, ended and proved gone."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import WorkError
from core.run.events import ResourceIntended
from core.run.liveness import ProcessIdentity, identify, this_host
from core.run.stopping import send
from core.run.view import ResourceView

PROCESS = "process"
RUN_VARIABLE = "GPUBENCH_RUN_ID"
"""Environment variable that marks a run's processes. It is inherited, so it also finds those in
sessions of their own, and the one that was started when nobody could note its id any more."""

# The benchmark answers SIGTERM within 2 s; what has not ended by then is killed.
_PATIENCE_S = 5.0
_KILLED_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.05


def process_intended(run_id: str, name: str) -> ResourceIntended:
    """Return what the journal must know before a process of a run is started."""
    return ResourceIntended(
        kind=PROCESS,
        name=name,
        location=this_host(),
        # By name of the run: the id is not known yet, and may be another process's one day.
        delete_command=f"pkill -TERM -f -- {shlex.quote(f'--run-id {run_id}')}",
    )


def identity_text(process: ProcessIdentity) -> str:
    """Return the identity as the journal stores it."""
    return f"{process.pid}:{process.started}"


@dataclass(frozen=True, slots=True)
class _Found:
    own: tuple[ProcessIdentity, ...] = ()
    doubtful: tuple[ProcessIdentity, ...] = ()
    """In a session of the noted id, whose leader is gone: it may be a later session."""


@dataclass(frozen=True, slots=True)
class ProcessHand:
    """Removes processes of one run from this machine."""

    run_id: str
    patience_s: float = _PATIENCE_S

    async def delete(self, resource: ResourceView) -> None:
        """Ask the process and its session to end, and kill what of the run is still there then.

        Raises:
            WorkError: it is none of this machine, or another user's.
        """
        leader = _leader(resource)
        was_there = leader is not None and leader.alive()
        asked: set[ProcessIdentity] = set()
        gentle_until = time.monotonic() + self.patience_s
        while own := self._look(leader, was_there).own:
            now = time.monotonic()
            if now >= gentle_until + _KILLED_WITHIN_S:
                return
            if now >= gentle_until:
                _send_each(own, signal.SIGKILL)
            else:
                # The leader ends what it has put into other sessions itself, in good order.
                first = own if leader not in own else _of_session(own, leader)
                _send_each((process for process in first if process not in asked), signal.SIGTERM)
                asked.update(first)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def gone(self, resource: ResourceView) -> str | None:
        """Return the proof that nothing of it is left, None when something is.

        Raises:
            WorkError: it cannot be told.
        """
        leader = _leader(resource)
        found = self._look(leader, False)
        if found.own:
            return None
        if found.doubtful:
            ids = ", ".join(str(process.pid) for process in found.doubtful)
            raise WorkError(
                f"Its session has processes that cannot be proved to be the run's: {ids}"
            )
        if leader is None:
            return f"no process in /proc carries the mark {RUN_VARIABLE}={self.run_id}"
        return (
            f"/proc has no process {leader.pid} started at tick {leader.started}, none of its "
            f"session and none marked {RUN_VARIABLE}={self.run_id}"
        )

    def _look(self, leader: ProcessIdentity | None, was_there: bool) -> _Found:
        """Search all processes. ``was_there``: the leader was seen alive a moment ago."""
        own, doubtful = [], []
        holder = identify(leader.pid) if leader is not None else None
        mark = f"{RUN_VARIABLE}={self.run_id}".encode()
        for process in _processes():
            if process == leader or _carries(process.pid, mark):
                own.append(process)
            elif leader is None or _session(process.pid) != leader.pid:
                continue
            elif holder == leader or (holder is None and was_there):
                own.append(process)
            # The kernel gives an id away again only when its session is empty: with another
            # holder the session is another one, with none it may be.
            elif holder is None and process.started >= leader.started:
                doubtful.append(process)
        return _Found(tuple(own), tuple(doubtful))


def _leader(resource: ResourceView) -> ProcessIdentity | None:
    """Return which process it is, None when it is not known whether it was ever started."""
    location = resource.intended.location
    if location != this_host():
        raise WorkError(f"It can be looked for only where it was started, on {location}")
    if not resource.identity:
        return None
    pid, _, started = resource.identity.partition(":")
    try:
        return ProcessIdentity(int(pid), int(started))
    except ValueError as error:
        raise WorkError(f"{resource.identity!r} does not identify a process") from error


def _processes() -> Iterator[ProcessIdentity]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (process := identify(int(entry.name))) is not None:
            yield process


def _carries(pid: int, mark: bytes) -> bool:
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _of_session(
    processes: Iterable[ProcessIdentity], leader: ProcessIdentity | None
) -> tuple[ProcessIdentity, ...]:
    return tuple(
        process
        for process in processes
        if process == leader or (leader is not None and _session(process.pid) == leader.pid)
    )


def _send_each(processes: Iterable[ProcessIdentity], number: signal.Signals) -> None:
    for process in processes:
        send(process, number)
