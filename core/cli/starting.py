"""What ``run`` and ``rerun`` share: write runs down, start their processes, follow them."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.plan import Plan
from core.cli.flags import run_arguments
from core.cli.following import (
    Plain,
    Silent,
    Stopper,
    display_for,
    follow_to_end,
    interrupts_to,
)
from core.cli.parser import Options
from core.errors import ProblemError, WorkError
from core.run.journal import Journal, Run
from core.run.launch import NewRun, create_run, start_process
from core.run.process import utc_now
from core.settings import Settings, differing
from core.targets.planning import plan_of
from core.targets.registry import resolved, target_of

Started = tuple[Run, subprocess.Popen[bytes]]


def start_run(
    settings: Settings, journal: Journal, plan: Plan | None = None, note: str = ""
) -> Started:
    """Write a run down and start its process. ``plan`` is what to measure; by default what the
    settings say. ``note`` says what a reader should know of it, if the plan itself says nothing.

    Raises:
        ProblemError: the settings cannot be run, or the run cannot be written down.
    """
    settings = resolved(settings, os.environ)
    if plan is None:
        plan, of_plan = plan_of(settings, journal)
        note = of_plan or note
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
    return run, start_execution(journal, run, settings.results_dir, settings.state_dir)


def start_execution(
    journal: Journal, run: Run, results_dir: Path, state_dir: Path
) -> subprocess.Popen[bytes]:
    """Start the process that a run lives in, the first one or one that goes on where another was
    killed.
    """
    return start_process(
        journal,
        run,
        ("_execute", run.id, "--results-dir", str(results_dir), "--state-dir", str(state_dir)),
    )


def start_all(
    wanted: Sequence[Settings], journal: Journal, options: Options, plan: Plan | None = None
) -> int:
    """Start a run of each settings and follow them to their ends, one after the other; Ctrl-C stops
    all of them. Returns the first exit code that is not 0; with --detach prints their ids and
    returns 0 at once.

    Raises:
        ProblemError: see :func:`start_run`; runs that had started by then go on, and are named.
    """
    if options.detach:
        for run, process in _started(wanted, journal, plan):
            print(run.id, flush=True)
            # The process is left alone on purpose; Popen would complain.
            process.returncode = 0
        return 0
    words = Silent() if options.quiet else Plain()
    stopper = Stopper(journal, words.say)
    begun: list[Started] = []
    with interrupts_to(stopper):
        for run, process in _started(wanted, journal, plan):
            begun.append((run, process))
            stopper.take(run.id)
            if len(wanted) > 1:
                words.say(f"Run {run.id} has started.")
            if stopper.asked:
                break
        return follow_started(begun, journal, options, stopper)


def _started(wanted: Sequence[Settings], journal: Journal, plan: Plan | None) -> Iterator[Started]:
    begun: list[str] = []
    for settings in wanted:
        try:
            run, process = start_run(settings, journal, plan)
        except ProblemError as problem:
            if not begun:
                raise
            raise WorkError(
                f"{problem.sentence} Runs that had started before go on: {', '.join(begun)}.",
                f"{problem.remedy} gpubench-tui --no-ui stop RUN stops one, follow RUN shows it.",
            ) from problem
        begun.append(run.id)
        yield run, process


def follow_started(
    started: Sequence[Started], journal: Journal, options: Options, stopper: Stopper
) -> int:
    """Follow runs to their ends, one after the other; return the first exit code that is not 0."""
    codes = []
    for run, process in started:
        display = display_for(options)
        stopper.say = display.say
        codes.append(follow_to_end(journal, run.id, display))
        # Its last event is in the journal before STATUS.md is written.
        process.wait()
    return next(filter(None, codes), 0)


def equivalent_command(settings: Settings) -> str:
    """Return the headless command that starts the same run, also where no variable and no
    configuration file says anything.
    """
    return shlex.join(["gpubench-tui", "--no-ui", *run_arguments(differing(settings))])
