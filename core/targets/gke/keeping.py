"""What stays of a run that is kept: a cluster that a later run may use, and no GPU node."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from core.errors import ProblemError
from core.gcp.clusters import Clusters
from core.gcp.errors import BusyError
from core.gcp.specs import KEEP_LABEL, RUN_LABEL
from core.run.events import Stage
from core.run.pipeline import StageContext, StageWork
from core.targets.gke.clearing import clear
from core.targets.gke.creating import POOL
from core.targets.gke.deployment import GkeDeployment

_POOL_S = 10 * 60.0
_MARK_S = 5 * 60.0
_AGAIN_AFTER_S = 5.0


@dataclass(frozen=True)
class Kept:
    """A stage that needs GPU nodes. No teardown follows its failure where runs are kept, so it
    sees to it that no GPU is billed any longer.
    """

    work: StageWork
    deployment: GkeDeployment

    @property
    def stage(self) -> Stage:
        """The stage itself."""
        return self.work.stage

    @property
    def needs(self) -> frozenset[Stage]:
        """What it needs."""
        return self.work.needs

    async def run(self, context: StageContext) -> str:
        """Do the stage's work; raises what that raises."""
        try:
            return await self.work.run(context)
        except ProblemError:
            if self.deployment.settings.keep != "nothing" and not self.deployment.must_end:
                await remove_pool(self.deployment, context)
                await mark(self.deployment, context)
            raise


async def remove_pool(deployment: GkeDeployment, context: StageContext) -> None:
    """Remove the GPU nodes with their pool: one that is only emptied would grow again for the pods
    that stay. What prevents it is only noted.
    """
    try:
        async with asyncio.timeout(_POOL_S):
            await clear(context, deployment, (POOL,))
    except ProblemError as problem:
        context.log("run", f"The GPU nodes may still be there, and cost money: {problem.sentence}")
    except TimeoutError:
        context.log(
            "run",
            f"The GPU nodes may still be there, and cost money: node pool {deployment.pool} of "
            f"cluster {deployment.cluster} was not gone within {_POOL_S / 60:.0f} minutes.",
        )


async def mark(deployment: GkeDeployment, context: StageContext) -> None:
    """Say on the run's own cluster that it is kept, now that the run needs it no more: only then
    may others come. What prevents it is only noted.
    """
    if not deployment.owns_cluster:
        return
    try:
        async with asyncio.timeout(_MARK_S):
            while not await _marked(deployment):
                await asyncio.sleep(_AGAIN_AFTER_S)
    except (ProblemError, TimeoutError) as problem:
        why = problem.sentence if isinstance(problem, ProblemError) else "it was at work too long."
        context.log(
            "run", f"Cluster {deployment.cluster} is kept, but no later run will use it: {why}"
        )


async def _marked(deployment: GkeDeployment) -> bool:
    """Return False while something else is at work on the cluster."""
    clusters = Clusters(deployment.google())
    where = (deployment.location, deployment.cluster)
    await clusters.wait_idle(*where)
    found = await clusters.get(*where)
    if found is None or found.resource_labels.get(RUN_LABEL) != deployment.labels()[RUN_LABEL]:
        return True
    try:
        await clusters.set_labels(found, {KEEP_LABEL: "yes"})
    except BusyError:
        return False
    return True
