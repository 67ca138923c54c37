"""The pods that bring a GPU's driver to a node, and what each of them is doing there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.kube.cluster import JsonObject
from core.kube.reading import (
    condition,
    container_statuses,
    events_about,
    mapping,
    name_of,
    newest,
    objects,
    texts,
    whole,
    words,
)
from core.kube.reason import shown
from core.kube.waiting import why_waiting

DriverState = Literal["waiting", "working", "ready", "failed"]

_INSTALLER_LABELS = (
    ("k8s-app", "nvidia-driver-installer"),
    ("name", "nvidia-driver-installer"),
    ("app", "nvidia-driver-daemonset"),
)
_INSTALLER_NAMES = ("nvidia-driver-installer", "nvidia-driver-daemonset")
_PLUGIN_LABELS = (
    ("k8s-app", "nvidia-gpu-device-plugin"),
    ("app", "nvidia-device-plugin-daemonset"),
    ("app.kubernetes.io/name", "nvidia-device-plugin"),
    ("name", "nvidia-device-plugin-ds"),
)
_PLUGIN_NAMES = ("nvidia-gpu-device-plugin", "nvidia-device-plugin")

_IMAGE_REMEDY = "The node must reach the registry of the installer's image, or have it preloaded."
# What installers print before they fail. The first that fits is the cause.
_CAUSES = (
    (
        # Versions and builds have such numbers between dots.
        r"((?<![\d.])403(?![\d.]*\d)|forbidden|access ?denied)",
        "the driver's download was refused (403)",
        "driver download",
        "The bucket with the drivers denies access; nodes that are added now will fail alike. "
        "Choose another driver version, or let GKE install it.",
    ),
    (
        r"((?<![\d.])404(?![\d.]*\d)|nosuchkey|driver does not exist|no such object)",
        "there is no such driver for this node's system (404)",
        "driver download",
        "Choose a driver version that exists for the node's image version.",
    ),
    (
        r"(no supported (nvidia )?gpu|unsupported gpu|not supported by the|"
        r"no nvidia (gpu|devices?)|no devices were found|RmInitAdapter failed)",
        "the driver does not support this GPU, or finds none",
        "unsupported gpu",
        "Use a driver version that supports the node's GPU.",
    ),
    (
        r"(kernel headers|kernel-headers|could not (find|resolve) linux kernel version|"
        r"unable to load the kernel module|modprobe: (fatal|error))",
        "the driver's kernel module could not be built or loaded",
        "kernel module",
        "The node's kernel must be one that the driver supports; Secure Boot must allow it.",
    ),
    (r"no space left on device", "the node's disk is full", "no space", "Use a larger boot disk."),
    (
        r"(could not resolve|no such host|connection (refused|timed out)|i/o timeout|"
        r"network is unreachable|temporary failure in name resolution)",
        "the driver could not be downloaded: no network",
        "driver download",
        "Nodes without an outer address need Private Google Access or a NAT.",
    ),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is under way on a node, or wrong with it."""

    state: DriverState
    detail: str
    kind: str = "driver"
    remedy: str = ""
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class LogWanted:
    """Which log tells why a pod failed."""

    container: str
    previous: bool
    """Of the run before the one under way."""
    of: str
    """Tells one failure of the pod from the next."""


@dataclass(frozen=True, slots=True)
class Log:
    """The last log lines of a failure."""

    of: str
    text: str


