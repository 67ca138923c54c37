"""Why a pod that has its node does not run: images, volumes, settings and the container runtime."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.kube.cluster import JsonObject
from core.kube.reading import (
    container_statuses,
    event_count,
    mapping,
    name_of,
    newest,
    objects,
    whole,
    words,
)
from core.kube.reason import Reason, shown

_PULL_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "RegistryUnavailable",
        "ErrRegistryUnavailable",
        "ImageInspectError",
        "SignatureValidationFailed",
    }
)
_QUIET_REASONS = frozenset({"ContainerCreating", "PodInitializing", ""})
# Beginning from the node's own troubles: a registry's answer can hold any of the later words.
_PULL_CAUSES = (
    ("no space", r"no space left on device"),
    ("platform", r"no match for platform|does not match the specified platform"),
    ("denied", r"denied|unauthorized|forbidden|authentication required|basic auth|insufficient_sc"),
    ("too many", r"toomanyrequests|too many requests|\b429\b"),
    ("not found", r"not found|manifest unknown|name unknown|\b404\b|NotFound"),
    (
        "unreachable",
        r"no such host|i/o timeout|connection refused|connection reset|timeout|unreachable|"
        r"deadline exceeded|server misbehaving|x509|certificate|\bEOF\b|\b50[0234]\b|dial tcp|"
        r"registry is unavailable",
    ),
)
# How many failed pulls say that more of them will not help. A right that was just granted takes a
# minute or two to be known everywhere, and four tries take that long.
_PULLS_THAT_SETTLE = {"not found": 2, "denied": 4, "platform": 1}
_RESTARTS_THAT_SETTLE = 3
_MENDS_ITSELF = re.compile(
    r"timed out|timeout|failed to sync|deadline exceeded|is reserved|temporar", re.IGNORECASE
)
_RUNTIME_HANDLER = re.compile(r'no runtime for "([^"]*)"|RuntimeHandler \\?"([^"\\]*)')
_DIGEST = re.compile(r"(@sha256:[0-9a-f]{12})[0-9a-f]{52}")
_KUBELET_TOLD = (
    "Pulling",
    "Pulled",
    "Created",
    "Started",
    "FailedMount",
    "FailedAttachVolume",
    "FailedMapVolume",
    "FailedCreatePodSandBox",
    "FailedCreatePodContainer",
    "NetworkNotReady",
)


def why_not_started(pod: JsonObject, events: Sequence[JsonObject]) -> Reason | None:
    """Return why containers of a pod with a node do not run; None where all do or have done.
    ``events`` are the pod's own, oldest first.
    """
    waiting = [status for status in container_statuses(pod) if mapping(status, "state", "waiting")]
    for status in waiting:
        reason = words(status, "state", "waiting", "reason")
        if reason not in _QUIET_REASONS:
            return _of_container(pod, status, reason, events)
    looping = _restarting(pod)
    if looping is not None:
        return _crash_loop(pod, looping)
    running = words(pod, "status", "phase") == "Running"
    if running and not waiting:
        return None
    return _by_kubelet(pod, waiting, events)


def container_image(pod: JsonObject, container: str) -> str:
    """Return the image that a container was asked to run."""
    for each in (*objects(pod, "spec", "initContainers"), *objects(pod, "spec", "containers")):
        if words(each, "name") == container:
            return words(each, "image")
    return ""


def _of_container(
    pod: JsonObject, status: JsonObject, reason: str, events: Sequence[JsonObject]
) -> Reason:
    said = words(status, "state", "waiting", "message")
    container = words(status, "name")
    where = f"Container {shown(container)} of pod {shown(name_of(pod))}"
    if reason in _PULL_REASONS:
        image = container_image(pod, container) or words(status, "image")
        return _pull(pod, image, reason, said, events)
    if reason == "CreateContainerConfigError":
        return _configuration(where, said)
    if reason == "CrashLoopBackOff":
        return _crash_loop(pod, status)
    if reason in ("RunContainerError", "CreateContainerError"):
        return cannot_start(where, said)
    return Reason("starting", f"{where} waits ({shown(reason)}){_because(said)}.", "", False)


def _restarting(pod: JsonObject) -> JsonObject | None:
    """Return the status of a container that failed and is to be started again."""
    if words(pod, "spec", "restartPolicy") == "Never":
        return None
    for status in container_statuses(pod):
        if whole(status, "state", "terminated", "exitCode"):
            return status
    return None


def _crash_loop(pod: JsonObject, status: JsonObject) -> Reason:
    times = (whole(status, "restartCount") or 0) + 1
    last = mapping(status, "state", "terminated") or mapping(status, "lastState", "terminated")
    code = whole(last, "exitCode")
    ended = "" if code is None else f" (exit code {code})"
    often = "once" if times == 1 else f"{times} times"
    return Reason(
        "crash loop",
        f"Container {shown(words(status, 'name'))} of pod {shown(name_of(pod))} failed {often}"
        f"{ended}, and is to be started again.",
        "Its log says why it ends.",
        times > _RESTARTS_THAT_SETTLE,
    )


def cannot_start(where: str, said: str) -> Reason:
    """Return the reason of a container that the runtime could not start."""
    # The runtime wraps what matters in the names of its own steps.
    inner = re.search(r"exec: .*?(?=: unknown\s*$|$)", said)
    told = inner[0] if inner else said
    remedy = "The image and its command are to be seen with --dry-run."
    if re.search(r"nvidia|libcuda|cuda", said, re.IGNORECASE):
        remedy = "The node's driver or its container toolkit does not work: kubectl describe node."
    return Reason(
        "cannot start",
        f"{where} cannot be started{_because(told)}.",
        remedy,
        not _MENDS_ITSELF.search(said)
        and bool(
            re.search(
                r"no such file|not found|permission denied|no command|exec format|cannot run", said
            )
        ),
    )


def _configuration(where: str, said: str) -> Reason:
    remedy = "Create what is missing in the namespace."
    if "runAsNonRoot" in said or "non-numeric user" in said:
        remedy = "The image must run as a numeric user other than 0: USER 10001 in its Dockerfile."
    return Reason(
        "configuration",
        f"{where} cannot be created{_because(said)}.",
        remedy,
        not _MENDS_ITSELF.search(said),
    )


def _pull(
    pod: JsonObject, image: str, reason: str, said: str, events: Sequence[JsonObject]
) -> Reason:
    node = shown(words(pod, "spec", "nodeName")) or "the node"
    name = shown(_DIGEST.sub(r"\1…", image)) or "?"
    if reason == "InvalidImageName":
        return Reason(
            "image pull",
            f"{name} is no image name{_because(said.rpartition(': ')[2])}.",
            "Images are named REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST.",
            True,
        )
    if reason == "ErrImageNeverPull":
        return Reason(
            "image pull",
            f"Image {name} is not on node {node}, and the pod's pull policy is Never.",
            "The image must be loaded on the node, or the policy be another.",
            True,
        )
    failures = [
        event
        for event in events
        if words(event, "reason") == "Failed" and "pull image" in words(event, "message")
    ]
    if failures:
        said = re.sub(r'^Failed to pull image "[^"]*": ', "", words(failures[-1], "message"))
    cause = _pull_cause(said.replace(image, "") if image else said)
    tries = sum(map(event_count, failures))
    what, remedy = _pull_words(cause, node, said, image)
    settled = tries >= _PULLS_THAT_SETTLE.get(cause, tries + 1)
    tried = f" (tried {tries} times)" if tries > 1 else ""
    return Reason("image pull", f"Image {name} {what}{tried}.", remedy, settled)


def _pull_cause(said: str) -> str:
    return next(
        (cause for cause, words_ in _PULL_CAUSES if re.search(words_, said, re.IGNORECASE)), ""
    )


def _pull_words(cause: str, node: str, said: str, image: str) -> tuple[str, str]:
    registry = shown(image.split("/")[0]) if "/" in image else "the registry"
    match cause:
        case "no space":
            return (
                f"does not fit on the disk of node {node}",
                "Use nodes with a larger disk, or remove unused images there.",
            )
        case "platform":
            return (
                f"has no variant for the processor of node {node}",
                "Build it for linux/amd64, or choose other nodes with --node-selector.",
            )
        case "denied":
            return (
                f"may not be pulled by node {node}: {registry} denies it, or has no such image",
                "Name a Secret with --pull-secret, or let the nodes' account read the registry.",
            )
        case "too many":
            return (
                f"is not given out now: {registry} limits how often it is asked",
                "Wait, log in with --pull-secret, or push the image to a registry of your own.",
            )
        case "not found":
            return (
                f"is not in {registry}",
                "gpubench-tui --no-ui image push puts it there; see --image for the name.",
            )
        case "unreachable":
            return (
                f"cannot be pulled: node {node} does not reach {registry} ({_last_part(said)})",
                "See that the nodes' network leads to the registry and that it runs.",
            )
    because = f": {shown(said)}" if said else ""
    return f"cannot be pulled by node {node}{because}", "kubectl describe pod says more."


def _last_part(said: str) -> str:
    """Return the innermost of errors that are wrapped in one another."""
    return shown(said.rpartition('": ')[2] or said)


def _by_kubelet(
    pod: JsonObject, waiting: Sequence[JsonObject], events: Sequence[JsonObject]
) -> Reason:
    name = shown(name_of(pod)) or "?"
    node = shown(words(pod, "spec", "nodeName")) or "?"
    event = newest(events, *_KUBELET_TOLD)
    told = words(event, "reason")
    said = words(event, "message")
    if told in ("FailedMount", "FailedAttachVolume", "FailedMapVolume"):
        return Reason(
            "volume",
            f"A volume of pod {name} cannot be used on node {node}: {shown(said)}.",
            "Create what is missing; kubectl describe pod says more.",
            False,
        )
    if told == "FailedCreatePodSandBox":
        return _sandbox(name, node, said)
    if told == "NetworkNotReady":
        return Reason(
            "network",
            f"The network of node {node} is not ready for pod {name}: {shown(said)}.",
            "A new node needs a minute; later its network plug-in's pods say why.",
            False,
        )
    if told == "Pulling":
        image = re.search(r'"([^"]*)"', said)
        what = f"image {shown(image[1])}" if image else "an image"
        return Reason("pulling", f"Node {node} is pulling {what} for pod {name}.", "", False)
    preparing = [
        status
        for status in objects(pod, "status", "initContainerStatuses")
        if "running" in mapping(status, "state")
    ]
    if preparing and waiting:
        step = shown(words(preparing[0], "name"))
        return Reason(
            "starting", f"Pod {name} prepares itself on node {node} (container {step}).", "", False
        )
    return Reason("starting", f"Pod {name} is being started on node {node}.", "", False)


def _sandbox(name: str, node: str, said: str) -> Reason:
    handler = _RUNTIME_HANDLER.search(said)
    if handler is not None:
        runtime = shown(handler[1] or handler[2] or "")
        return Reason(
            "runtime class",
            f"Node {node} cannot run pod {name}: its container runtime has no handler {runtime}.",
            "Install NVIDIA's container toolkit on the node, or leave --runtime-class out.",
            False,
        )
    return Reason(
        "sandbox",
        f"Node {node} cannot make the sandbox of pod {name}: {_last_part(said)}.",
        "The node's container runtime or network plug-in says more.",
        False,
    )


def _because(said: str) -> str:
    return f": {shown(said)}" if said.strip() else ""
