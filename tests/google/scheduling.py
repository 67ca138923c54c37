"""Which node takes a pod, and the scheduler's words where none does."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.core.kube.stand_in_store import Object

GPU = "nvidia.com/gpu"


def gpus_of(pod: Object) -> int:
    """How many GPUs a pod asks for."""
    return sum(
        int(((each.get("resources") or {}).get("limits") or {}).get(GPU, 0))
        for each in pod["spec"]["containers"]
    )


def is_over(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def obstacle(pod: Object, node: Object, gpus_free: int) -> str:
    """Why a node does not take a pod, as the scheduler says it; empty: it does."""
    selector = pod["spec"].get("nodeSelector") or {}
    labels = node["metadata"].get("labels") or {}
    for taint in node["spec"].get("taints") or []:
        if taint["effect"] != "PreferNoSchedule" and not _tolerated(pod, taint):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    if any(labels.get(key) != value for key, value in selector.items()):
        return "node(s) didn't match Pod's node affinity/selector"
    return f"Insufficient {GPU}" if gpus_of(pod) > gpus_free else ""


def unschedulable(obstacles: list[str]) -> str:
    """The scheduler's sentence."""
    if not obstacles:
        return "no nodes available to schedule pods"
    counted = ", ".join(f"{count} {why}" for why, count in sorted(Counter(obstacles).items()))
    total = len(obstacles)
    return (
        f"0/{total} nodes are available: {counted}. preemption: 0/{total} nodes are available: "
        f"{total} Preemption is not helpful for scheduling."
    )


def free_gpus(node: Object, pods: list[Object]) -> int:
    """GPUs of a node that no pod holds."""
    name = node["metadata"]["name"]
    held = sum(
        gpus_of(pod) for pod in pods if pod["spec"].get("nodeName") == name and not is_over(pod)
    )
    return int(node["status"]["allocatable"].get(GPU, 0)) - held


def _tolerated(pod: Object, taint: dict[str, Any]) -> bool:
    # GKE's admission adds the GPU's toleration to pods that ask for GPUs.
    if taint["key"] == GPU and gpus_of(pod):
        return True
    return any(
        each.get("key") in (None, "", taint["key"])
        and each.get("effect") in (None, "", taint["effect"])
        and (each.get("operator") == "Exists" or each.get("value", "") == taint.get("value", ""))
        for each in pod["spec"].get("tolerations") or []
    )
