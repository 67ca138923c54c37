"""The drivers stage on GKE: a GPU node is asked for, wherever within the bounds there is one, and
its driver proved.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from core.errors import ProblemError, StageError
from core.gcp.errors import GoogleError, QuotaError, StockoutError
from core.money.table import region_of
from core.run.events import PartChanged, Stage
from core.run.pipeline import StageContext
from core.targets.gke.clearing import clear
from core.targets.gke.creating import CLUSTER, POOL, Creating
from core.targets.gke.deployment import GkeDeployment
from core.targets.gke.places import Places
from core.targets.gke.pulling import pull_early
from core.targets.gke.shortage import ShortageWatch
from core.targets.kubernetes.drivers import Drivers as KubernetesDrivers
from core.targets.kubernetes.hands import DAEMONSET, POD

_ATTEMPT = "attempt"


@dataclass
class Drivers:
    """Asks one place after the other until a GPU can be used there."""

    deployment: GkeDeployment
    stage: Stage = Stage.DRIVERS
    needs: frozenset[Stage] = frozenset({Stage.CLUSTER, Stage.IMAGE})
    _tried: list[str] = field(default_factory=list)

    async def run(self, context: StageContext) -> str:
        """Return which GPU was found with which driver.

        Raises:
            StageError: no place within the bounds has such a node.
            GoogleError: what no other place helps against.
            ProblemError: a node is there and its GPU cannot be used.
        """
        deployment = self.deployment
        places = Places.of(deployment)
        while True:
            zone = deployment.gpu_zone
            _tell(context, zone, "working", f"asks for a node with {self._what()}")
            try:
                summary = await self._try(context)
            except (StockoutError, QuotaError) as problem:
                _tell(context, zone, "failed", problem.sentence)
                self._tried.append(f"{zone}: {_kind(problem)}")
                if isinstance(problem, QuotaError) and problem.is_global:
                    raise
                following = places.after(problem)
                if following is None:
                    raise self._nowhere(problem) from problem
                await self._move(context, following)
            else:
                _tell(context, zone, "ready", summary)
                return summary

    async def _try(self, context: StageContext) -> str:
        """Have cluster and pool in the place that is tried just now, and a GPU in the pool."""
        creating = Creating(self.deployment, context)
        await creating.cluster()
        await creating.pool()
        drivers = KubernetesDrivers(self.deployment.kube, self.deployment.clock)
        if known := await drivers.proved_before(context):
            return known
        rollout = asyncio.create_task(drivers.run(context))
        short = asyncio.create_task(ShortageWatch(self.deployment, self._what()).found())
        pulling = asyncio.create_task(pull_early(self.deployment, context))
        try:
            await asyncio.wait({rollout, short}, return_when=asyncio.FIRST_COMPLETED)
            if rollout.done():
                return rollout.result()
            raise short.result()
        finally:
            for task in (rollout, short, pulling):
                task.cancel()
            # Their pods are removed meanwhile.
            await asyncio.gather(rollout, short, pulling, return_exceptions=True)

    async def _move(self, context: StageContext, zone: str) -> None:
        """Remove what the last attempt created, with proof, and point at the next place."""
        deployment = self.deployment
        same_region = region_of(zone) == deployment.region
        kinds = (POD, DAEMONSET, POOL) if same_region else (POD, DAEMONSET, POOL, CLUSTER)
        await clear(context, deployment, kinds)
        if not same_region and not deployment.owns_cluster:
            raise StageError(
                f"Cluster {deployment.cluster} stays in {deployment.region}, and no zone there has "
                f"{self._what()}.",
                "--reuse never with --name-suffix creates one elsewhere.",
            )
        deployment.use(deployment.location if same_region else zone, zone)

    def _what(self) -> str:
        settings = self.deployment.settings
        spot = "spot " if settings.spot else ""
        return f"{settings.gpus} x {spot}{settings.gpu} in {self.deployment.gpu_zone}"

    def _nowhere(self, problem: GoogleError) -> StageError:
        tried = "; ".join(self._tried)
        return StageError(
            f"No place has {self.deployment.settings.gpus} x {self.deployment.settings.gpu} now. "
            f"Tried {tried}.",
            f"{problem.remedy} --zones and --regions allow other places.",
        )


def _tell(context: StageContext, zone: str, state: str, detail: str) -> None:
    context.emit(
        PartChanged.model_validate(
            {"kind": _ATTEMPT, "name": zone, "state": state, "detail": detail}
        )
    )


def _kind(problem: ProblemError) -> str:
    if isinstance(problem, QuotaError):
        return f"quota {problem.metric}".rstrip()
    return "no hardware"
