"""``collect``: fetch results that could not be collected when their run ended."""

from __future__ import annotations

import asyncio

from core.cli.opening import open_journal, settings_of
from core.cli.output import Output, outliving_the_terminal
from core.cli.parser import Options
from core.errors import ExitCode, InputError
from core.run.process import utc_now
from core.run.teardown import Teardown
from core.targets.registry import hands_of, settings_of_run


def execute(options: Options) -> int:
    """Fetch and check them; then remove what the run left, unless it was to be kept.

    Raises:
        InputError: the run's results are not in a pod.
        ProblemError: they could not be fetched.
    """
    with open_journal(settings_of(options)) as journal:
        run = journal.run(options.run)
        if run.target != "kubernetes":
            raise InputError(
                f"Run {run.id} is one of target {run.target}: its results are in its folder.",
                f"gpubench-tui --no-ui show {run.id}",
            )
        if not journal.state_now(run, utc_now()).ended:
            raise InputError(
                f"Run {run.id} is still under way and collects its results itself.",
                f"gpubench-tui --no-ui follow {run.id}",
            )
        from core.targets.kubernetes.collecting import Collecting

        settings = settings_of_run(journal, run)
        take = Output(options).take
        with outliving_the_terminal():
            asyncio.run(Collecting(journal, run, settings, utc_now, take).execute())
            if settings.keep == "everything":
                return ExitCode.DONE
            teardown = Teardown(journal, run, utc_now, hands=hands_of(journal, run), take=take)
            finished = asyncio.run(teardown.execute())
    return ExitCode.CLEANUP_INCOMPLETE if finished.left else ExitCode.DONE
