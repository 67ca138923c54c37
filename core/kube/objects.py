"""The Job that measures, made of the client's typed objects."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.kube.cluster import JsonObject

if TYPE_CHECKING:
    from kubernetes.aio.client import (
        V1Container,
        V1Job,
        V1PodSecurityContext,
        V1PodSpec,
        V1ResourceRequirements,
        V1SecurityContext,
        V1Toleration,
        V1Volume,
    )

RUN_LABEL = "gpubench-tui/run"
LEG_LABEL = "gpubench-tui/leg"
EXPIRES_LABEL = "gpubench-tui/expires"
"""Unix time in seconds after which nobody needs it any more: `sweep` may remove it."""
OWNER_LABEL = "app.kubernetes.io/managed-by"
OWNER = "gpubench-tui"
PLAN_ANNOTATION = "gpubench-tui/plan"
RUN_ANNOTATION = "gpubench-tui/run-id"
"""The whole id, which may be longer than a label."""
GPU_RESOURCE = "nvidia.com/gpu"
BENCHMARK_CONTAINER = "benchmark"
KEEPER_CONTAINER = "keeper"
RESULTS_PATH = "/results"
USER_ID = 10001
"""The image's own user."""

_GRACE_S = 30
_PLAN_PATH = "/etc/gpubench"
# Of a real run at most some hundreds of MiB; the limit keeps a fault from filling the node.
_RESULTS_LIMIT = "8Gi"
_LONGEST_LABEL = 63


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint that the pod tolerates."""

    key: str
    value: str | None = None
    """None: any value."""
    effect: str | None = None
    """None: any effect."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a pod may run and what it asks for."""

    gpus: int
    cpus: str | None = None
    memory: str | None = None
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    """Beside that of the GPU's own taint."""
    runtime_class: str | None = None
    pull_secret: str | None = None

    def every_toleration(self) -> tuple[Toleration, ...]:
        """Return the GPU's own and those asked for."""
        return (Toleration(GPU_RESOURCE), *self.tolerations)


@dataclass(frozen=True, slots=True)
class JobOrder:
    """What a Job is made of."""

    name: str
    namespace: str
    image: str
    labels: dict[str, str]
    plan: str
    """The plan as JSON; it reaches the pod as an annotation, mounted as a file."""
    run_id: str
    leg: str
    placement: Placement
    deadline_s: int
    """From the Job's creation, waiting included."""
    start_s: int
    """How long the benchmark may take to start."""
    hold_s: int
    """How long results wait for their collection."""


def label_value(text: str) -> str:
    """Return a text as a label's value: itself where it can be one, else its beginning and hash.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
    """
    if len(text) <= _LONGEST_LABEL and re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", text):
        return text
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", text).strip("-_.")
    return f"{plain[:50].strip('-_.')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".strip("-")


def object_name(*parts: str) -> str:
    """Return a name for an object, of lower-case letters, digits and dashes, at most 52 long: the
    Job controller adds to it, and pods' names become host names.
    """
    name = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
    if len(name) <= 52:
        return name
    return f"{name[:43].strip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def ownership_labels(run_id: str, leg: str, expires: int) -> dict[str, str]:
    """Return the labels of everything that a run creates. ``expires`` is Unix time in seconds."""
    return {
        "app.kubernetes.io/name": OWNER,
        OWNER_LABEL: OWNER,
        RUN_LABEL: label_value(run_id),
        LEG_LABEL: label_value(leg),
        EXPIRES_LABEL: str(expires),
    }


def run_selector(run_id: str) -> str:
    """Return the label selector of everything that a run created."""
    return f"{RUN_LABEL}={label_value(run_id)}"


def job_object(order: JobOrder) -> V1Job:
    """Return the Job: one pod with the benchmark, and beside it the keeper of its results."""
    from kubernetes.aio.client import (
        V1Job,
        V1JobSpec,
        V1ObjectMeta,
        V1PodTemplateSpec,
    )

    return V1Job(
        api_version="batch/v1",
        kind="Job",
        metadata=V1ObjectMeta(
            name=order.name,
            namespace=order.namespace,
            labels=order.labels,
            annotations={RUN_ANNOTATION: order.run_id},
        ),
        spec=V1JobSpec(
            # A measurement that failed is looked at, not repeated until it succeeds.
            backoff_limit=0,
            active_deadline_seconds=order.deadline_s,
            ttl_seconds_after_finished=order.hold_s,
            template=V1PodTemplateSpec(
                metadata=V1ObjectMeta(
                    labels=order.labels, annotations={PLAN_ANNOTATION: order.plan}
                ),
                spec=_pod_spec(order),
            ),
        ),
    )


def to_json(model: object) -> JsonObject:
    """Return an object of the client's models as the JSON that the API server is sent."""
    from kubernetes.aio.client import ApiClient

    serialize: Any = ApiClient.sanitize_for_serialization
    # It uses its self only to call itself.
    document: JsonObject = serialize(ApiClient.__new__(ApiClient), model)
    return document


def to_yaml(document: JsonObject) -> str:
    """Return an object as YAML, as kubectl writes it."""
    import yaml

    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def _pod_spec(order: JobOrder) -> V1PodSpec:
    from kubernetes.aio.client import V1PodSpec

    return V1PodSpec(
        **placed(order.placement),
        termination_grace_period_seconds=_GRACE_S,
        containers=[_benchmark(order), _keeper(order)],
        volumes=_volumes(),
    )


