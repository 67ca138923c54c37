"""Has a cluster and a pool of GPU nodes there, however far an earlier try came.

The journal knows of each before Google does. What is found under a name is told apart by its
labels: this run's own is taken up where it stands, another's is used only where that is allowed.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import StageError
from core.gcp import gcloud
from core.gcp.clusters import Clusters
from core.gcp.errors import BusyError, ExistsError, GoogleError, NotFoundError
from core.gcp.operations import OperationSeen
from core.gcp.specs import EXPIRES_LABEL, KEEP_LABEL, OWNER_LABEL, RUN_LABEL
from core.run.events import (
    PartChanged,
    ResourceCreated,
    ResourceIntended,
    StageChecked,
    StageProgressed,
)
from core.run.pipeline import StageContext
from core.targets.gke.deployment import GkeDeployment, owner
from core.text import harmless

if TYPE_CHECKING:
    from google.cloud import container_v1

CLUSTER = "cluster"
POOL = "node pool"
_TRIES = 20
_POOL_S = 45 * 60.0


@dataclass
class Creating:
    """Creates for one stage; everything that happens is told as that stage's."""

    deployment: GkeDeployment
    context: StageContext
    pool_limit_s: float = _POOL_S

    @property
    def clusters(self) -> Clusters:
        """GKE's API, in the name of this run."""
        return Clusters(self.deployment.google())

    async def cluster(self) -> None:
        """Return when the cluster runs.

        Raises:
            StageError: another's has its name, or stands in the way.
            GoogleError: it could not be created; StockoutError and QuotaError by their kinds. What
                there is of it then is still there.
        """
        deployment = self.deployment
        found = await self.clusters.get(deployment.location, deployment.cluster)
        if found is None:
            found = await self._create_cluster()
        if found is not None and not self._is_ours(found):
            self._allow(found)
            deployment.owns_cluster = False
            self.context.emit(
                StageChecked(
                    name="cluster",
                    passed=True,
                    detail=f"{deployment.cluster} in {deployment.location} is there already and is "
                    "used as it is; it stays",
                )
            )
        await self._settle_cluster()

    async def pool(self) -> None:
        """Return when the cluster has the run's pool of GPU nodes; it may be empty.

        Raises:
            StageError: another's has its name, or it was not there in time.
            GoogleError: it could not be created.
        """
        try:
            async with asyncio.timeout(self.pool_limit_s):
                await self._have_pool()
        except TimeoutError as error:
            raise StageError(
                f"Cluster {self.deployment.cluster} had no node pool {self.deployment.pool} within "
                f"{self.pool_limit_s / 60:.0f} minutes.",
                "Google's status page may say why; try another zone.",
            ) from error

    async def _have_pool(self) -> None:
        deployment = self.deployment
        where = (deployment.location, deployment.cluster)
        name = deployment.pool
        if await self.clusters.pool(*where, name) is None:
            self._intend_pool()
            operation = await self._patiently_create_pool()
            if operation:
                async for seen in self.clusters.follow(deployment.location, operation):
                    self._tell(POOL, name, seen)
        await self._settle_pool()

    async def _create_cluster(self) -> container_v1.Cluster | None:
        """Return the cluster that is there instead, None when this one is being created."""
        deployment = self.deployment
        self._intend_cluster()
        self._intend_pool()
        spec = deployment.cluster_spec()
        try:
            await self.clusters.create(spec)
        except ExistsError:
            # Of an own first try, whose answer was lost, or another's that was quicker.
            found = await self.clusters.get(deployment.location, deployment.cluster)
            if found is None:
                raise
            return found
        return None

    def _intend_cluster(self) -> None:
        deployment = self.deployment
        self.context.emit(
            ResourceIntended(
                kind=CLUSTER,
                name=deployment.cluster,
                location=deployment.place,
                usd_per_hour=deployment.rates.cluster,
                delete_command=shlex.join(
                    gcloud.delete_cluster(
                        deployment.project, deployment.location, deployment.cluster
                    )
                ),
            )
        )

    def _intend_pool(self) -> None:
        deployment = self.deployment
        self.context.emit(
            ResourceIntended(
                kind=POOL,
                name=f"{deployment.cluster}/{deployment.pool}",
                location=deployment.place,
                usd_per_hour=deployment.rates.pool,
                delete_command=shlex.join(
                    gcloud.delete_pool(
                        deployment.project,
                        deployment.location,
                        deployment.cluster,
                        deployment.pool,
                    )
                ),
            )
        )

    async def _settle_cluster(self) -> None:
        """Follow what works on the cluster until it runs."""
        deployment = self.deployment
        where = (deployment.location, deployment.cluster)
        found = await self.clusters.get(*where)
        if found is None or self._is_ours(found):
            async for seen in self._at_work():
                self._tell(CLUSTER, deployment.cluster, seen)
            found = await self.clusters.get(*where)
        elif found.status.name == "PROVISIONING":
            # What becomes of others' work on their cluster is their affair.
            await self.clusters.wait_idle(*where)
            found = await self.clusters.get(*where)
        if found is None:
            raise NotFoundError(
                f"Cluster {deployment.cluster} in {deployment.place} is gone.",
                "Somebody deleted it; start the run again.",
            )
        status = found.status.name
        if status not in ("RUNNING", "RECONCILING"):
            raise GoogleError(
                f"Cluster {deployment.cluster} in {deployment.place} is {status.lower()}: "
                f"{harmless(found.status_message) or 'Google does not say why'}.",
                f"gpubench-tui --no-ui teardown {self.context.run_id} removes it.",
            )
        if self._is_ours(found):
            self._created(CLUSTER, deployment.cluster, found.self_link)
        if self._is_ours(found) and any(pool.name == deployment.pool for pool in found.node_pools):
            await self._settle_pool()
        version = harmless(found.current_master_version)
        self.context.emit(
            PartChanged(
                kind=CLUSTER,
                name=deployment.cluster,
                state="ready",
                detail=f"runs Kubernetes {version} in {deployment.location}",
            )
        )

    async def _settle_pool(self) -> None:
        deployment = self.deployment
        pool = await self.clusters.pool(deployment.location, deployment.cluster, deployment.pool)
        if pool is None:
            raise NotFoundError(
                f"Node pool {deployment.pool} of cluster {deployment.cluster} is gone.",
                "Somebody deleted it; start the run again.",
            )
        run = pool.config.resource_labels.get(RUN_LABEL, "")
        if run != deployment.labels()[RUN_LABEL]:
            whose = f"of run {harmless(run)}" if run else "none of ours"
            raise StageError(
                f"Node pool {deployment.pool} of cluster {deployment.cluster} is there already, "
                f"{whose}.",
                "--name-suffix makes room beside the cluster.",
                exit_code=2,
            )
        self._created(POOL, f"{deployment.cluster}/{deployment.pool}", pool.self_link)

    def _created(self, kind: str, name: str, link: str) -> None:
        """Write an identity down, once."""
        known = self.context.resources().get((kind, name))
        if known is None or not known.identity:
            self.context.emit(ResourceCreated(kind=kind, name=name, identity=harmless(link)))

    async def _at_work(self) -> AsyncIterator[OperationSeen]:
        """Yield what the operations on the cluster show, one after the other, to their ends."""
        deployment = self.deployment
        while running := await self.clusters.operations(deployment.location, deployment.cluster):
            async for seen in self.clusters.follow(deployment.location, running[0].name):
                yield seen

    async def _patiently_create_pool(self) -> str:
        """Return the operation, empty when the pool is there already."""
        deployment = self.deployment
        for _ in range(_TRIES):
            try:
                return await self.clusters.create_pool(
                    deployment.location, deployment.cluster, deployment.pool_spec()
                )
            except ExistsError:
                await self.clusters.wait_idle(deployment.location, deployment.cluster)
                return ""
            except BusyError:
                await self.clusters.wait_idle(deployment.location, deployment.cluster)
        raise StageError(
            f"Cluster {deployment.cluster} was at work on something else each time a node pool was "
            "to be created.",
            "Try again later.",
        )

    def _is_ours(self, found: container_v1.Cluster) -> bool:
        return found.resource_labels.get(RUN_LABEL) == self.deployment.labels()[RUN_LABEL]

    def _allow(self, found: container_v1.Cluster) -> None:
        """Raises StageError unless the settings let this run use another's cluster."""
        if objection := why_not_reused(found, self.deployment.settings.reuse, self._now()):
            sentence, remedy = objection
            raise StageError(sentence, remedy, exit_code=2)

    def _now(self) -> float:
        return self.deployment.clock().timestamp()

    def _tell(self, kind: str, name: str, seen: OperationSeen) -> None:
        stages = [stage for stage, status in seen.stages if status not in ("DONE", "PENDING")]
        detail = seen.message or ", ".join(stages) or seen.status.lower()
        self.context.emit(
            PartChanged(
                kind=kind,
                name=name,
                state="ready" if not seen.running else "working",
                detail=detail if seen.running else "Google's operation has ended",
                done=seen.done,
                total=seen.total,
                unit="steps" if seen.done is not None else "",
            )
        )
        if seen.done is not None:
            self.context.emit(
                StageProgressed(done=seen.done, total=seen.total, unit="steps", detail=detail)
            )
        if seen.problem is not None:
            # Google goes on trying for half an hour; what it waits for is known now.
            raise seen.problem


