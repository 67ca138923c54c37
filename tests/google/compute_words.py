"""Compute Engine's things as its REST API writes them."""

from __future__ import annotations

from tests.google.capacity import MACHINES, Capacity, fixed_gpus
from tests.google.clock import rfc3339
from tests.google.machines import Address, Disk, Group, Instance, number_of
from tests.google.prices import region_of
from tests.google.rest import Json

_BASE = "https://www.googleapis.com/compute/v1/projects"


def instance_json(instance: Instance, project: str) -> Json:
    shape = instance.shape
    zone = f"{_BASE}/{project}/zones/{instance.zone}"
    told: Json = {
        "kind": "compute#instance",
        "id": number_of(instance.name),
        "name": instance.name,
        "zone": zone,
        "machineType": f"{zone}/machineTypes/{shape.machine}",
        "status": instance.status,
        "creationTimestamp": rfc3339(instance.created),
        "selfLink": f"{zone}/instances/{instance.name}",
        "labels": dict(shape.labels),
        "scheduling": {
            "preemptible": shape.spot,
            "provisioningModel": "SPOT" if shape.spot else "STANDARD",
        },
        "disks": [{"source": f"{zone}/disks/{instance.disk.name}", "boot": True}],
    }
    if shape.gpu:
        told["guestAccelerators"] = [
            {
                "acceleratorType": f"{zone}/acceleratorTypes/{shape.gpu}",
                "acceleratorCount": shape.gpus,
            }
        ]
    return told


def disk_json(disk: Disk, project: str) -> Json:
    zone = f"{_BASE}/{project}/zones/{disk.zone}"
    told: Json = {
        "kind": "compute#disk",
        "id": number_of(disk.name),
        "name": disk.name,
        "zone": zone,
        "type": f"{zone}/diskTypes/{disk.kind}",
        "sizeGb": str(disk.gb),
        "description": disk.description,
        "status": "READY",
        "creationTimestamp": rfc3339(disk.created),
        "selfLink": f"{zone}/disks/{disk.name}",
        "labels": dict(disk.labels),
    }
    if disk.user:
        told["users"] = [f"{zone}/instances/{disk.user}"]
    return told


def address_json(address: Address, project: str, what: str) -> Json:
    region = f"{_BASE}/{project}/regions/{address.region}"
    told: Json = {
        "kind": "compute#forwardingRule" if what == "forwardingRules" else "compute#address",
        "id": number_of(address.name),
        "name": address.name,
        "region": region,
        "description": address.description,
        "creationTimestamp": rfc3339(address.created),
        "selfLink": f"{region}/{what}/{address.name}",
        "labels": dict(address.labels),
    }
    if what == "forwardingRules":
        return {**told, "IPAddress": address.ip, "loadBalancingScheme": "EXTERNAL"}
    return {**told, "address": address.ip, "status": "RESERVED", "addressType": "EXTERNAL"}


def accelerator_json(gpu: str, zone: str, project: str) -> Json:
    where = f"{_BASE}/{project}/zones/{zone}"
    return {
        "kind": "compute#acceleratorType",
        "name": gpu,
        "description": gpu.replace("-", " ").title(),
        "zone": where,
        "selfLink": f"{where}/acceleratorTypes/{gpu}",
        "maximumCardsPerInstance": 8,
    }


def machine_json(machine: str, zone: str, project: str) -> Json:
    vcpus, memory_gb = MACHINES[machine]
    gpu, gpus = fixed_gpus(machine)
    told: Json = {
        "kind": "compute#machineType",
        "name": machine,
        "guestCpus": vcpus,
        "memoryMb": int(memory_gb * 1024),
        "zone": zone,
        "selfLink": f"{_BASE}/{project}/zones/{zone}/machineTypes/{machine}",
        "isSharedCpu": False,
        "maximumPersistentDisks": 128,
    }
    if gpu:
        told["accelerators"] = [{"guestAcceleratorType": gpu, "guestAcceleratorCount": gpus}]
    return told


def region_json(region: str, capacity: Capacity, project: str) -> Json:
    base = f"{_BASE}/{project}"
    return {
        "kind": "compute#region",
        "name": region,
        "status": "UP",
        "selfLink": f"{base}/regions/{region}",
        "zones": [f"{base}/zones/{zone}" for zone in capacity.zones if region_of(zone) == region],
        "quotas": [
            {"metric": metric, "limit": limit, "usage": usage}
            for metric, limit, usage in capacity.metrics(region)
        ],
    }


def zone_json(zone: str, project: str) -> Json:
    base = f"{_BASE}/{project}"
    return {
        "kind": "compute#zone",
        "name": zone,
        "status": "UP",
        "region": f"{base}/regions/{region_of(zone)}",
        "selfLink": f"{base}/zones/{zone}",
    }


def group_json(group: Group, project: str) -> Json:
    zone = f"{_BASE}/{project}/zones/{group.zone}"
    running = sum(each.status == "RUNNING" for each in group.instances)
    return {
        "kind": "compute#instanceGroupManager",
        "name": group.name,
        "zone": zone,
        "selfLink": f"{zone}/instanceGroupManagers/{group.name}",
        "instanceGroup": f"{zone}/instanceGroups/{group.name}",
        "targetSize": group.target,
        "currentActions": {
            "none": running,
            "creating": max(group.target - running, 0),
            "deleting": 0,
        },
        "status": {"isStable": running == group.target},
    }
