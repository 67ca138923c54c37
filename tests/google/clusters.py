"""GKE itself: clusters and node pools, what is done to them, and how long that takes."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from google.cloud.container_v1 import types

from tests.google.capacity import MACHINES, Capacity
from tests.google.clock import Durations, GoogleClock, rfc3339
from tests.google.faults import Gate
from tests.google.ledger import Billed, Ledger
from tests.google.machines import Fleet, Group, Instance, NodeShape, gpus_of
from tests.google.operations import Kind, Work, condition, new_operation
from tests.google.prices import CLUSTER_USD_PER_HOUR
from tests.google.refusals import Refusal, not_found

ClusterStatus: Any = types.Cluster.Status
PoolStatus: Any = types.NodePool.Status
VERSION = "1.31.5-gke.1233000"


class KubeSide(Protocol):
    """The Kubernetes that a cluster hands out."""

    endpoint: str
    ca_pem: str

    def node_joined(self, instance: Instance, pool: Pool) -> None: ...

    def node_left(self, instance: Instance) -> None: ...

    def close(self) -> None: ...


@dataclass
class Pool:
    """A node pool."""

    message: types.NodePool
    shape: NodeShape
    groups: list[Group]
    billed: Billed
    nodes: int
    """Of each zone."""

    @property
    def name(self) -> str:
        return str(self.message.name)

    @property
    def instances(self) -> list[Instance]:
        return [each for group in self.groups for each in group.instances]

    @property
    def is_full(self) -> bool:
        return all(len(group.instances) >= group.target for group in self.groups)

    @property
    def is_running(self) -> bool:
        return self.is_full and all(each.status == "RUNNING" for each in self.instances)


@dataclass
class GkeCluster:
    """A cluster."""

    location: str
    message: types.Cluster
    billed: Billed
    kube: KubeSide | None = None
    pools: dict[str, Pool] = field(default_factory=dict)
    work: Work | None = None
    """What is at work on it."""

    @property
    def name(self) -> str:
        return str(self.message.name)

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.message.resource_labels)


def fingerprint(cluster: GkeCluster) -> str:
    """Of a cluster's labels as they are."""
    return hashlib.sha256(repr(sorted(cluster.labels.items())).encode()).hexdigest()[:8]


