"""The results stage: fetched from the pod whole, checked, and made the leg's latest."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from datetime import timedelta

from core.errors import ProblemError, StageError
from core.kube.cluster import Cluster
from core.kube.errors import ClusterError
from core.kube.objects import run_selector
from core.kube.transfer import Collected, PodGoneError, collect, release
from core.run.events import PartChanged, Stage, StageProgressed
from core.run.pipeline import StageContext
from core.run.process import Clock
from core.settings import published_as
from core.targets.kubernetes.deployment import Deployment
from core.targets.local import Results as LocalResults

_TELL_EVERY_S = 0.25
_RELEASE_PATIENCE_S = 5.0
_STOPPED_S = 20.0


@dataclass
class Results:
    """Collects exactly once: a second time it finds everything in place."""

    deployment: Deployment
    clock: Clock
    stage: Stage = Stage.RESULTS
    needs: frozenset[Stage] = frozenset({Stage.JOB})

    async def run(self, context: StageContext) -> str:
        """Fetch, check and publish.

        Raises:
            StageError: they could not be fetched; where they are kept, and for how long.
            ResultFileError: the result file is not what it should be.
            OutputError: they are here, and the leg's folder is in the way.
        """
        pod = self.deployment.pod
        async with self.deployment.connect(self.deployment.access) as cluster:
            # Until they are here nothing may remove the only copy.
            self.deployment.holding = True
            try:
                found = await self._collect(context, cluster)
            except PodGoneError as problem:
                self.deployment.holding = False
                raise StageError(
                    f"The results are lost: {problem.sentence}",
                    f"gpubench-tui --no-ui rerun {context.run_id} measures again.",
                ) from problem
            except ProblemError as problem:
                raise self._held(context, problem) from problem
            # They are here. What is wrong on this machine is no reason to keep a node.
            self.deployment.holding = False
            try:
                summary = await self._publish(context)
            finally:
                await _release(cluster, pod)
        context.emit(
            PartChanged(kind="pod", name=pod, state="ready", detail="its results are here")
        )
        size = f"{found.bytes / 1e6:.1f} MB in {found.files} files, {found.seconds:.1f} s"
        return f"{summary} ({size})"

    async def _collect(self, context: StageContext, cluster: Cluster) -> Collected:
        pod = self.deployment.pod
        report = _Progress(context, pod)
        try:
            return await collect(cluster, pod, context.folder, report=report)
        except asyncio.CancelledError:
            # They are finished and nearly here: a stop waits for them, within reason.
            with contextlib.suppress(ProblemError, TimeoutError):
                async with asyncio.timeout(_STOPPED_S):
                    await collect(cluster, pod, context.folder, report=report)
                self.deployment.holding = False
            raise

    async def _publish(self, context: StageContext) -> str:
        name = published_as(context.leg, self.deployment.settings.name_suffix)
        return await LocalResults(published_as=name).run(context)

    def _held(self, context: StageContext, problem: ProblemError) -> StageError:
        """Note that the pod must stay, and say until when and what to do."""
        until = "for a while"
        if self.deployment.ended_at is not None:
            hold = timedelta(minutes=self.deployment.settings.hold_minutes)
            until = f"until about {self.deployment.ended_at + hold:%H:%M} UTC"
        return StageError(
            f"The results could not be collected: {problem.sentence.rstrip('.')}. Pod "
            f"{self.deployment.pod} keeps them {until}.",
            f"gpubench-tui --no-ui collect {context.run_id} tries again.",
        )


async def let_go(deployment: Deployment, run_id: str) -> None:
    """Tell a run's pod that its results are here, where the process that fetched them was killed
    before it could: a Job whose pod only waits is not done, and would begin anew elsewhere with its
    node gone.
    """
    with contextlib.suppress(ProblemError):
        async with deployment.connect(deployment.access) as cluster:
            for pod in await pods_of(cluster, run_id):
                await _release(cluster, pod)


async def pods_of(cluster: Cluster, run_id: str) -> list[str]:
    """Return the names of the pods that a run's Job has made, the latest first.

    Raises:
        ClusterError: the cluster could not be asked.
    """
    answer = await cluster.request(
        "GET",
        f"/api/v1/namespaces/{cluster.namespace}/pods",
        query={"labelSelector": f"{run_selector(run_id)},job-name"},
    )
    pods = [pod["metadata"] for pod in answer.get("items") or ()]
    pods.sort(key=lambda pod: str(pod.get("creationTimestamp")), reverse=True)
    return [str(pod["name"]) for pod in pods]


class _Progress:
    """Says how far the transfer is, not more often than a screen can show."""

    def __init__(self, context: StageContext, pod: str) -> None:
        self._context = context
        self._pod = pod
        self._said_at = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said_at < _TELL_EVERY_S and done != total:
            return
        self._said_at = now
        self._context.emit(
            StageProgressed(
                done=done, total=total or None, unit="bytes", detail=f"from pod {self._pod}"
            )
        )


async def _release(cluster: Cluster, pod: str) -> None:
    # Only a courtesy: a keeper that does not hear it ends by itself, or with its Job.
    with contextlib.suppress(ClusterError, TimeoutError):
        async with asyncio.timeout(_RELEASE_PATIENCE_S):
            await release(cluster, pod)
