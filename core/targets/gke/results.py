"""The results stage on GKE: fetched and checked, and the GPU nodes go at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from core.errors import ProblemError
from core.gcp.clusters import Clusters
from core.gcp.errors import BusyError
from core.run.events import PartChanged, Stage
from core.run.pipeline import StageContext
from core.targets.gke.creating import POOL
from core.targets.gke.deployment import GkeDeployment
from core.targets.gke.keeping import mark, remove_pool
from core.targets.kubernetes.results import Results as KubernetesResults
from core.targets.kubernetes.results import let_go as release_pods

_AGAIN_AFTER_S = 15.0
_TRIES = 5
_SHRINK_S = 120.0


@dataclass
class Results:
    """Collects, and has the pool go to no nodes before anything else is torn down."""

    deployment: GkeDeployment
    stage: Stage = Stage.RESULTS
    needs: frozenset[Stage] = frozenset({Stage.JOB})

    async def run(self, context: StageContext) -> str:
        """Fetch, check and publish; then let the GPU nodes go.

        Raises:
            StageError: the results could not be fetched while the pod holds them.
            ResultFileError: the result file is not what it should be.
        """
        summary = await self._collect(context)
        await _finish(self.deployment, context)
        return summary

    async def _collect(self, context: StageContext) -> str:
        kube = self.deployment.kube
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + kube.hold_s
        while True:
            try:
                return await KubernetesResults(kube, self.deployment.clock).run(context)
            except ProblemError as problem:
                # A node that waits costs money, so nobody is to come back for them later; but
                # while the run's limits allow it they are worth a few more tries.
                if not kube.holding or loop.time() + _AGAIN_AFTER_S > give_up_at:
                    kube.holding = False
                    raise
                context.log("results", f"{problem.sentence} Trying again.")
            await asyncio.sleep(_AGAIN_AFTER_S)


async def let_go(deployment: GkeDeployment, context: StageContext) -> None:
    """Do what is left to do once the results are stored."""
    await release_pods(deployment.kube, context.run_id)
    await _finish(deployment, context)


async def _finish(deployment: GkeDeployment, context: StageContext) -> None:
    is_shrunk = await shrink(deployment, context)
    if deployment.settings.keep == "everything" and not deployment.must_end:
        if not is_shrunk:
            await remove_pool(deployment, context)
        await mark(deployment, context)


async def shrink(deployment: GkeDeployment, context: StageContext) -> bool:
    """Begin to let all GPU nodes of the run go; return whether that is under way. What prevents it
    is only noted: the results are here, and the teardown that follows removes the nodes with their
    pool.
    """
    why = f"Google did not take it within {_SHRINK_S:.0f} s."
    try:
        async with asyncio.timeout(_SHRINK_S):
            if await _resized(deployment):
                name = f"{deployment.cluster}/{deployment.pool}"
                detail = "its nodes go: the results are here"
                context.emit(PartChanged(kind=POOL, name=name, state="gone", detail=detail))
                return True
            why = f"cluster {deployment.cluster} was at work on something else each time."
    except TimeoutError:
        pass
    except ProblemError as problem:
        why = problem.sentence
    context.log("results", f"the GPU nodes could not be let go at once: {why}")
    return False


async def _resized(deployment: GkeDeployment) -> bool:
    """Return False when the cluster was busy each time."""
    clusters = Clusters(deployment.google())
    where = (deployment.location, deployment.cluster)
    for _ in range(_TRIES):
        try:
            await clusters.resize_pool(*where, deployment.pool, 0)
        except BusyError:
            await clusters.wait_idle(*where)
        else:
            return True
    return False
