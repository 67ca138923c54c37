"""What a run may have left behind in Compute Engine, over all zones and regions, and its removal.

Shapes: instances, disks, forwardingRules and addresses of the Compute Engine API v1
(cloud.google.com/compute/docs/reference/rest/v1). Every list here is whole or an error: it is what
proves that nothing is left.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from core.gcp.aggregated import aggregated
from core.gcp.answers import labels, last, moment, number, part, parts, text, texts, whole
from core.gcp.errors import NotFoundError
from core.gcp.rest_operations import wait_compute

if TYPE_CHECKING:
    from core.gcp.connection import Google

LabelFilter = Mapping[str, str | None]
"""Labels that a resource must have, with a value or (None) with any; empty: every resource."""

_WORDS = {
    "instances": "instance",
    "disks": "disk",
    "forwardingRules": "forwarding rule",
    "addresses": "address",
}


@dataclass(frozen=True, slots=True)
class Resource:
    """Something in Compute Engine that is billed, or stays, until it is deleted."""

    kind: str
    """As its URL says it: ``instances``, ``disks``, ``forwardingRules``, ``addresses``."""
    name: str
    scope: str
    """``zones/us-central1-a``, ``regions/us-central1`` or ``global``"""
    created: datetime | None
    labels: Mapping[str, str]
    description: str
    """Of what Kubernetes made: JSON that says for which of its objects."""

    @property
    def words(self) -> str:
        """What and which it is: ``forwarding rule a1b2``."""
        return f"{_WORDS[self.kind]} {self.name}"

    @property
    def place(self) -> str:
        """Its zone or region, or ``global``."""
        return last(self.scope)

    @property
    def claim(self) -> str:
        """``namespace/name`` of the PersistentVolumeClaim that a disk was made for, or empty."""
        said = _described(self.description)
        name = text(said, "kubernetes.io/created-for/pvc/name")
        return f"{text(said, 'kubernetes.io/created-for/pvc/namespace')}/{name}" if name else ""

    @property
    def service(self) -> str:
        """``namespace/name`` of the Service that a load balancer was made for, or empty."""
        said = _described(self.description)
        # The second is what GKE's newer load balancers write.
        return text(said, "kubernetes.io/service-name") or text(
            said, "networking.gke.io/service-name"
        )


@dataclass(frozen=True, slots=True)
class Instance(Resource):
    """A virtual machine."""

    machine: str
    gpu: str
    """Accelerator type; empty: none."""
    gpus: int
    spot: bool
    status: str
    """``PROVISIONING``, ``STAGING``, ``RUNNING``, ``STOPPING``, ``TERMINATED`` ..."""
    stopped: datetime | None
    """When it was last stopped, preempted or ended."""
    disks: tuple[str, ...]
    """Names of its persistent disks."""

    @property
    def zone(self) -> str:
        """The zone's name."""
        return self.place


@dataclass(frozen=True, slots=True)
class Disk(Resource):
    """A persistent disk."""

    type: str
    gb: int
    """GiB, which Google calls GB."""
    users: tuple[str, ...]
    """Names of the instances that it is attached to."""

    @property
    def zone(self) -> str:
        """The zone's name, or the region's of a regional disk."""
        return self.place


@dataclass(frozen=True, slots=True)
class ForwardingRule(Resource):
    """The front of a load balancer, which is what is billed of it."""

    address: str
    target: str
    """Name of the target pool, proxy or backend service."""


@dataclass(frozen=True, slots=True)
class Address(Resource):
    """A reserved address."""

    address: str
    status: str
    """``IN_USE`` or ``RESERVED``"""
    users: tuple[str, ...]


