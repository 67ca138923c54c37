"""``stop``: interrupt a run from anywhere."""

from __future__ import annotations

import asyncio
import sys

from core.cli.following import has_to_remove, teardown_command
from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.errors import WorkError
from core.run.journal import Journal, Run
from core.run.process import utc_now
from core.run.stopping import STOP_PATIENCE_S, ask_to_end, ended_at_work, process_of

_REMOVING_PATIENCE_S = 180.0


def execute(options: Options) -> int:
    """Ask the run's process to end and wait until it has."""
    with open_journal(settings_of(options)) as journal:
        run = journal.run(options.run)
        if journal.state_now(run, utc_now()).ended:
            print(f"Run {run.id} has ended already.", file=sys.stderr)
            return 0
        stop(journal, run)
    print(f"Run {run.id} has ended.", file=sys.stderr)
    return 0


def stop(
    journal: Journal,
    run: Run,
    patience_s: float = STOP_PATIENCE_S,
    removing_patience_s: float = _REMOVING_PATIENCE_S,
) -> None:
    """Ask a run's process to end and wait ``patience_s`` for it; where it has to remove what it
    created, until its stream has told nothing new for ``removing_patience_s``.

    Raises:
        WorkError: it did not end in time, is none of this machine or another user's.
    """
    process = process_of(run)
    if asyncio.run(ask_to_end(process, patience_s)):
        return
    if has_to_remove(journal, run.id):
        print(f"Run {run.id} is removing what it created ...", file=sys.stderr)
        if asyncio.run(ended_at_work(journal, run, process, removing_patience_s)):
            return
        raise WorkError(
            f"Run {run.id} is removing what it created, and nothing has come of it for "
            f"{removing_patience_s:.0f} s.",
            f"{teardown_command(run.id)} ends it and removes what it created.",
        )
    raise WorkError(
        f"Run {run.id} was asked to stop and has not ended in {patience_s:.0f} s.",
        f"kill -9 {process.pid} ends it; what it had stays in its folder.",
    )
