"""GKE's clusters and pools of nodes: asked for, looked at, deleted."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.gcp import operations
from core.gcp.cluster_request import cluster_request, pool_request
from core.gcp.errors import GoogleError, InvalidError, NotFoundError, UnavailableError
from core.gcp.operations import OperationSeen
from core.gcp.specs import ClusterSpec, PoolSpec
from core.text import harmless

if TYPE_CHECKING:
    from google.cloud import container_v1

    from core.gcp.connection import Google


@dataclass(frozen=True, slots=True)
class Listed:
    """What Google lists, and what it leaves out."""

    clusters: tuple[container_v1.Cluster, ...]
    missing: tuple[str, ...]
    """Zones that could not be asked: of what is there nothing is known."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a cluster's API server is."""

    host_url: str
    ca_pem: str | None
    """Whose certificates to believe; None: the public authorities."""


class Clusters:
    """The clusters of one project. Every method but :meth:`get`, :meth:`find`, :meth:`listed`,
    :meth:`pool` and :meth:`operations` returns the name of the operation that it began, to be
    followed.

    Raises (all methods): GoogleError, see its classes; CredentialsError.
    """

    def __init__(self, google: Google) -> None:
        self._google = google

    async def get(self, location: str, name: str) -> container_v1.Cluster | None:
        """Return a cluster, whatever state it is in; None: it is not there."""
        request = {"name": self._cluster(location, name)}
        try:
            found: container_v1.Cluster = await self._google.cluster_call(
                "get_cluster", request, asked=f"looking at cluster {name} in {location}"
            )
        except NotFoundError:
            return None
        return found

    async def find(
        self, labels: Mapping[str, str | None], location: str = "-"
    ) -> list[container_v1.Cluster]:
        """Return the clusters of all locations, or one, that have every one of these labels; None
        as a value stands for any.

        Raises:
            UnavailableError: also where Google left locations out: an incomplete list proves
                nothing.
        """
        found = await self.listed(labels, location)
        _complete(found.missing, "clusters")
        return list(found.clusters)

    async def listed(self, labels: Mapping[str, str | None], location: str = "-") -> Listed:
        """Return what :meth:`find` does, also where Google left locations out."""
        parent = f"projects/{self._google.project}/locations/{location}"
        answer: container_v1.ListClustersResponse = await self._google.cluster_call(
            "list_clusters", {"parent": parent}, asked="listing the clusters"
        )
        return Listed(
            tuple(each for each in answer.clusters if _has(each.resource_labels, labels)),
            tuple(harmless(zone) for zone in answer.missing_zones),
        )

    async def pool(self, location: str, cluster: str, name: str) -> container_v1.NodePool | None:
        """Return a pool, whatever state it is in; None: it is not there."""
        request = {"name": self._pool(location, cluster, name)}
        try:
            found: container_v1.NodePool = await self._google.cluster_call(
                "get_node_pool", request, asked=f"looking at node pool {name} of cluster {cluster}"
            )
        except NotFoundError:
            return None
        return found

    async def create(self, spec: ClusterSpec) -> str:
        """Begin to create a cluster.

        Raises:
            ExistsError: the name is taken, perhaps by an own first try whose answer was cut:
                :meth:`get` tells by the labels.
        """
        return await self._begin(
            "create_cluster",
            cluster_request(self._google.project, spec),
            f"creating cluster {spec.name} in {spec.location}",
        )

    async def create_pool(self, location: str, cluster: str, spec: PoolSpec) -> str:
        """Begin to add a pool to a cluster.

        Raises:
            ExistsError: as :meth:`create`.
            BusyError: see :meth:`wait_idle`.
        """
        return await self._begin(
            "create_node_pool",
            pool_request(self._google.project, location, cluster, spec),
            f"creating node pool {spec.name} of cluster {cluster}",
        )

    async def resize_pool(self, location: str, cluster: str, pool: str, nodes: int) -> str:
        """Begin to give a pool this many nodes in each of its zones.

        Raises:
            BusyError: see :meth:`wait_idle`.
        """
        request = {"name": self._pool(location, cluster, pool), "node_count": nodes}
        what = f"resizing node pool {pool} of cluster {cluster} to {nodes}"
        return await self._begin("set_node_pool_size", request, what)

    async def set_labels(self, cluster: container_v1.Cluster, more: Mapping[str, str]) -> str:
        """Begin to give a cluster more labels than :meth:`get` has shown of it.

        Raises:
            BusyError: see :meth:`wait_idle`.
        """
        request = {
            "name": self._cluster(cluster.location, cluster.name),
            "resource_labels": {**cluster.resource_labels, **more},
            "label_fingerprint": cluster.label_fingerprint,
        }
        what = f"setting the labels of cluster {cluster.name} in {cluster.location}"
        return await self._begin("set_labels", request, what)

    async def delete_pool(self, location: str, cluster: str, pool: str) -> str | None:
        """Begin to delete a pool; None: neither it nor its cluster is there.

        Raises:
            BusyError: see :meth:`wait_idle`.
        """
        request = {"name": self._pool(location, cluster, pool)}
        what = f"deleting node pool {pool} of cluster {cluster}"
        try:
            return await self._begin("delete_node_pool", request, what)
        except NotFoundError:
            return None

    async def delete(self, location: str, name: str) -> str | None:
        """Begin to delete a cluster with its pools; None: it is not there.

        Raises:
            BusyError: see :meth:`wait_idle`; it may be being deleted already.
        """
        request = {"name": self._cluster(location, name)}
        try:
            return await self._begin(
                "delete_cluster", request, f"deleting cluster {name} in {location}"
            )
        except NotFoundError:
            return None

    async def operations(self, location: str, cluster: str) -> list[OperationSeen]:
        """Return the operations at work on a cluster or its pools, the oldest first."""
        parent = f"projects/{self._google.project}/locations/{location}"
        answer: container_v1.ListOperationsResponse = await self._google.cluster_call(
            "list_operations", {"parent": parent}, asked=f"listing the operations in {location}"
        )
        _complete(answer.missing_zones, "operations")
        of_it = re.compile(rf"/clusters/{re.escape(cluster)}(/|$)")
        found = [
            (operation.start_time, operations.seen(operation, self._google.project))
            for operation in answer.operations
            if of_it.search(operation.target_link)
        ]
        running = [(since, each) for since, each in found if each.running]
        return [each for _since, each in sorted(running, key=lambda pair: pair[0])]

    async def wait_idle(self, location: str, cluster: str, *, every_s: float = 5.0) -> None:
        """Return when no operation is at work on a cluster any longer. How long to bear it is the
        caller's affair (:func:`asyncio.timeout`).
        """
        while await self.operations(location, cluster):
            await self._google.sleep(every_s)

    def follow(
        self, location: str, operation: str, *, every_s: float = 5.0
    ) -> AsyncIterator[OperationSeen]:
        """Yield an operation as it goes on, see :func:`core.gcp.operations.follow`."""
        return operations.follow(self._google, location, operation, every_s=every_s)

    async def _begin(self, method: str, request: object, what: str) -> str:
        operation: container_v1.Operation = await self._google.cluster_call(
            method, request, asked=what
        )
        return str(operation.name)

    def _cluster(self, location: str, name: str) -> str:
        return f"projects/{self._google.project}/locations/{location}/clusters/{name}"

    def _pool(self, location: str, cluster: str, name: str) -> str:
        return f"{self._cluster(location, cluster)}/nodePools/{name}"


