"""What ``run`` and ``rerun`` share: write runs down, start their processes, follow them."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence

from benchmark.plan import Plan
from core.cli.following import display_for, follow_to_end
from core.cli.parser import Options, run_arguments
from core.run.journal import Journal, Run
from core.run.launch import NewRun, create_run, start_process
from core.run.process import utc_now
from core.settings import Settings, differing
from core.targets.planning import plan_of
from core.targets.registry import resolved, target_of

Started = tuple[Run, subprocess.Popen[bytes]]


def start_run(settings: Settings, journal: Journal, plan: Plan | None = None) -> Started:
    """Write a run down and start its process. ``plan`` is what to measure; by default what the
    settings say.

    Raises:
        ProblemError: the settings cannot be run, or the run cannot be written down.
    """
    settings = resolved(settings, os.environ)
    note = ""
    if plan is None:
        plan, note = plan_of(settings, journal)
    run = create_run(
        journal,
        NewRun(
            target=settings.target,
            leg=settings.leg,
            plan=plan,
            stages=target_of(settings, journal).order,
            results_dir=settings.results_dir,
            command=equivalent_command(settings),
            note=note,
            settings=settings.model_dump(mode="json"),
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
    return run, process


def see_through(journal: Journal, started: Sequence[Started], options: Options) -> int:
    """Follow runs to their ends, one after the other, and return the first exit code that is not
    0; with --detach print their ids and return at once.
    """
    if options.detach:
        for run, process in started:
            print(run.id)
            # The process is left alone on purpose; Popen would complain.
            process.returncode = 0
        return 0
    codes = []
    for run, process in started:
        codes.append(follow_to_end(journal, run.id, display_for(options), stop_on_interrupt=True))
        # Its last event is in the journal before STATUS.md is written.
        process.wait()
    return next(filter(None, codes), 0)


def equivalent_command(settings: Settings) -> str:
    """Return the headless command that starts the same run, also where no variable and no
    configuration file says anything.
    """
    return shlex.join(["gpubench-tui", "--no-ui", *run_arguments(differing(settings))])
