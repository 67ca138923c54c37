"""``run``: write a run down, start its process, and follow it unless it is to be left alone."""

from __future__ import annotations

import shlex

from core.cli.following import display_for, follow_to_end
from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options, run_arguments
from core.run.launch import NewRun, create_run, start_process
from core.run.pipeline import Pipeline
from core.run.process import utc_now
from core.settings import Settings, differing
from core.targets.local import local_stages
from core.targets.planning import plan_of


def execute(options: Options) -> int:
    """Start a run. Returns the run's exit code, or 0 at once with --detach."""
    settings = settings_of(options)
    with open_journal(settings) as journal:
        plan, note = plan_of(settings, journal)
        run = create_run(
            journal,
            NewRun(
                target=settings.target,
                leg=settings.leg,
                plan=plan,
                stages=Pipeline(local_stages(journal)).order,
                results_dir=settings.results_dir,
                command=equivalent_command(settings),
                note=note,
            ),
            utc_now,
        )
        process = start_process(
            journal,
            run,
            (
                *("_execute", run.id, "--results-dir", str(settings.results_dir)),
                *("--state-dir", str(settings.state_dir)),
            ),
        )
        if options.detach:
            print(run.id)
            # The process is left alone on purpose; Popen would complain.
            process.returncode = 0
            return 0
        code = follow_to_end(journal, run.id, display_for(options), stop_on_interrupt=True)
        # Its last event is in the journal before STATUS.md is written.
        process.wait()
        return code


def equivalent_command(settings: Settings) -> str:
    """Return the headless command that starts the same run, also where no variable and no
    configuration file says anything.
    """
    return shlex.join(["gpubench-tui", "--no-ui", *run_arguments(differing(settings))])