def why_not_reused(found: container_v1.Cluster, reuse: str, now: float) -> tuple[str, str] | None:
    """Return why a cluster that is there may not, or cannot, be used: a sentence and what to do.
    ``now`` is Unix time in seconds.
    """
    labels = found.resource_labels
    name = f"{harmless(found.name)} in {harmless(found.location)}"
    run = harmless(labels.get(RUN_LABEL, ""))
    elsewhere = "--name-suffix makes room beside it"
    if reuse == "any":
        return _why_not_usable(found, name, elsewhere)
    if not run:
        return (
            f"Cluster {name} is there already and none of ours.",
            f"{elsewhere}; --reuse any uses it and leaves it standing.",
        )
    expires = labels.get(EXPIRES_LABEL, "")
    overdue = expires.isdigit() and int(expires) < now
    if reuse == "never" or labels.get(KEEP_LABEL) != "yes":
        remove = (
            "gpubench-tui --no-ui sweep --yes removes it: it is overdue"
            if overdue
            else f"gpubench-tui --no-ui teardown {run} removes it"
        )
        return f"Cluster {name} is there already, of run {run}.", f"{remove}; {elsewhere}."
    if labels.get(OWNER_LABEL) != owner():
        whose = harmless(labels.get(OWNER_LABEL, "")) or "somebody else"
        return (
            f"Cluster {name} is there already, of {whose}.",
            f"{elsewhere}; --reuse any uses it and leaves it standing.",
        )
    if overdue:
        return (
            f"Cluster {name} was kept by run {run} and is overdue.",
            f"gpubench-tui --no-ui sweep --yes removes it; {elsewhere}.",
        )
    return None


def _why_not_usable(
    found: container_v1.Cluster, name: str, elsewhere: str
) -> tuple[str, str] | None:
    if found.autopilot.enabled:
        return f"Cluster {name} is one of Autopilot, which takes no node pool.", f"{elsewhere}."
    if not found.workload_identity_config.workload_pool:
        # The pool's nodes hide Google's metadata from pods, which needs it.
        project = re.search(r"/projects/([^/]+)/", found.self_link)
        pool = f"{harmless(project[1]) if project else 'PROJECT'}.svc.id.goog"
        command = (
            *("gcloud", "container", "clusters", "update", harmless(found.name)),
            *("--location", harmless(found.location), f"--workload-pool={pool}"),
        )
        return (
            f"Cluster {name} has no Workload Identity, which the GPU nodes need.",
            f"{shlex.join(command)} turns it on; {elsewhere}.",
        )
    return None
