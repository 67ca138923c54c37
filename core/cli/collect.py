"""``collect``: fetch results that could not be collected when their run ended."""

from __future__ import annotations

import asyncio

from core.cli.opening import open_journal, settings_of
from core.cli.output import Output, outliving_the_terminal
from core.cli.parser import Options
from core.errors import ExitCode, InputError
from core.run.process import utc_now
from core.run.teardown import Teardown
from core.targets.registry import hands_of, workplace_of


def execute(options: Options) -> int:
    """Fetch and check them; then remove what the run left, unless it was to be kept.

    Raises:
        InputError: the run's results are not in a pod.
        ProblemError: they could not be fetched.
    """
    with open_journal(settings_of(options)) as journal:
        run = journal.run(options.run)
        workplace = workplace_of(journal, run)
        if not journal.state_now(run, utc_now()).ended:
            raise InputError(
                f"Run {run.id} is still under way and collects its results itself.",
                f"gpubench-tui --no-ui follow {run.id}",
            )
        from core.targets.kubernetes.collecting import Collecting

        take = Output(options).take

        async def fetch() -> None:
            async with workplace as place:
                await Collecting(journal, run, place, utc_now, take).execute()

        with outliving_the_terminal():
            asyncio.run(fetch())
            if workplace.deployment.settings.keep == "everything":
                return ExitCode.DONE
            teardown = Teardown(journal, run, utc_now, hands=hands_of(journal, run), take=take)
            finished = asyncio.run(teardown.execute())
    return ExitCode.CLEANUP_INCOMPLETE if finished.left else ExitCode.DONE
