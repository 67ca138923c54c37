"""What a cluster that is gone may have left in Compute Engine: found, and deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from core.errors import ProblemError, WorkError
from core.gcp import gcloud, inventory
from core.gcp.inventory import ForwardingRule, Resource
from core.gcp.specs import RUN_LABEL
from core.kube.outside import Balancer
from core.money.table import region_of
from core.text import harmless

if TYPE_CHECKING:
    from core.gcp.connection import Google

# GKE's own labels on what it makes
# (https://cloud.google.com/kubernetes-engine/docs/how-to/creating-managing-labels).
CLUSTER_MARK = "goog-k8s-cluster-name"
LOCATION_MARK = "goog-k8s-cluster-location"
POOL_MARK = "goog-k8s-node-pool-name"

INSTANCE = "instance"
DISK = "disk"
RULE = "forwarding rule"
ADDRESS = "address"
KINDS: Mapping[str, str] = {
    "instances": INSTANCE,
    "forwardingRules": RULE,
    "addresses": ADDRESS,
    "disks": DISK,
}
"""Compute Engine's words and ours, in the order of removal: what uses others comes first."""

LISTS: Mapping[str, Callable[[Google, Mapping[str, str | None]], Awaitable[Sequence[Resource]]]] = {
    "instances": inventory.instances,
    "forwardingRules": inventory.forwarding_rules,
    "addresses": inventory.addresses,
    "disks": inventory.disks,
}
"""How each is listed by its labels, in the order of removal."""

_ROUNDS = 3
_PAUSE_S = 5.0
_PATIENCE_S = 180.0
_GLOBAL = "global"


@dataclass(frozen=True, slots=True)
class Marks:
    """By what a cluster's leftovers are told from everything else."""

    run: str
    """Value of the run's label."""
    cluster: str
    location: str
    born: datetime | None = None
    """Since when what carries only the cluster's name may be this one's; None: not known, and only
    the run's label counts."""
    balancers: tuple[Balancer, ...] = ()
    """What the cluster itself named as its load balancers."""

    def fit(self, resource: Resource) -> bool:
        """Return whether it is surely of this run and this cluster."""
        run = resource.labels.get(RUN_LABEL)
        if run not in (None, self.run):
            return False
        if CLUSTER_MARK in resource.labels:
            location = resource.labels.get(LOCATION_MARK, self.location)
            if (resource.labels[CLUSTER_MARK], location) != (self.cluster, self.location):
                return False
            return run == self.run or self.is_younger(resource)
        if run == self.run:
            return region_of(resource.place) in (_GLOBAL, region_of(self.location))
        return isinstance(resource, ForwardingRule) and self._is_balancer(resource)

    def is_younger(self, resource: Resource) -> bool:
        """Return whether it was made in the cluster's time, as far as that is known."""
        born, created = self.born, resource.created
        return born is not None and created is not None and created >= born

    def _is_balancer(self, rule: ForwardingRule) -> bool:
        return any(
            rule.name.startswith(each.rule)
            or (rule.address in each.addresses and rule.service == f"{each.namespace}/{each.name}")
            for each in self.balancers
        )


async def labelled(google: Google, run: str | None) -> list[Resource]:
    """Return everything in Compute Engine with a run's label (None: any run's), in the order of
    removal.

    Raises:
        UnavailableError: not everything could be asked.
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    label = {RUN_LABEL: run}
    found = await asyncio.gather(*(of_kind(google, label) for of_kind in LISTS.values()))
    return [resource for each in found for resource in each]


async def left_by(google: Google, marks: Marks) -> list[Resource]:
    """Return what a cluster has left; raises as ``labelled``."""
    found: list[Resource] = await labelled(google, marks.run)
    found += await inventory.disks(google, {CLUSTER_MARK: marks.cluster})
    if marks.balancers:
        found += await inventory.forwarding_rules(google, {})
    unique = {(each.kind, each.scope, each.name): each for each in found if marks.fit(each)}
    order = list(KINDS)
    return sorted(unique.values(), key=lambda each: order.index(each.kind))


async def doubtful(google: Google, marks: Marks) -> list[Resource]:
    """Return load balancers that may be a cluster's, where it could not be asked for its own: made
    for a Service of Kubernetes in its region in its time, and nothing on them says of which
    cluster; raises as ``labelled``.
    """
    region = region_of(marks.location)
    return [
        rule
        for rule in await inventory.forwarding_rules(google, {})
        if rule.service and rule.place == region and not rule.labels and marks.is_younger(rule)
    ]


async def clear(google: Google, marks: Marks) -> None:
    """Delete what a cluster has left.

    Raises:
        WorkError: something stays; each is named with the command that deletes it.
        CredentialsError, GoogleError: it could not be listed, see core.gcp.errors.
    """
    await delete_all(
        google, lambda: left_by(google, marks), f"Cluster {marks.cluster} has left behind"
    )


async def delete_all(
    google: Google, look: Callable[[], Awaitable[list[Resource]]], what: str
) -> None:
    """Delete what is found, and look again, until nothing is found.

    Args:
        what: begins the sentence that names what stays.

    Raises: as ``clear``.
    """
    reason = ""
    left = await look()
    for attempt in range(_ROUNDS):
        if not left:
            return
        if attempt:
            await asyncio.sleep(_PAUSE_S)
        for resource in left:
            try:
                await inventory.delete(google, resource, patience_s=_PATIENCE_S)
            except ProblemError as problem:
                reason = problem.sentence
        left = await look()
    if left:
        things = "; ".join(
            f"{described(each)} ({gcloud.shown(deletion(google.project, each))})" for each in left
        )
        sentence = f"{what}: {things}. {reason}".strip()
        raise WorkError(sentence, "Delete them by these commands.")


def described(resource: Resource) -> str:
    """Return ``disk NAME in PLACE``."""
    return f"{KINDS[resource.kind]} {harmless(resource.name)} in {harmless(resource.place)}"


def deletion(project: str, resource: Resource) -> gcloud.Command:
    """Return what to type to delete it."""
    name, place = resource.name, resource.place
    match KINDS[resource.kind]:
        case "instance":
            return gcloud.delete_instance(project, place, name)
        case "disk" if resource.scope.startswith("zones/"):
            return gcloud.delete_disk(project, place, name)
        case "disk":
            return gcloud.delete_regional("disks", project, place, name)
        case kind:
            words = {RULE: "forwarding-rules", ADDRESS: "addresses"}[kind]
            return gcloud.delete_regional(words, project, "" if place == _GLOBAL else place, name)