class Gke:
    """All clusters of one project."""

    def __init__(
        self,
        project: str,
        clock: GoogleClock,
        durations: Durations,
        capacity: Capacity,
        ledger: Ledger,
        fleet: Fleet,
        gate: Gate,
        start_kube: Callable[[GkeCluster], KubeSide],
    ) -> None:
        self.project = project
        self.clock = clock
        self.durations = durations
        self.capacity = capacity
        self.ledger = ledger
        self.fleet = fleet
        self.gate = gate
        self.unlisted: set[str] = set()
        """Zones that lists of clusters leave out, and say so."""
        self._start_kube = start_kube
        self.clusters: dict[tuple[str, str], GkeCluster] = {}
        self.operations: dict[str, Work] = {}
        self.cancellable = frozenset({Kind.CREATE_CLUSTER, Kind.CREATE_NODE_POOL})

    def find(self, location: str, name: str) -> GkeCluster:
        """Raises: Refusal (NOT_FOUND)."""
        found = self.clusters.get((location, name))
        if found is None:
            raise not_found(f"projects/{self.project}/locations/{location}/clusters/{name}")
        return found

    def find_pool(self, location: str, name: str, pool: str) -> Pool:
        """Raises: Refusal (NOT_FOUND)."""
        cluster = self.find(location, name)
        if pool not in cluster.pools:
            path = f"projects/{self.project}/locations/{location}/clusters/{name}/nodePools/{pool}"
            raise not_found(path)
        return cluster.pools[pool]

    def begin(self, cluster: GkeCluster, kind: Any, duration_s: float, pool: str = "") -> Work:
        """Set an operation to work on a cluster that has none."""
        work = new_operation(
            *(self.clock, kind, self.project, cluster.location, cluster.name, duration_s),
            pool=pool,
            fate=self.gate.fate,
        )
        self.operations[work.name] = work
        cluster.work = work
        return work

    def end(self, cluster: GkeCluster, work: Work, error: tuple[int, str] | None = None) -> None:
        """End an operation, well or not."""
        if work.ended is None:
            work.ended = self.clock.now()
            work.error = error
        if cluster.work is work:
            cluster.work = None

    def free(self, cluster: GkeCluster) -> None:
        """Raises: Refusal (FAILED_PRECONDITION) while something is at work on the cluster."""
        if cluster.work is not None:
            raise Refusal(
                "FAILED_PRECONDITION",
                f"Cluster is running incompatible operation {cluster.work.name}.",
                reason="CLUSTER_ALREADY_HAS_OPERATION",
                domain="container.googleapis.com",
            )

    def usable(self, cluster: GkeCluster) -> None:
        """Raises: Refusal while the cluster takes no changes of its pools."""
        self.free(cluster)
        if cluster.message.status == ClusterStatus.ERROR:
            raise Refusal(
                "FAILED_PRECONDITION",
                f'Cluster "{cluster.name}" is in ERROR state and cannot be changed; delete it.',
            )

    def admit_pool(self, location: str, pool: types.NodePool) -> tuple[NodeShape, list[str]]:
        """Check what a pool asks for; return its nodes' shape and its zones.

        Raises: Refusal.
        """
        config = pool.config
        self.admit_labels(config.resource_labels)
        machine = config.machine_type or "e2-medium"
        zones = list(pool.locations) or self.capacity.zones_of(location)
        if machine not in MACHINES:
            raise Refusal("INVALID_ARGUMENT", f'Machine type "{machine}" is not valid.')
        asked = list(config.accelerators)
        gpu, gpus = gpus_of(
            *(machine, asked[0].accelerator_type if asked else ""),
            int(asked[0].accelerator_count) if asked else 0,
        )
        for zone in zones:
            if not self.capacity.offers(zone, machine, gpu):
                what = f'Accelerator type "{gpu}"' if gpu else f'Machine type "{machine}"'
                text = f'{what} does not exist in zone "{zone}" for project "{self.project}".'
                raise Refusal("INVALID_ARGUMENT", text)
        shape = NodeShape(
            *(machine, gpu, gpus, bool(config.spot or config.preemptible)),
            *(config.disk_type or "pd-balanced", config.disk_size_gb or 100),
            dict(config.resource_labels),
            float(config.max_run_duration.total_seconds()) if config.max_run_duration else 0.0,
        )
        nodes = pool.initial_node_count
        short = self.capacity.regional_shortage(
            *(zones[0], shape.vcpus, gpu, gpus, shape.spot, nodes * len(zones))
        )
        if nodes and short is not None:
            metric, wanted, limit = short
            region = zones[0].rsplit("-", 1)[0]
            available = limit - self.capacity.used[region, metric]
            raise Refusal(
                "PERMISSION_DENIED",
                f'Insufficient regional quota to satisfy request: resource "{metric}": request '
                f"requires '{wanted:.1f}' and is short '{wanted - available:.1f}'. project has a "
                f"quota of '{limit:.1f}' with '{available:.1f}' available. View and manage quotas "
                "at https://console.cloud.google.com/iam-admin/quotas?usage=USED&project="
                f"{self.project}.",
            )
        return shape, zones

    def admit_labels(self, labels: Mapping[str, str]) -> None:
        """Raises: Refusal, as for
        https://cloud.google.com/resource-manager/docs/labels-overview#requirements.
        """
        for key, value in labels.items():
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key):
                raise Refusal("INVALID_ARGUMENT", f'Label key "{key}" is not valid.')
            if not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
                raise Refusal("INVALID_ARGUMENT", f'Value "{value}" of label "{key}" is not valid.')

    def new_cluster(self, location: str, message: types.Cluster) -> GkeCluster:
        """Write a cluster down and begin to bill it."""
        name = str(message.name)
        billed = self.ledger.opened(
            *("cluster", name, location, CLUSTER_USD_PER_HOUR),
            labels=dict(message.resource_labels),
        )
        base = f"https://container.googleapis.com/v1/projects/{self.project}"
        message.status = ClusterStatus.PROVISIONING
        message.location = message.zone = location
        message.id = uuid.uuid4().hex * 2
        message.self_link = f"{base}/locations/{location}/clusters/{name}"
        message.create_time = rfc3339(self.clock.now())
        message.current_master_version = message.initial_cluster_version = VERSION
        cluster = GkeCluster(location, message, billed)
        self.clusters[location, name] = cluster
        return cluster

    def new_pool(
        self, cluster: GkeCluster, message: types.NodePool, shape: NodeShape, zones: list[str]
    ) -> Pool:
        """Write a pool down, without instances yet."""
        more = {
            "goog-k8s-cluster-name": cluster.name,
            "goog-k8s-node-pool-name": str(message.name),
            "goog-k8s-cluster-location": cluster.location,
        }
        shape = replace(shape, labels={**cluster.labels, **shape.labels, **more})
        billed = self.ledger.opened(
            *("pool", f"{cluster.name}/{message.name}", cluster.location),
            labels=dict(shape.labels),
        )
        message.status = PoolStatus.PROVISIONING
        message.version = VERSION
        pool = Pool(message, shape, [], billed, int(message.initial_node_count))

        def booted(instance: Instance) -> None:
            if cluster.kube is not None:
                cluster.kube.node_joined(instance, pool)

        def lost(instance: Instance) -> None:
            if cluster.kube is not None:
                cluster.kube.node_left(instance)

        for zone in zones:
            prefix = f"gke-{cluster.name[:20]}-{pool.name[:20]}"
            pool.groups.append(self.fleet.add_group(prefix, zone, shape, booted, lost))
        message.instance_group_urls.extend(
            f"https://www.googleapis.com/compute/v1/projects/{self.project}/zones/{group.zone}"
            f"/instanceGroupManagers/{group.name}"
            for group in pool.groups
        )
        cluster.pools[pool.name] = pool
        return pool

    def drop_pool(self, cluster: GkeCluster, pool: Pool) -> None:
        for group in pool.groups:
            self.fleet.close(group)
        cluster.pools.pop(pool.name, None)
        self.ledger.closed(pool.billed)

    def drop_cluster(self, cluster: GkeCluster) -> None:
        for pool in list(cluster.pools.values()):
            self.drop_pool(cluster, pool)
        self.clusters.pop((cluster.location, cluster.name), None)
        self.ledger.closed(cluster.billed)
        if cluster.kube is not None:
            cluster.kube.close()
            cluster.kube = None

    def start_kube(self, cluster: GkeCluster) -> None:
        """The control plane answers from now on."""
        cluster.kube = self._start_kube(cluster)

    def told(self, cluster: GkeCluster) -> types.Cluster:
        """As GetCluster tells it."""
        import base64

        message = types.Cluster(cluster.message)
        message.node_pools = [self.told_pool(pool) for pool in cluster.pools.values()]
        message.label_fingerprint = fingerprint(cluster)
        message.current_node_count = sum(len(pool.instances) for pool in cluster.pools.values())
        if cluster.kube is not None:
            message.endpoint = cluster.kube.endpoint
            message.master_auth.cluster_ca_certificate = base64.b64encode(
                cluster.kube.ca_pem.encode()
            ).decode()
            dns = message.control_plane_endpoints_config.dns_endpoint_config
            dns.endpoint = cluster.kube.endpoint
        return message

    def told_pool(self, pool: Pool) -> types.NodePool:
        """As GetNodePool tells it."""
        message = types.NodePool(pool.message)
        shown = self.shown_shortage(pool)
        if shown is not None:
            message.conditions = [shown]
        return message

    def shown_shortage(self, pool: Pool) -> types.StatusCondition | None:
        """What a pool lacks, as soon as Google tells of it."""
        for group in pool.groups:
            if group.shortage is not None and group.errors:
                return condition(group.shortage, self.project)
        return None
