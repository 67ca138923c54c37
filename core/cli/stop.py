"""``stop``: interrupt a run from anywhere."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.errors import WorkError
from core.run.liveness import this_host
from core.run.process import utc_now

_PATIENCE_S = 30.0


def execute(options: Options) -> int:
    """Ask the run's process to end and wait until it has."""
    with open_journal(settings_of(options)) as journal:
        run = journal.run(options.run)
        if journal.state_now(run, utc_now()).ended:
            print(f"Run {run.id} has ended already.", file=sys.stderr)
            return 0
        if run.host != this_host():
            raise WorkError(
                f"Run {run.id} is not a process of this machine.", f"Stop it on {run.host}."
            )
        if run.process is None:
            raise WorkError(f"Run {run.id} has no process yet.", "Try again in a second.")
        with contextlib.suppress(ProcessLookupError):
            os.kill(run.process.pid, signal.SIGINT)
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            if not run.process.alive():
                print(f"Run {run.id} has ended.", file=sys.stderr)
                return 0
            time.sleep(0.1)
    raise WorkError(
        f"Run {run.id} was asked to stop and has not ended in {_PATIENCE_S:.0f} s.",
        f"kill -9 {run.process.pid} ends it; what it had stays in its folder.",
    )
