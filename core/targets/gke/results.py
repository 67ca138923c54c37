"""The results stage on GKE: fetched and checked, and the GPU nodes go at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from core.errors import ProblemError
from core.gcp.clusters import Clusters
from core.gcp.errors import BusyError, GoogleError
from core.run.events import PartChanged, Stage
from core.run.pipeline import StageContext
from core.targets.gke.creating import POOL
from core.targets.gke.deployment import GkeDeployment
from core.targets.kubernetes.results import Results as KubernetesResults
from core.targets.kubernetes.results import let_go as release_pods

_AGAIN_AFTER_S = 15.0
_TRIES = 5


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
        await shrink(self.deployment, context)
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
    await shrink(deployment, context)


async def shrink(deployment: GkeDeployment, context: StageContext) -> None:
    """Begin to let all GPU nodes of the run go. What prevents it is only noted: the teardown that
    follows removes them with their pool.
    """
    clusters = Clusters(deployment.google())
    where = (deployment.location, deployment.cluster)
    name = f"{deployment.cluster}/{deployment.pool}"
    for _ in range(_TRIES):
        try:
            await clusters.resize_pool(*where, deployment.pool, 0)
        except BusyError:
            await clusters.wait_idle(*where)
            continue
        except GoogleError as problem:
            context.log("results", f"the GPU nodes could not be let go at once: {problem.sentence}")
            return
        context.emit(
            PartChanged(
                kind=POOL, name=name, state="gone", detail="its nodes go: the results are here"
            )
        )
        return
