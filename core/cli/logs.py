"""``logs``: a run's log, from its file."""

from __future__ import annotations

import sys
import time

from benchmark.errors import InputError
from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.run.follow import POLL_S
from core.run.log import LOG_FILE
from core.run.process import utc_now
from core.text import harmless


def execute(options: Options) -> int:
    """Print the log; with --follow until the run has ended."""
    with open_journal(settings_of(options)) as journal:
        run = journal.run(options.run)
        path = run.folder / LOG_FILE
        try:
            stream = path.open(encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise InputError(f"The log {path} cannot be read: {error.strerror}.") from error
        with stream:
            while True:
                ended = journal.state_now(journal.run(run.id), utc_now()).ended
                for line in stream:
                    # Harmless already where we wrote it; a crash of ours writes there too.
                    print(harmless(line.rstrip("\n")))
                if ended or not options.follow:
                    return 0
                sys.stdout.flush()
                time.sleep(POLL_S)
