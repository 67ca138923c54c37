"""``rerun``: the same settings and the same plan once more, on the same cluster."""

from __future__ import annotations

import asyncio
import os
import sys

from core.cli.opening import open_journal, settings_of
from core.cli.output import outliving_the_terminal
from core.cli.parser import Options
from core.cli.starting import start_all
from core.errors import InputError, WorkError
from core.run.journal import Journal, Run
from core.run.process import utc_now
from core.run.teardown import Teardown
from core.targets.registry import hands_of, resolved, settings_of_run


def execute(options: Options) -> int:
    """Remove what the run left, the Job above all, and start it anew as a run of its own.

    Raises:
        InputError: it is still under way, or cannot be run again as it was.
        WorkError: what it left cannot be removed, or would take what costs money with it.
    """
    settings = settings_of(options)
    with open_journal(settings) as journal:
        run = journal.run(options.run)
        if not journal.state_now(run, utc_now()).ended:
            raise InputError(
                f"Run {run.id} is still under way.",
                f"gpubench-tui --no-ui follow {run.id} shows it; stop {run.id} ends it first.",
            )
        # Before anything is removed: what cannot be run again stays as it is.
        again = resolved(
            settings_of_run(journal, run).model_copy(
                # Where things lie is this command's to say.
                update={"results_dir": run.folder.parent.parent, "state_dir": settings.state_dir}
            ),
            os.environ,
        )
        plan = journal.plan(run.id)
        _clear(journal, run, quiet=options.quiet)
        return start_all([again], journal, options, plan)


def _clear(journal: Journal, run: Run, *, quiet: bool) -> None:
    teardown = Teardown(journal, run, utc_now, hands=hands_of(journal, run))
    plan = teardown.plan()
    if plan.confirmation:
        raise WorkError(
            f"Run {run.id} left what costs money: {plan.confirmation}.",
            f"{plan.command} removes it first.",
        )
    if not plan.removals:
        return
    with outliving_the_terminal():
        finished = asyncio.run(teardown.execute())
    if finished.left:
        names = ", ".join(f"{left.kind} {left.name}" for left in finished.left)
        raise WorkError(
            f"What run {run.id} left cannot be proved gone: {names}.",
            "; ".join(left.delete_command for left in finished.left),
        )
    if not quiet:
        print(f"Removed what run {run.id} had left.", file=sys.stderr)
