"""``show``: a run's per-scenario table."""

from __future__ import annotations

import sys

from benchmark.errors import InputError
from benchmark.results import RESULT_FILE, read_result
from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.report import scenarios
from core.run.process import utc_now


def execute(options: Options) -> int:
    """Print the table in the wanted format."""
    with open_journal(settings_of(options)) as journal:
        run = journal.run(options.run)
        path = run.folder / RESULT_FILE
        if not path.exists():
            raise InputError(
                f"Run {run.id} ({journal.state_now(run, utc_now())}) has no results.",
                f"gpubench-tui --no-ui logs {run.id} tells what happened.",
            )
    result = read_result(path)
    if options.format == "json":
        text = scenarios.render_json(result)
    elif options.format == "csv":
        text = scenarios.render_csv(result)
    elif options.format == "markdown":
        text = scenarios.render_markdown(scenarios.scenario_table(result))
    else:
        text = scenarios.render_text(scenarios.scenario_table(result))
    sys.stdout.write(text)
    return 0
