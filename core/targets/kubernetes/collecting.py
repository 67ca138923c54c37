"""Fetches results that a run's pod still holds, after the run itself has ended."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.errors import ProblemError, WorkError
from core.kube.cluster import Cluster
from core.kube.objects import run_selector
from core.run.events import AnyRecord, Event, Stage, StageFailed, StageFinished, StageStarted
from core.run.journal import Journal, Run
from core.run.log import LOG_FILE, RunLog
from core.run.pipeline import StageContext
from core.run.process import Clock
from core.settings import Settings
from core.targets.kubernetes.deployment import Deployment, access_of
from core.targets.kubernetes.results import Results


@dataclass
class Collecting:
    """One more try at a run's results."""

    journal: Journal
    run: Run
    settings: Settings
    clock: Clock
    take: Callable[[str, Event], None]

    async def execute(self) -> None:
        """Find the run's pod, fetch, check and publish; what happens joins the run's stream.

        Raises:
            WorkError: there is no pod any more.
            ProblemError: they could not be fetched this time either.
        """
        deployment = Deployment(self.settings, access_of(self.settings, os.environ))
        deployment.pod = await self._pod(deployment)
        started = time.monotonic()
        log = RunLog(self.run.folder / LOG_FILE, self.clock)
        try:
            context = StageContext(
                run_id=self.run.id,
                leg=self.run.leg,
                folder=self.run.folder,
                results_dir=_results_dir(self.run.folder),
                plan=self.journal.plan(self.run.id),
                emit=self._emit,
                log=log.write,
            )
            self._emit(StageStarted())
            summary = await Results(deployment, self.clock).run(context)
        except ProblemError as problem:
            seconds = round(time.monotonic() - started, 3)
            self._emit(
                StageFailed(seconds=seconds, sentence=problem.sentence, remedy=problem.remedy)
            )
            raise
        finally:
            log.close()
        self._emit(StageFinished(seconds=round(time.monotonic() - started, 3), summary=summary))

    async def _pod(self, deployment: Deployment) -> str:
        async with Cluster(deployment.access) as cluster:
            answer = await cluster.request(
                "GET",
                f"/api/v1/namespaces/{cluster.namespace}/pods",
                query={"labelSelector": f"{run_selector(self.run.id)},job-name"},
            )
        pods = [pod["metadata"] for pod in answer.get("items") or ()]
        if not pods:
            raise WorkError(
                f"Run {self.run.id} has no pod any more ({deployment.location}): what it held is "
                "gone.",
                f"gpubench-tui --no-ui rerun {self.run.id} measures again.",
            )
        return str(max(pods, key=lambda pod: str(pod.get("creationTimestamp")))["name"])

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


def _results_dir(folder: Path) -> Path:
    return folder.parent.parent
