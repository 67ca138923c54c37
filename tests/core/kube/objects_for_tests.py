"""Builders of objects as the API gives them, and those that a real cluster gave."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies

from core.kube.cluster import JsonObject

OBSERVED = Path(__file__).with_name("observed")
"""What Kubernetes 1.20 with containerd said, one file a situation: the Job, its pod, events."""


def observed(name: str) -> tuple[JsonObject | None, JsonObject | None, list[JsonObject]]:
    """The Job, the pod and the events of a situation on a real cluster."""
    document = json.loads((OBSERVED / f"{name}.json").read_text())
    return document["job"], document["pod"], document["events"]


def job(name: str = "gpu-benchmark-baseline", **status: Any) -> JsonObject:
    return {
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": {"backoffLimit": 0},
        "status": status,
    }


def pod(
    name: str = "bench-x7k2p",
    *,
    node: str | None = "gpu-node-1",
    gpus: int = 1,
    image: str = "us-docker.pkg.dev/project/benchmark/app:1",
    labels: dict[str, str] | None = None,
    restart: str = "Never",
    **status: Any,
) -> JsonObject:
    resources = {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {}
    specification: JsonObject = {
        "restartPolicy": restart,
        "containers": [{"name": "benchmark", "image": image, "resources": resources}],
    }
    if node is not None:
        specification["nodeName"] = node
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "labels": labels or {},
        },
        "spec": specification,
        "status": {"phase": "Pending", **status},
    }


INSTALLER = {"k8s-app": "nvidia-driver-installer"}


def installer(**status: Any) -> JsonObject:
    """The driver installer's pod on the node, as its DaemonSet makes it."""
    found = pod("nvidia-driver-installer-abc", labels=INSTALLER, restart="Always", **status)
    found["metadata"]["namespace"] = "kube-system"
    return found


def daemonset(
    name: str = "nvidia-driver-installer", template: JsonObject | None = None
) -> JsonObject:
    """A DaemonSet that installs drivers; ``template``: the specification of its pods."""
    return {
        "metadata": {"name": name, "namespace": "kube-system", "labels": INSTALLER},
        "spec": {"template": {"spec": template or {}}},
    }


# As in container-engine-accelerators' daemonset-preloaded.yaml.
OF_GKE = {
    "tolerations": [{"operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {
                        "matchExpressions": [
                            {"key": "cloud.google.com/gke-accelerator", "operator": "Exists"},
                            {
                                "key": "cloud.google.com/gke-gpu-driver-version",
                                "operator": "DoesNotExist",
                            },
                        ]
                    }
                ]
            }
        }
    },
}


def unschedulable(message: str) -> JsonObject:
    """A pod for which the scheduler found no node."""
    return pod(node=None, conditions=[condition("PodScheduled", False, "Unschedulable", message)])


def waiting(reason: str, message: str = "", **kwargs: Any) -> JsonObject:
    """A pod whose container waits."""
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(containerStatuses=[container(state, **kwargs)])


def ended(exit_code: int, why: str = "Error", **status: Any) -> JsonObject:
    """A pod whose container has ended."""
    state = {"terminated": {"exitCode": exit_code, "reason": why}}
    return pod(**{"phase": "Failed", "containerStatuses": [container(state)], **status})


def container(
    state: JsonObject,
    name: str = "benchmark",
    restarts: int = 0,
    last: JsonObject | None = None,
) -> JsonObject:
    return {"name": name, "restartCount": restarts, "state": state, "lastState": last or {}}


def condition(kind: str, true: bool, reason: str = "", message: str = "") -> JsonObject:
    status = "True" if true else "False"
    return {"type": kind, "status": status, "reason": reason, "message": message}


def event(
    reason: str,
    message: str = "",
    *,
    about: str = "Pod",
    name: str = "bench-x7k2p",
    at: int = 0,
    count: int = 1,
    kind: str = "Warning",
) -> JsonObject:
    """An event ``at`` seconds after ten o'clock."""
    moment = f"2026-03-01T10:{at // 60:02d}:{at % 60:02d}Z"
    return {
        "metadata": {"name": f"{name}.{at}{reason}", "resourceVersion": str(1000 + at)},
        "type": kind,
        "reason": reason,
        "message": message,
        "count": count,
        "lastTimestamp": moment,
        "involvedObject": {"kind": about, "name": name, "uid": f"uid-{name}"},
    }


