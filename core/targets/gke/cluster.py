"""The cluster stage: a cluster with a small node for its own pods and an empty pool for GPUs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from core.errors import StageError
from core.gcp.errors import QuotaError, StockoutError
from core.kube.cluster import load_client
from core.run.events import PartChanged, Stage
from core.run.pipeline import StageContext
from core.targets.gke.clearing import clear
from core.targets.gke.creating import CLUSTER, POOL, Creating
from core.targets.gke.deployment import GkeDeployment
from core.targets.gke.places import Places

_LIMIT_S = 45 * 60.0


@dataclass
class Cluster:
    """Creates the cluster while the image is built; no GPU is asked for yet."""

    deployment: GkeDeployment
    stage: Stage = Stage.CLUSTER
    needs: frozenset[Stage] = frozenset({Stage.PREFLIGHT})
    limit_s: float = _LIMIT_S

    async def run(self, context: StageContext) -> str:
        """Return which cluster runs where.

        Raises:
            StageError: it did not come, or another has its name.
            GoogleError: it could not be created anywhere within the bounds.
        """
        deployment = self.deployment
        places = Places.of(deployment)
        while True:
            try:
                async with asyncio.timeout(self.limit_s):
                    # Later it would be loaded while a GPU node is billed.
                    loading = asyncio.create_task(asyncio.to_thread(load_client))
                    await Creating(deployment, context).cluster()
                    await loading
            except TimeoutError as error:
                raise StageError(
                    f"Cluster {deployment.cluster} did not run within {self.limit_s / 60:.0f} "
                    "minutes.",
                    "Google's status page may say why; try another zone.",
                ) from error
            except (StockoutError, QuotaError) as problem:
                context.emit(_failed(deployment, problem.sentence))
                following = places.after(problem)
                if following is None or (isinstance(problem, QuotaError) and problem.is_global):
                    raise
                await clear(context, deployment, (POOL, CLUSTER))
                deployment.use(following, following)
            else:
                whose = "" if deployment.owns_cluster else ", which was there before"
                return f"{deployment.cluster} in {deployment.location}{whose}"


def _failed(deployment: GkeDeployment, why: str) -> PartChanged:
    return PartChanged(kind="attempt", name=deployment.location, state="failed", detail=why)
