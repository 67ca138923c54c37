"""What a run asks of Google, as the permissions of IAM: those without which it fails, and those
without which it says or clears up less.

Source: https://cloud.google.com/iam/docs/roles-permissions; each is that of a call in core.gcp or
core.kube.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.gcp.artifacts import ImagePlace
from core.kube.permissions import NEEDS, Need
from core.settings import Settings

_NEEDED = (
    "container.clusters.create",
    "container.clusters.delete",
    "container.clusters.get",
    "container.clusters.list",
    "container.clusters.update",
    "container.operations.get",
    "container.operations.list",
    "compute.acceleratorTypes.list",
    "compute.addresses.list",
    "compute.disks.list",
    "compute.forwardingRules.list",
    "compute.instanceGroupManagers.get",
    "compute.instances.list",
    "compute.machineTypes.get",
    "compute.machineTypes.list",
    "compute.projects.get",
    "compute.regions.get",
    "compute.zones.list",
)
# The DNS endpoint admits by IAM
# (cloud.google.com/kubernetes-engine/docs/concepts/network-isolation).
_BY_DNS = "container.clusters.connect"
_TO_CLEAR = (
    "compute.addresses.delete",
    "compute.disks.delete",
    "compute.forwardingRules.delete",
    "compute.globalOperations.get",
    "compute.instances.delete",
    "compute.regionOperations.get",
    "compute.zoneOperations.get",
    "container.persistentVolumeClaims.delete",
    "container.persistentVolumeClaims.list",
    "container.persistentVolumes.list",
    "container.services.delete",
    "container.services.list",
)
_TO_PUSH = (
    "artifactregistry.repositories.downloadArtifacts",
    "artifactregistry.repositories.get",
    "artifactregistry.repositories.uploadArtifacts",
)
_TO_BUILD = (
    "cloudbuild.builds.create",
    "cloudbuild.builds.get",
    "cloudbuild.builds.list",
    "cloudbuild.builds.update",
    "storage.buckets.get",
    "storage.objects.create",
    "storage.objects.delete",
    "storage.objects.get",
)
_TO_COUNT_ON = "serviceusage.services.use"
_ELSEWHERE = ", unless it is granted elsewhere"
_LEFT_BEHIND = ": what a cluster leaves behind might not be removed"
_LESS_SAID = ": less can be said of the cluster's nodes and drivers"
# IAM's names for what Kubernetes calls otherwise; to watch is to list there.
_RESOURCES = {"daemonsets": "daemonSets"}
_SUBRESOURCES = {"pods/log": "pods.getLogs", "pods/exec": "pods.exec"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The permissions to look for."""

    needed: tuple[str, ...]
    useful: Mapping[str, str]
    """With what it means where one is not there, to end a sentence."""


def wanted(
    settings: Settings, project: str, place: ImagePlace | None, *, in_cloud: bool, counted_on: str
) -> Wanted:
    """Return what a run with these settings needs in its project.

    Args:
        place: of the image in Artifact Registry; None: it is elsewhere.
        in_cloud: Cloud Build builds it.
        counted_on: the project that a person's requests name as the one that they count on.
    """
    needed = list(_NEEDED)
    useful = dict.fromkeys(_TO_CLEAR, _LEFT_BEHIND)
    for need in NEEDS:
        if need.only_for != "drivers" or settings.driver == "disabled":
            if need.required:
                needed += _of_kubernetes(need)
            else:
                useful |= dict.fromkeys(_of_kubernetes(need), _LESS_SAID)
    needed += [_BY_DNS] if settings.endpoint == "dns" else []
    needed += [_TO_COUNT_ON] if counted_on == project else []
    # Granted on the account or the repository alone they are not seen in the project.
    useful["iam.serviceAccounts.actAs"] = _ELSEWHERE
    if place is not None:
        useful |= dict.fromkeys(_TO_PUSH, _ELSEWHERE)
        if place.project == project:
            useful["artifactregistry.repositories.create"] = _ELSEWHERE
        if settings.remove_image:
            useful["artifactregistry.versions.delete"] = _ELSEWHERE
    if in_cloud:
        needed += _TO_BUILD
        useful["storage.buckets.create"] = ", which matters only where there is no bucket yet"
    unique = tuple(sorted(set(needed)))
    return Wanted(unique, {name: why for name, why in useful.items() if name not in unique})


def _of_kubernetes(need: Need) -> list[str]:
    if need.resource in _SUBRESOURCES:
        return [f"container.{_SUBRESOURCES[need.resource]}"]
    resource = _RESOURCES.get(need.resource, need.resource)
    return [f"container.{resource}.{verb}" for verb in need.verbs if verb != "watch"]
