"""Is a GPU allocatable, and if not, what is under way: the driver's rollout, node by node."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from core.kube.cluster import Cluster, JsonObject, Query
from core.kube.driver_pods import (
    DriverState,
    Finding,
    Log,
    installer_daemonsets,
    installer_pods,
    log_wanted,
    own_node,
    plugin_pods,
    why_not_on,
    work_of,
)
from core.kube.errors import ClusterError
from core.kube.latest import latest
from core.kube.objects import GPU_RESOURCE
from core.kube.permissions import SYSTEM_NAMESPACE
from core.kube.reading import condition, mapping, name_of, objects, quantity, texts, words
from core.kube.reason import Reason, shown
from core.kube.watching import watch

SYSTEM_NAMESPACES = (SYSTEM_NAMESPACE, "gpu-operator")
"""Where driver installers and device plugins live."""

_DRIVER_VERSION = "cloud.google.com/gke-gpu-driver-version"
_GPU_LABELS = (
    "cloud.google.com/gke-accelerator",
    "accelerator",
    "k8s.amazonaws.com/accelerator",
    "feature.node.kubernetes.io/pci-10de.present",
)
_WORST_FIRST: tuple[DriverState, ...] = ("failed", "working", "waiting", "ready")
_NO_DRIVER = Finding(
    "waiting",
    "nothing installs a driver here, and no device plugin runs",
    "no driver",
    "--install-drivers installs one, if the node has none; nodes that have one need NVIDIA's "
    "device plugin.",
)
_LOG_LINES = 40
_LOG_BYTES = 65536
_LOG_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class NodeDriver:
    """How far the driver of one node is."""

    node: str
    state: DriverState
    detail: str
    """What is under way or what is wrong; harmless to show."""
    allocatable: int
    """GPUs that the node offers to pods."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """How far the drivers of all nodes that matter are."""

    nodes: tuple[NodeDriver, ...]
    ready: bool
    """Some node offers as many GPUs as are needed."""
    reason: Reason | None
    """Why none does; None when ready."""
    needs_a_node: bool = False
    """None of those that are here will, as far as can be seen: an autoscaler may add one, but only
    for a pod that waits."""


def rollout(
    nodes: Sequence[JsonObject],
    pods: Sequence[JsonObject],
    daemonsets: Sequence[JsonObject],
    events: Sequence[JsonObject],
    *,
    resource: str = GPU_RESOURCE,
    selector: Mapping[str, str],
    needed: int = 1,
    logs: Mapping[tuple[str, str], Log] | None = None,
) -> Rollout:
    """Return the state of every GPU node that ``selector`` matches.

    ``needed`` is the number of GPUs that one node must offer. ``logs`` holds the last log lines of
    failed installers by (namespace, pod).
    """
    matching = [
        node
        for node in nodes
        if isinstance(node, dict) and selector.items() <= texts(node, "metadata", "labels").items()
    ]
    gpu_nodes = [node for node in matching if _has_gpu(node, resource)]
    recognised = bool(gpu_nodes) or _is_installed_on(matching, daemonsets)
    found = {
        name_of(node): (node, _of_node(node, pods, daemonsets, events, resource, logs or {}))
        for node in sorted(gpu_nodes or matching, key=name_of)
    }
    drivers = tuple(
        NodeDriver(shown(name), finding.state, finding.detail, _allocatable(node, resource))
        for name, (node, finding) in found.items()
    )
    if any(each.state == "ready" and each.allocatable >= needed for each in drivers):
        return Rollout(drivers, True, None)
    findings = {name: finding for name, (_, finding) in found.items()}
    return Rollout(
        drivers,
        False,
        _why_none(findings, selector, needed, resource),
        needs_a_node=not recognised or all(each.state == "ready" for each in drivers),
    )


async def follow_rollout(
    cluster: Cluster,
    *,
    selector: Mapping[str, str],
    needed: int,
    resource: str = GPU_RESOURCE,
    namespaces: Sequence[str] = SYSTEM_NAMESPACES,
) -> AsyncGenerator[Rollout, None]:
    """Yield the rollout now and after each change of it, for ever.

    What happens in ``namespaces`` is left out where it may not be read.

    Raises:
        DeniedError: nodes may not be listed and watched.
        ClusterError: see its classes.
    """
    watches = _watches(cluster, namespaces)
    logs: dict[tuple[str, str], Log] = {}
    last: Rollout | None = None
    snapshots = latest(watches, optional=frozenset(watches) - {"nodes"})
    async with contextlib.aclosing(snapshots):
        async for snapshot in snapshots:
            nodes, pods, daemonsets, events = (
                [
                    each
                    for name, found in snapshot.items()
                    if name.split(" ")[0] == kind
                    for each in found.values()
                ]
                for kind in ("nodes", "pods", "daemonsets", "events")
            )
            await _read_logs(cluster, pods, logs)
            now = rollout(
                nodes,
                pods,
                daemonsets,
                events,
                resource=resource,
                selector=selector,
                needed=needed,
                logs=logs,
            )
            if now != last:
                last = now
                yield now


def _watches(
    cluster: Cluster, namespaces: Sequence[str]
) -> dict[str, AsyncIterator[Mapping[str, JsonObject]]]:
    watches = {"nodes": watch(cluster, "/api/v1/nodes")}
    for namespace in namespaces:
        core, apps = f"/api/v1/namespaces/{namespace}", f"/apis/apps/v1/namespaces/{namespace}"
        watches[f"pods {namespace}"] = watch(cluster, f"{core}/pods")
        watches[f"daemonsets {namespace}"] = watch(cluster, f"{apps}/daemonsets")
        # Only warnings tell what keeps an installer; a cluster has many of the others.
        telling: Query = {"fieldSelector": "type=Warning,involvedObject.kind=Pod"}
        watches[f"events {namespace}"] = watch(cluster, f"{core}/events", query=telling)
    return watches


async def _read_logs(
    cluster: Cluster, pods: Sequence[JsonObject], logs: dict[tuple[str, str], Log]
) -> None:
    """Read the last log lines of installers that failed: nothing else says why they did."""
    import aiohttp

    for pod in (*installer_pods(pods), *plugin_pods(pods)):
        wanted = log_wanted(pod)
        key = (words(pod, "metadata", "namespace"), name_of(pod))
        if wanted is None or (key in logs and logs[key].of == wanted.of):
            continue
        text = ""
        # Whoever may not read it is told less.
        with contextlib.suppress(ClusterError, OSError, aiohttp.ClientError):
            path = f"/api/v1/namespaces/{key[0]}/pods/{key[1]}/log"
            query: Query = {
                "container": wanted.container,
                "previous": wanted.previous,
                "tailLines": _LOG_LINES,
                "limitBytes": _LOG_BYTES,
            }
            async with (
                asyncio.timeout(_LOG_WITHIN_S),
                cluster.stream(path, query=query, patience_s=0.0) as stream,
            ):
                text = (await stream.read()).decode(errors="backslashreplace")
        logs[key] = Log(wanted.of, text)


def _of_node(
    node: JsonObject,
    pods: Sequence[JsonObject],
    daemonsets: Sequence[JsonObject],
    events: Sequence[JsonObject],
    resource: str,
    logs: Mapping[tuple[str, str], Log],
) -> Finding:
    unusable = _unusable(node)
    if unusable is not None:
        return unusable
    allocatable = _allocatable(node, resource)
    if allocatable >= 1:
        return Finding(
            "ready", "offers 1 GPU" if allocatable == 1 else f"offers {allocatable} GPUs"
        )
    here = [pod for pod in pods if isinstance(pod, dict) and own_node(pod) == name_of(node)]
    installers, plugins = installer_pods(here), plugin_pods(here)
    for what, group in (("driver installer", installers), ("device plugin", plugins)):
        for pod in group:
            log = logs.get((words(pod, "metadata", "namespace"), name_of(pod)))
            finding = work_of(what, pod, events, log)
            if finding.state != "ready":
                return finding
    if plugins:
        return Finding("working", "the device plugin runs and has reported no GPU yet")
    if installers:
        return Finding("working", "the driver is installed; no device plugin runs here yet")
    return _without_pods(node, daemonsets)


def _without_pods(node: JsonObject, daemonsets: Sequence[JsonObject]) -> Finding:
    """Return what may still bring a driver to a node that no pod of the kind is on."""
    version = texts(node, "metadata", "labels").get(_DRIVER_VERSION)
    if version is not None:
        return Finding("working", f"GKE installs the driver itself (version {shown(version)})")
    installers = installer_daemonsets([each for each in daemonsets if isinstance(each, dict)])
    obstacles = [why_not_on(node, each) for each in installers]
    if installers and all(obstacles):
        return obstacles[0] or _NO_DRIVER
    if installers:
        return Finding(
            "working", f"DaemonSet {shown(name_of(installers[0]))} puts its pod here next"
        )
    return _NO_DRIVER


def _unusable(node: JsonObject) -> Finding | None:
    ready = condition(node, "Ready")
    if ready and words(ready, "status") != "True":
        said = shown(words(ready, "message") or words(ready, "reason"))
        return Finding(
            "waiting",
            "the node is not ready" + (f": {said}" if said else ""),
            "node not ready",
            "A new node needs a minute or two; later kubectl describe node says more.",
        )
    if mapping(node, "spec").get("unschedulable") is True:
        return Finding(
            "waiting", "the node is cordoned", "cordoned", "kubectl uncordon lets it take pods."
        )
    return None


def _why_none(
    findings: Mapping[str, Finding], selector: Mapping[str, str], needed: int, resource: str
) -> Reason:
    """Return why no node offers enough: what failed before what is under way."""
    if not findings:
        wanted = shown(", ".join(f"{key}={value}" for key, value in selector.items()))
        matching = f" with the labels {wanted}" if wanted else ""
        return Reason(
            "no nodes",
            f"The cluster has no node{matching}.",
            "Compare --node-selector with kubectl get nodes --show-labels; an autoscaler adds "
            "nodes only when a pod waits for them.",
            False,
        )
    if all(each.state == "ready" for each in findings.values()):
        return Reason(
            "no gpu",
            f"No node offers {needed} {shown(resource)}.",
            "Ask for fewer with --gpus, or use nodes with more GPUs.",
            # Another pool may have larger nodes, and none of them up.
            False,
        )
    name, worst = min(findings.items(), key=lambda each: _WORST_FIRST.index(each[1].state))
    failed = sum(each.state == "failed" for each in findings.values())
    others = f" ({failed} of {len(findings)} nodes failed)" if failed > 1 else ""
    return Reason(
        worst.kind, f"Node {shown(name)}: {worst.detail}{others}.", worst.remedy, worst.hopeless
    )


def _is_installed_on(nodes: Sequence[JsonObject], daemonsets: Sequence[JsonObject]) -> bool:
    """Return whether something installs a driver on one of the nodes: whoever set that up takes it
    for a GPU node, although nothing of the node's own says so.
    """
    installers = installer_daemonsets([each for each in daemonsets if isinstance(each, dict)])
    return any(why_not_on(node, each) is None for node in nodes for each in installers)


def _allocatable(node: JsonObject, resource: str) -> int:
    return int(quantity(mapping(node, "status", "allocatable").get(resource)))


def _has_gpu(node: JsonObject, resource: str) -> bool:
    labels = texts(node, "metadata", "labels")
    return (
        any(name in labels for name in _GPU_LABELS)
        or any(name.startswith("nvidia.com/gpu") for name in labels)
        or quantity(mapping(node, "status", "capacity").get(resource)) >= 1
        or any(words(taint, "key") == resource for taint in objects(node, "spec", "taints"))
    )
