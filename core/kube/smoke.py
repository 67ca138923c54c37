"""A small pod that runs nvidia-smi: the proof that a container on a node can use its GPU."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmark.errors import WorkError
from core.kube.cluster import Cluster, JsonObject, Query
from core.kube.ended import why_ended
from core.kube.errors import (
    ClusterError,
    ConflictError,
    DeniedError,
    NotFoundError,
    UnreachableError,
)
from core.kube.finishing import to_its_end
from core.kube.latest import latest
from core.kube.objects import (
    GPU_RESOURCE,
    OWNER,
    OWNER_LABEL,
    RUN_ANNOTATION,
    RUN_LABEL,
    Placement,
    container_security,
    placed,
    to_json,
)
from core.kube.reading import container_statuses, mapping, name_of, texts, words
from core.kube.reason import Reason, shown
from core.kube.waiting import why_waiting
from core.kube.watching import watch

CONTAINER = "nvidia-smi"
SMOKE_DEADLINE_S = 600.0
"""How long the pod may take in all; it may have to pull its image."""

_LOG_BYTES = 65536
_LOG_TRIES = 3
_GONE_WITHIN_S = 60.0
# GKE mounts the driver's programs and libraries there.
_SCRIPT = (
    'export PATH="$PATH:/usr/local/nvidia/bin" '
    'LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/usr/local/nvidia/lib64"; '
    "exec nvidia-smi 2>&1"
)
_VERSIONS = re.compile(
    r"(?:Driver|KMD) Version:\s*([^\s|]+).*?CUDA (?:UMD )?Version:\s*([^\s|]+)", re.DOTALL
)
_GPU_ROW = re.compile(r"^\|\s+\d+\s{2,}(\S.*?)\s{2,}(?:On|Off|N/A)\s*\|", re.MULTILINE)
_FAULTS = (
    (
        r"couldn't communicate with the NVIDIA driver",
        "no driver is loaded on the node: nvidia-smi cannot communicate with it",
        "Install the driver (--install-drivers), or wait until its installation is done.",
    ),
    (
        r"Driver/library version mismatch",
        "the node's loaded driver and its libraries are of different versions",
        "Restart the node: a driver was updated under it.",
    ),
    (
        r"No devices were found|No devices found",
        "the driver finds no GPU on the node",
        "The GPU may have failed or be unsupported by this driver; kubectl describe node, dmesg.",
    ),
    (
        r"not found in PATH|nvidia-smi: (command )?not found|nvidia-smi: No such file",
        "the container has no nvidia-smi: nothing mounts the driver into it",
        "The node needs NVIDIA's container toolkit; where it has one, --runtime-class nvidia.",
    ),
    (
        r"libnvidia-ml\.so|Failed to initialize NVML",
        "nvidia-smi cannot use the driver's library",
        "The node needs NVIDIA's container toolkit, of the loaded driver's version.",
    ),
)


class SmokeError(WorkError):
    """No container could use the GPU."""


@dataclass(frozen=True, slots=True)
class DriverFound:
    """What nvidia-smi saw in a container."""

    driver: str
    """Version of the driver."""
    cuda: str
    """Highest CUDA version that the driver serves."""
    gpus: tuple[str, ...]
    """Their names, shortened as nvidia-smi does."""


def smoke_pod(
    name: str,
    namespace: str,
    image: str,
    *,
    labels: Mapping[str, str],
    placement: Placement,
    deadline_s: float = SMOKE_DEADLINE_S,
    annotations: Mapping[str, str] | None = None,
) -> JsonObject:
    """Return the pod. ``image`` needs a shell and nothing else; ``placement`` is the Job's.
    ``deadline_s``: when the cluster itself ends it.
    """
    from kubernetes.aio.client import (
        V1Container,
        V1ObjectMeta,
        V1Pod,
        V1PodSpec,
        V1ResourceRequirements,
    )

    gpus = {GPU_RESOURCE: str(placement.gpus)} if placement.gpus else None
    container = V1Container(
        name=CONTAINER,
        image=image,
        command=["sh", "-c", _SCRIPT],
        resources=V1ResourceRequirements(limits=gpus),
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
                annotations=dict(annotations or {}),
            ),
            spec=V1PodSpec(
                **placed(placement),
                active_deadline_seconds=max(1, round(deadline_s)),
                termination_grace_period_seconds=5,
                containers=[container],
            ),
        )
    )


def parse_nvidia_smi(text: str) -> DriverFound:
    """Return what nvidia-smi printed.

    Raises:
        SmokeError: it printed an error, or no table.
    """
    versions = _VERSIONS.search(text)
    gpus = tuple(shown(each) for each in _GPU_ROW.findall(text))
    if versions is not None and gpus:
        return DriverFound(shown(versions[1]), shown(versions[2]), gpus)
    for pattern, what, remedy in _FAULTS:
        if re.search(pattern, text, re.IGNORECASE):
            raise SmokeError(f"A container cannot use the GPU: {what}.", remedy)
    if versions is not None:
        raise SmokeError(
            "A container cannot use the GPU: nvidia-smi lists none.",
            "The pod must ask for a GPU, and the node's container toolkit hand it in.",
        )
    lines = [line for line in text.splitlines() if line.strip()]
    said = f": {shown(lines[-1])}" if lines else ", it printed nothing"
    raise SmokeError(f"nvidia-smi did not show a GPU{said}.", "kubectl describe node says more.")


async def run_smoke(
    cluster: Cluster,
    pod: JsonObject,
    *,
    on_reason: Callable[[Reason], None],
    deadline_s: float = SMOKE_DEADLINE_S,
) -> DriverFound:
    """Run the pod to its end and return what it saw. ``on_reason`` is told why it waits, on each
    change. However this ends, the pod is deleted, and gone when it returns: it holds a GPU. Its
    run label tells it from others that have its name; those stay.

    Raises:
        SmokeError: another has its name, or no GPU could be used within ``deadline_s`` seconds.
        ClusterError: see its classes.
    """
    path = f"/api/v1/namespaces/{words(pod, 'metadata', 'namespace')}/pods"
    try:
        await create_own(cluster, path, pod)
        found = await _result(cluster, path, name_of(pod), on_reason, deadline_s)
    except BaseException:
        # What went wrong first is what is to be told; teardown finds by its labels what is left.
        with contextlib.suppress(ClusterError, SmokeError):
            await to_its_end(remove_own(cluster, path, pod))
        raise
    await to_its_end(remove_own(cluster, path, pod))
    return found


async def create_own(cluster: Cluster, path: str, pod: JsonObject) -> None:
    """Create a pod of the run. ``path`` is its collection's.

    Raises:
        SmokeError: another has its name.
        ClusterError: see its classes.
    """
    try:
        await to_its_end(cluster.request("POST", path, body=pod))
    except ConflictError:
        other = await _there(cluster, path, pod)
        if other is not None and not _is_ours(other, pod):
            raise _taken(other) from None
        # Of a first try whose answer was lost, or of another day.
        await remove_own(cluster, path, pod)
        await to_its_end(cluster.request("POST", path, body=pod))


async def _there(cluster: Cluster, path: str, pod: JsonObject) -> JsonObject | None:
    try:
        return await cluster.request("GET", f"{path}/{name_of(pod)}")
    except NotFoundError:
        return None


def _is_ours(found: JsonObject, pod: JsonObject) -> bool:
    """Return whether a pod that has the name is the same run's."""
    run = texts(pod, "metadata", "labels").get(RUN_LABEL)
    return run is not None and texts(found, "metadata", "labels").get(RUN_LABEL) == run


