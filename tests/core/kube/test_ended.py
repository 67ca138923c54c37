"""A container that ended, or never will start again, says why."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.kube.cluster import JsonObject
from core.kube.ended import why_ended
from core.kube.reason import Reason
from tests.core.kube.objects_for_tests import (
    ANYTHING,
    OBSERVED,
    condition,
    container,
    damaged,
    ended,
    event,
    job,
    node,
    observed,
    pod,
    waiting,
)


def _must(reason: Reason | None) -> Reason:
    assert reason is not None
    return reason


@pytest.mark.parametrize(
    ("situation", "kind", "words", "hopeless"),
    [
        ("oom", "out of memory", "its limit of 16Mi", True),
        ("evicted", "evicted", "ephemeral local storage usage exceeds", False),
        (
            "deadline",
            "deadline",
            "Job deadline was ended by the cluster at its deadline of 4",
            True,
        ),
        ("pod-deadline", "deadline", "Pod pod-deadline-", True),
        ("deleted", "deleted", "was deleted", False),
        ("exec-not-found", "cannot start", "stat /no/such/program: no such file", True),
        ("exit-3", "failed", "failed with exit code 3.", True),
        ("segfault", "failed", "failed with exit code 139 (SIGSEGV).", True),
        ("killed", "failed", "failed with exit code 137 (SIGKILL).", True),
        ("crash-loop", "crash loop", "was started 3 times and always ended with exit code 4", True),
    ],
)
def test_what_a_real_cluster_said_is_explained(
    situation: str, kind: str, words: str, hopeless: bool
) -> None:
    a_job, a_pod, events = observed(situation)
    reason = _must(why_ended(a_pod, "benchmark", events, a_job))
    assert (reason.kind, reason.hopeless) == (kind, hopeless)
    assert words in reason.sentence
    assert reason.remedy


def test_exit_code_0_needs_no_reason() -> None:
    a_job, a_pod, events = observed("complete")
    assert why_ended(a_pod, "benchmark", events, a_job) is None


def test_what_came_after_a_good_end_does_not_matter() -> None:
    done = ended(0, "Completed", reason="Evicted", message="The node was low on disk.")
    done["metadata"]["deletionTimestamp"] = "2026-03-01T10:00:00Z"
    failed = job(conditions=[condition("Failed", True, "DeadlineExceeded")])
    assert why_ended(done, "benchmark", [], failed, node(ready=False)) is None


def test_what_still_runs_needs_no_reason() -> None:
    running = pod(phase="Running", containerStatuses=[container({"running": {}})])
    assert why_ended(running, "benchmark", [], job(), node()) is None


@pytest.mark.parametrize(
    ("a_pod", "events", "kind", "words"),
    [
        (
            ended(
                143,
                reason="Terminated",
                phase="Failed",
                message="Pod was terminated in response to imminent node shutdown.",
            ),
            [],
            "preempted",
            "its node gpu-node-1 was shut down: Pod was terminated in response to imminent",
        ),
        (
            pod(phase="Failed", reason="NodeShutdown", message="Pod was rejected: node shutdown"),
            [],
            "preempted",
            "was shut down",
        ),
        (
            ended(
                137,
                conditions=[
                    condition(
                        "DisruptionTarget",
                        True,
                        "PreemptionByScheduler",
                        "default-scheduler: preempting to accommodate a higher priority pod",
                    )
                ],
            ),
            [],
            "preempted",
            "higher priority",
        ),
        (
            ended(143),
            [event("Preempted", "Preempted by default/urgent on node gpu-node-1")],
            "preempted",
            "Preempted by default/urgent",
        ),
        (
            ended(
                143,
                conditions=[
                    condition(
                        "DisruptionTarget",
                        True,
                        "TerminationByKubelet",
                        "Pod was terminated in response to imminent node shutdown.",
                    )
                ],
            ),
            [],
            "preempted",
            "was shut down",
        ),
        (
            ended(
                143,
                conditions=[
                    condition("DisruptionTarget", True, "EvictionByEvictionAPI", "Eviction API")
                ],
            ),
            [],
            "evicted",
            "Eviction API",
        ),
        (
            pod(
                phase="Failed",
                conditions=[
                    condition("DisruptionTarget", True, "DeletionByPodGC", "PodGC: node not found")
                ],
            ),
            [],
            "node lost",
            "node not found",
        ),
        (
            pod(phase="Unknown", reason="NodeLost", message="Node gpu-node-1 is unresponsive"),
            [],
            "node lost",
            "unresponsive",
        ),
        (
            pod(
                phase="Failed",
                reason="UnexpectedAdmissionError",
                message="Pod Allocate failed due to no healthy devices present; cannot allocate "
                "unhealthy devices nvidia.com/gpu, which is unexpected",
            ),
            [],
            "cannot start",
            "refused pod bench-x7k2p (UnexpectedAdmissionError): Pod Allocate failed",
        ),
        (
            pod(
                phase="Failed",
                reason="OutOfnvidia.com/gpu",
                message="Pod Node didn't have enough resource: nvidia.com/gpu",
            ),
            [],
            "cannot start",
            "OutOfnvidia.com/gpu",
        ),
        (ended(137, "ContainerStatusUnknown"), [], "node lost", "no longer knows it"),
        (
            waiting("CrashLoopBackOff", restarts=2, last={"terminated": {"exitCode": 1}}),
            [],
            "crash loop",
            "was started 3 times and always ended with exit code 1",
        ),
        (
            pod(phase="Failed", message="something strange"),
            [],
            "failed",
            "Pod bench-x7k2p failed: something strange",
        ),
    ],
)
def test_each_kind_of_end_is_told_apart(
    a_pod: JsonObject, events: list[JsonObject], kind: str, words: str
) -> None:
    reason = _must(why_ended(a_pod, "benchmark", events, job()))
    assert reason.kind == kind
    assert words in reason.sentence


@pytest.mark.parametrize(
    ("a_node", "kind"),
    [
        (node(ready=False, message="Kubelet stopped posting node status."), "node lost"),
        (
            node(taints=[{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]),
            "node lost",
        ),
        (
            node(
                taints=[
                    {"key": "cloud.google.com/impending-node-termination", "effect": "NoSchedule"}
                ]
            ),
            "preempted",
        ),
        (node(), "deleted"),
        (None, "deleted"),
    ],
)
def test_a_pod_that_is_deleted_with_its_node_is_the_nodes_loss(
    a_node: JsonObject | None, kind: str
) -> None:
    leaving = pod(phase="Running", containerStatuses=[container({"running": {}})])
    leaving["metadata"]["deletionTimestamp"] = "2026-03-01T10:00:00Z"
    assert _must(why_ended(leaving, "benchmark", [], job(), a_node)).kind == kind


def test_an_exit_of_its_own_is_not_the_nodes_fault() -> None:
    assert _must(why_ended(ended(3), "benchmark", [], job(), node(ready=False))).kind == "failed"


def test_a_pod_that_is_gone_is_told_by_what_is_left_of_it() -> None:
    by_deadline = job(conditions=[condition("Failed", True, "DeadlineExceeded")])
    assert _must(why_ended(None, "benchmark", [], by_deadline)).kind == "deadline"
    for reason, kind in (
        ("Preempted", "preempted"),
        ("Evicted", "evicted"),
        ("TaintManagerEviction", "node lost"),
        ("Killing", "deleted"),
    ):
        events = [event("Scheduled", at=1), event(reason, "this is why", at=2)]
        found = _must(why_ended(None, "benchmark", events, job()))
        assert found.kind == kind
        assert "gpu-benchmark-baseline" in found.sentence
    assert _must(why_ended(None, "benchmark", [])).kind == "deleted"


def test_memory_is_told_apart_by_whether_there_was_a_limit() -> None:
    limited = ended(137, "OOMKilled")
    limited["spec"]["containers"][0]["resources"] = {"limits": {"memory": "2Gi"}}
    assert _must(why_ended(limited, "benchmark", [], job())).hopeless
    assert (
        "its node had no memory left"
        in _must(why_ended(ended(137, "OOMKilled"), "benchmark", [], job())).sentence
    )


def test_memory_is_suspected_after_sigkill() -> None:
    assert "--memory" in _must(why_ended(ended(137), "benchmark", [], job())).remedy


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (143, "(SIGTERM)"),
        (134, "(SIGABRT)"),
        (255, "code 255."),
        (1, "code 1."),
        (200, "code 200."),
    ],
)
def test_the_signal_is_named(code: int, words: str) -> None:
    assert words in _must(why_ended(ended(code), "benchmark", [], job())).sentence


def test_only_the_container_that_is_asked_for_is_told() -> None:
    both = pod(
        phase="Running",
        containerStatuses=[
            container({"terminated": {"exitCode": 0}}),
            container({"terminated": {"exitCode": 9}}, name="keeper"),
        ],
    )
    assert why_ended(both, "benchmark", [], job()) is None
    assert "exit code 9" in _must(why_ended(both, "keeper", [], job())).sentence


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_shape_of_what_the_api_says_breaks_it(data: st.DataObject) -> None:
    names = sorted(path.stem for path in OBSERVED.glob("*.json"))
    a_job, a_pod, events = observed(data.draw(st.sampled_from(names)))
    reason = why_ended(
        None if a_pod is None else data.draw(damaged(a_pod)),
        "benchmark",
        [data.draw(damaged(each)) for each in events[-3:]],
        None if a_job is None else data.draw(damaged(a_job)),
        data.draw(damaged(node())),
    )
    if reason is not None:
        assert reason.kind
        assert reason.sentence.endswith(".")
        assert reason.sentence.isprintable()


@settings(max_examples=100, deadline=None)
@given(ANYTHING, st.lists(ANYTHING, max_size=3), ANYTHING, ANYTHING)
def test_nothing_at_all_like_an_object_breaks_it(
    a_pod: object, events: list[object], a_job: object, a_node: object
) -> None:
    why_ended(a_pod, "benchmark", events, a_job, a_node)  # type: ignore[arg-type]


def test_a_deadline_is_lengthened_by_the_option_that_set_it() -> None:
    failed = job(conditions=[condition("Failed", True, "DeadlineExceeded")])
    tried = pod(phase="Failed", reason="DeadlineExceeded")
    assert "--job-minutes" in _must(why_ended(None, "benchmark", [], failed)).remedy
    assert "--start-minutes" in _must(why_ended(tried, "nvidia-smi", [])).remedy
