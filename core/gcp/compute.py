"""What Compute Engine says of a project: its quotas, zones, machines and GPUs, and why the machines
of a node pool did not come (Compute Engine API v1,
cloud.google.com/compute/docs/reference/rest/v1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from core.gcp.aggregated import aggregated
from core.gcp.answers import last, moment, number, part, parts, text, whole
from core.gcp.errors import GoogleError, InvalidError, NotFoundError, UnavailableError
from core.gcp.quotas import Quota
from core.gcp.refusals import Asked, of_failed
from core.gcp.said import from_status, plain
from core.text import harmless

if TYPE_CHECKING:
    from core.gcp.connection import Google

_MIB_IN_GIB = 1024


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone, as it is now."""

    name: str
    region: str
    is_up: bool


@dataclass(frozen=True, slots=True)
class MachineType:
    """A machine type, as a zone offers it."""

    name: str
    zone: str
    vcpus: int
    memory_gb: float
    """GiB"""
    gpus: Mapping[str, int]
    """Built in: how many, by accelerator type."""


@dataclass(frozen=True, slots=True)
class GroupError:
    """Why a managed instance group could not make, or keep, an instance."""

    code: str
    """``ZONE_RESOURCE_POOL_EXHAUSTED``, ``QUOTA_EXCEEDED`` ..."""
    message: str
    time: datetime | None
    instance: str
    problem: GoogleError
    """What it means; its class tells a stockout from a quota."""


async def quotas(google: Google, region: str) -> dict[str, Quota]:
    """Return a region's quotas by metric.

    Raises:
        NotFoundError: there is no such region.
        UnavailableError: Google does not know them now.
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    path = f"{_project(google)}/regions/{_segment(region)}"
    answer = await google.call("compute", "GET", path, asked=f"reading the quotas of {region}")
    # Said where usage and limits could not be found out: zeros would be read as "no quota".
    warning = part(answer, "quotaStatusWarning")
    if text(warning, "code") == "QUOTA_INFO_UNAVAILABLE":
        raise UnavailableError(
            f"Google does not know the quotas of {harmless(region)} now: "
            f"{plain(text(warning, 'message'))}.",
            "Try again in a few minutes.",
        )
    return _quotas(answer)


async def global_quotas(google: Google) -> dict[str, Quota]:
    """Return the project's quotas over all regions by metric (``GPUS_ALL_REGIONS`` ...).

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    asked = "reading the global quotas"
    return _quotas(await google.call("compute", "GET", _project(google), asked=asked))


async def zones(google: Google, region: str = "") -> tuple[Zone, ...]:
    """Return a region's zones, or all that the project may use; raises as ``global_quotas``."""
    found: list[Zone] = []
    path = f"{_project(google)}/zones"
    async for page in google.documents("compute", path, asked="listing the zones"):
        for item in parts(page, "items"):
            zone = Zone(
                text(item, "name"), last(text(item, "region")), text(item, "status") == "UP"
            )
            if zone.name and region in ("", zone.region):
                found.append(zone)
    return tuple(found)


async def machine_type(google: Google, zone: str, name: str) -> MachineType | None:
    """Return a machine type, or None where the zone does not have it; raises as
    ``global_quotas``.
    """
    path = f"{_project(google)}/zones/{_segment(zone)}/machineTypes/{_segment(name)}"
    asked = f"reading machine type {name} in {zone}"
    try:
        return _machine_type(zone, await google.call("compute", "GET", path, asked=asked))
    except NotFoundError:
        return None


async def machine_zones(google: Google, name: str) -> tuple[str, ...]:
    """Return the zones that offer a machine type; raises as ``global_quotas``, and
    UnavailableError where not every zone could be asked.
    """
    query = {"filter": f"name={name}"}
    return tuple(
        sorted(
            [
                last(scope)
                async for scope, item in aggregated(google, "machineTypes", query)
                if text(item, "name") == name
            ]
        )
    )


async def accelerators(google: Google, zone: str = "") -> dict[str, dict[str, int]]:
    """Return by zone which GPUs it offers to the project, each with the most that one machine can
    have of it where it is attached; of one zone or of all; raises as ``machine_zones``.
    """
    found: dict[str, dict[str, int]] = {}
    if zone:
        path = f"{_project(google)}/zones/{_segment(zone)}/acceleratorTypes"
        async for page in google.documents("compute", path, asked=f"listing the GPUs of {zone}"):
            for item in parts(page, "items"):
                _note(found, zone, item)
        return found
    async for scope, item in aggregated(google, "acceleratorTypes", {}):
        _note(found, last(scope), item)
    return found


async def group_errors(google: Google, group: str) -> tuple[GroupError, ...]:
    """Return what went wrong in a managed instance group, the latest first.

    They are kept for some time after their cause has gone: look at ``time``.

    Args:
        group: its URL, as a node pool has it in ``instance_group_urls``.

    Raises:
        InvalidError: the URL is none of an instance group of this project.
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    path = f"{_group_path(google, group)}/listErrors"
    found: list[GroupError] = []
    asked = f"reading the errors of instance group {last(group)}"
    async for page in google.documents("compute", path, asked=asked):
        found += [_group_error(google, last(group), item) for item in parts(page, "items")]
    # Google does not promise an order.
    return tuple(sorted(found, key=lambda each: str(each.time or ""), reverse=True))


def _project(google: Google) -> str:
    return f"/compute/v1/projects/{google.project}"


def _segment(name: str) -> str:
    return quote(name, safe="")


def _quotas(answer: Mapping[str, Any]) -> dict[str, Quota]:
    return {
        metric: Quota(metric, number(item, "limit"), number(item, "usage"))
        for item in parts(answer, "quotas")
        if (metric := text(item, "metric"))
    }


def _machine_type(zone: str, item: Mapping[str, Any]) -> MachineType:
    return MachineType(
        text(item, "name"),
        zone,
        whole(item, "guestCpus"),
        whole(item, "memoryMb") / _MIB_IN_GIB,
        {
            last(text(gpu, "guestAcceleratorType")): whole(gpu, "guestAcceleratorCount")
            for gpu in parts(item, "accelerators")
        },
    )


def _note(found: dict[str, dict[str, int]], zone: str, item: Mapping[str, Any]) -> None:
    if name := text(item, "name"):
        found.setdefault(zone, {})[name] = whole(item, "maximumCardsPerInstance")


def _group_path(google: Google, group: str) -> str:
    # Only the path is taken: the access token goes to no other host than Google's own.
    _, marker, rest = urlsplit(group).path.partition(f"/projects/{google.project}/")
    words = rest.split("/")
    if not marker or len(words) != 4 or words[0] not in ("zones", "regions") or not all(words):
        raise InvalidError(
            f"{harmless(group)} is no instance group of project {google.project}.",
            "See that the node pool is of this project.",
        )
    # A node pool names its groups as groups or as managers, which have the same names.
    place = f"{words[0]}/{_segment(words[1])}"
    return f"{_project(google)}/{place}/instanceGroupManagers/{_segment(words[3])}"


def _group_error(google: Google, group: str, item: Mapping[str, Any]) -> GroupError:
    error = part(item, "error")
    instance = last(text(part(item, "instanceActionDetails"), "instance"))
    asked = Asked(
        f"making instance {harmless(instance) or 'of ' + harmless(group)}",
        google.project,
        "compute.googleapis.com",
    )
    return GroupError(
        code=plain(text(error, "code")),
        message=plain(text(error, "message")),
        time=moment(item, "timestamp"),
        instance=instance,
        problem=of_failed(from_status(error), asked),
    )
