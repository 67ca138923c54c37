"""A pod that waits says why, in a sentence that names the cause."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.kube.reason import Reason
from core.kube.waiting import why_waiting
from tests.core.kube.objects_for_tests import (
    ANYTHING,
    OBSERVED,
    condition,
    container,
    damaged,
    event,
    job,
    observed,
    pod,
    unschedulable,
    waiting,
)

NO_GPU = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
IMAGE = "us-docker.pkg.dev/project/benchmark/app:1"


def _must(reason: Reason | None) -> Reason:
    assert reason is not None
    return reason


@pytest.mark.parametrize(
    ("situation", "kind", "words", "hopeless"),
    [
        ("no-gpu", "no gpu", "it asks for 2 nvidia.com/gpu", False),
        ("selector", "node selector", "does not match the node selector", False),
        ("taint", "taint", "the taint nvidia.com/gpu=present", False),
        ("cpu-and-memory", "resources", "too little cpu free and has too little memory", False),
        ("pvc-missing", "volume", 'persistentvolumeclaim "weights" not found', False),
        ("pvc-unbound", "volume", "unbound immediate PersistentVolumeClaims", False),
        ("image-missing", "image pull", "nowhere/none:1 is not in 127.0.0.1:5000", True),
        ("image-missing-elsewhere", "image pull", "is not in us-docker.pkg.dev", False),
        ("invalid-image", "image pull", "Not A Name:::1 is no image name", True),
        ("runtime-class", "runtime class", "no RuntimeClass nvidia", True),
        ("quota", "quota", "requests.nvidia.com/gpu: asked 1, used 0 of 0", True),
        ("limit-range", "limit range", "maximum memory usage per Container is 64Mi", True),
        ("service-account", "service account", "no ServiceAccount nobody-here", True),
        ("secret-missing", "volume", 'secret "nothere" not found', False),
        ("config-error", "configuration", 'configmap "none" not found', True),
        ("root-image", "configuration", "image will run as root", True),
        ("crash-loop", "crash loop", "failed 3 times (exit code 4)", False),
        ("init-fails", "crash loop", "Container prepare", False),
    ],
)
def test_what_a_real_cluster_said_is_explained(
    situation: str, kind: str, words: str, hopeless: bool
) -> None:
    reason = _must(why_waiting(*observed(situation)))
    assert (reason.kind, reason.hopeless) == (kind, hopeless)
    assert words in reason.sentence
    assert reason.remedy


@pytest.mark.parametrize(
    "situation",
    ["complete", "oom", "evicted", "pod-deadline", "deadline", "exec-not-found", "exit-3"],
)
def test_what_has_ended_does_not_wait(situation: str) -> None:
    assert why_waiting(*observed(situation)) is None


@pytest.mark.parametrize(
    ("reason", "message", "kind", "words"),
    [
        ("Pulling", f'Pulling image "{IMAGE}"', "pulling", f"is pulling image {IMAGE}"),
        (
            "FailedAttachVolume",
            'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) other',
            "volume",
            "Multi-Attach",
        ),
        (
            "FailedCreatePodSandBox",
            "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox "
            'runtime: no runtime for "nvidia" is configured',
            "runtime class",
            "has no handler nvidia",
        ),
        (
            "FailedCreatePodSandBox",
            'Failed to create pod sandbox: rpc error: code = Unknown desc = RuntimeHandler "kata" '
            "not supported",
            "runtime class",
            "has no handler kata",
        ),
        (
            "FailedCreatePodSandBox",
            'plugin type="calico" failed (add): error getting ClusterInformation: refused',
            "sandbox",
            "refused",
        ),
        ("NetworkNotReady", "network is not ready: cni plugin", "network", "cni plugin"),
    ],
)
def test_what_the_kubelet_says_last_counts(
    reason: str, message: str, kind: str, words: str
) -> None:
    creating = waiting("ContainerCreating")
    events = [event("FailedMount", "an older trouble", at=1), event(reason, message, at=2)]
    found = _must(why_waiting(job(), creating, events[::-1]))
    assert (found.kind, found.hopeless) == (kind, False)
    assert words in found.sentence


def test_trouble_that_is_over_is_not_told() -> None:
    events = [event("FailedMount", "timed out", at=1), event("Started", at=2)]
    assert _must(why_waiting(job(), waiting("ContainerCreating"), events)).kind == "starting"


def test_events_of_another_pod_of_the_same_name_are_not_told() -> None:
    stranger = event("FailedMount", "of yesterday")
    stranger["involvedObject"]["uid"] = "another"
    assert _must(why_waiting(job(), waiting("ContainerCreating"), [stranger])).kind == "starting"


def test_a_step_that_prepares_the_pod_is_named() -> None:
    preparing = pod(
        initContainerStatuses=[container({"running": {}}, name="fetch-weights")],
        containerStatuses=[container({"waiting": {"reason": "PodInitializing"}})],
    )
    assert "fetch-weights" in _must(why_waiting(job(), preparing, [])).sentence


def test_a_running_pod_does_not_wait() -> None:
    running = pod(phase="Running", containerStatuses=[container({"running": {}})])
    assert why_waiting(job(), running, [event("FailedMount", "before")]) is None


def test_a_pod_that_is_being_deleted_does_not_wait() -> None:
    leaving = unschedulable(NO_GPU)
    leaving["metadata"]["deletionTimestamp"] = "2026-03-01T10:00:00Z"
    assert why_waiting(job(), leaving, []) is None


@pytest.mark.parametrize(
    ("message", "kind", "words", "hopeless"),
    [
        (
            'Error creating: pods "x-abc" is forbidden: violates PodSecurity "restricted:latest": '
            'allowPrivilegeEscalation != false (container "benchmark" must set '
            "securityContext.allowPrivilegeEscalation=false)",
            "pod security",
            "allowPrivilegeEscalation != false",
            True,
        ),
        (
            '(combined from similar events): Error creating: pods "x-abc" is forbidden: violates '
            'PodSecurity "restricted:v1.24": runAsNonRoot != true',
            "pod security",
            "runAsNonRoot != true",
            True,
        ),
        (
            'Error creating: pods "x" is forbidden: exceeded quota: gpus, requested: '
            "requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=2, limited: "
            "requests.nvidia.com/gpu=2",
            "quota",
            "asked 1, used 2 of 2",
            False,
        ),
        (
            'Error creating: pods "x" is forbidden: exceeded quota: q, requested: '
            "cpu=500m,memory=16Gi, used: cpu=1,memory=0, limited: cpu=4,memory=8Gi",
            "quota",
            "cpu: asked 500m, used 1 of 4, memory: asked 16Gi, used 0 of 8Gi",
            True,
        ),
        (
            'Error creating: pods "x" is forbidden: failed quota: q: must specify limits.cpu',
            "quota",
            "must specify limits.cpu",
            True,
        ),
        (
            'Error creating: admission webhook "validation.gatekeeper.sh" denied the request: '
            "[no] images must come from the house",
            "admission",
            "must come from the house",
            True,
        ),
        (
            "Error creating: Internal error occurred: failed calling webhook "
            '"x.example": Post "https://x": connect: connection refused',
            "admission",
            "does not answer",
            False,
        ),
        (
            'Error creating: pods "x" is forbidden: error looking up service account ns/default: '
            'serviceaccount "default" not found',
            "service account",
            "default",
            False,
        ),
        (
            'Error creating: pods "x" is forbidden: unable to create new content in namespace n '
            "because it is being terminated",
            "namespace",
            "is being deleted",
            True,
        ),
        (
            'Error creating: pods "x" is forbidden: no PriorityClass with name high was found',
            "priority class",
            "high",
            True,
        ),
        (
            'Error creating: Pod "x" is invalid: spec.containers[0].image: Required value',
            "refused",
            "Required value",
            True,
        ),
        ("Error creating: Timeout: request did not complete", "refused", "Timeout", False),
    ],
)
def test_a_job_whose_pod_is_refused_says_why(
    message: str, kind: str, words: str, hopeless: bool
) -> None:
    refused = event("FailedCreate", message, about="Job", name="gpu-benchmark-baseline")
    reason = _must(why_waiting(job(), None, [refused]))
    assert (reason.kind, reason.hopeless) == (kind, hopeless)
    assert words in reason.sentence


def test_a_job_without_a_pod_is_starting_or_suspended_or_over() -> None:
    assert _must(why_waiting(job(), None, [])).kind == "starting"
    suspended = job()
    suspended["spec"]["suspend"] = True
    assert _must(why_waiting(suspended, None, [])).kind == "suspended"
    assert why_waiting(job(conditions=[condition("Failed", True)]), None, []) is None
    assert why_waiting(None, None, []) is None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_shape_of_what_the_api_says_breaks_it(data: st.DataObject) -> None:
    names = sorted(path.stem for path in OBSERVED.glob("*.json"))
    a_job, a_pod, events = observed(data.draw(st.sampled_from(names)))
    damaged_pod = None if a_pod is None else data.draw(damaged(a_pod))
    broken = [data.draw(damaged(each)) for each in events[-3:]]
    damaged_job = None if a_job is None else data.draw(damaged(a_job))
    reason = why_waiting(damaged_job, damaged_pod, broken)
    if reason is not None:
        assert reason.kind
        assert reason.sentence.endswith(".")
        assert reason.sentence.isprintable()
        assert reason.remedy.isprintable()


@settings(max_examples=100, deadline=None)
@given(ANYTHING, ANYTHING, st.lists(ANYTHING, max_size=3))
def test_nothing_at_all_like_an_object_breaks_it(
    a_job: object, a_pod: object, events: list[object]
) -> None:
    why_waiting(a_job, a_pod, events)  # type: ignore[arg-type]


@given(st.text(max_size=200))
def test_hostile_words_are_made_harmless(text: str) -> None:
    said = [
        why_waiting(
            job(), unschedulable(f"0/2 nodes are available: 1 {text}, 1 had taint {{{text}}}"), []
        ),
        why_waiting(job(), waiting("ErrImagePull", text), []),
        why_waiting(job(), waiting(text or "x", text), []),
        why_waiting(job(), unschedulable(NO_GPU), [event("FailedScaleUp", text)]),
        why_waiting(
            job(),
            None,
            [event("FailedCreate", text, about="Job", name="gpu-benchmark-baseline")],
        ),
    ]
    assert all(reason is None or reason.sentence.isprintable() for reason in said)
