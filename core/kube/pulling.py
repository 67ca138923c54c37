"""A pod that does nothing: a node that has it must have pulled its image.

While a GPU node installs its driver no pod that asks for a GPU can be there; this one asks for
none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from core.kube.cluster import Cluster, JsonObject, Query
from core.kube.errors import ClusterError
from core.kube.finishing import to_its_end
from core.kube.objects import Placement, container_security, placed, to_json
from core.kube.reading import container_statuses, mapping, name_of, words
from core.kube.smoke import SmokeError, create_own, remove_own
from core.kube.watching import watch

CONTAINER = "pull"


def pull_pod(
    name: str,
    namespace: str,
    image: str,
    *,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    placement: Placement,
    deadline_s: float,
) -> JsonObject:
    """Return the pod. ``image`` needs a shell and nothing else; of ``placement`` all counts but the
    GPUs and sizes.
    """
    from kubernetes.aio.client import V1Container, V1ObjectMeta, V1Pod, V1PodSpec

    container = V1Container(
        name=CONTAINER,
        image=image,
        command=["sh", "-c", "true"],
        security_context=container_security(),
    )
    return to_json(
        V1Pod(
            api_version="v1",
            kind="Pod",
            metadata=V1ObjectMeta(
                name=name,
                namespace=namespace,
                labels=dict(labels),
                annotations=dict(annotations),
            ),
            spec=V1PodSpec(
                **placed(replace(placement, gpus=0, cpus=None, memory=None)),
                active_deadline_seconds=max(1, round(deadline_s)),
                termination_grace_period_seconds=1,
                containers=[container],
            ),
        )
    )


async def pull(cluster: Cluster, pod: JsonObject) -> bool:
    """Run the pod and delete it; return whether its image was pulled. However this ends, the pod is
    gone, or about to be.

    Raises:
        SmokeError: another has its name.
        ClusterError: see its classes.
    """
    path = f"/api/v1/namespaces/{words(pod, 'metadata', 'namespace')}/pods"
    try:
        await create_own(cluster, path, pod)
        return await _is_pulled(cluster, path, name_of(pod))
    finally:
        with contextlib.suppress(ClusterError, SmokeError):
            await to_its_end(remove_own(cluster, path, pod))


async def _is_pulled(cluster: Cluster, path: str, name: str) -> bool:
    query: Query = {"fieldSelector": f"metadata.name={name}"}
    async for pods in watch(cluster, path, query=query):
        pod = pods.get(name)
        if pod is None:
            # It was created before the first look, so somebody has deleted it.
            break
        if any(mapping(each, "state", "terminated") for each in container_statuses(pod)):
            return True
        if words(pod, "status", "phase") in ("Succeeded", "Failed"):
            return words(pod, "status", "phase") == "Succeeded"
    return False