def installer_pods(pods: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the pods that install drivers."""
    return [pod for pod in pods if _is_one(pod, _INSTALLER_LABELS, _INSTALLER_NAMES)]


def plugin_pods(pods: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the pods that report a node's GPUs to its kubelet."""
    return [pod for pod in pods if _is_one(pod, _PLUGIN_LABELS, _PLUGIN_NAMES)]


def installer_daemonsets(daemonsets: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the DaemonSets that install drivers."""
    return [each for each in daemonsets if _is_one(each, _INSTALLER_LABELS, _INSTALLER_NAMES)]


def own_node(pod: JsonObject) -> str:
    """Return the node of a DaemonSet's pod, also of one that could not be placed on it yet."""
    placed = words(pod, "spec", "nodeName")
    if placed:
        return placed
    required = mapping(
        pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"
    )
    for term in objects(required, "nodeSelectorTerms"):
        for field in objects(term, "matchFields"):
            values = field.get("values")
            if words(field, "key") == "metadata.name" and isinstance(values, list) and values:
                return str(values[0])
    return ""


def log_wanted(pod: JsonObject) -> LogWanted | None:
    """Return which log tells why a pod failed; None where it has not failed."""
    for status in container_statuses(pod):
        state = mapping(status, "state")
        now = mapping(state, "terminated")
        before = mapping(status, "lastState", "terminated")
        ended = now or before
        if ended and whole(ended, "exitCode") not in (0, None):
            container = words(status, "name")
            restarts = whole(status, "restartCount") or 0
            # A run that is waited for has no log yet: that of the one before is the last there is.
            previous = not now and "running" in state
            return LogWanted(container, previous, f"{container} {restarts} {bool(now)}")
    return None


def work_of(what: str, pod: JsonObject, events: Sequence[JsonObject], log: Log | None) -> Finding:
    """Return what a pod on a node is doing; state ``ready`` where it has done all it was to do."""
    steps = objects(pod, "status", "initContainerStatuses")
    for status in (*steps, *objects(pod, "status", "containerStatuses")):
        ended = mapping(status, "state", "terminated") or mapping(status, "lastState", "terminated")
        looping = words(status, "state", "waiting", "reason") == "CrashLoopBackOff"
        failed_now = mapping(status, "state", "terminated") and whole(ended, "exitCode") != 0
        if looping or failed_now:
            return _failure(what, pod, status, ended, log)
        if "running" in mapping(status, "state") and status in steps:
            step = f"{steps.index(status) + 1} of {len(steps)}: {shown(words(status, 'name'))}"
            if ended and whole(ended, "exitCode") != 0:
                before = _failure(what, pod, status, ended, log)
                return replace(
                    before, state="working", detail=f"{before.detail}; it is at it again"
                )
            return Finding("working", f"the {what} runs (step {step})")
    if words(pod, "status", "phase") == "Failed":
        said = shown(words(pod, "status", "message") or words(pod, "status", "reason"))
        return Finding("failed", f"the {what} failed" + (f": {said}" if said else ""))
    return _not_running(what, pod, events) or Finding("ready", f"the {what} runs")


def why_not_on(node: JsonObject, daemonset: JsonObject) -> Finding | None:
    """Return why a DaemonSet puts no pod on a node; None where it should."""
    template = mapping(daemonset, "spec", "template", "spec")
    name = shown(name_of(daemonset))
    labels = texts(node, "metadata", "labels")
    wanted = texts(template, "nodeSelector")
    missing = [f"{key}={value}" for key, value in wanted.items() if labels.get(key) != value]
    if missing or not _affine(template, labels):
        told = f" ({shown(', '.join(missing))})" if missing else ""
        return Finding(
            "failed",
            f"DaemonSet {name} does not select this node{told}",
            "installer does not select the node",
            "Label the node as the DaemonSet's node selector and affinity ask for.",
        )
    for taint in objects(node, "spec", "taints"):
        effect = words(taint, "effect")
        if effect in ("NoSchedule", "NoExecute") and not _tolerated(taint, template):
            shown_taint = shown(f"{words(taint, 'key')}={words(taint, 'value')}".rstrip("="))
            # The controller itself tolerates these for every DaemonSet.
            if words(taint, "key").startswith("node.kubernetes.io/"):
                continue
            return Finding(
                "failed",
                f"DaemonSet {name} does not tolerate the node's taint {shown_taint}:{effect}",
                "taint",
                "Add the toleration to the DaemonSet, or take the taint off the node.",
            )
    return None


def _is_one(document: object, labels: Sequence[tuple[str, str]], prefixes: tuple[str, ...]) -> bool:
    own = texts(document, "metadata", "labels")
    return name_of(document).startswith(prefixes) or any(
        own.get(key) == value for key, value in labels
    )


def _failure(
    what: str, pod: JsonObject, status: JsonObject, ended: JsonObject, log: Log | None
) -> Finding:
    container = shown(words(status, "name"))
    code = whole(ended, "exitCode")
    text = f"{words(ended, 'message')}\n{log.text if log else ''}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = f", last: {shown(lines[-1])}" if lines else ""
    failures = whole(status, "restartCount") or 0
    if "running" not in mapping(status, "state"):
        failures += 1
    tries = f" {failures} times" if failures > 1 else ""
    ending = "" if code is None else f" with exit code {code}"
    for pattern, cause, kind, remedy in _CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return Finding("failed", f"the {what} failed{tries}: {cause}{said}", kind, remedy)
    if words(ended, "reason") == "OOMKilled":
        ending = " for want of memory"
    where = f"-n {shown(words(pod, 'metadata', 'namespace'))} {shown(name_of(pod))} -c {container}"
    return Finding(
        "failed",
        f"the {what} failed{tries}{ending} (container {container}){said}",
        "installer failed",
        f"kubectl logs {where} --previous says more.",
    )


def _not_running(what: str, pod: JsonObject, events: Sequence[JsonObject]) -> Finding | None:
    reason = why_waiting(None, pod, events)
    if reason is None:
        return None
    sentence = reason.sentence.rstrip(".")
    if reason.kind in ("starting", "pulling"):
        doing = "pulls its image" if reason.kind == "pulling" else "starts"
        return Finding("working", f"the {what} {doing}")
    if reason.kind == "image pull":
        return Finding("failed", f"the {what} waits: {sentence}", reason.kind, _IMAGE_REMEDY)
    unplaced = condition(pod, "PodScheduled")
    if words(unplaced, "status") == "False" or newest(
        events_about("Pod", pod, events), "FailedScheduling"
    ):
        return Finding("waiting", f"the {what} waits: {sentence}", reason.kind, reason.remedy)
    return Finding("failed", f"the {what} waits: {sentence}", reason.kind, reason.remedy)


def _tolerated(taint: JsonObject, template: JsonObject) -> bool:
    key, value, effect = (words(taint, name) for name in ("key", "value", "effect"))
    for toleration in objects(template, "tolerations"):
        if words(toleration, "effect") not in ("", effect):
            continue
        exists = words(toleration, "operator") == "Exists"
        if words(toleration, "key") == "" and exists:
            return True
        if words(toleration, "key") == key and (exists or words(toleration, "value") == value):
            return True
    return False


def _affine(template: JsonObject, labels: Mapping[str, str]) -> bool:
    required = mapping(
        template, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"
    )
    terms = objects(required, "nodeSelectorTerms")
    return not terms or any(
        all(_fits(rule, labels) for rule in objects(term, "matchExpressions")) for term in terms
    )


def _fits(rule: JsonObject, labels: Mapping[str, str]) -> bool:
    key, given = words(rule, "key"), rule.get("values")
    values = given if isinstance(given, list) else []
    match words(rule, "operator"):
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
    # Gt and Lt, and what later versions bring: the scheduler decides.
    return True