def node(
    name: str = "gpu-node-1",
    *,
    gpus: int = 0,
    labels: dict[str, str] | None = None,
    taints: list[JsonObject] | None = None,
    ready: bool = True,
    message: str = "",
    cordoned: bool = False,
) -> JsonObject:
    own = {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"} if labels is None else labels
    amounts = {"cpu": "4", "nvidia.com/gpu": str(gpus)}
    specification: JsonObject = {"taints": taints or []}
    if cordoned:
        specification["unschedulable"] = True
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": own},
        "spec": specification,
        "status": {
            "allocatable": amounts,
            "capacity": amounts,
            "conditions": [condition("Ready", ready, "KubeletReady", message)],
        },
    }


_LEAVES = strategies.one_of(
    strategies.none(),
    strategies.booleans(),
    strategies.integers(-(2**40), 2**40),
    strategies.floats(),
    strategies.text(max_size=30),
    strategies.sampled_from(
        [
            *("True", "False", "Pending", "Failed", "Running", "Job", "Pod", "bench", "Unknown"),
            *("FailedScheduling", "FailedCreate", "TriggeredScaleUp", "FailedMount", "Evicted"),
            *("0/3 nodes are available: 1 Insufficient cpu, 2 x", "exceeded quota: a, requested"),
            *("Terminated", "OOMKilled", "CrashLoopBackOff", "ImagePullBackOff", "StartError"),
            *("\x1b[31mred\x1b[0m\r\n", "2026-03-01T10:00:00Z", "2026-03-01T10:00:00", "1Gi"),
        ]
    ),
)
_NAMES = strategies.sampled_from(
    [
        *("metadata", "name", "namespace", "uid", "labels", "ownerReferences", "kind", "status"),
        *("deletionTimestamp", "creationTimestamp", "resourceVersion", "spec", "nodeName"),
        *("containers", "initContainers", "resources", "limits", "requests", "memory", "image"),
        *("phase", "reason", "message", "conditions", "type", "state", "lastState", "waiting"),
        *("containerStatuses", "initContainerStatuses", "terminated", "running", "exitCode"),
        *("restartCount", "signal", "involvedObject", "count", "lastTimestamp", "series"),
        *("lastObservedTime", "eventTime", "taints", "key", "value", "effect", "allocatable"),
        *("capacity", "nvidia.com/gpu", "template", "tolerations", "affinity", "nodeAffinity"),
        *("requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms", "matchFields"),
        *("matchExpressions", "operator", "values", "nodeSelector", "schedulingGates", "suspend"),
        *("activeDeadlineSeconds", "unschedulable", "cloud.google.com/gke-accelerator"),
    ]
)


def _fuller(inner: strategies.SearchStrategy[Any]) -> strategies.SearchStrategy[Any]:
    return strategies.lists(inner, max_size=3) | strategies.dictionaries(_NAMES, inner, max_size=5)


ANYTHING = strategies.recursive(_LEAVES, _fuller, max_leaves=12)
"""Any JSON, of the API's own names and of values of every type."""


_REPLACEMENTS = _LEAVES | strategies.sampled_from(
    [[], {}, [None], [[]], [1, "x", {}], {"name": None}, {"key": []}]
)


def _places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = document.items() if isinstance(document, dict) else enumerate(document)
    for name, value in inner:
        yield (*path, name)
        if isinstance(value, dict | list):
            yield from _places(value, (*path, name))


@strategies.composite
def damaged(draw: strategies.DrawFn, document: JsonObject) -> JsonObject:
    """The object with a few of its parts missing, null or something else."""
    broken = copy.deepcopy(document)
    for _ in range(draw(strategies.integers(0, 4))):
        places = list(_places(broken))
        if not places:
            break
        *way, last = draw(strategies.sampled_from(places))
        parent = broken
        for name in way:
            parent = parent[name]
        if draw(strategies.booleans()):
            # A copy: what is put in may itself be damaged next.
            parent[last] = copy.deepcopy(draw(_REPLACEMENTS))
        else:
            del parent[last]
    return broken