def _taken(other: JsonObject) -> SmokeError:
    labels = texts(other, "metadata", "labels")
    # A long name of a run is cut in a label.
    known = words(other, "metadata", "annotations", RUN_ANNOTATION) or labels.get(RUN_LABEL, "")
    run = shown(known) if labels.get(OWNER_LABEL) == OWNER else ""
    whose = f"of run {run}" if run else "none of ours"
    remove = f"gpubench-tui --no-ui teardown {run} removes it; " if run else ""
    return SmokeError(
        f"Pod {shown(name_of(other))} that would try the GPU is there already, {whose}.",
        f"{remove}--name-suffix makes room beside it.",
    )


async def _result(
    cluster: Cluster,
    path: str,
    name: str,
    on_reason: Callable[[Reason], None],
    deadline_s: float,
) -> DriverFound:
    told: Reason | None = None

    def tell(reason: Reason) -> None:
        nonlocal told
        told = reason
        on_reason(reason)

    try:
        async with asyncio.timeout(deadline_s):
            reason = await _end(cluster, path, name, tell)
            if reason is None or reason.kind == "failed":
                text = await _log(cluster, path, name)
                # Its own words tell more than its exit code.
                if reason is None or text.strip():
                    return parse_nvidia_smi(text)
    except TimeoutError:
        why = f" {told.sentence}" if told else ""
        raise SmokeError(
            f"Pod {shown(name)} did not show a GPU within {deadline_s:g} s.{why}",
            told.remedy if told else "kubectl describe pod says more.",
        ) from None
    raise SmokeError(reason.sentence, reason.remedy)


