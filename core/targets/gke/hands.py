"""Removes what a run created at Google, and proves it by asking who would bill it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from core.errors import WorkError
from core.gcp.access import GoogleAccess
from core.gcp.connection import Google
from core.gcp.inventory import Resource
from core.gcp.specs import RUN_LABEL, label_value
from core.kube.cluster import Access
from core.run.process import utc_now
from core.run.teardown import Hand
from core.run.view import ResourceView
from core.targets.gke import leftovers
from core.targets.gke.creating import CLUSTER, POOL
from core.targets.gke.deployment import GkeDeployment, parse_place
from core.targets.gke.image import BUILD, IMAGE
from core.targets.gke.image_hands import BuildHand, ImageHand
from core.targets.gke.reaching import cluster_at
from core.targets.gke.removing import DELETION_S, Memory, Removing
from core.targets.kubernetes.hands import DAEMONSET, JOB, POD, DaemonSetHand, WorkloadHand
from core.text import harmless

OpenGoogle = Callable[[GoogleAccess], Google]

_ARRIVES_WITHIN_S = 10.0
_ARRIVAL_LOOKS = 30
_IN_CLUSTER_S = 40.0
# As core.targets.kubernetes writes places down; the context has the name that gcloud gives it.
_IN_CLUSTER = re.compile(r"context gke_([^_,\s]+)_([^_,\s]+)_([^_,\s]+), namespace (\S+)")
_API = "container.googleapis.com"


@dataclass(frozen=True, slots=True)
class Reach:
    """What all hands of a run share."""

    access: GoogleAccess
    run_id: str
    open_google: OpenGoogle = Google
    clock: Callable[[], datetime] = utc_now
    since: datetime | None = None
    dns: bool | None = None
    deletion_s: float = DELETION_S
    memory: Memory = field(default_factory=Memory)

    @property
    def label(self) -> str:
        """Value of the run's label at Google."""
        return label_value(self.run_id)

    @asynccontextmanager
    async def removing(self, project: str) -> AsyncIterator[Removing]:
        """Open a connection for one step: no hand has to know when the last one is done."""
        async with self.open_google(replace(self.access, project=project)) as google:
            yield Removing(
                google,
                self.label,
                self.clock,
                self.memory,
                self.since,
                self.dns,
                self.deletion_s,
            )


@dataclass(frozen=True, slots=True)
class ClusterHand:
    """Removes a cluster with what it made elsewhere. One of another run that has taken the name is
    never touched.
    """

    reach: Reach

    async def delete(self, resource: ResourceView) -> None:
        """Delete it, and wait until all is gone. Raises ProblemError."""
        project, location = parse_place(resource.intended.location)
        name = resource.intended.name
        async with self.reach.removing(project) as removing:
            await _let_cluster_arrive(removing, resource)
            await removing.cluster(location, name)

    async def gone(self, resource: ResourceView) -> str | None:
        """Return the proof. Raises ProblemError."""
        project, location = parse_place(resource.intended.location)
        name = resource.intended.name
        async with self.reach.removing(project) as removing:
            await _let_cluster_arrive(removing, resource)
            found = await removing.found_cluster(location, name)
            words = f"{_API} has no cluster {name} in {location}"
            if found is not None:
                if removing.is_ours(found.resource_labels):
                    return None
                run = found.resource_labels.get(RUN_LABEL, "")
                if not run and resource.identity:
                    raise _unlabelled(f"Cluster {name} in {location}")
                words = f"{_API} has a cluster {name} in {location} that is {_whose(run)}"
            marks = removing.marks(location, name)
            if await leftovers.left_by(removing.google, marks):
                return None
            await removing.demand_no_doubt(location, name)
            rest = await leftovers.labelled(removing.google, marks.run)
        of_it = " of this cluster" if rest else ""
        return (
            f"{words}; compute.googleapis.com lists no instance, disk, forwarding rule or address "
            f"with {RUN_LABEL}={marks.run}{of_it}"
        )


@dataclass(frozen=True, slots=True)
class PoolHand:
    """Removes a node pool: CLUSTER/POOL."""

    reach: Reach

    async def delete(self, resource: ResourceView) -> None:
        """Delete it, and wait until it is gone. Raises ProblemError."""
        project, location = parse_place(resource.intended.location)
        cluster, _, name = resource.intended.name.partition("/")
        async with self.reach.removing(project) as removing:
            await _let_pool_arrive(removing, resource)
            await removing.pool(location, cluster, name)

    async def gone(self, resource: ResourceView) -> str | None:
        """Return the proof. Raises ProblemError."""
        project, location = parse_place(resource.intended.location)
        cluster, _, name = resource.intended.name.partition("/")
        async with self.reach.removing(project) as removing:
            await _let_pool_arrive(removing, resource)
            found = await removing.found_pool(location, cluster, name)
            words = f"{_API} has no node pool {name} in cluster {cluster} in {location}"
            if found is not None:
                labels = found.config.resource_labels
                if removing.is_ours(labels):
                    return None
                if not labels.get(RUN_LABEL) and resource.identity:
                    raise _unlabelled(f"Node pool {name} of cluster {cluster} in {location}")
                whose = _whose(labels.get(RUN_LABEL, ""))
                words = f"{_API} has a node pool {name} in cluster {cluster} that is {whose}"
            if await removing.pool_instances(cluster, location, name):
                return None
            return (
                f"{words}; compute.googleapis.com lists no instance of that pool with "
                f"{RUN_LABEL}={removing.run}"
            )


