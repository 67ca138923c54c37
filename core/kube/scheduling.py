"""Why no node takes a pod: the words of the scheduler and of the cluster autoscaler."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.kube.cluster import JsonObject
from core.kube.reading import (
    condition,
    mapping,
    name_of,
    newest,
    objects,
    requested,
    words,
)
from core.kube.reason import Reason, shown

_OF_ALL = re.compile(r"^\s*0/(\d+) nodes are available: ")
_NEXT_PART = re.compile(r",\s+(?=\d+ )")
_PART = re.compile(r"^(\d+) (.*)$", re.DOTALL)
_TAINT = re.compile(r"taints? \{([^}]*)\}")
_FAILED_SCALE_UP = re.compile(
    r"scale up in zones\s*(.*?)\s*associated with this pod failed: (.*?)\.(?: Pod is|$)", re.DOTALL
)
_GROUP = re.compile(r"([\w.-]+) (\d+)->(\d+)")

# Nearest to success first: what keeps a pod off the node that was meant for it.
_ORDER = (
    "gpu taint",
    "resources",
    "volume",
    "cordoned",
    "node not ready",
    "no gpu",
    "taint",
    "node selector",
    "affinity",
    "unschedulable",
)
# With GPUs short on some nodes only, these tell about the others that are no GPU nodes at all.
_OF_OTHER_NODES = frozenset({"taint", "node selector", "affinity", "unschedulable"})

_REMEDIES = {
    "no gpu": "Wait until GPUs are free, ask for fewer with --gpus, or see that the driver and the "
    "device plugin are ready on the GPU nodes.",
    "resources": "Ask for less with --cpus and --memory, or use larger nodes.",
    "taint": "Name the taint with --tolerations, or take it off the node.",
    "gpu taint": "Name the taint with --tolerations, or take it off the node.",
    "node selector": "Compare --node-selector with kubectl get nodes --show-labels.",
    "cordoned": "kubectl uncordon NODE lets it take pods again.",
    "node not ready": "kubectl describe node says what the node lacks.",
    "volume": "kubectl describe pvc says why the volume is not there.",
    "no nodes": "Add a node with a GPU, or let the autoscaler add one.",
}


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """What keeps a pod off some nodes."""

    kind: str
    words: str
    nodes: int


def why_not_scheduled(pod: JsonObject, events: Sequence[JsonObject]) -> Reason:
    """Return why a pod has no node; ``events`` are its own, oldest first."""
    name = shown(name_of(pod)) or "?"
    scheduled = condition(pod, "PodScheduled")
    if words(scheduled, "reason") == "SchedulingGated":
        gates = ", ".join(words(gate, "name") for gate in objects(pod, "spec", "schedulingGates"))
        return Reason(
            "scheduling gate",
            f"Pod {name} is held back by a scheduling gate{_said(gates)}.",
            "Whoever set the gate must take it away; queues such as Kueue do so when it is time.",
            False,
        )
    failure = newest(events, "FailedScheduling")
    message = words(scheduled, "message") or words(failure, "message")
    by_autoscaler = _autoscaler(name, pod, message, events)
    if by_autoscaler is not None:
        return by_autoscaler
    if not message:
        return Reason("starting", f"Pod {name} waits for the scheduler.", "", False)
    return _no_node(name, pod, message)


def _no_node(name: str, pod: JsonObject, message: str) -> Reason:
    kind, told, remedy = _obstacles_told(pod, message)
    return Reason(kind, f"No node takes pod {name}: {told}.", remedy, False)


def _obstacles_told(pod: JsonObject, message: str) -> tuple[str, str, str]:
    """Return the kind of what matters most, all obstacles in plain words, and the remedy."""
    if "no nodes available" in message:
        return "no nodes", "the cluster has no node", _REMEDIES["no nodes"]
    nodes, obstacles = _obstacles(message)
    if not obstacles:
        return "unschedulable", shown(message), ""
    chosen = _what_matters(nodes, obstacles)
    kind = "taint" if chosen.kind == "gpu taint" else chosen.kind
    if nodes == 1:
        told = "the only node " + " and ".join(each.words for each in obstacles)
    else:
        told = f"of {nodes} nodes, " + ", ".join(f"{each.nodes} {each.words}" for each in obstacles)
    asked = ""
    if kind == "no gpu":
        asked = "; it asks for " + " and ".join(
            f"{requested(pod, resource):g} {shown(resource)}" for resource in _gpus(pod)
        )
    return kind, told + asked, _REMEDIES.get(chosen.kind, "")


def _obstacles(message: str) -> tuple[int, list[_Obstacle]]:
    """Return how many nodes there are, and what keeps the pod off them."""
    start = _OF_ALL.match(message)
    if start is None:
        return 0, []
    # What follows tells that evicting other pods would not help either.
    rest = message[start.end() :].split(" preemption: ")[0].strip().rstrip(".")
    obstacles = []
    for part in _NEXT_PART.split(rest):
        match = _PART.match(part)
        if match is not None:
            number = int(match[1][:9])
            kind, told = _classified(match[2], number)
            obstacles.append(_Obstacle(kind, told, number))
    return int(start[1][:9]), obstacles


def _classified(part: str, nodes: int) -> tuple[str, str]:
    """Return the kind of one obstacle, and the words that follow the number of nodes."""
    one = nodes == 1
    has, does = ("has", "does") if one else ("have", "do")
    taint = _TAINT.search(part)
    if taint is not None:
        key = taint[1].split(":")[0].strip()
        if key.startswith("node.kubernetes.io/"):
            return "node not ready", f"{'is' if one else 'are'} {shown(key.split('/')[1])}"
        named = shown(taint[1]).replace(": ", "=").strip("=: ")
        kind = "gpu taint" if "gpu" in key.lower() else "taint"
        return kind, f"{has} the taint {named}, which the pod does not tolerate"
    if part.startswith("Insufficient "):
        resource = shown(part.removeprefix("Insufficient "))
        kind = "no gpu" if _is_gpu(resource) else "resources"
        return kind, f"{has} too little {resource} free"
    if "Too many pods" in part:
        return "resources", f"{has} no room for another pod"
    if "were unschedulable" in part:
        return "cordoned", f"{'is' if one else 'are'} cordoned"
    if re.search(r"pod affinity|anti-affinity|topology spread", part, re.IGNORECASE):
        return "affinity", f"{does} not fit the pod's affinity or spreading rules"
    if re.search(r"node selector|node affinity", part):
        if "volume" in part:
            return "volume", "cannot reach the pod's volume"
        return "node selector", f"{does} not match the node selector"
    if re.search(r"volume|PersistentVolume", part, re.IGNORECASE):
        said = shown(part).removeprefix("node(s) ")
        return "volume", f"cannot be used: {said}"
    if re.search(r"not ready|pressure|out of disk|network unavailable", part, re.IGNORECASE):
        return "node not ready", f"{'is' if one else 'are'} not ready ({shown(part)})"
    return "unschedulable", shown(part).removeprefix("node(s) ")


def _what_matters(nodes: int, obstacles: Sequence[_Obstacle]) -> _Obstacle:
    short_of_gpus = sum(each.nodes for each in obstacles if each.kind == "no gpu")
    telling = [
        each
        for each in obstacles
        if short_of_gpus == 0 or each.kind == "no gpu" or each.kind not in _OF_OTHER_NODES
    ]
    if short_of_gpus >= nodes:
        telling = [each for each in obstacles if each.kind == "no gpu"]
    return min(telling, key=lambda each: _ORDER.index(each.kind))


def _autoscaler(
    name: str, pod: JsonObject, message: str, events: Sequence[JsonObject]
) -> Reason | None:
    """Return what the autoscaler last said about a pod; None where it said nothing."""
    event = newest(events, "TriggeredScaleUp", "NotTriggerScaleUp", "FailedScaleUp")
    if event is None:
        return None
    said = words(event, "message")
    kind, told, remedy = _obstacles_told(pod, message) if message else ("unschedulable", "", "")
    until = f"; until then, {told}" if told else ""
    match words(event, "reason"):
        case "TriggeredScaleUp":
            return Reason(
                "scaling up",
                f"The autoscaler is adding a node for pod {name}{_group(said)}{until}.",
                "",
                False,
            )
        case "FailedScaleUp":
            return _scale_up_failed(name, said)
    failed = newest(events, "FailedScaleUp")
    if "in backoff after failed scale-up" in said:
        if failed is not None:
            return _scale_up_failed(name, words(failed, "message"))
        return Reason(
            "scale-up failed",
            f"The autoscaler could not add a node for pod {name} and pauses before it tries again.",
            "The node pool's quota and the zone's stock of GPUs are the usual causes; gcloud "
            "container operations list and the pool's instance group say which.",
            False,
        )
    why = shown(said.partition("scale-up")[2].lstrip(" :") or said)
    if not message:
        return Reason(kind, f"The autoscaler adds no node for pod {name}: {why}.", remedy, False)
    return Reason(
        kind, f"No node takes pod {name}: {told}; the autoscaler adds none ({why}).", remedy, False
    )


def _scale_up_failed(name: str, said: str) -> Reason:
    match = _FAILED_SCALE_UP.search(said)
    zones = f" in {shown(match[1])}" if match and match[1] else ""
    why = shown(match[2] if match else said)
    lower = said.lower()
    if "quota" in lower:
        remedy = "Ask for a higher GPU quota (GPUS_ALL_REGIONS too), or use another region."
    elif "out of resources" in lower or "stockout" in lower or "exhausted" in lower:
        remedy = "The zone has none left now: another zone or GPU kind may, or try again later."
    else:
        remedy = "The node pool's instance group says more."
    return Reason(
        "scale-up failed",
        f"The autoscaler could not add a node for pod {name}{zones}: {why}.",
        remedy,
        False,
    )


def _group(said: str) -> str:
    match = _GROUP.search(said)
    return f" ({shown(match[1])}: {match[2]} to {match[3]} nodes)" if match else ""


def _gpus(pod: JsonObject) -> list[str]:
    """Return the names of the GPU resources that a pod asks for."""
    found = {
        name: None
        for container in objects(pod, "spec", "containers")
        for part in ("limits", "requests")
        for name in mapping(container, "resources", part)
        if _is_gpu(name)
    }
    return list(found) or ["nvidia.com/gpu"]


def _is_gpu(resource: str) -> bool:
    return "gpu" in resource.lower() or resource.startswith("nvidia.com/")


def _said(text: str) -> str:
    return f" ({shown(text)})" if text else ""
