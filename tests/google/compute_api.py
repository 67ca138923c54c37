"""Compute Engine v1, as far as somebody needs it who looks after GKE's nodes."""

from __future__ import annotations

from collections.abc import Callable

from tests.google.capacity import MACHINES, Capacity
from tests.google.clock import Durations, GoogleClock, rfc3339
from tests.google.compute_operations import ComputeOperations
from tests.google.compute_words import (
    accelerator_json,
    address_json,
    disk_json,
    group_json,
    instance_json,
    machine_json,
    region_json,
    zone_json,
)
from tests.google.faults import Gate
from tests.google.filters import fits
from tests.google.machines import Fleet, Group
from tests.google.refusals import Refusal
from tests.google.rest import Asked, Json, Route, paged

_P = "/compute/v1/projects/{project}"


class ComputeApi:
    """The methods."""

    page_size = 500

    def __init__(
        self,
        project: str,
        clock: GoogleClock,
        durations: Durations,
        capacity: Capacity,
        fleet: Fleet,
        gate: Gate,
    ) -> None:
        self._project = project
        self._capacity = capacity
        self._fleet = fleet
        self._operations = ComputeOperations(project, clock, durations, gate)

    def routes(self) -> list[Route]:
        zone, region = f"{_P}/zones/{{zone}}", f"{_P}/regions/{{region}}"
        listed = [
            Route("GET", f"{base}/{what}", f"compute.{what}.list", self._lister(what))
            for base, whats in (
                (zone, ("instances", "disks", "acceleratorTypes", "machineTypes")),
                (region, ("forwardingRules", "addresses")),
            )
            for what in whats
        ]
        aggregated = [
            Route(
                *("GET", f"{_P}/aggregated/{what}", f"compute.{what}.aggregatedList"),
                self._aggregator(what),
            )
            for what in (
                *("instances", "disks", "acceleratorTypes", "machineTypes"),
                *("forwardingRules", "addresses"),
            )
        ]
        return [
            *listed,
            *aggregated,
            Route("GET", _P, "compute.projects.get", self._get_project),
            Route("GET", f"{_P}/regions", "compute.regions.list", self._regions),
            Route("GET", region, "compute.regions.get", self._region),
            Route("GET", f"{_P}/zones", "compute.zones.list", self._zones),
            Route("GET", zone, "compute.zones.get", self._zone),
            Route(
                "GET", f"{zone}/machineTypes/{{name}}", "compute.machineTypes.get", self._machine
            ),
            Route("GET", f"{zone}/instances/{{name}}", "compute.instances.get", self._instance),
            Route("DELETE", f"{zone}/instances/{{name}}", "compute.instances.delete", self._delete),
            Route("GET", f"{zone}/disks/{{name}}", "compute.disks.get", self._disk),
            Route("DELETE", f"{zone}/disks/{{name}}", "compute.disks.delete", self._delete_disk),
            Route(
                *("DELETE", f"{region}/forwardingRules/{{name}}"),
                *("compute.forwardingRules.delete", self._delete_rule),
            ),
            Route(
                *("DELETE", f"{region}/addresses/{{name}}"),
                *("compute.addresses.delete", self._delete_address),
            ),
            *self._group_routes(zone),
            Route("GET", f"{zone}/operations", "compute.zoneOperations.list", self._preemptions),
            *self._operations.routes(zone, region),
        ]

    def _group_routes(self, zone: str) -> list[Route]:
        group = f"{zone}/instanceGroupManagers/{{name}}"
        api = "compute.instanceGroupManagers"
        errors, instances = f"{group}/listErrors", f"{group}/listManagedInstances"
        return [
            Route("GET", group, f"{api}.get", self._group),
            Route("GET", errors, f"{api}.listErrors", self._group_errors),
            Route("POST", instances, f"{api}.listManagedInstances", self._group_instances),
        ]

    def _items(self, what: str) -> list[tuple[str, Json]]:
        """Everything of a kind: its scope (``zones/…``) and how it is told."""
        fleet, project = self._fleet, self._project
        if what == "instances":
            return [
                (f"zones/{each.zone}", instance_json(each, project))
                for each in fleet.instances.values()
            ]
        if what == "disks":
            return [
                (f"zones/{each.zone}", disk_json(each, project)) for each in fleet.disks.values()
            ]
        if what == "acceleratorTypes":
            return [
                (f"zones/{zone}", accelerator_json(gpu, zone, project))
                for zone in self._capacity.zones
                for gpu in self._capacity.offered[zone]
            ]
        if what == "machineTypes":
            return [
                (f"zones/{zone}", machine_json(machine, zone, project))
                for zone in self._capacity.zones
                for machine in MACHINES
                if self._capacity.offers(zone, machine, "")
            ]
        kept = fleet.forwarding_rules if what == "forwardingRules" else fleet.addresses
        return [
            (f"regions/{each.region}", address_json(each, project, what)) for each in kept.values()
        ]

    def _lister(self, what: str) -> Callable[[Asked], Json]:
        def act(asked: Asked) -> Json:
            self._known(asked)
            parts = asked.path
            scope = f"zones/{parts['zone']}" if "zone" in parts else f"regions/{parts['region']}"
            found = [
                item
                for where, item in self._items(what)
                if where == scope and fits(item, asked.query.get("filter", ""))
            ]
            page, more = paged(found, asked.query, self.page_size)
            return {"kind": f"compute#{what}List", **({"items": page} if page else {}), **more}

        return act

    def _aggregator(self, what: str) -> Callable[[Asked], Json]:
        def act(asked: Asked) -> Json:
            self._known(asked)
            found = [
                (where, item)
                for where, item in self._items(what)
                if fits(item, asked.query.get("filter", ""))
            ]
            page, more = paged(found, asked.query, self.page_size)
            scopes = [f"zones/{zone}" for zone in self._capacity.zones]
            if what in ("forwardingRules", "addresses"):
                scopes = [f"regions/{region}" for region in self._capacity.regions]
            items: dict[str, Json] = {}
            for where in scopes:
                here = [item for scope, item in page if scope == where]
                text = f"There are no results for scope '{where}' on this page."
                warning = {"code": "NO_RESULTS_ON_PAGE", "message": text}
                items[where] = {what: here} if here else {"warning": warning}
            return {"kind": f"compute#{what}AggregatedList", "items": items, **more}

        return act

    def _get_project(self, asked: Asked) -> Json:
        self._known(asked)
        return {
            "kind": "compute#project",
            "name": self._project,
            "quotas": [
                {"metric": metric, "limit": limit, "usage": float(self._used(metric))}
                for metric, limit in sorted(self._capacity.global_quotas.items())
            ],
            "defaultServiceAccount": "123456789012-compute@developer.gserviceaccount.com",
        }

    def _used(self, metric: str) -> int:
        return self._capacity.gpus_in_use() if metric == "GPUS_ALL_REGIONS" else 0

    def _regions(self, asked: Asked) -> Json:
        self._known(asked)
        found = [
            region_json(region, self._capacity, self._project) for region in self._capacity.regions
        ]
        page, more = paged(found, asked.query, self.page_size)
        return {"kind": "compute#regionList", "items": page, **more}

    def _region(self, asked: Asked) -> Json:
        self._known(asked)
        return region_json(asked.path["region"], self._capacity, self._project)

    def _zones(self, asked: Asked) -> Json:
        self._known(asked)
        found = [zone_json(zone, self._project) for zone in self._capacity.zones]
        kept = [item for item in found if fits(item, asked.query.get("filter", ""))]
        page, more = paged(kept, asked.query, self.page_size)
        return {"kind": "compute#zoneList", "items": page, **more}

    def _zone(self, asked: Asked) -> Json:
        self._known(asked)
        return zone_json(asked.path["zone"], self._project)

    def _machine(self, asked: Asked) -> Json:
        self._known(asked)
        zone, name = asked.path["zone"], asked.path["name"]
        if name not in MACHINES or not self._capacity.offers(zone, name, ""):
            raise self._missing(f"zones/{zone}/machineTypes/{name}")
        return machine_json(name, zone, self._project)

    def _instance(self, asked: Asked) -> Json:
        self._known(asked)
        found = self._fleet.instances.get(asked.path["name"])
        if found is None or found.zone != asked.path["zone"]:
            raise self._missing(f"zones/{asked.path['zone']}/instances/{asked.path['name']}")
        return instance_json(found, self._project)

    def _disk(self, asked: Asked) -> Json:
        self._known(asked)
        found = self._fleet.disks.get(asked.path["name"])
        if found is None or found.zone != asked.path["zone"]:
            raise self._missing(f"zones/{asked.path['zone']}/disks/{asked.path['name']}")
        return disk_json(found, self._project)

    def _delete(self, asked: Asked) -> Json:
        self._instance(asked)
        instance = self._fleet.instances[asked.path["name"]]
        return self._operations.begin(asked, "instances", lambda: self._fleet.remove(instance))

    def _delete_disk(self, asked: Asked) -> Json:
        self._disk(asked)
        name = asked.path["name"]
        disk = self._fleet.disks[name]
        if disk.user:
            where = f"projects/{self._project}/zones/{disk.zone}"
            raise Refusal(
                "FAILED_PRECONDITION",
                f"The disk resource '{where}/disks/{name}' is already being used by "
                f"'{where}/instances/{disk.user}'",
            )
        return self._operations.begin(asked, "disks", lambda: self._fleet.delete_disk(name))

    def _delete_rule(self, asked: Asked) -> Json:
        return self._delete_regional(asked, "forwardingRules")

    def _delete_address(self, asked: Asked) -> Json:
        return self._delete_regional(asked, "addresses")

    def _delete_regional(self, asked: Asked, what: str) -> Json:
        self._known(asked)
        name, region = asked.path["name"], asked.path["region"]
        fleet = self._fleet
        rules = what == "forwardingRules"
        kept = fleet.forwarding_rules if rules else fleet.addresses
        if name not in kept or kept[name].region != region:
            raise self._missing(f"regions/{region}/{what}/{name}")
        delete = fleet.delete_forwarding_rule if rules else fleet.delete_address
        return self._operations.begin(asked, what, lambda: delete(name))

    def _group(self, asked: Asked) -> Json:
        return group_json(self._found_group(asked), self._project)

    def _group_errors(self, asked: Asked) -> Json:
        group = self._found_group(asked)
        found = [
            {
                "error": {
                    "code": each.code,
                    "message": each.message.replace("PROJECT", self._project),
                },
                "timestamp": rfc3339(each.time),
                "instanceActionDetails": {
                    "action": "CREATING",
                    "instance": f"https://www.googleapis.com/compute/v1/projects/{self._project}"
                    f"/zones/{group.zone}/instances/{each.instance}",
                },
            }
            for each in reversed(group.errors)
        ]
        page, more = paged(found, asked.query, self.page_size)
        return {**({"items": page} if page else {}), **more}

    def _group_instances(self, asked: Asked) -> Json:
        group = self._found_group(asked)
        return {
            "managedInstances": [
                {
                    "instance": instance_json(each, self._project)["selfLink"],
                    "instanceStatus": each.status,
                    "currentAction": "NONE" if each.status == "RUNNING" else "CREATING",
                }
                for each in group.instances
            ]
        }

    def _preemptions(self, asked: Asked) -> Json:
        self._known(asked)
        found = [
            {
                "operationType": "compute.instances.preempted",
                "targetLink": f"projects/{self._project}/zones/{zone}/instances/{name}",
                "insertTime": rfc3339(moment),
                "status": "DONE",
            }
            for moment, name, zone in self._fleet.preempted
            if zone == asked.path["zone"]
        ]
        return {"items": [item for item in found if fits(item, asked.query.get("filter", ""))]}

    def _found_group(self, asked: Asked) -> Group:
        self._known(asked)
        where = (asked.path["zone"], asked.path["name"])
        if where not in self._fleet.groups:
            raise self._missing(f"zones/{where[0]}/instanceGroupManagers/{where[1]}")
        return self._fleet.groups[where]

    def _known(self, asked: Asked) -> None:
        """Raises: Refusal where project, zone or region is not there."""
        if asked.path["project"] != self._project:
            raise self._missing("", asked.path["project"])
        zone, region = asked.path.get("zone"), asked.path.get("region")
        if zone is not None and zone not in self._capacity.offered:
            raise self._missing(f"zones/{zone}")
        if region is not None and region not in self._capacity.regions:
            raise self._missing(f"regions/{region}")

    def _missing(self, what: str, project: str = "") -> Refusal:
        path = f"projects/{project or self._project}" + (f"/{what}" if what else "")
        return Refusal("NOT_FOUND", f"The resource '{path}' was not found")
