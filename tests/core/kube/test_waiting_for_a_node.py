"""What the scheduler and the autoscaler say of a pod is understood, in old words and new."""

from __future__ import annotations

import pytest

from core.kube.reason import Reason
from core.kube.waiting import why_waiting
from tests.core.kube.objects_for_tests import (
    condition,
    event,
    job,
    pod,
    unschedulable,
)


def _must(reason: Reason | None) -> Reason:
    assert reason is not None
    return reason


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        # 1.20
        (
            "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) had taint "
            "{node-role.kubernetes.io/master: }, that the pod didn't tolerate.",
            "no gpu",
            "of 3 nodes, 1 has too little nvidia.com/gpu free, 2 have the taint "
            "node-role.kubernetes.io/master, which",
        ),
        # 1.24 and later: NVIDIA/k8s-device-plugin#430, #421
        (
            "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are "
            "available: 1 No preemption victims found for incoming pod..",
            "no gpu",
            "the only node has too little nvidia.com/gpu free; it asks for 1 nvidia.com/gpu",
        ),
        (
            "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: }. preemption: 0/1 "
            "nodes are available: 1 Preemption is not helpful for scheduling..",
            "taint",
            "the only node has the taint gpu, which",
        ),
        # The GPU node is the tainted one, the others have no GPU.
        (
            "0/3 nodes are available: 2 Insufficient nvidia.com/gpu, 1 node(s) had untolerated "
            "taint {nvidia.com/gpu: present}. preemption: 0/3 nodes are available: 1 Preemption "
            "is not helpful for scheduling, 2 No preemption victims found for incoming pod.",
            "taint",
            "1 has the taint nvidia.com/gpu=present",
        ),
        # autoscaler#3448
        (
            "0/8 nodes are available: 8 Insufficient cpu, 8 Insufficient memory, 8 Insufficient "
            "nvidia.com/gpu.",
            "no gpu",
            "of 8 nodes, 8 have too little cpu free, 8 have too little memory free",
        ),
        # The node with the GPU is full in another way.
        (
            "0/4 nodes are available: 1 Insufficient memory, 3 Insufficient nvidia.com/gpu.",
            "resources",
            "1 has too little memory free",
        ),
        (
            "0/11 nodes are available: 1 node(s) had disk pressure, 10 Insufficient memory, 2 "
            "Insufficient cpu.",
            "resources",
            "1 is not ready (node(s) had disk pressure)",
        ),
        (
            "0/2 nodes are available: 1 node(s) were unschedulable, 1 Insufficient nvidia.com/gpu.",
            "cordoned",
            "1 is cordoned",
        ),
        (
            "0/2 nodes are available: 1 node(s) had untolerated taint "
            "{node.kubernetes.io/not-ready: }, 1 node(s) didn't match Pod's node "
            "affinity/selector.",
            "node not ready",
            "1 is not-ready, 1 does not match the node selector",
        ),
        ("0/1 nodes are available: 1 Too many pods.", "resources", "no room for another pod"),
        (
            "0/3 nodes are available: 3 node(s) had volume node affinity conflict.",
            "volume",
            "3 cannot reach the pod's volume",
        ),
        (
            "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.",
            "affinity",
            "2 do not fit the pod's affinity",
        ),
        ("no nodes available to schedule pods", "no nodes", "the cluster has no node"),
        ("0/0 nodes are available: .", "unschedulable", "0/0 nodes"),
        ('running PreBind plugin "X": it\x1b[2J broke', "unschedulable", "it\\x1b[2J broke"),
    ],
)
def test_the_scheduler_is_understood(message: str, kind: str, words: str) -> None:
    reason = _must(why_waiting(job(), unschedulable(message), []))
    assert (reason.kind, reason.hopeless) == (kind, False)
    assert words in reason.sentence
    assert "reemption" not in reason.sentence


def test_the_schedulers_event_does_where_the_condition_is_silent() -> None:
    said = event("FailedScheduling", "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.")
    assert _must(why_waiting(job(), pod(node=None), [said])).kind == "no gpu"


