"""What GKE is asked to do, step by step in its own time."""

from __future__ import annotations

from typing import Any

from google.cloud.container_v1 import types

from tests.google.clusters import ClusterStatus, Gke, GkeCluster, Pool, PoolStatus
from tests.google.operations import Kind, Work, condition
from tests.google.refusals import Refusal, not_found

_CANCELLED = 1
_INTERNAL = 13
_EXHAUSTED = 8
_LOOK_EVERY_S = 5.0
_FAILED_TEXT = "Google Compute Engine: Internal error. Please try again."


class Doings:
    """All changes; each returns its operation."""

    def __init__(self, gke: Gke) -> None:
        self._gke = gke
        self._clock = gke.clock
        self._durations = gke.durations

    def create_cluster(self, location: str, message: types.Cluster) -> Work:
        """Raises: Refusal."""
        gke = self._gke
        name = str(message.name)
        if not gke.capacity.zones_of(location):
            raise Refusal("INVALID_ARGUMENT", f'Location "{location}" does not exist.')
        if (location, name) in gke.clusters:
            path = f"projects/{gke.project}/locations/{location}/clusters/{name}"
            raise Refusal("ALREADY_EXISTS", f"Already exists: {path}.")
        pools = list(message.node_pools)
        if not pools:
            count = message.initial_node_count or 1
            pools = [
                types.NodePool(
                    name="default-pool", initial_node_count=count, config=message.node_config
                )
            ]
        gke.admit_labels(message.resource_labels)
        admitted = [gke.admit_pool(location, pool) for pool in pools]
        message = types.Cluster(message)
        message.node_pools = []
        cluster = gke.new_cluster(location, message)
        made = [
            gke.new_pool(cluster, types.NodePool(pool), *how)
            for pool, how in zip(pools, admitted, strict=True)
        ]
        length = self._durations.control_plane + self._durations.system_nodes
        work = gke.begin(cluster, Kind.CREATE_CLUSTER, length)
        work.on_cancel = lambda: self._broken(cluster, work, "Operation was cancelled.")
        work.lacks = lambda: next(filter(None, map(gke.shown_shortage, made)), None)
        self._clock.later(
            self._durations.control_plane, lambda: self._control_plane_up(cluster, work, made)
        )
        return work

    def delete_cluster(self, location: str, name: str) -> Work:
        """Raises: Refusal."""
        gke = self._gke
        cluster = gke.find(location, name)
        gke.free(cluster)
        before = cluster.message.status
        cluster.message.status = ClusterStatus.STOPPING
        length = self._durations.cluster_delete
        work = gke.begin(cluster, Kind.DELETE_CLUSTER, length)

        def nodes_gone() -> None:
            if work.fate != "never ends":
                for pool in list(cluster.pools.values()):
                    gke.drop_pool(cluster, pool)

        def done() -> None:
            if work.fate == "never ends":
                return
            if work.fate == "fails":
                broken = before in (ClusterStatus.PROVISIONING, ClusterStatus.ERROR)
                cluster.message.status = before if broken else ClusterStatus.ERROR
                gke.end(cluster, work, (_INTERNAL, _FAILED_TEXT))
                return
            gke.drop_cluster(cluster)
            gke.end(cluster, work)

        self._clock.later(length * self._durations.instances_gone, nodes_gone)
        self._clock.later(length, done)
        return work

    def create_pool(self, location: str, name: str, message: types.NodePool) -> Work:
        """Raises: Refusal."""
        gke = self._gke
        cluster = gke.find(location, name)
        if str(message.name) in cluster.pools:
            text = f"Already exists: {cluster.message.self_link}/nodePools/{message.name}."
            raise Refusal("ALREADY_EXISTS", text)
        gke.usable(cluster)
        shape, zones = gke.admit_pool(location, message)
        pool = gke.new_pool(cluster, types.NodePool(message), shape, zones)
        accepted = self._durations.pool_accepted
        length = self._durations.pool_create if pool.nodes else accepted
        work = gke.begin(cluster, Kind.CREATE_NODE_POOL, length, pool.name)
        work.lacks = lambda: gke.shown_shortage(pool)
        work.on_cancel = lambda: self._pool_broken(
            cluster, pool, work, (_CANCELLED, "Operation was cancelled.")
        )

        def insert() -> None:
            if work.ended is None and not work.cancelling and work.fate != "never ends":
                self._fill(pool)

        self._clock.later(accepted, insert)
        self._clock.later(length, lambda: self._pool_due(cluster, pool, work))
        return work

    def delete_pool(self, location: str, name: str, pool_name: str) -> Work:
        """Raises: Refusal."""
        gke = self._gke
        pool = gke.find_pool(location, name, pool_name)
        cluster = gke.find(location, name)
        gke.free(cluster)
        pool.message.status = PoolStatus.STOPPING
        length = self._durations.pool_delete
        work = gke.begin(cluster, Kind.DELETE_NODE_POOL, length, pool_name)

        def instances_gone() -> None:
            if work.fate != "never ends":
                for group in pool.groups:
                    gke.fleet.resize(group, 0)

        def done() -> None:
            if work.fate == "never ends":
                return
            if work.fate == "fails":
                pool.message.status = PoolStatus.ERROR
                gke.end(cluster, work, (_INTERNAL, _FAILED_TEXT))
                return
            gke.drop_pool(cluster, pool)
            gke.end(cluster, work)

        self._clock.later(length * self._durations.instances_gone, instances_gone)
        self._clock.later(length, done)
        return work

    def resize_pool(self, location: str, name: str, pool_name: str, nodes: int) -> Work:
        """Raises: Refusal."""
        gke = self._gke
        pool = gke.find_pool(location, name, pool_name)
        cluster = gke.find(location, name)
        gke.usable(cluster)
        growing = nodes > pool.nodes
        wanted = types.NodePool(pool.message)
        wanted.initial_node_count = max(nodes - pool.nodes, 0)
        gke.admit_pool(location, wanted)
        pool.message.status = PoolStatus.RECONCILING
        length = self._durations.pool_create if growing else self._durations.resize
        work = gke.begin(cluster, Kind.SET_NODE_POOL_SIZE, length, pool_name)
        work.lacks = lambda: gke.shown_shortage(pool)

        def act() -> None:
            if work.fate != "never ends":
                pool.nodes = nodes
                self._fill(pool)

        begins = self._durations.pool_accepted
        self._clock.later(begins if growing else length * self._durations.instances_gone, act)
        self._clock.later(length, lambda: self._pool_due(cluster, pool, work))
        return work

    def change(self, cluster: GkeCluster, kind: Any, pool: str = "") -> Work:
        """A setting that is in force at once.

        Raises: Refusal.
        """
        gke = self._gke
        gke.usable(cluster)
        work = gke.begin(cluster, kind, self._durations.settings_change, pool)

        def done() -> None:
            if work.fate == "fails":
                gke.end(cluster, work, (_INTERNAL, _FAILED_TEXT))
            elif not work.fate:
                gke.end(cluster, work)

        self._clock.later(self._durations.settings_change, done)
        return work

    def cancel(self, name: str) -> None:
        """Raises: Refusal."""
        gke = self._gke
        work = gke.operations.get(name)
        if work is None:
            raise not_found(f"projects/{gke.project}/operations/{name}")
        if work.ended is not None:
            raise Refusal("FAILED_PRECONDITION", f"Operation {name} is already done.")
        if work.kind not in gke.cancellable or work.on_cancel is None:
            kind = Kind(work.kind).name
            raise Refusal(
                "FAILED_PRECONDITION", f"Operation {name} of type {kind} cannot be cancelled."
            )
        if not work.cancelling:
            work.cancelling = True
            self._clock.later(self._durations.cancel, work.on_cancel)

    def _control_plane_up(self, cluster: GkeCluster, work: Work, pools: list[Pool]) -> None:
        if work.ended is not None or work.cancelling or work.fate == "never ends":
            return
        self._gke.start_kube(cluster)
        for pool in pools:
            self._fill(pool)
        self._clock.later(
            self._durations.system_nodes, lambda: self._cluster_due(cluster, work, pools)
        )

    def _cluster_due(self, cluster: GkeCluster, work: Work, pools: list[Pool]) -> None:
        if work.ended is not None or work.cancelling:
            return
        if work.fate == "fails":
            self._broken(cluster, work, _FAILED_TEXT, code=_INTERNAL)
            return
        short = next((pool for pool in pools if not pool.is_full), None)
        if short is not None:
            if self._waits(work, short):
                self._clock.later(_LOOK_EVERY_S, lambda: self._cluster_due(cluster, work, pools))
                return
            text = _shortage_text(short)
            cluster.message.conditions = work.cluster_conditions = _conditions(
                short, self._gke.project
            )
            self._broken(cluster, work, text, code=_EXHAUSTED)
            return
        if not all(pool.is_running for pool in pools):
            self._clock.later(_LOOK_EVERY_S, lambda: self._cluster_due(cluster, work, pools))
            return
        work.cluster_conditions = []
        for pool in pools:
            pool.message.status = PoolStatus.RUNNING
        cluster.message.status = ClusterStatus.RUNNING
        self._gke.end(cluster, work)

    def _pool_due(self, cluster: GkeCluster, pool: Pool, work: Work) -> None:
        if work.ended is not None or work.cancelling or work.fate == "never ends":
            return
        if work.fate == "fails":
            self._pool_broken(cluster, pool, work, (_INTERNAL, _FAILED_TEXT))
            return
        if not pool.is_full:
            if not self._waits(work, pool):
                self._pool_broken(cluster, pool, work, (_EXHAUSTED, _shortage_text(pool)))
                return
        elif pool.is_running:
            work.pool_conditions = []
            pool.message.status = PoolStatus.RUNNING
            self._gke.end(cluster, work)
            return
        self._clock.later(_LOOK_EVERY_S, lambda: self._pool_due(cluster, pool, work))

    def _waits(self, work: Work, pool: Pool) -> bool:
        """Whether Google still tries to get what a pool lacks."""
        work.stalled = True
        lacks = next((group.shortage for group in pool.groups if group.shortage), None)
        quota = lacks is not None and lacks.condition == "GCE_QUOTA_EXCEEDED"
        limit = self._durations.quota_fails if quota else self._durations.stockout_fails
        return self._clock.now() - work.started < limit + work.duration_s

    def _broken(
        self, cluster: GkeCluster, work: Work, text: str, *, code: int = _CANCELLED
    ) -> None:
        """A creation failed: what there is stays and bills until it is deleted."""
        if work.ended is not None:
            return
        cluster.message.status = ClusterStatus.ERROR
        cluster.message.status_message = text
        for pool in cluster.pools.values():
            pool.message.status = PoolStatus.ERROR
            self._stop_trying(pool)
        self._gke.end(cluster, work, (code, text))

    def _pool_broken(
        self, cluster: GkeCluster, pool: Pool, work: Work, error: tuple[int, str]
    ) -> None:
        if work.ended is not None:
            return
        pool.message.status = PoolStatus.ERROR
        pool.message.status_message = error[1]
        pool.message.conditions = work.pool_conditions = _conditions(pool, self._gke.project)
        self._stop_trying(pool)
        self._gke.end(cluster, work, error)

    def _stop_trying(self, pool: Pool) -> None:
        for group in pool.groups:
            group.target = len(group.instances)
            group.shortage = None

    def _fill(self, pool: Pool) -> None:
        for group in pool.groups:
            self._gke.fleet.resize(group, pool.nodes)


def _conditions(pool: Pool, project: str) -> list[types.StatusCondition]:
    return [condition(group.shortage, project) for group in pool.groups if group.shortage]


def _shortage_text(pool: Pool) -> str:
    group = next(each for each in pool.groups if each.shortage)
    assert group.shortage is not None
    if group.shortage.condition == "GCE_QUOTA_EXCEEDED":
        name = group.name.removesuffix("-grp")
        return (
            f"Instance '{name}-{len(group.errors):04x}' creation failed: {group.shortage.message}"
        )
    return (
        "Try a different location, or try again later: Google Compute Engine does not have "
        f"enough resources available to fulfill request: {group.zone}."
    )
