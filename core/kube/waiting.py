"""Why a Job's pod does not run yet, from what the cluster says about it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.kube.cluster import JsonObject
from core.kube.reading import (
    condition,
    events_about,
    holds,
    mapping,
    name_of,
    newest,
    quantity,
    words,
)
from core.kube.reason import Reason, shown
from core.kube.scheduling import why_not_scheduled
from core.kube.starting import why_not_started

__all__ = ["Reason", "why_waiting"]

_ENDED = frozenset({"Succeeded", "Failed"})
_QUOTA = re.compile(
    r"exceeded quota: (.*?), requested: (.*), used: (.*), limited: (.*)$", re.DOTALL
)
_LIMIT_RANGE = re.compile(
    r"(?:maximum|minimum) \S+ usage per|max limit to request ratio|per Pod is", re.IGNORECASE
)
_WEBHOOK_AWAY = re.compile(r"failed calling webhook|failed to call webhook", re.IGNORECASE)


def why_waiting(
    job: JsonObject | None, pod: JsonObject | None, events: Sequence[JsonObject]
) -> Reason | None:
    """Return why a Job has no pod yet, or why its pod does not run; None where nothing waits.

    ``events`` may be those of any objects, in any order. Without a pod it is the Job that is asked.
    """
    if pod is None:
        return _without_pod(job, events) if job is not None else None
    if words(pod, "metadata", "deletionTimestamp") or words(pod, "status", "phase") in _ENDED:
        return None
    own = events_about("Pod", pod, events)
    if not words(pod, "spec", "nodeName") and not holds(pod, "PodScheduled"):
        return why_not_scheduled(pod, own)
    return why_not_started(pod, own)


def refusal(name: str, said: str) -> Reason:
    """Return why the API server refused a pod. ``name`` says whose, ``said`` what it answered."""
    told = shown(said.rpartition(" is forbidden: ")[2] or said)
    if "exceeded quota" in said or "failed quota" in said:
        return _quota(name, said)
    if "RuntimeClass" in said and "not found" in said:
        runtime = re.search(r'RuntimeClass \\?"([^"\\]*)', said)
        return Reason(
            "runtime class",
            f"{name} gets no pod: the cluster has no RuntimeClass {_quoted(runtime)}.",
            "kubectl get runtimeclass lists what there is; GKE needs none, leave it out there.",
            True,
        )
    if "PodSecurity" in said or "unable to validate against any" in said:
        return Reason(
            "pod security",
            f"{name} gets no pod: the namespace's pod security refuses it ({told}).",
            "Use a namespace whose pod-security.kubernetes.io/enforce label allows it.",
            True,
        )
    if _LIMIT_RANGE.search(said):
        return Reason(
            "limit range",
            f"{name} gets no pod: a LimitRange of the namespace refuses it ({told}).",
            "Ask for less with --cpus and --memory, or use another namespace.",
            True,
        )
    account = re.search(r'serviceaccount \\?"([^"\\]*)\\?" not found', said)
    if account is not None:
        # The controller makes "default" a moment after the namespace.
        return Reason(
            "service account",
            f"{name} gets no pod: the namespace has no ServiceAccount {_quoted(account)}.",
            "kubectl create serviceaccount makes one.",
            account[1] != "default",
        )
    return _other_refusal(name, said, told)


def _other_refusal(name: str, said: str, told: str) -> Reason:
    if "being terminated" in said:
        return Reason(
            "namespace",
            f"{name} gets no pod: its namespace is being deleted.",
            "Use another namespace, or wait until it is gone and create it anew.",
            True,
        )
    if _WEBHOOK_AWAY.search(said):
        return Reason(
            "admission",
            f"{name} gets no pod: an admission webhook of the cluster does not answer ({told}).",
            "Whoever runs the webhook must bring it back.",
            False,
        )
    if "admission webhook" in said or "ValidatingAdmissionPolicy" in said:
        return Reason(
            "admission",
            f"{name} gets no pod: an admission rule of the cluster refuses it ({told}).",
            "Ask whoever runs the cluster what is allowed.",
            True,
        )
    if "PriorityClass" in said:
        return Reason("priority class", f"{name} gets no pod: {told}.", "", True)
    return Reason(
        "refused",
        f"{name} gets no pod: {told}.",
        "kubectl describe job says more.",
        "is invalid" in said,
    )


def _without_pod(job: JsonObject, events: Sequence[JsonObject]) -> Reason | None:
    name = f"Job {shown(name_of(job)) or '?'}"
    if holds(job, "Failed") or holds(job, "Complete"):
        return None
    if holds(job, "Suspended") or mapping(job, "spec").get("suspend") is True:
        queued = words(condition(job, "Suspended"), "message")
        because = f" ({shown(queued)})" if queued else ""
        return Reason(
            "suspended",
            f"{name} is suspended{because}.",
            "A queue such as Kueue resumes it in its turn; else set spec.suspend to false.",
            False,
        )
    event = newest(events_about("Job", job, events), "FailedCreate", "SuccessfulCreate")
    if words(event, "reason") == "FailedCreate":
        return refusal(name, words(event, "message"))
    return Reason("starting", f"{name} has no pod yet.", "", False)


def _quota(name: str, said: str) -> Reason:
    match = _QUOTA.search(said)
    if match is None:
        # A quota on a resource obliges every pod to say how much of it it wants.
        return Reason(
            "quota",
            f"{name} gets no pod: {shown(said.rpartition(' is forbidden: ')[2] or said)}.",
            "Say how much with --cpus and --memory, or use another namespace.",
            True,
        )
    asked, used, limits = (_amounts(match[number]) for number in (2, 3, 4))
    told = ", ".join(
        f"{shown(resource)}: asked {shown(asked[resource])}, used "
        f"{shown(used.get(resource, '?'))} of {shown(limits.get(resource, '?'))}"
        for resource in asked
    )
    return Reason(
        "quota",
        f"{name} gets no pod: quota {shown(match[1])} is used up ({told or shown(said)}).",
        "Ask for less, wait until others are done, or have the ResourceQuota raised.",
        # More than the quota ever allows does not fit later either.
        any(
            resource in limits and quantity(amount) > quantity(limits[resource])
            for resource, amount in asked.items()
        ),
    )


def _amounts(said: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in said.split(",")]
    return {name.strip(): amount.strip() for name, _, amount in pairs if name.strip()}


def _quoted(match: re.Match[str] | None) -> str:
    return shown(match[1]) if match else "of this name"
