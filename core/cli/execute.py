"""``_execute``: the process that a run lives in."""

from __future__ import annotations

from pathlib import Path

from core.cli.parser import Options
from core.run.journal import Journal
from core.run.pipeline import Pipeline
from core.run.process import RunProcess, utc_now
from core.targets.local import local_stages


def execute(options: Options) -> int:
    """Run the run to its end."""
    with Journal(Path(options.state_dir)) as journal:
        run = journal.run(options.run)
        pipeline = Pipeline(local_stages(journal))
        return RunProcess(journal, run, pipeline, Path(options.results_dir), utc_now).execute()
