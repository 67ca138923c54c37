"""``describe``: what the cluster says of a run's Job, pods and nodes."""

from __future__ import annotations

import asyncio
import json

from core.cli.opening import open_journal, settings_of
from core.cli.parser import Options
from core.errors import ExitCode
from core.targets.registry import workplace_of


def execute(options: Options) -> int:
    """Ask the cluster and print the answer.

    Raises:
        InputError: the run has nothing on a cluster.
        ClusterError: the cluster cannot be asked.
    """
    with open_journal(settings_of(options)) as journal:
        run = journal.run(options.run)
        workplace = workplace_of(journal, run)
    from core.kube.describe import describe_json, describe_text, gather
    from core.kube.objects import run_selector
    from core.run.process import utc_now

    async def ask() -> str:
        async with workplace as place, place.connect(place.access) as cluster:
            found = await gather(cluster, run_selector(run.id))
        if options.format == "json":
            return json.dumps(describe_json(found))
        return describe_text(found, utc_now())

    print(asyncio.run(ask()))
    return ExitCode.DONE