def placed(placement: Placement) -> dict[str, Any]:
    """Return what every pod of ours has: where it may run, and that it runs once and restricted."""
    from kubernetes.aio.client import V1LocalObjectReference

    secret = placement.pull_secret
    return {
        "restart_policy": "Never",
        "automount_service_account_token": False,
        "enable_service_links": False,
        "node_selector": placement.node_selector or None,
        "tolerations": _tolerations(placement),
        "runtime_class_name": placement.runtime_class,
        "image_pull_secrets": [V1LocalObjectReference(name=secret)] if secret else None,
        "security_context": _pod_security(),
    }


def _tolerations(placement: Placement) -> list[V1Toleration]:
    from kubernetes.aio.client import V1Toleration

    return [
        V1Toleration(
            key=each.key,
            operator="Exists" if each.value is None else "Equal",
            value=each.value,
            effect=each.effect,
        )
        for each in placement.every_toleration()
    ]


def _pod_security() -> V1PodSecurityContext:
    from kubernetes.aio.client import V1PodSecurityContext, V1SeccompProfile

    return V1PodSecurityContext(
        run_as_non_root=True,
        run_as_user=USER_ID,
        run_as_group=USER_ID,
        # Else the pod's own volumes could not be written by this user.
        fs_group=USER_ID,
        seccomp_profile=V1SeccompProfile(type="RuntimeDefault"),
    )


def container_security() -> V1SecurityContext:
    """Return what Kubernetes calls restricted, for a container, and a root that is read only."""
    from kubernetes.aio.client import V1Capabilities, V1SecurityContext

    return V1SecurityContext(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=V1Capabilities(drop=["ALL"]),
    )


def _benchmark(order: JobOrder) -> V1Container:
    from kubernetes.aio.client import V1Container, V1EnvVar, V1VolumeMount

    environment = {"GPUBENCH_IMAGE": order.image}
    if not order.placement.gpus:
        # CUDA images ask for all GPUs, and some runtimes give them, asked for or not.
        environment["NVIDIA_VISIBLE_DEVICES"] = "void"
    benchmark = [
        *("python3", "-m", "benchmark", "--plan", f"{_PLAN_PATH}/plan.json"),
        *("--output", f"{RESULTS_PATH}/run", "--run-id", order.run_id, "--leg", order.leg),
    ]
    return V1Container(
        name=BENCHMARK_CONTAINER,
        image=order.image,
        # Arguments only: the image's entry point is its init process.
        args=[
            *("python3", "-m", "benchmark.keeper", "run", "--folder", RESULTS_PATH, "--"),
            *benchmark,
        ],
        env=[V1EnvVar(name=name, value=value) for name, value in environment.items()],
        resources=_resources(order.placement),
        security_context=container_security(),
        volume_mounts=[
            V1VolumeMount(name="results", mount_path=RESULTS_PATH),
            V1VolumeMount(name="tmp", mount_path="/tmp"),
            V1VolumeMount(name="plan", mount_path=_PLAN_PATH, read_only=True),
        ],
    )


def _resources(placement: Placement) -> V1ResourceRequirements:
    from kubernetes.aio.client import V1ResourceRequirements

    amounts = {"cpu": placement.cpus, "memory": placement.memory}
    limits = {name: amount for name, amount in amounts.items() if amount}
    if placement.gpus:
        limits[GPU_RESOURCE] = str(placement.gpus)
    return V1ResourceRequirements(limits=limits or None, requests=limits or None)


def _keeper(order: JobOrder) -> V1Container:
    from kubernetes.aio.client import (
        V1Container,
        V1EnvVar,
        V1ResourceRequirements,
        V1VolumeMount,
    )

    return V1Container(
        name=KEEPER_CONTAINER,
        image=order.image,
        args=[
            *("python3", "-m", "benchmark.keeper", "hold", "--folder", RESULTS_PATH),
            *("--hold-s", str(order.hold_s), "--start-s", str(order.start_s)),
        ],
        env=[V1EnvVar(name="NVIDIA_VISIBLE_DEVICES", value="void")],
        # No limit on CPU: it sleeps while anything is measured, and packs quickly afterwards.
        resources=V1ResourceRequirements(
            requests={"cpu": "20m", "memory": "64Mi"}, limits={"memory": "512Mi"}
        ),
        security_context=container_security(),
        volume_mounts=[V1VolumeMount(name="results", mount_path=RESULTS_PATH)],
    )


def _volumes() -> list[V1Volume]:
    from kubernetes.aio.client import (
        V1DownwardAPIVolumeFile,
        V1DownwardAPIVolumeSource,
        V1EmptyDirVolumeSource,
        V1ObjectFieldSelector,
        V1Volume,
    )

    plan = V1DownwardAPIVolumeFile(
        path="plan.json",
        field_ref=V1ObjectFieldSelector(field_path=f"metadata.annotations['{PLAN_ANNOTATION}']"),
    )
    return [
        V1Volume(name="results", empty_dir=V1EmptyDirVolumeSource(size_limit=_RESULTS_LIMIT)),
        V1Volume(name="tmp", empty_dir=V1EmptyDirVolumeSource()),
        V1Volume(name="plan", downward_api=V1DownwardAPIVolumeSource(items=[plan])),
    ]
