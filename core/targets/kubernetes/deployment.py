"""What a run puts on a cluster, as its settings say: names, placement, deadlines."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from benchmark.estimate import planned_seconds
from benchmark.plan import Plan
from core.errors import SettingsError
from core.kube.cluster import Access, Cluster, JsonObject
from core.kube.driver_manifests import KNOWN_SOURCES, driver_manifest
from core.kube.kubeconfig import resolve_access
from core.kube.objects import (
    JobOrder,
    Placement,
    Toleration,
    object_name,
    ownership_labels,
)
from core.settings import Settings

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_SPARE_S = 600
# A node that nobody tells to go on ends by itself, this long after its last use at the latest.
_AFTER_HOLD_S = 300


@dataclass(slots=True)
class Deployment:
    """One run's part of a cluster. The stages share it: what one learns, the next one uses."""

    settings: Settings
    access: Access
    connect: Callable[[Access], Cluster] = Cluster
    image: str = ""
    """The image's reference by digest, once ``image_known`` is set."""
    image_known: asyncio.Event = field(default_factory=asyncio.Event)
    pod: str = ""
    """The Job's pod, once there is one."""
    ended_at: datetime | None = None
    """When the benchmark's container ended, by its node."""
    holding: bool = False
    """The pod holds results that could not be collected: it must stay."""

    _daemonsets: list[JsonObject] | None = None

    @property
    def start_s(self) -> int:
        """How long drivers, and then the pod, may take to start."""
        return self.settings.start_minutes * 60

    @property
    def hold_s(self) -> int:
        """How long results wait for their collection."""
        return self.settings.hold_minutes * 60

    @property
    def job_name(self) -> str:
        """The Job's name."""
        return job_name(self.settings)

    @property
    def placement(self) -> Placement:
        """Where the pod may run and what it asks for."""
        return placement_of(self.settings)

    @property
    def location(self) -> str:
        """The place of what is created, for people."""
        return location_of(self.access, self.access.namespace)

    def kubectl(self, *words: str, namespace: str | None = None) -> tuple[str, ...]:
        """Return a kubectl command on this cluster."""
        access = self.access
        # The flag takes one file, the variable several.
        program: tuple[str, ...] = ("kubectl", "--kubeconfig", access.kubeconfig)
        if os.pathsep in access.kubeconfig:
            program = ("env", f"KUBECONFIG={access.kubeconfig}", "kubectl")
        elif not access.kubeconfig:
            program = ("kubectl",)
        place = ("--context", access.context, "--namespace", namespace or access.namespace)
        return (*program, *place, *words)

    def work_s(self, plan: Plan) -> int:
        """Return how long the benchmark may take once it runs, in seconds."""
        if self.settings.job_minutes is not None:
            return self.settings.job_minutes * 60
        return round(3 * planned_seconds(plan)) + _SPARE_S

    def order(self, run_id: str, leg: str, plan: Plan, image: str, now: datetime) -> JobOrder:
        """Return what the Job is made of."""
        return JobOrder(
            name=self.job_name,
            namespace=self.access.namespace,
            image=image,
            labels=self.labels(run_id, leg, plan, now),
            plan=plan.model_dump_json(),
            run_id=run_id,
            leg=leg,
            placement=self.placement,
            deadline_s=self._deadline_s(plan),
            start_s=self.start_s,
            hold_s=self.hold_s,
        )

    def labels(self, run_id: str, leg: str, plan: Plan, now: datetime) -> dict[str, str]:
        """Return the labels of everything that the run creates."""
        expires = int(now.timestamp()) + self._deadline_s(plan) + self.hold_s + _AFTER_HOLD_S
        return ownership_labels(run_id, leg, expires)

    async def driver_daemonsets(self) -> list[JsonObject]:
        """Return the DaemonSets that install the drivers, none where nothing is to be installed.
        The manifest is read once: what preflight looked at is what is applied.

        Raises:
            ManifestError, ManifestUnreachableError: the manifest cannot be used.
        """
        source = self.settings.install_drivers
        if self._daemonsets is None:
            self._daemonsets = await driver_manifest(source) if source is not None else []
        return self._daemonsets

    def _deadline_s(self, plan: Plan) -> int:
        # The cluster counts from the Job's creation, and its end takes the results along.
        return self.start_s + self.work_s(plan) + self.hold_s


def job_name(settings: Settings) -> str:
    """Return the name of the Job of a run with these settings."""
    return object_name("gpu-benchmark", settings.leg, *filter(None, [settings.name_suffix]))


def location_of(access: Access, namespace: str) -> str:
    """Return where something is, for people."""
    return f"context {access.context}, namespace {namespace}"


def resolve(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """Return the settings with the cluster made explicit, checked as far as it can be here.

    Raises:
        SettingsError: a selector, toleration or image that cannot be.
        KubeconfigError: no such context.
    """
    placement_of(settings)
    if settings.image is None:
        raise SettingsError(
            "Target kubernetes needs an image, and none was named.",
            "Add --image REGISTRY/REPOSITORY: it is built and pushed there if it is not yet.",
        )
    access = resolve_access(settings.kubeconfig, settings.context, settings.namespace, environment)
    return settings.model_copy(
        update={
            "kubeconfig": access.kubeconfig,
            "context": access.context,
            "namespace": access.namespace,
            "install_drivers": _found_anywhere(settings.install_drivers),
        }
    )


def _found_anywhere(manifest: str | None) -> str | None:
    """Make a file's name mean the same to the run's own process, wherever it works."""
    if manifest is None or manifest in KNOWN_SOURCES or "://" in manifest:
        return manifest
    return str(Path(os.path.expanduser(manifest)).absolute())


def access_of(settings: Settings, environment: Mapping[str, str]) -> Access:
    """Return the access of settings that are resolved.

    Raises:
        KubeconfigError: they are not, and what they leave open cannot be found.
    """
    if settings.kubeconfig and settings.context and settings.namespace:
        return Access(settings.kubeconfig, settings.context, settings.namespace)
    return resolve_access(settings.kubeconfig, settings.context, settings.namespace, environment)


def placement_of(settings: Settings) -> Placement:
    """Return where the pod may run.

    Raises:
        SettingsError: a selector or toleration that is none.
    """
    return Placement(
        gpus=settings.gpus,
        cpus=settings.cpus,
        memory=settings.memory,
        node_selector=_selector(settings.node_selector),
        tolerations=_tolerations(settings.tolerations),
        runtime_class=settings.runtime_class,
        pull_secret=settings.pull_secret,
    )


def _selector(text: str | None) -> dict[str, str]:
    labels = {}
    for part in _parts(text):
        key, equals, value = part.partition("=")
        if not key or not equals:
            raise SettingsError(
                f"--node-selector: {part!r} is no label.", "Write KEY=VALUE, joined by commas."
            )
        labels[key] = value
    return labels


def _tolerations(text: str | None) -> tuple[Toleration, ...]:
    found = []
    for part in _parts(text):
        taint, colon, effect = part.partition(":")
        key, equals, value = taint.partition("=")
        if not key or (colon and effect not in _EFFECTS):
            raise SettingsError(
                f"--tolerations: {part!r} is no taint.",
                f"Write KEY[=VALUE][:EFFECT], joined by commas; EFFECT is {', '.join(_EFFECTS)}.",
            )
        found.append(Toleration(key, value if equals else None, effect or None))
    return tuple(found)


def _parts(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]
