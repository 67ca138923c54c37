"""``stop``: interrupt a run from anywhere."""

from __future__ import annotations

import asyncio
import sys

from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.errors import WorkError
from core.run.process import utc_now
from core.run.stopping import STOP_PATIENCE_S, ask_to_end, process_of


def execute(options: Options) -> int:
    """Ask the run's process to end and wait until it has."""
    with open_journal(settings_of(options)) as journal:
        run = journal.run(options.run)
        if journal.state_now(run, utc_now()).ended:
            print(f"Run {run.id} has ended already.", file=sys.stderr)
            return 0
        process = process_of(run)
        if asyncio.run(ask_to_end(process)):
            print(f"Run {run.id} has ended.", file=sys.stderr)
            return 0
    raise WorkError(
        f"Run {run.id} was asked to stop and has not ended in {STOP_PATIENCE_S:.0f} s.",
        f"kill -9 {process.pid} ends it; what it had stays in its folder.",
    )
