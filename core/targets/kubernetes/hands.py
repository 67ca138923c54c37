"""Removes from a cluster what a run put there, and proves it by listing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from core.errors import WorkError
from core.kube.cluster import Access, Cluster, JsonObject
from core.kube.errors import ClusterError, ConflictError, NotFoundError
from core.kube.objects import KEEPER_CONTAINER, RUN_LABEL, label_value, run_selector
from core.kube.reading import container_statuses, mapping, name_of, objects, texts, words
from core.kube.transfer import TransferError, release
from core.run.view import ResourceView

JOB = "job"
POD = "pod"
DAEMONSET = "daemonset"

# A pod answers SIGTERM within 2 s; what holds results is not waited for: a teardown means it.
_GRACE_S = 5
_GONE_WITHIN_S = 60.0
# Some nodes take a minute to say that a pod has ended, and a lost one never does.
_FORCE_AFTER_S = 2 * _GRACE_S
_LOOK_EVERY_S = 0.25
_RELEASE_PATIENCE_S = 5.0


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
                if name_of(each) == name and kind == JOB:
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
            left = [each for each in (jobs if kind == JOB else pods) if name_of(each) == name]
            left += [pod for pod in pods if kind == JOB and _job_of(pod) == name]
            if left:
                return None
            return (
                f"{cluster.server} lists no {kind} {name} and no pod of it with {selector} in "
                f"namespace {cluster.namespace}"
            )

    async def _delete_pods(self, cluster: Cluster, kind: str, name: str) -> None:
        pods = _collection(POD, cluster.namespace)
        asked: dict[str, float] = {}
        now = asyncio.get_running_loop().time
        give_up_at = now() + _GONE_WITHIN_S
        while now() < give_up_at:
            left = [
                pod
                for pod in await _listed(cluster, pods, run_selector(self.run_id))
                if name_of(pod) == name or (kind == JOB and _job_of(pod) == name)
            ]
            if not left:
                return
            for pod in left:
                path, since = f"{pods}/{name_of(pod)}", asked.get(name_of(pod))
                if _has_ended(pod) or (since is not None and now() - since > _FORCE_AFTER_S):
                    # Its containers have ended, or the node was to kill them long ago; what is
                    # waited for is only the node's word.
                    await _delete(cluster, path, _uid(pod), grace_s=0)
                elif since is None:
                    asked[name_of(pod)] = now()
                    await _let_go(cluster, pod)
                    await _delete(cluster, path, _uid(pod), grace_s=_GRACE_S)
            await asyncio.sleep(_LOOK_EVERY_S)


@dataclass(frozen=True, slots=True)
class DaemonSetHand:
    """Removes a driver DaemonSet that the run created. ``name`` is NAMESPACE/NAME; what has that
    name and not the run's label is somebody else's, and stays.
    """

    access: Access
    run_id: str
    connect: Callable[[Access], Cluster] = Cluster

    async def delete(self, resource: ResourceView) -> None:
        """Delete it with its pods. Raises ClusterError."""
        async with self.connect(self.access) as cluster:
            path = _daemonset(resource.intended.name)
            loop = asyncio.get_running_loop()
            give_up_at = loop.time() + _GONE_WITHIN_S
            asked = ""
            while loop.time() < give_up_at:
                found = await self._ours(cluster, path)
                if found is None:
                    return
                if _uid(found) != asked:
                    asked = _uid(found)
                    await _delete(cluster, path, asked, propagation="Foreground")
                await asyncio.sleep(_LOOK_EVERY_S)

    async def gone(self, resource: ResourceView) -> str | None:
        """Return the proof. Raises ClusterError."""
        async with self.connect(self.access) as cluster:
            name = resource.intended.name
            if await self._ours(cluster, _daemonset(name)) is not None:
                return None
            return f"{cluster.server} has no DaemonSet {name} with {run_selector(self.run_id)}"

    async def _ours(self, cluster: Cluster, path: str) -> JsonObject | None:
        # By name, not listed by label: drivers may be installed by who may not list DaemonSets.
        try:
            found = await cluster.request("GET", path)
        except NotFoundError:
            return None
        run = texts(found, "metadata", "labels").get(RUN_LABEL)
        return found if run == label_value(self.run_id) else None


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
    # Another that takes its name meanwhile is not ours.
    body: JsonObject = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {"uid": uid},
    }
    if propagation:
        body["propagationPolicy"] = propagation
    if grace_s is not None:
        body["gracePeriodSeconds"] = grace_s
    with contextlib.suppress(NotFoundError, ConflictError):
        await cluster.request("DELETE", path, body=body)


async def _let_go(cluster: Cluster, pod: JsonObject) -> None:
    """Tell the keeper that nobody wants its results, so that it does not hold the pod."""
    if any(words(each, "name") == KEEPER_CONTAINER for each in container_statuses(pod)):
        with contextlib.suppress(ClusterError, TransferError, TimeoutError):
            async with asyncio.timeout(_RELEASE_PATIENCE_S):
                await release(cluster, name_of(pod), patience_s=_RELEASE_PATIENCE_S)


def _has_ended(pod: JsonObject) -> bool:
    statuses = container_statuses(pod)
    return bool(statuses) and all(mapping(each, "state", "terminated") for each in statuses)


async def _listed(cluster: Cluster, path: str, selector: str) -> list[JsonObject]:
    answer = await cluster.request("GET", path, query={"labelSelector": selector})
    return objects(answer, "items")


def _uid(thing: JsonObject) -> str:
    return words(thing, "metadata", "uid")


def _job_of(pod: JsonObject) -> str:
    return words(pod, "metadata", "labels", "job-name")
