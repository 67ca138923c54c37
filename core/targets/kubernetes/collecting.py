"""Fetches results that a run's pod still holds, after the run itself has ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from benchmark.files import write_atomically
from core.errors import ProblemError, WorkError
from core.run.events import AnyRecord, Event, Stage
from core.run.journal import Journal, Run
from core.run.log import LOG_FILE, RunLog
from core.run.pipeline import Pipeline, StageContext
from core.run.process import Clock
from core.run.status import STATUS_FILE, status_markdown
from core.run.view import RunView
from core.targets.kubernetes.deployment import Deployment
from core.targets.kubernetes.results import Results, pods_of


@dataclass
class Collecting:
    """One more try at a run's results."""

    journal: Journal
    run: Run
    deployment: Deployment
    clock: Clock
    take: Callable[[str, Event], None]

    async def execute(self) -> None:
        """Find the run's pod, fetch, check and publish; what happens joins the run's stream.

        Raises:
            WorkError: there is no pod any more.
            ProblemError: they could not be fetched this time either.
        """
        deployment = self.deployment
        deployment.pod = await self._pod(deployment)
        plan = self.journal.plan(self.run.id)
        log = RunLog(self.run.folder / LOG_FILE, self.clock)
        context = StageContext(
            run_id=self.run.id,
            leg=self.run.leg,
            folder=self.run.folder,
            results_dir=self.run.folder.parent.parent,
            plan=plan,
            emit=self._emit,
            log=log.write,
        )
        # What else the stage needs was done when the run itself was under way.
        results = Results(deployment, self.clock, needs=frozenset())
        try:
            await Pipeline([results]).run(lambda _stage: context)
        finally:
            log.close()
            # A view, like any other: the journal has what it says.
            with contextlib.suppress(ProblemError):
                view = RunView.of(self.journal.events(self.run.id))
                write_atomically(self.run.folder / STATUS_FILE, status_markdown(view))

    async def _pod(self, deployment: Deployment) -> str:
        async with deployment.connect(deployment.access) as cluster:
            pods = await pods_of(cluster, self.run.id)
        if not pods:
            raise WorkError(
                f"Run {self.run.id} has no pod any more ({deployment.location}): what it held is "
                "gone.",
                f"gpubench-tui --no-ui rerun {self.run.id} measures again.",
            )
        return pods[0]

    def _emit(self, record: AnyRecord) -> None:
        log = self.run.folder / LOG_FILE
        event = self.journal.append(
            self.run.id,
            record,
            time=self.clock(),
            stage=Stage.RESULTS,
            log_position=log.stat().st_size if log.exists() else 0,
        )
        self.take(event.to_line(), event)
