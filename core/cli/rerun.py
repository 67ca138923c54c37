"""``rerun``: the same settings and the same plan once more, on the same cluster."""

from __future__ import annotations

import asyncio
import sys

from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.cli.starting import see_through, start_run
from core.errors import WorkError
from core.run.process import utc_now
from core.run.teardown import Teardown
from core.targets.registry import hands_of, settings_of_run


def execute(options: Options) -> int:
    """Remove what the run left, the Job above all, and start it anew as a run of its own.

    Raises:
        WorkError: what it left cannot be removed, or would take what costs money with it.
    """
    settings = settings_of(options)
    with open_journal(settings) as journal:
        run = journal.run(options.run)
        teardown = Teardown(journal, run, utc_now, hands=hands_of(journal, run))
        plan = teardown.plan()
        if plan.confirmation:
            raise WorkError(
                f"Run {run.id} left what costs money: {plan.confirmation}.",
                f"{plan.command} removes it first.",
            )
        if plan.removals:
            finished = asyncio.run(teardown.execute())
            if finished.left:
                names = ", ".join(f"{left.kind} {left.name}" for left in finished.left)
                raise WorkError(
                    f"What run {run.id} left cannot be proved gone: {names}.",
                    "; ".join(left.delete_command for left in finished.left),
                )
            if not options.quiet:
                print(f"Removed what run {run.id} had left.", file=sys.stderr)
        again = settings_of_run(journal, run).model_copy(
            # Where things lie is this command's to say.
            update={"results_dir": run.folder.parent.parent, "state_dir": settings.state_dir}
        )
        started = start_run(again, journal, journal.plan(run.id))
        return see_through(journal, [started], options)
