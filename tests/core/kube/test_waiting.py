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


@pytest.mark.parametrize(
    ("message", "words", "hopeless_after"),
    [
        (
            'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": failed '
            'to resolve reference "{image}": {image}: not found',
            "is not in us-docker.pkg.dev",
            2,
        ),
        ("manifest for {image} not found: manifest unknown: Failed to fetch", "is not in", 2),
        (
            'rpc error: code = Unknown desc = failed to resolve reference "{image}": failed to '
            "authorize: failed to fetch oauth token: unexpected status: 403 Forbidden",
            "may not be pulled by node gpu-node-1",
            4,
        ),
        (
            "pull access denied for x, repository does not exist or may require 'docker login': "
            "denied: requested access to the resource is denied",
            "denies it, or has no such image",
            4,
        ),
        (
            'failed to do request: Head "https://us-docker.pkg.dev/v2/x": dial tcp: lookup '
            "us-docker.pkg.dev: no such host",
            "does not reach us-docker.pkg.dev (dial tcp: lookup us-docker.pkg.dev: no such host)",
            None,
        ),
        (
            'failed to do request: Head "https://r/v2/": net/http: TLS handshake timeout',
            "does not reach",
            None,
        ),
        (
            "failed to do request: x509: certificate signed by unknown authority",
            "does not reach",
            None,
        ),
        (
            "write /var/lib/containerd/io.containerd.content.v1/x: no space left on device",
            "does not fit on the disk of node gpu-node-1",
            None,
        ),
        (
            "unexpected status code 429 Too Many Requests: toomanyrequests: You have reached your "
            "pull rate limit",
            "limits how often",
            None,
        ),
        (
            'failed to resolve reference "{image}": no match for platform in manifest: not found',
            "no variant for the processor",
            1,
        ),
        ("something else", "cannot be pulled by node gpu-node-1: something else", None),
    ],
)
def test_a_failed_pull_names_its_cause(
    message: str, words: str, hopeless_after: int | None
) -> None:
    said = message.format(image=IMAGE)
    backing_off = waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"')
    for tries in range(1, 6):
        # Kubelets before 1.31 say the cause in the event alone.
        failure = event("Failed", f'Failed to pull image "{IMAGE}": {said}', count=tries)
        reason = _must(why_waiting(job(), backing_off, [failure]))
        assert reason.kind == "image pull"
        assert words in reason.sentence
        assert reason.hopeless == (hopeless_after is not None and tries >= hopeless_after)
    # Without events the state has to do; how often it was tried is not known then.
    first = _must(why_waiting(job(), waiting("ErrImagePull", said), []))
    assert words.split(" (")[0] in first.sentence


def test_words_in_an_images_own_name_are_no_cause() -> None:
    image = "registry.example/denied/not-found:timeout"
    refused = pod(
        image=image,
        containerStatuses=[
            container({"waiting": {"reason": "ErrImagePull", "message": f"{image}: strange"}})
        ],
    )
    assert "cannot be pulled" in _must(why_waiting(job(), refused, [])).sentence


@pytest.mark.parametrize(
    ("reason", "message", "kind", "hopeless"),
    [
        ("ErrImageNeverPull", 'Container image "x" is not present', "image pull", True),
        ("CreateContainerConfigError", 'secret "weights" not found', "configuration", True),
        (
            "CreateContainerConfigError",
            "failed to sync configmap cache: timed out waiting for the condition",
            "configuration",
            False,
        ),
        (
            "RunContainerError",
            'exec: "python4": executable file not found in $PATH: unknown',
            "cannot start",
            True,
        ),
        (
            "CreateContainerError",
            'failed to reserve container name "x": name "x" is reserved for "y"',
            "cannot start",
            False,
        ),
        ("CreateContainerError", "Error: no command specified", "cannot start", True),
        ("PostStartHookError", "it failed", "starting", False),
    ],
)
def test_a_container_that_cannot_start_says_so(
    reason: str, message: str, kind: str, hopeless: bool
) -> None:
    found = _must(why_waiting(job(), waiting(reason, message), []))
    assert (found.kind, found.hopeless) == (kind, hopeless)


def test_a_broken_driver_under_the_runtime_points_to_the_node() -> None:
    said = (
        "failed to create shim task: OCI runtime create failed: nvidia-container-cli: "
        "initialization error: nvml error: driver not loaded: unknown"
    )
    assert (
        "container toolkit"
        in _must(why_waiting(job(), waiting("RunContainerError", said), [])).remedy
    )


def test_a_crash_loop_counts_its_tries_and_is_given_up() -> None:
    last = {"terminated": {"exitCode": 4}}
    for restarts, hopeless in ((1, False), (3, True)):
        looping = waiting("CrashLoopBackOff", "back-off 20s", restarts=restarts, last=last)
        reason = _must(why_waiting(job(), looping, []))
        assert f"failed {restarts + 1} times (exit code 4)" in reason.sentence
        assert reason.hopeless == hopeless


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


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_shape_of_what_the_api_says_breaks_it(data: st.DataObject) -> None:
    names = sorted(path.stem for path in OBSERVED.glob("*.json"))
    a_job, a_pod, events = observed(data.draw(st.sampled_from(names)))
    damaged_pod = None if a_pod is None else data.draw(damaged(a_pod))
    broken = [data.draw(damaged(each)) for each in events[-3:]]
    reason = why_waiting(data.draw(damaged(a_job)), damaged_pod, broken)
    if reason is not None:
        assert reason.kind
        assert reason.sentence.endswith(".")
        assert reason.sentence.isprintable()
        assert reason.remedy.isprintable()


@settings(max_examples=200, deadline=None)
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