def endpoint_of(cluster: container_v1.Cluster, dns: bool = False) -> Endpoint:
    """Return where a cluster's API server is: by its IP address with its own authority, or by its
    DNS name with a public certificate.

    Raises:
        GoogleError: it has no address (yet).
        InvalidError: its DNS endpoint is not open to traffic from outside Google Cloud.
    """
    name = harmless(cluster.name)
    endpoints = cluster.control_plane_endpoints_config
    if dns:
        found = endpoints.dns_endpoint_config
        if not (found.endpoint and found.allow_external_traffic):
            raise InvalidError(
                f"Cluster {name} has no DNS endpoint that is open to traffic from here.",
                f"Run gcloud container clusters update {name} --location {cluster.location} "
                "--enable-dns-access, or use the IP endpoint.",
            )
        return Endpoint(f"https://{harmless(found.endpoint)}", None)
    address = cluster.endpoint or endpoints.ip_endpoints_config.public_endpoint
    certificate = cluster.master_auth.cluster_ca_certificate
    if not (address and certificate):
        raise GoogleError(
            f"Cluster {name} has no address yet.",
            f"gcloud container clusters describe {name} --location {cluster.location} shows its "
            "state.",
        )
    try:
        authority = base64.b64decode(certificate, validate=True).decode("ascii")
    except ValueError as error:
        raise GoogleError(f"Cluster {name} has an unreadable CA certificate.") from error
    return Endpoint(f"https://{harmless(address)}", authority)


def _has(labels: Mapping[str, str], wanted: Mapping[str, str | None]) -> bool:
    return all(name in labels and value in (None, labels[name]) for name, value in wanted.items())


def left_out(missing: Sequence[str], what: str) -> UnavailableError:
    """Return the error of a list that lacks zones."""
    zones = ", ".join(harmless(zone) for zone in missing)
    return UnavailableError(
        f"Google's list of {what} leaves out {zones}.",
        "Try again in some minutes; https://status.cloud.google.com says what Google knows of.",
    )


def _complete(missing: Sequence[str], what: str) -> None:
    if missing:
        raise left_out(missing, what)
