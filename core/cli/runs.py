"""``runs``: all runs, the newest first."""

from __future__ import annotations

import json
import sys

from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.run.journal import Run
from core.run.process import utc_now
from core.text import columns, duration, harmless


def execute(options: Options) -> int:
    """Print the list; with --json one object a line."""
    now = utc_now()
    with open_journal(settings_of(options)) as journal:
        rows = [(run, journal.state_now(run, now)) for run in journal.runs()]
    if options.format == "json":
        for run, state in rows:
            print(json.dumps(_document(run, state)))
        return 0
    if not rows:
        print("There are no runs yet: gpubench-tui --no-ui run starts one.", file=sys.stderr)
        return 0
    cells = [("RUN", "STATE", "TARGET", "LEG", "PROFILE", "CREATED (UTC)", "TOOK")]
    cells += [
        (
            run.id,
            str(state),
            run.target,
            run.leg,
            harmless(run.profile),
            f"{run.created_at:%Y-%m-%d %H:%M}",
            duration((run.finished_at - run.created_at).total_seconds()) if run.finished_at else "",
        )
        for run, state in rows
    ]
    print("\n".join(columns(cells)))
    return 0


def _document(run: Run, state: str) -> dict[str, object]:
    return {
        "id": run.id,
        "state": state,
        "target": run.target,
        "leg": run.leg,
        "profile": run.profile,
        "folder": str(run.folder),
        "created_at": run.created_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "exit_code": run.exit_code,
    }