async def _end(
    cluster: Cluster, path: str, name: str, tell: Callable[[Reason], None]
) -> Reason | None:
    """Wait for the pod's end; return why it failed, or why it never will run."""
    events_path = path.removesuffix("pods") + "events"
    watches = {
        "pods": watch(cluster, path, query={"fieldSelector": f"metadata.name={name}"}),
        "events": watch(
            cluster, events_path, query={"fieldSelector": f"involvedObject.name={name}"}
        ),
    }
    last: Reason | None = None
    async with contextlib.aclosing(latest(watches, optional={"events"})) as snapshots:
        async for snapshot in snapshots:
            pod = snapshot["pods"].get(name)
            events = list(snapshot["events"].values())
            if pod is None:
                # It was created before the first look, so somebody has deleted it.
                return why_ended(None, CONTAINER, events)
            if _is_over(pod):
                return why_ended(pod, CONTAINER, events)
            reason = why_waiting(None, pod, events)
            if reason is None or reason == last:
                continue
            last = reason
            tell(reason)
            if reason.hopeless:
                return reason
    return why_ended(None, CONTAINER, [])


def _is_over(pod: JsonObject) -> bool:
    return words(pod, "status", "phase") in ("Succeeded", "Failed") or any(
        mapping(status, "state", "terminated") for status in container_statuses(pod)
    )


async def _log(cluster: Cluster, path: str, name: str) -> str:
    """Return what the container printed; empty where it never ran."""
    import aiohttp

    query: Query = {"container": CONTAINER, "limitBytes": _LOG_BYTES}
    problem: Exception | None = None
    for _ in range(_LOG_TRIES):
        try:
            async with cluster.stream(f"{path}/{name}/log", query=query) as stream:
                return (await stream.read()).decode(errors="backslashreplace")
        except (DeniedError, UnreachableError):
            raise
        except ClusterError:
            # 400 or 404: no container ever ran, or the node that has its log is gone.
            return ""
        except (aiohttp.ClientError, OSError) as error:
            problem = error
    raise SmokeError(
        f"The log of pod {shown(name)} cannot be read: {shown(str(problem))}.",
        "See that the connection to the API server holds.",
    ) from problem


async def remove_own(cluster: Cluster, path: str, pod: JsonObject) -> None:
    """Delete the run's pod and wait until it is gone. Another that has its name stays."""
    name = name_of(pod)
    found = await _there(cluster, path, pod)
    if found is None or not _is_ours(found, pod):
        return
    uid = words(found, "metadata", "uid")
    options: JsonObject = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": uid},
    }
    try:
        await cluster.request("DELETE", f"{path}/{name}", body=options)
    except (NotFoundError, ConflictError):
        return
    query: Query = {"fieldSelector": f"metadata.name={name}"}
    try:
        async with asyncio.timeout(_GONE_WITHIN_S):
            async for pods in watch(cluster, path, query=query):
                if words(pods.get(name), "metadata", "uid") != uid:
                    return
    except TimeoutError:
        raise SmokeError(
            f"Pod {shown(name)} was deleted and is still there after {_GONE_WITHIN_S:g} s.",
            "kubectl describe pod says what holds it; it may hold a GPU.",
        ) from None
