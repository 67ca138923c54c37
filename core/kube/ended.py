"""Why a container ended, from what the cluster says about it."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from core.kube.cluster import JsonObject
from core.kube.reading import (
    condition,
    container_statuses,
    events_about,
    holds,
    mapping,
    name_of,
    newest,
    objects,
    oldest_first,
    whole,
    words,
)
from core.kube.reason import Reason, shown
from core.kube.starting import cannot_start

# Exit codes above this are 128 and the number of a signal.
_SIGNALS_FROM = 128
_NODE_SHUT_DOWN = frozenset({"Terminated", "NodeShutdown", "Shutdown"})
_NEVER_STARTED = frozenset({"StartError", "ContainerCannotRun"})
_REFUSED_BY_NODE = ("OutOf", "UnexpectedAdmissionError", "NodeAffinity", "Topology", "NodePorts")
_GOING_AWAY_TAINTS = ("cloud.google.com/impending-node-termination", "aws-node-termination-handler")
_LOST_TAINTS = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")
_PREEMPTED_REMEDY = "gpubench-tui --no-ui rerun measures again; nodes that are no spot nodes stay."
_RERUN = "gpubench-tui --no-ui rerun measures again."


def why_ended(
    pod: JsonObject | None,
    container: str,
    events: Sequence[JsonObject],
    job: JsonObject | None = None,
    node: JsonObject | None = None,
) -> Reason | None:
    """Return why a container ended, or why it will not run any more; None where it ended with exit
    code 0, or is still at it.

    ``pod`` None: it is gone. ``events`` may be those of any objects, in any order.
    """
    if pod is None:
        return _gone(events, job)
    status = _status(pod, container)
    ended = mapping(status, "state", "terminated")
    code = whole(ended, "exitCode")
    if code == 0 or (not ended and words(pod, "status", "phase") == "Succeeded"):
        return None
    where = f"Container {shown(container)} of pod {shown(name_of(pod)) or '?'}"
    if words(ended, "reason") == "OOMKilled":
        return _out_of_memory(where, pod, container)
    return (
        _deadline(pod, job)
        or _taken_away(pod, events_about("Pod", pod, events))
        or _by_its_node(pod, node, code)
        or _deleted(pod)
        or _of_its_own(where, pod, status, ended)
    )


def _gone(events: Sequence[JsonObject], job: JsonObject | None) -> Reason:
    deadline = _deadline(None, job)
    if deadline is not None:
        return deadline
    whose = f"of Job {shown(name_of(job))}" if job is not None else "of the run"
    of_pods = [
        event
        for event in events
        if isinstance(event, dict) and words(event, "involvedObject", "kind") == "Pod"
    ]
    event = newest(
        oldest_first(of_pods), "Preempted", "Evicted", "TaintManagerEviction", "NodeNotReady"
    )
    said = shown(words(event, "message"))
    match words(event, "reason"):
        case "Preempted":
            return Reason("preempted", f"The pod {whose} was preempted: {said}.", _RERUN, False)
        case "Evicted":
            return Reason("evicted", f"The pod {whose} was evicted: {said}.", _RERUN, False)
        case "TaintManagerEviction" | "NodeNotReady":
            return Reason(
                "node lost", f"The node of the pod {whose} was lost: {said}.", _RERUN, False
            )
    return Reason("deleted", f"The pod {whose} is gone: somebody deleted it.", _RERUN, False)


def _status(pod: JsonObject, container: str) -> JsonObject:
    return next(
        (status for status in container_statuses(pod) if words(status, "name") == container), {}
    )


def _deadline(pod: JsonObject | None, job: JsonObject | None) -> Reason | None:
    # From 1.31 on a Job has failed only when its pods have ended; until then it says that it will.
    told = [condition(job, "Failed"), condition(job, "FailureTarget")]
    if any(
        words(each, "status") == "True" and words(each, "reason") == "DeadlineExceeded"
        for each in told
    ):
        after = whole(job, "spec", "activeDeadlineSeconds")
        what = f"Job {shown(name_of(job))}"
        remedy = "Give it longer with --job-minutes, or measure less."
    elif words(pod, "status", "reason") == "DeadlineExceeded":
        after = whole(pod, "spec", "activeDeadlineSeconds")
        what = f"Pod {shown(name_of(pod))}"
        # Of our pods only the one that tries the GPU has a deadline of its own.
        remedy = "Give it longer with --start-minutes; kubectl describe pod says why it waited."
    else:
        return None
    limit = "" if after is None else f" of {after} s"
    return Reason(
        "deadline",
        f"{what} was ended by the cluster at its deadline{limit}.",
        remedy,
        True,
    )


def _taken_away(pod: JsonObject, events: Sequence[JsonObject]) -> Reason | None:
    """Return the reason where the cluster took the pod away, by the pod's own status."""
    what = f"Pod {shown(name_of(pod)) or '?'}"
    node = shown(words(pod, "spec", "nodeName")) or "?"
    reason = words(pod, "status", "reason")
    disruption = condition(pod, "DisruptionTarget")
    disrupted = words(disruption, "reason") if holds(pod, "DisruptionTarget") else ""
    said = words(pod, "status", "message") or words(disruption, "message")
    preempted = newest(events, "Preempted")
    if preempted or reason == "Preempting" or disrupted == "PreemptionByScheduler":
        said = words(preempted, "message") or said
        return Reason(
            "preempted",
            f"{what} was preempted by a pod of higher priority{_because(said)}.",
            _RERUN,
            False,
        )
    shut_down = reason in _NODE_SHUT_DOWN or (
        disrupted == "TerminationByKubelet" and "shutdown" in said.lower()
    )
    if shut_down:
        return Reason(
            "preempted",
            f"{what} was ended because its node {node} was shut down{_because(said)}.",
            _PREEMPTED_REMEDY,
            False,
        )
    if reason == "NodeLost" or disrupted in ("DeletionByPodGC", "DeletionByTaintManager"):
        return Reason("node lost", f"{what} lost its node {node}{_because(said)}.", _RERUN, False)
    if reason == "Evicted" or disrupted:
        said = said or words(newest(events, "Evicted"), "message")
        return Reason(
            "evicted",
            f"{what} was evicted from node {node}{_because(said)}.",
            "See that the node has room (disk, memory), and that nobody drains it.",
            False,
        )
    if reason.startswith(_REFUSED_BY_NODE):
        return Reason(
            "cannot start",
            f"Node {node} refused pod {shown(name_of(pod))} ({shown(reason)}){_because(said)}.",
            "kubectl describe node says what it has left; its device plugin must be well.",
            False,
        )
    return None