def test_a_pod_nobody_looked_at_waits_for_the_scheduler() -> None:
    assert _must(why_waiting(job(), pod(node=None), [])).kind == "starting"


def test_a_scheduling_gate_is_named() -> None:
    gated = pod(node=None, conditions=[condition("PodScheduled", False, "SchedulingGated", "x")])
    gated["spec"]["schedulingGates"] = [{"name": "kueue.x-k8s.io/admission"}]
    reason = _must(why_waiting(job(), gated, []))
    assert reason.kind == "scheduling gate"
    assert "kueue.x-k8s.io/admission" in reason.sentence


NO_GPU = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
TRIGGERED = (
    "pod triggered scale-up: [{https://www.googleapis.com/compute/v1/projects/p/zones/"
    "us-central1-b/instanceGroups/gke-bench-gpu-05-grp 0->1 (max: 2)}]"
)
FAILED = (
    "Node scale up in zones us-central1-c associated with this pod failed: {}. Pod is at risk of "
    "not being scheduled."
)


@pytest.mark.parametrize(
    ("told", "kind", "words", "remedy"),
    [
        (
            [("TriggeredScaleUp", TRIGGERED)],
            "scaling up",
            "(gke-bench-gpu-05-grp: 0 to 1 nodes); until then, of 3 nodes",
            "",
        ),
        (
            [("FailedScaleUp", FAILED.format("GCE quota exceeded"))],
            "scale-up failed",
            "in us-central1-c: GCE quota exceeded.",
            "GPUS_ALL_REGIONS",
        ),
        (
            [
                ("TriggeredScaleUp", TRIGGERED),
                ("FailedScaleUp", FAILED.format("GCE out of resources")),
            ],
            "scale-up failed",
            "GCE out of resources",
            "another zone",
        ),
        # What failed in one zone is tried in the next: the newest counts.
        (
            [
                ("FailedScaleUp", FAILED.format("GCE out of resources")),
                ("TriggeredScaleUp", TRIGGERED),
            ],
            "scaling up",
            "is adding a node",
            "",
        ),
        # 2i2c infrastructure#2185
        (
            [
                (
                    "NotTriggerScaleUp",
                    "pod didn't trigger scale-up: 1 node(s) didn't match Pod's node "
                    "affinity/selector, 1 in backoff after failed scale-up",
                )
            ],
            "scale-up failed",
            "pauses before it tries again",
            "quota",
        ),
        (
            [
                ("FailedScaleUp", FAILED.format("GCE quota exceeded")),
                (
                    "NotTriggerScaleUp",
                    "pod didn't trigger scale-up: 1 in backoff after failed scale-up",
                ),
            ],
            "scale-up failed",
            "GCE quota exceeded",
            "GPUS_ALL_REGIONS",
        ),
        (
            [
                (
                    "NotTriggerScaleUp",
                    "pod didn't trigger scale-up: 1 max node group size reached, 2 Insufficient "
                    "nvidia.com/gpu",
                )
            ],
            "no gpu",
            "the autoscaler adds none (1 max node group size reached, 2 Insufficient",
            "--gpus",
        ),
        (
            [
                (
                    "FailedScaleUp",
                    "Node scale up in zones us-central1-a, us-central1-c associated with this pod "
                    'failed: Some nodes in node group ["ng1"] failed to appear in time. Pod is at '
                    "risk of not being scheduled.",
                )
            ],
            "scale-up failed",
            "in us-central1-a, us-central1-c: Some nodes in node group",
            "instance group",
        ),
    ],
)
def test_the_autoscaler_is_understood(
    told: list[tuple[str, str]], kind: str, words: str, remedy: str
) -> None:
    events = [event(reason, said, at=at) for at, (reason, said) in enumerate(told)]
    # The order in which events are listed says nothing.
    reason = _must(why_waiting(job(), unschedulable(NO_GPU), events[::-1]))
    assert (reason.kind, reason.hopeless) == (kind, False)
    assert words in reason.sentence
    assert remedy in reason.remedy
