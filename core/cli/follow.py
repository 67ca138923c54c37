"""``follow``: attach to a run and replay it."""

from __future__ import annotations

import sys

from core.cli.following import display_for, follow_to_end
from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.errors import ExitCode


def execute(options: Options) -> int:
    """Replay the run's events, and go on with it while it lives. Returns the run's exit code."""
    with open_journal(settings_of(options)) as journal:
        run = journal.run(options.run)
        try:
            return follow_to_end(journal, run.id, display_for(options))
        except KeyboardInterrupt:
            print(
                f"Detached; the run goes on: gpubench-tui --no-ui follow {run.id}",
                file=sys.stderr,
            )
            return ExitCode.INTERRUPTED
