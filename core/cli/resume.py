"""``resume``: go on with a run, or with its teardown, whose process was killed."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.errors import writing
from core.cli.following import Plain, Silent, Stopper, interrupts_to
from core.cli.opening import open_journal, settings_of
from core.cli.output import Output, outliving_the_terminal
from core.cli.parser import Options
from core.cli.starting import follow_started, start_execution
from core.errors import ExitCode, InputError
from core.run.journal import Journal, Run
from core.run.process import utc_now
from core.run.resuming import end_teardown, only_ends
from core.run.view import RunView
from core.targets.registry import hands_of, resumable

_LOCK = "resume.lock"


def execute(options: Options) -> int:
    """Start the run's process anew, or end its teardown.

    Raises:
        InputError: it is under way, has ended with nothing left, or cannot be taken up again.
    """
    settings = settings_of(options)
    with open_journal(settings) as journal:
        run = journal.run(options.run)
        with _one_at_a_time(settings.state_dir):
            run = journal.run(run.id)
            state = journal.state_now(run, utc_now())
            if not state.ended:
                raise InputError(
                    f"Run {run.id} is still under way.",
                    f"gpubench-tui --no-ui follow {run.id} shows it.",
                )
            view = RunView.of(journal.events(run.id))
            ends = only_ends(run, view)
            if not ends and not resumable(run):
                raise InputError(
                    f"Run {run.id} of target {run.target} died, and its measurement died with it.",
                    f"gpubench-tui --no-ui rerun {run.id} measures again.",
                )
            if not ends:
                results_dir = run.folder.parent.parent
                process = start_execution(journal, run, results_dir, settings.state_dir)
        if ends:
            return _tear_down(journal, run, view, options)
        if options.detach:
            print(run.id, flush=True)
            process.returncode = 0
            return ExitCode.DONE
        words = Silent() if options.quiet else Plain()
        stopper = Stopper(journal, words.say)
        with interrupts_to(stopper):
            stopper.take(run.id)
            return follow_started([(run, process)], journal, options, stopper)


def _tear_down(journal: Journal, run: Run, view: RunView, options: Options) -> int:
    there = [each.intended for each in view.resources.values() if each.exists]
    if run.state.ended and not (view.tearing_down or there):
        print(f"Run {run.id} has ended and left nothing.", file=sys.stderr)
        return ExitCode.DONE
    if run.state.ended and view.teardown is None:
        names = ", ".join(f"{each.kind} {each.name}" for each in there)
        raise InputError(
            f"Run {run.id} has ended and kept {names}.",
            f"gpubench-tui --no-ui teardown {run.id} removes it; collect {run.id} fetches results "
            "that a pod still holds.",
        )
    # It was asked for when it was begun, so nobody has to confirm it again.
    ending = end_teardown(
        journal, run, utc_now, hands=hands_of(journal, run), take=Output(options).take
    )
    with outliving_the_terminal():
        finished = asyncio.run(ending)
    return ExitCode.CLEANUP_INCOMPLETE if finished.left else ExitCode.DONE


@contextmanager
def _one_at_a_time(state_dir: Path) -> Iterator[None]:
    """Let no other take the same run up between the look at its process and the new one."""
    path = state_dir / _LOCK
    with writing(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
