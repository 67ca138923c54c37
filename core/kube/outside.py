"""What a cluster holds outside of itself: load balancers and disks of its own making.

A cluster that is deleted with them leaves them behind, billed
(https://cloud.google.com/kubernetes-engine/docs/how-to/deleting-a-cluster).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from core.kube.cluster import Cluster, JsonObject
from core.kube.errors import ClusterError, NotFoundError
from core.kube.reading import mapping, name_of, objects, words

_SERVICES = "services"
_CLAIMS = "persistentvolumeclaims"
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Balancer:
    """A Service with a load balancer of the provider's."""

    namespace: str
    name: str
    uid: str
    addresses: tuple[str, ...]

    @property
    def rule(self) -> str:
        """Name that the provider's part has: ``DefaultLoadBalancerName`` of
        k8s.io/cloud-provider.
        """
        return f"a{self.uid.replace('-', '')}"[:32]


async def balancers(cluster: Cluster) -> tuple[Balancer, ...]:
    """Return the load balancers of all namespaces. Raises ClusterError."""
    return tuple(
        Balancer(
            words(service, "metadata", "namespace"),
            name_of(service),
            words(service, "metadata", "uid"),
            tuple(
                words(each, "ip")
                for each in objects(mapping(service, "status", "loadBalancer"), "ingress")
            ),
        )
        for service in await _all(cluster, _SERVICES)
        if words(service, "spec", "type") == "LoadBalancer"
    )


async def let_go(cluster: Cluster, found: Sequence[Balancer], patience_s: float) -> None:
    """Delete these load balancers' Services and all PersistentVolumeClaims, and wait until the
    provider's part of them is gone, or patience ends.

    Raises:
        ClusterError: the cluster does not do it.
    """
    claims = [
        (words(claim, "metadata", "namespace"), name_of(claim))
        for claim in await _all(cluster, _CLAIMS)
    ]
    for each in found:
        await _delete(cluster, each.namespace, _SERVICES, each.name)
    for namespace, name in claims:
        await _delete(cluster, namespace, _CLAIMS, name)
    if not (found or claims):
        return
    now = asyncio.get_running_loop().time
    give_up_at = now() + patience_s
    while now() < give_up_at and (await balancers(cluster) or await _disks(cluster)):
        await asyncio.sleep(_LOOK_EVERY_S)


async def _disks(cluster: Cluster) -> bool:
    """Return whether a claim, or a volume that goes with its claim, is still there."""
    if await _all(cluster, _CLAIMS):
        return True
    volumes: list[JsonObject] = []
    with contextlib.suppress(ClusterError):
        volumes = await _all(cluster, "persistentvolumes")
    policy = "persistentVolumeReclaimPolicy"
    return any(words(volume, "spec", policy) == "Delete" for volume in volumes)


async def _all(cluster: Cluster, kind: str) -> list[JsonObject]:
    return objects(await cluster.request("GET", f"/api/v1/{kind}"), "items")


async def _delete(cluster: Cluster, namespace: str, kind: str, name: str) -> None:
    with contextlib.suppress(NotFoundError):
        await cluster.request("DELETE", f"/api/v1/namespaces/{namespace}/{kind}/{name}")
