"""``_execute``: the process that a run lives in."""

from __future__ import annotations

from pathlib import Path

from core.cli.parser import Options
from core.run.journal import Journal
from core.run.process import RunProcess, utc_now
from core.targets.registry import settings_of_run, target_of


def execute(options: Options) -> int:
    """Run the run to its end."""
    with Journal(Path(options.state_dir)) as journal:
        run = journal.run(options.run)
        target = target_of(settings_of_run(journal, run), journal, run.id)
        return RunProcess(
            journal,
            run,
            target.pipeline,
            Path(options.results_dir),
            utc_now,
            unwind=target.unwind,
            watch=target.watch,
        ).execute()