@dataclass(frozen=True, slots=True)
class InClusterHand:
    """Removes what a run put into the Kubernetes of a cluster; with the cluster it is gone too."""

    reach: Reach
    make: type[WorkloadHand] | type[DaemonSetHand]

    async def delete(self, resource: ResourceView) -> None:
        """Delete it, unless the cluster is gone. Raises ProblemError."""
        async with self._hand(resource) as (hand, _proof):
            if hand is None:
                return
            try:
                async with asyncio.timeout(_IN_CLUSTER_S):
                    await hand.delete(resource)
            except TimeoutError as error:
                raise WorkError(
                    f"The cluster did not delete {resource.intended.kind} {resource.intended.name} "
                    f"within {_IN_CLUSTER_S:.0f} s.",
                    resource.intended.delete_command,
                ) from error

    async def gone(self, resource: ResourceView) -> str | None:
        """Return the proof. Raises ProblemError."""
        async with self._hand(resource) as (hand, proof):
            return proof if hand is None else await hand.gone(resource)

    @asynccontextmanager
    async def _hand(self, resource: ResourceView) -> AsyncIterator[tuple[Hand | None, str]]:
        """Yield what works in the cluster; None with the proof when there is no such cluster."""
        place = _IN_CLUSTER.fullmatch(resource.intended.location)
        if place is None:
            raise WorkError(
                f"{resource.intended.location} names no cluster of Google's.",
                resource.intended.delete_command,
            )
        project, location, name, namespace = place.groups()
        async with self.reach.removing(project) as removing:
            found = await removing.found_cluster(location, name)
            if found is None:
                yield None, f"{_API} has no cluster {name} in {location}"
                return
            cluster = cluster_at(removing.google, found, namespace=namespace, dns=self.reach.dns)
            access = Access("", cluster.access.context, namespace)
            yield self.make(access, self.reach.run_id, lambda _access: cluster), ""


@dataclass(frozen=True, slots=True)
class ComputeHand:
    """Removes one thing of Compute Engine that carries the run's label."""

    reach: Reach

    async def delete(self, resource: ResourceView) -> None:
        """Delete it and wait. Raises ProblemError."""
        async with self.reach.removing(parse_place(resource.intended.location)[0]) as removing:
            await leftovers.delete_all(
                removing.google, lambda: self._found(removing, resource), "Google still has"
            )

    async def gone(self, resource: ResourceView) -> str | None:
        """Return the proof. Raises ProblemError."""
        intended = resource.intended
        async with self.reach.removing(parse_place(intended.location)[0]) as removing:
            if await self._found(removing, resource):
                return None
            return (
                f"compute.googleapis.com lists no {intended.kind} {intended.name} with "
                f"{RUN_LABEL}={removing.run}"
            )

    async def _found(self, removing: Removing, resource: ResourceView) -> list[Resource]:
        wanted = (resource.intended.kind, resource.intended.name)
        place = parse_place(resource.intended.location)[1]
        return [
            each
            for each in await leftovers.labelled(removing.google, removing.run)
            if (leftovers.KINDS[each.kind], each.name) == wanted and each.place == place
        ]


def gke_hands(reach: Reach) -> dict[str, Hand]:
    """Return the hands by kind of resource."""
    workloads = InClusterHand(reach, WorkloadHand)
    return {
        CLUSTER: ClusterHand(reach),
        POOL: PoolHand(reach),
        JOB: workloads,
        POD: workloads,
        DAEMONSET: InClusterHand(reach, DaemonSetHand),
        BUILD: BuildHand(reach.access, reach.open_google),
        IMAGE: ImageHand(reach.access, reach.label, reach.open_google),
        **dict.fromkeys(leftovers.KINDS.values(), ComputeHand(reach)),
    }


def hands_of(deployment: GkeDeployment) -> dict[str, Hand]:
    """Return the hands of a run."""
    return gke_hands(
        Reach(
            deployment.access,
            deployment.run_id,
            deployment.open_google,
            deployment.clock,
            deployment.created_at,
            deployment.settings.endpoint == "dns",
        )
    )


async def _let_cluster_arrive(removing: Removing, resource: ResourceView) -> None:
    _project, location = parse_place(resource.intended.location)
    name = resource.intended.name

    async def is_there() -> bool:
        return await removing.found_cluster(location, name) is not None

    await _let_arrive(removing, resource, location, name, is_there)


async def _let_pool_arrive(removing: Removing, resource: ResourceView) -> None:
    _project, location = parse_place(resource.intended.location)
    cluster, _, name = resource.intended.name.partition("/")

    async def is_there() -> bool:
        # Without its cluster it cannot come.
        return (
            await removing.found_cluster(location, cluster) is None
            or await removing.found_pool(location, cluster, name) is not None
        )

    await _let_arrive(removing, resource, location, cluster, is_there)


async def _let_arrive(
    removing: Removing,
    resource: ResourceView,
    location: str,
    cluster: str,
    is_there: Callable[[], Awaitable[bool]],
) -> None:
    """Give what was intended, and may have been asked for, time to appear: whoever was killed over
    it may have sent the request, and the first look would prove nothing.
    """
    key = (resource.intended.kind, resource.intended.name)
    if resource.identity or key in removing.memory.awaited or await is_there():
        return
    for _ in range(_ARRIVAL_LOOKS):
        await asyncio.sleep(_ARRIVES_WITHIN_S)
        if await is_there() or not await removing.creation_at_work(location, cluster):
            break
    removing.memory.awaited.add(key)


def _whose(run: str) -> str:
    return f"run {harmless(run)}'s, not this one's" if run else "none of this run's"


def _unlabelled(what: str) -> WorkError:
    return WorkError(
        f"{what} has lost the labels of its run, so that nobody can tell whose it is now.",
        "Look at it, and delete it by hand if nobody needs it.",
    )
