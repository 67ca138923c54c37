"""What a cluster says about a run's Job, its pods, their nodes and the events of all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from core.kube.cluster import Cluster, JsonObject
from core.kube.ended import why_ended
from core.kube.errors import DeniedError, NotFoundError
from core.kube.reading import (
    container_statuses,
    event_count,
    event_time,
    mapping,
    moment,
    name_of,
    objects,
    oldest_first,
    texts,
    whole,
    words,
)
from core.kube.reason import Reason, shown
from core.kube.starting import container_image
from core.kube.waiting import why_waiting
from core.text import columns, duration, harmless

_TELLING_LABELS = (
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "cloud.google.com/gke-accelerator",
    "cloud.google.com/gke-gpu-driver-version",
    "cloud.google.com/gke-nodepool",
    "cloud.google.com/gke-spot",
    "nvidia.com/gpu.product",
)
_EVENTS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Description:
    """What was found."""

    namespace: str
    jobs: list[JsonObject] = field(default_factory=list)
    pods: list[JsonObject] = field(default_factory=list)
    nodes: list[JsonObject] = field(default_factory=list)
    events: list[JsonObject] = field(default_factory=list)
    """Newest last."""
    unreadable: list[str] = field(default_factory=list)
    """What could not be read, one sentence each."""


async def gather(cluster: Cluster, selector: str) -> Description:
    """Read the Jobs and pods that ``selector`` matches, their nodes, and the events of all.

    Raises:
        DeniedError: Jobs or pods may not be listed.
        ClusterError: see its classes.
    """
    namespace = cluster.namespace
    core = f"/api/v1/namespaces/{namespace}"
    query = {"labelSelector": selector}
    jobs, pods = await asyncio.gather(
        _items(cluster, f"/apis/batch/v1/namespaces/{namespace}/jobs", query),
        _items(cluster, f"{core}/pods", query),
    )
    names = sorted({words(pod, "spec", "nodeName") for pod in pods} - {""})
    unreadable: list[str] = []
    nodes = await _nodes(cluster, names, unreadable)
    events = await _events(cluster, jobs, pods, names, unreadable)
    return Description(namespace, jobs, pods, nodes, events, unreadable)


def describe_text(description: Description, now: datetime) -> str:
    """Return the description as lines for a person. ``now`` is what ages count to."""
    lines: list[str] = []
    for job in description.jobs:
        lines += [*_job_lines(job, now), ""]
    for pod in description.pods:
        lines += [*_pod_lines(pod, description, now), ""]
    if not description.jobs and not description.pods:
        lines += [f"Namespace {shown(description.namespace)} has nothing of this run.", ""]
    for job in _without_pods(description):
        lines += [*_reason_lines(_why_job(job, description)), ""]
    for node in description.nodes:
        lines += [*_node_lines(node), ""]
    lines += _event_lines(description.events, now)
    lines += [harmless(sentence) for sentence in description.unreadable]
    return "\n".join(lines).rstrip() + "\n"


def describe_json(description: Description) -> JsonObject:
    """Return the description as data: the objects as the API gave them, less its bookkeeping, and
    the reasons by the name of the pod, or of the Job that has none.
    """
    reasons = {name_of(pod): _why_pod(pod, description) for pod in description.pods}
    reasons |= {name_of(job): _why_job(job, description) for job in _without_pods(description)}
    return {
        "namespace": description.namespace,
        "jobs": [_trimmed(each) for each in description.jobs],
        "pods": [_trimmed(each) for each in description.pods],
        "nodes": [_trimmed(each) for each in description.nodes],
        "events": [_trimmed(each) for each in description.events],
        "reasons": {
            name: {
                "kind": reason.kind,
                "sentence": reason.sentence,
                "remedy": reason.remedy,
                "hopeless": reason.hopeless,
            }
            for name, reason in reasons.items()
            if reason is not None
        },
        "unreadable": list(description.unreadable),
    }


async def _items(cluster: Cluster, path: str, query: dict[str, str]) -> list[JsonObject]:
    return objects(await cluster.request("GET", path, query=query), "items")


async def _nodes(cluster: Cluster, names: Sequence[str], unreadable: list[str]) -> list[JsonObject]:
    found = []
    for name in names:
        try:
            found.append(await cluster.request("GET", f"/api/v1/nodes/{name}"))
        except NotFoundError:
            unreadable.append(f"Node {name} is gone.")
        except DeniedError as error:
            unreadable.append(f"Nodes are not shown. {error.sentence}")
            break
    return found


async def _events(
    cluster: Cluster,
    jobs: Sequence[JsonObject],
    pods: Sequence[JsonObject],
    nodes: Sequence[str],
    unreadable: list[str],
) -> list[JsonObject]:
    """Return the events of all of these, the newest last. ``nodes`` are names."""
    bound = asyncio.Semaphore(_EVENTS_AT_ONCE)

    async def events_of(namespace: str, kind: str, name: str) -> list[JsonObject]:
        path = f"/api/v1/namespaces/{namespace}/events"
        fields = f"involvedObject.kind={kind},involvedObject.name={name}"
        async with bound:
            return await _items(cluster, path, {"fieldSelector": fields})

    try:
        of_each = await asyncio.gather(
            *(events_of(cluster.namespace, "Job", name_of(job)) for job in jobs),
            *(events_of(cluster.namespace, "Pod", name_of(pod)) for pod in pods),
        )
    except DeniedError as error:
        unreadable.append(f"Events are not shown. {error.sentence}")
        of_each = []
    try:
        # Those of nodes, which have no namespace, lie in this one.
        of_nodes = await asyncio.gather(*(events_of("default", "Node", name) for name in nodes))
    except DeniedError:
        of_nodes = []
    begun = min(filter(None, (_created(each) for each in (*jobs, *pods))), default=None)
    # What a node went through before says nothing of this run.
    since = [
        event
        for found in of_nodes
        for event in found
        if begun is None or (event_time(event) or begun) >= begun
    ]
    return oldest_first([*(event for found in of_each for event in found), *since])


def _without_pods(description: Description) -> list[JsonObject]:
    """Return the Jobs that have no pod."""
    owned = {
        words(owner, "name")
        for pod in description.pods
        for owner in objects(pod, "metadata", "ownerReferences")
    }
    return [job for job in description.jobs if name_of(job) not in owned]


def _why_job(job: JsonObject, description: Description) -> Reason | None:
    waiting = why_waiting(job, None, description.events)
    if waiting is not None or _succeeded(job):
        return waiting
    return why_ended(None, "", description.events, job)


def _succeeded(job: JsonObject) -> bool:
    return bool(whole(job, "status", "succeeded"))


def _why_pod(pod: JsonObject, description: Description) -> Reason | None:
    owners = {words(each, "name") for each in objects(pod, "metadata", "ownerReferences")}
    job = next((each for each in description.jobs if name_of(each) in owners), None)
    waiting = why_waiting(job, pod, description.events)
    if waiting is not None:
        return waiting
    name = words(pod, "spec", "nodeName")
    node = next((each for each in description.nodes if name_of(each) == name), None)
    for container in objects(pod, "spec", "containers"):
        ended = why_ended(pod, words(container, "name"), description.events, job, node)
        if ended is not None:
            return ended
    return None


def _job_lines(job: JsonObject, now: datetime) -> list[str]:
    status = mapping(job, "status")
    counts = ", ".join(
        f"{whole(status, name) or 0} {name}" for name in ("active", "succeeded", "failed")
    )
    rows = [
        ("Age", _age(_created(job), now)),
        ("Pods", counts),
        ("Deadline", _seconds(whole(job, "spec", "activeDeadlineSeconds"))),
        ("Kept after its end", _seconds(whole(job, "spec", "ttlSecondsAfterFinished"))),
        *(("Condition", text) for text in _conditions(job)),
    ]
    return [f"Job {shown(name_of(job))}", *_table(rows)]


def _pod_lines(pod: JsonObject, description: Description, now: datetime) -> list[str]:
    phase = words(pod, "status", "phase") or "Unknown"
    leaving = ", being deleted" if words(pod, "metadata", "deletionTimestamp") else ""
    why = words(pod, "status", "reason")
    rows = [
        ("Phase", shown(phase) + (f" ({shown(why)})" if why else "") + leaving),
        ("Age", _age(_created(pod), now)),
        ("Node", shown(words(pod, "spec", "nodeName")) or "none yet"),
    ]
    for status in container_statuses(pod):
        image = container_image(pod, words(status, "name")) or words(status, "image")
        rows.append((f"Container {shown(words(status, 'name'))}", _state(status)))
        rows.append(("  image", shown(image)))
    reason = _why_pod(pod, description)
    return [f"Pod {shown(name_of(pod))}", *_table(rows), *_reason_lines(reason)]


def _state(status: JsonObject) -> str:
    state = mapping(status, "state")
    restarts = whole(status, "restartCount") or 0
    again = f", restarted {restarts} times" if restarts else ""
    for name in ("running", "waiting", "terminated"):
        found = mapping(state, name)
        if name not in state:
            continue
        parts = [shown(words(found, "reason"))]
        code = whole(found, "exitCode")
        parts.append("" if code is None else f"exit code {code}")
        told = ", ".join(part for part in parts if part)
        said = shown(words(found, "message"))
        return f"{name}{f' ({told})' if told else ''}{f': {said}' if said else ''}{again}"
    return f"not started{again}"


def _node_lines(node: JsonObject) -> list[str]:
    allocatable = mapping(node, "status", "allocatable")
    gpus = {name: amount for name, amount in allocatable.items() if "gpu" in name.lower()}
    labels = texts(node, "metadata", "labels")
    rows = [
        ("GPUs", ", ".join(shown(f"{name}: {amount}") for name, amount in gpus.items()) or "none"),
        *(("Condition", text) for text in _conditions(node)),
        *(
            (
                "Taint",
                shown(f"{words(taint, 'key')}={words(taint, 'value')}".rstrip("="))
                + f":{shown(words(taint, 'effect'))}",
            )
            for taint in objects(node, "spec", "taints")
        ),
        *(("Label", shown(f"{name}={labels[name]}")) for name in _TELLING_LABELS if name in labels),
    ]
    cordoned = " (cordoned)" if mapping(node, "spec").get("unschedulable") is True else ""
    return [f"Node {shown(name_of(node))}{cordoned}", *_table(rows)]


def _conditions(document: JsonObject) -> list[str]:
    """Return what is to be known of conditions: those of pressure only where there is some."""
    told = []
    for each in objects(document, "status", "conditions"):
        kind, status = words(each, "type"), words(each, "status")
        if status == "False" and (kind.endswith("Pressure") or kind.endswith("Unavailable")):
            continue
        said = words(each, "message") or words(each, "reason")
        told.append(f"{shown(kind)} {shown(status)}" + (f": {shown(said)}" if said else ""))
    return told


def _event_lines(events: Sequence[JsonObject], now: datetime) -> list[str]:
    if not events:
        return []
    rows = []
    for event in events:
        about = mapping(event, "involvedObject")
        count = event_count(event)
        rows.append(
            (
                _age(event_time(event), now),
                shown(words(event, "type")),
                shown(words(event, "reason")),
                f"{shown(words(about, 'kind'))} {shown(words(about, 'name'))}",
                shown(words(event, "message")) + (f" ({count} times)" if count > 1 else ""),
            )
        )
    return ["Events", *(f"  {line}" for line in columns(rows)), ""]


def _reason_lines(reason: Reason | None) -> list[str]:
    if reason is None:
        return []
    return [f"  {line}" for line in (reason.sentence, reason.remedy) if line]


def _table(rows: Iterable[tuple[str, str]]) -> list[str]:
    return [f"  {line}" for line in columns([row for row in rows if row[1]])]


def _age(since: datetime | None, now: datetime) -> str:
    return "?" if since is None else duration(max(0.0, (now - since).total_seconds()))


def _seconds(value: int | None) -> str:
    return "" if value is None else duration(value)


def _created(document: JsonObject) -> datetime | None:
    return moment(document, "metadata", "creationTimestamp")


def _trimmed(document: JsonObject) -> JsonObject:
    metadata = {
        name: value
        for name, value in mapping(document, "metadata").items()
        if name not in ("managedFields", "selfLink")
    }
    return {**document, "metadata": metadata}
