"""Removes from a cluster what a run put there, and proves it by listing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from core.errors import WorkError
from core.kube.cluster import Access, Cluster, JsonObject
from core.kube.errors import ConflictError, NotFoundError
from core.kube.objects import run_selector
from core.run.view import ResourceView

JOB = "job"
POD = "pod"
DAEMONSET = "daemonset"

# A pod answers SIGTERM within 2 s; what holds results is not waited for: a teardown means it.
_GRACE_S = 5
_GONE_WITHIN_S = 60.0
# Only where nobody is left to say that the containers have ended.
_FORCE_AFTER_S = 20.0
_LOOK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class WorkloadHand:
    """Removes a run's Job, with its pods, or a pod of its own."""

    access: Access
    run_id: str
    connect: Callable[[Access], Cluster] = Cluster

    async def delete(self, resource: ResourceView) -> None:
        """Delete it and wait until the cluster no longer lists anything of it.

        Raises:
            ClusterError: the cluster did not do it.
        """
        kind, name = resource.intended.kind, resource.intended.name
        async with self.connect(self.access) as cluster:
            collection = _collection(kind, cluster.namespace)
            # By label: after a kill it is not known whether it was created, and what has its name
            # may be another run's.
            for each in await _listed(cluster, collection, run_selector(self.run_id)):
                if _name(each) == name and kind == JOB:
                    path = f"{collection}/{name}"
                    await _delete(cluster, path, _uid(each), propagation="Background")
            await self._delete_pods(cluster, kind, name)

    async def gone(self, resource: ResourceView) -> str | None:
        """Return the proof: the cluster lists nothing of it.

        Raises:
            ClusterError: the cluster cannot be asked.
        """
        kind, name = resource.intended.kind, resource.intended.name
        async with self.connect(self.access) as cluster:
            selector = run_selector(self.run_id)
            jobs = await _listed(cluster, _collection(JOB, cluster.namespace), selector)
            pods = await _listed(cluster, _collection(POD, cluster.namespace), selector)
            left = [each for each in (jobs if kind == JOB else pods) if _name(each) == name]
            left += [pod for pod in pods if kind == JOB and _label(pod, "job-name") == name]
            if left:
                return None
            return (
                f"{cluster.server} lists no {kind} {name} and no pod of it with {selector} in "
                f"namespace {cluster.namespace}"
            )

    async def _delete_pods(self, cluster: Cluster, kind: str, name: str) -> None:
        pods = _collection(POD, cluster.namespace)
        asked: set[str] = set()
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < _GONE_WITHIN_S:
            left = [
                pod
                for pod in await _listed(cluster, pods, run_selector(self.run_id))
                if _name(pod) == name or (kind == JOB and _label(pod, "job-name") == name)
            ]
            if not left:
                return
            for pod in left:
                path = f"{pods}/{_name(pod)}"
                if _name(pod) not in asked:
                    asked.add(_name(pod))
                    await _delete(cluster, path, _uid(pod), grace_s=_GRACE_S)
                elif loop.time() - began > _FORCE_AFTER_S and await _is_on_lost_node(cluster, pod):
                    await _delete(cluster, path, _uid(pod), grace_s=0)
            await asyncio.sleep(_LOOK_EVERY_S)


@dataclass(frozen=True, slots=True)
class DaemonSetHand:
    """Removes a driver DaemonSet that the run created. ``name`` is NAMESPACE/NAME."""

    access: Access
    connect: Callable[[Access], Cluster] = Cluster

    async def delete(self, resource: ResourceView) -> None:
        """Delete it with its pods. Raises ClusterError."""
        async with self.connect(self.access) as cluster:
            path = _daemonset(resource.intended.name)
            await _delete(cluster, path, resource.identity, propagation="Foreground")
            loop = asyncio.get_running_loop()
            give_up_at = loop.time() + _GONE_WITHIN_S
            while loop.time() < give_up_at:
                if not await _exists(cluster, path, resource.identity):
                    return
                await asyncio.sleep(_LOOK_EVERY_S)

    async def gone(self, resource: ResourceView) -> str | None:
        """Return the proof. Raises ClusterError."""
        async with self.connect(self.access) as cluster:
            path = _daemonset(resource.intended.name)
            if await _exists(cluster, path, resource.identity):
                return None
            return f"{cluster.server} has no DaemonSet {resource.intended.name} of this run"


def _collection(kind: str, namespace: str) -> str:
    if kind == JOB:
        return f"/apis/batch/v1/namespaces/{namespace}/jobs"
    return f"/api/v1/namespaces/{namespace}/pods"


def _daemonset(name: str) -> str:
    namespace, _, own = name.partition("/")
    if not own:
        raise WorkError(f"{name!r} does not name a DaemonSet as NAMESPACE/NAME")
    return f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{own}"


async def _delete(
    cluster: Cluster,
    path: str,
    uid: str,
    *,
    propagation: str | None = None,
    grace_s: int | None = None,
) -> None:
    body: JsonObject = {"kind": "DeleteOptions", "apiVersion": "v1"}
    if uid:
        # Another that took its name is not ours.
        body["preconditions"] = {"uid": uid}
    if propagation:
        body["propagationPolicy"] = propagation
    if grace_s is not None:
        body["gracePeriodSeconds"] = grace_s
    with contextlib.suppress(NotFoundError, ConflictError):
        await cluster.request("DELETE", path, body=body)


async def _exists(cluster: Cluster, path: str, uid: str) -> bool:
    try:
        found = await cluster.request("GET", path)
    except NotFoundError:
        return False
    return not uid or _uid(found) == uid


async def _listed(cluster: Cluster, path: str, selector: str) -> list[JsonObject]:
    answer = await cluster.request("GET", path, query={"labelSelector": selector})
    items = answer.get("items")
    return items if isinstance(items, list) else []


async def _is_on_lost_node(cluster: Cluster, pod: JsonObject) -> bool:
    node = str((pod.get("spec") or {}).get("nodeName") or "")
    if not node:
        return False
    try:
        found = await cluster.request("GET", f"/api/v1/nodes/{node}")
    except NotFoundError:
        return True
    except WorkError:
        return False
    conditions = (found.get("status") or {}).get("conditions") or []
    return any(each.get("type") == "Ready" and each.get("status") != "True" for each in conditions)


def _name(thing: JsonObject) -> str:
    return str((thing.get("metadata") or {}).get("name") or "")


def _uid(thing: JsonObject) -> str:
    return str((thing.get("metadata") or {}).get("uid") or "")


def _label(thing: JsonObject, key: str) -> str:
    return str(((thing.get("metadata") or {}).get("labels") or {}).get(key) or "")
