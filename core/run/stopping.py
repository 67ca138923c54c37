"""Ends processes, and only those that are meant: a process id that is used again is never hit."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from core.errors import WorkError
from core.run.journal import Journal, Run
from core.run.liveness import ProcessIdentity, this_host

STOP_PATIENCE_S = 30.0
"""How long a run may take to end after it was asked to."""
_LOOK_EVERY_S = 0.05
_PROGRESS_EVERY_S = 1.0


def process_of(run: Run) -> ProcessIdentity:
    """Return the process of a run that has not ended.

    Raises:
        WorkError: it is none of this machine, or it was not started yet.
    """
    if run.host != this_host():
        raise WorkError(
            f"Run {run.id} is not a process of this machine.", f"Stop it on {run.host}."
        )
    if run.process is None:
        raise WorkError(f"Run {run.id} has no process yet.", "Try again in a second.")
    return run.process


def send(process: ProcessIdentity, number: signal.Signals) -> bool:
    """Send a signal to this very process and return whether it was there to get it.

    Raises:
        WorkError: this user may not.
    """
    try:
        # What is held open cannot be replaced between the look and the signal.
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    except OSError:
        # Linux before 5.3, which Xen hosts still run: the look alone must do.
        handle = None
    try:
        if not process.alive():
            return False
        if handle is None:
            os.kill(process.pid, number)
        else:
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise WorkError(
            f"Process {process.pid} is another user's and cannot be stopped by this one."
        ) from error
    finally:
        if handle is not None:
            os.close(handle)
    return True


async def ended(process: ProcessIdentity, patience_s: float) -> bool:
    """Wait until a process is gone and return whether it went in time."""
    deadline = time.monotonic() + patience_s
    while process.alive():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_LOOK_EVERY_S)
    return True


async def ended_at_work(
    journal: Journal, run: Run, process: ProcessIdentity, idle_s: float
) -> bool:
    """Wait until a process that removes what its run created is gone; give up, and return False,
    when its run's stream has had nothing new for ``idle_s`` seconds. How long a removal may take is
    its own affair.

    Raises:
        JournalError: the journal cannot be read.
    """
    seen, idle_since = 0, time.monotonic()
    while not await ended(process, _PROGRESS_EVERY_S):
        lines = journal.lines(run.id, after=seen)
        if lines:
            seen, idle_since = lines[-1][0], time.monotonic()
        elif time.monotonic() - idle_since >= idle_s:
            return False
    return True


async def ask_to_end(process: ProcessIdentity, patience_s: float = STOP_PATIENCE_S) -> bool:
    """Interrupt a run's process and return whether it ended in time.

    Raises:
        WorkError: this user may not.
    """
    return not send(process, signal.SIGINT) or await ended(process, patience_s)