def _by_its_node(pod: JsonObject, node: JsonObject | None, code: int | None) -> Reason | None:
    """Return the reason where it lies with the node, by the node's own status."""
    if node is None or (code is not None and code <= _SIGNALS_FROM):
        return None
    name = shown(name_of(node)) or "?"
    taints = [words(taint, "key") for taint in objects(node, "spec", "taints")]
    if any(taint.startswith(_GOING_AWAY_TAINTS) for taint in taints):
        return Reason(
            "preempted",
            f"Pod {shown(name_of(pod))} was ended because its node {name} is taken back.",
            _PREEMPTED_REMEDY,
            False,
        )
    ready = condition(node, "Ready")
    lost = bool(ready) and words(ready, "status") != "True"
    if not lost and not any(taint.startswith(_LOST_TAINTS) for taint in taints):
        return None
    said = words(ready, "message") if lost else ""
    return Reason(
        "node lost",
        f"Node {name} of pod {shown(name_of(pod))} is not ready{_because(said)}.",
        _RERUN,
        False,
    )


def _deleted(pod: JsonObject) -> Reason | None:
    if not words(pod, "metadata", "deletionTimestamp"):
        return None
    return Reason(
        "deleted", f"Pod {shown(name_of(pod))} was deleted while it was needed.", _RERUN, False
    )


def _out_of_memory(where: str, pod: JsonObject, container: str) -> Reason:
    limit = next(
        (
            words(each, "resources", "limits", "memory")
            for each in objects(pod, "spec", "containers")
            if words(each, "name") == container
        ),
        "",
    )
    if limit:
        return Reason(
            "out of memory",
            f"{where} was killed because it needed more memory than its limit of {shown(limit)}.",
            "Allow more with --memory, or use smaller batches.",
            True,
        )
    return Reason(
        "out of memory",
        f"{where} was killed because its node had no memory left.",
        "Reserve memory with --memory, use a larger node, or smaller batches.",
        False,
    )


def _of_its_own(
    where: str, pod: JsonObject, status: JsonObject, ended: JsonObject
) -> Reason | None:
    restarts = whole(status, "restartCount") or 0
    looping = words(status, "state", "waiting", "reason") == "CrashLoopBackOff"
    if looping or (ended and restarts > 0 and words(pod, "status", "phase") == "Running"):
        last = ended or mapping(status, "lastState", "terminated")
        return Reason(
            "crash loop",
            f"{where} was started {restarts + 1} times and always ended{_exit(last)}.",
            "The last lines of its log say why.",
            True,
        )
    if words(ended, "reason") in _NEVER_STARTED:
        return cannot_start(where, words(ended, "message"))
    if words(ended, "reason") == "ContainerStatusUnknown":
        return Reason("node lost", f"{where} was lost: its node no longer knows it.", _RERUN, False)
    if ended:
        remedy = "The last lines of its log say why."
        if whole(ended, "exitCode") == _SIGNALS_FROM + signal.SIGKILL:
            remedy = f"Often it is memory that is short: allow more with --memory. {remedy}"
        return Reason("failed", f"{where} failed{_exit(ended)}.", remedy, True)
    if words(pod, "status", "phase") != "Failed":
        return None
    said = words(pod, "status", "message") or words(pod, "status", "reason")
    return Reason(
        "failed",
        f"Pod {shown(name_of(pod))} failed{_because(said)}.",
        "kubectl describe pod says more.",
        False,
    )


def _exit(ended: JsonObject) -> str:
    """Return how a process ended, to follow what ended."""
    code, number = whole(ended, "exitCode"), whole(ended, "signal")
    if not number and code is not None and code > _SIGNALS_FROM:
        number = code - _SIGNALS_FROM
    try:
        name = signal.Signals(number).name if number else ""
    except ValueError:
        name = ""
    if code is None:
        return f" by {name}" if name else ""
    return f" with exit code {code} ({name})" if name else f" with exit code {code}"


def _because(said: str) -> str:
    return f": {shown(said)}" if said.strip() else ""