async def instances(google: Google, having: LabelFilter) -> tuple[Instance, ...]:
    """Return the virtual machines with these labels, of every zone.

    Raises:
        UnavailableError: not every zone could be asked.
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    return tuple(
        [_instance(scope, item) async for scope, item in _all(google, "instances", having)]
    )


async def disks(google: Google, having: LabelFilter) -> tuple[Disk, ...]:
    """Return the disks with these labels, of every zone and region; raises as ``instances``."""
    return tuple([_disk(scope, item) async for scope, item in _all(google, "disks", having)])


async def forwarding_rules(google: Google, having: LabelFilter) -> tuple[ForwardingRule, ...]:
    """Return the load balancers' fronts with these labels, of every region and the global ones;
    raises as ``instances``.
    """
    found = _all(google, "forwardingRules", having)
    return tuple([_forwarding_rule(scope, item) async for scope, item in found])


async def addresses(google: Google, having: LabelFilter) -> tuple[Address, ...]:
    """Return the reserved addresses with these labels, of every region and the global ones; raises
    as ``instances``.
    """
    return tuple([_address(scope, item) async for scope, item in _all(google, "addresses", having)])


async def delete(google: Google, resource: Resource, *, patience_s: float = 600.0) -> bool:
    """Delete a resource and wait until it is gone; return False where it was not there.

    Raises:
        BusyError: something uses it or is at work on it.
        UnavailableError: the operation did not end within the patience.
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    path = (
        f"/compute/v1/projects/{google.project}/{resource.scope}/{resource.kind}/"
        f"{quote(resource.name, safe='')}"
    )
    asked = f"deleting {resource.words} in {resource.place}"
    try:
        operation = await google.call("compute", "DELETE", path, asked=asked)
        await wait_compute(google, operation, asked, patience_s=patience_s)
    except NotFoundError:
        return False
    return True


async def _all(
    google: Google, kind: str, having: LabelFilter
) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
    async for scope, item in aggregated(google, kind, _filter(having)):
        # Nothing that a server gives beyond the filter may pass for ours.
        if _has(labels(item), having):
            yield scope, item


def _filter(having: LabelFilter) -> dict[str, str]:
    """Return the query for Compute Engine's filter language (``filter`` of its lists)."""
    terms = [
        f"labels.{name}:*" if value is None else f"labels.{name}={value}"
        for name, value in having.items()
    ]
    if len(terms) > 1:
        terms = [f"({term})" for term in terms]
    return {"filter": " AND ".join(terms)} if terms else {}


def _has(found: Mapping[str, str], having: LabelFilter) -> bool:
    return all(
        name in found and (value is None or found[name] == value) for name, value in having.items()
    )


def _described(description: str) -> Mapping[str, Any]:
    try:
        said = json.loads(description) if description.startswith("{") else {}
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _common(kind: str, scope: str, item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": text(item, "name"),
        "scope": scope,
        "created": moment(item, "creationTimestamp"),
        "labels": labels(item),
        "description": text(item, "description"),
    }


def _instance(scope: str, item: Mapping[str, Any]) -> Instance:
    gpus = parts(item, "guestAccelerators")
    scheduling = part(item, "scheduling")
    is_spot = text(scheduling, "provisioningModel") == "SPOT"
    return Instance(
        **_common("instances", scope, item),
        machine=last(text(item, "machineType")),
        gpu=last(text(gpus[0], "acceleratorType")) if gpus else "",
        gpus=sum(whole(gpu, "acceleratorCount") for gpu in gpus),
        spot=is_spot or scheduling.get("preemptible") is True,
        status=text(item, "status"),
        stopped=moment(item, "lastStopTimestamp"),
        disks=tuple(
            last(text(disk, "source")) for disk in parts(item, "disks") if "source" in disk
        ),
    )


def _disk(scope: str, item: Mapping[str, Any]) -> Disk:
    return Disk(
        **_common("disks", scope, item),
        type=last(text(item, "type")),
        gb=round(number(item, "sizeGb")),
        users=tuple(last(user) for user in texts(item, "users")),
    )


def _forwarding_rule(scope: str, item: Mapping[str, Any]) -> ForwardingRule:
    return ForwardingRule(
        **_common("forwardingRules", scope, item),
        address=text(item, "IPAddress"),
        target=last(text(item, "target") or text(item, "backendService")),
    )


def _address(scope: str, item: Mapping[str, Any]) -> Address:
    return Address(
        **_common("addresses", scope, item),
        address=text(item, "address"),
        status=text(item, "status"),
        users=tuple(last(user) for user in texts(item, "users")),
    )
