"""Compute Engine's things: instances, disks, instance groups, forwarding rules, addresses."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.google.capacity import MACHINES, Capacity, Shortage, fixed_gpus
from tests.google.clock import Durations, GoogleClock
from tests.google.ledger import Billed, Ledger
from tests.google.prices import (
    ADDRESS_USD_PER_HOUR,
    FORWARDING_RULE_USD_PER_HOUR,
    disk_usd_per_hour,
    machine_usd_per_hour,
)


def number_of(name: str) -> str:
    """The id that Google gives beside a name."""
    return str(10**18 + zlib.crc32(name.encode()))


@dataclass
class Disk:
    name: str
    zone: str
    kind: str
    gb: int
    labels: Mapping[str, str]
    created: float
    billed: Billed
    user: str = ""
    """Instance that has it attached."""
    description: str = ""


@dataclass
class Address:
    """An external address, or a forwarding rule in front of one."""

    name: str
    region: str
    labels: Mapping[str, str]
    created: float
    billed: Billed
    ip: str
    description: str = ""


@dataclass(frozen=True)
class NodeShape:
    """What a pool's nodes are made of."""

    machine: str
    gpu: str
    gpus: int
    spot: bool
    disk_kind: str
    disk_gb: int
    labels: Mapping[str, str]
    longest_s: float = 0.0
    """Google ends each instance after so long; 0: never."""

    @property
    def vcpus(self) -> int:
        return MACHINES[self.machine][0]

    @property
    def memory_gb(self) -> float:
        return MACHINES[self.machine][1]


@dataclass
class Instance:
    name: str
    zone: str
    shape: NodeShape
    created: float
    billed: Billed
    disk: Disk
    group: Group
    status: str = "PROVISIONING"


@dataclass
class GroupError:
    code: str
    message: str
    time: float
    instance: str


@dataclass
class Group:
    """A managed instance group: the nodes of a pool in one zone."""

    name: str
    zone: str
    shape: NodeShape
    booted: Callable[[Instance], None]
    lost: Callable[[Instance], None]
    target: int = 0
    instances: list[Instance] = field(default_factory=list)
    errors: list[GroupError] = field(default_factory=list)
    shortage: Shortage | None = None
    """What it lacks now; shown to others only through ``errors`` and conditions."""
    alive: bool = True


class Fleet:
    """All of a project."""

    def __init__(
        self, clock: GoogleClock, durations: Durations, capacity: Capacity, ledger: Ledger
    ) -> None:
        self._clock = clock
        self._durations = durations
        self._capacity = capacity
        self._ledger = ledger
        self.instances: dict[str, Instance] = {}
        self.disks: dict[str, Disk] = {}
        self.groups: dict[tuple[str, str], Group] = {}
        self.forwarding_rules: dict[str, Address] = {}
        self.addresses: dict[str, Address] = {}
        self.preempted: list[tuple[float, str, str]] = []
        """When, which instance, in which zone."""

    def add_group(
        self,
        prefix: str,
        zone: str,
        shape: NodeShape,
        booted: Callable[[Instance], None],
        lost: Callable[[Instance], None],
    ) -> Group:
        name = f"{prefix[:50]}-{secrets.token_hex(4)}-grp"
        group = Group(name, zone, shape, booted, lost)
        self.groups[zone, name] = group
        return group

    def resize(self, group: Group, target: int) -> None:
        """Have so many instances: those that are missing are asked for at once and again and
        again, those too many go at once."""
        group.target = target
        while len(group.instances) > target:
            self.remove(group.instances[-1])
        group.shortage = None
        if len(group.instances) < target:
            self._fill(group)

    def close(self, group: Group) -> None:
        """Remove a group and its instances."""
        group.alive = False
        for instance in list(group.instances):
            self.remove(instance)
        self.groups.pop((group.zone, group.name), None)

    def remove(self, instance: Instance) -> None:
        if self.instances.pop(instance.name, None) is None:
            return
        instance.status = "TERMINATED"
        instance.group.instances.remove(instance)
        self._ledger.closed(instance.billed)
        shape = instance.shape
        self._capacity.give_back(instance.zone, shape.vcpus, shape.gpu, shape.gpus, shape.spot)
        self.delete_disk(instance.disk.name)
        instance.group.lost(instance)

    def preempt(self, name: str) -> None:
        """Take a spot instance away; its group asks for another."""
        instance = self.instances[name]
        self.preempted.append((self._clock.now(), name, instance.zone))
        instance.status = "STOPPING"

        def gone() -> None:
            group = instance.group
            self.remove(instance)
            if group.alive:
                self._fill(group)

        self._clock.later(self._durations.preemption_notice, gone)

    def add_disk(
        self,
        name: str,
        zone: str,
        kind: str,
        gb: int,
        labels: Mapping[str, str],
        user: str = "",
        *,
        description: str = "",
    ) -> Disk:
        usd = disk_usd_per_hour(kind, gb, zone)
        billed = self._ledger.opened("disk", name, zone, usd, labels=labels, detail=f"{kind} {gb}")
        now = self._clock.now()
        disk = Disk(name, zone, kind, gb, dict(labels), now, billed, user, description)
        self.disks[name] = disk
        return disk

    def delete_disk(self, name: str) -> None:
        disk = self.disks.pop(name, None)
        if disk is not None:
            self._ledger.closed(disk.billed)

    def add_load_balancer(
        self, name: str, region: str, labels: Mapping[str, str], description: str = ""
    ) -> None:
        """What a Service of type LoadBalancer makes."""
        ip = f"34.{secrets.randbelow(250)}.{secrets.randbelow(250)}.{secrets.randbelow(250)}"
        usd = FORWARDING_RULE_USD_PER_HOUR
        billed = self._ledger.opened("forwarding rule", name, region, usd, labels=labels)
        self.forwarding_rules[name] = Address(
            name, region, dict(labels), self._clock.now(), billed, ip, description
        )

    def add_address(self, name: str, region: str, labels: Mapping[str, str]) -> None:
        """A reserved address."""
        billed = self._ledger.opened("address", name, region, ADDRESS_USD_PER_HOUR, labels=labels)
        ip = f"35.{secrets.randbelow(250)}.{secrets.randbelow(250)}.{secrets.randbelow(250)}"
        self.addresses[name] = Address(name, region, dict(labels), self._clock.now(), billed, ip)

    def delete_forwarding_rule(self, name: str) -> None:
        rule = self.forwarding_rules.pop(name, None)
        if rule is not None:
            self._ledger.closed(rule.billed)

    def delete_address(self, name: str) -> None:
        address = self.addresses.pop(name, None)
        if address is not None:
            self._ledger.closed(address.billed)

    def _fill(self, group: Group) -> None:
        shape = group.shape
        group.shortage = None
        while group.alive and len(group.instances) < group.target:
            shortage = self._capacity.take(
                group.zone, shape.vcpus, shape.gpu, shape.gpus, shape.spot
            )
            if shortage is not None:
                group.shortage = shortage
                self._clock.later(self._durations.stockout_shown, lambda: self._again(group))
                return
            self._insert(group)

    def _again(self, group: Group) -> None:
        """Tell of the failure, as late as Google does, and try anew."""
        shortage = group.shortage
        if not group.alive or shortage is None or len(group.instances) >= group.target:
            return
        instance = f"{group.name.removesuffix('-grp')}-{secrets.token_hex(2)}"
        group.errors.append(
            GroupError(shortage.code, shortage.message, self._clock.now(), instance)
        )
        self._fill(group)

    def _insert(self, group: Group) -> None:
        shape, zone = group.shape, group.zone
        name = f"{group.name.removesuffix('-grp')}-{secrets.token_hex(2)}"
        vcpus, gb = shape.vcpus, shape.memory_gb
        usd = machine_usd_per_hour(
            shape.machine, vcpus, gb, shape.gpu, shape.gpus, shape.spot, zone
        )
        billed = self._ledger.opened(
            *("instance", name, zone, usd),
            labels=shape.labels,
            gpus=shape.gpus if shape.gpu else 0,
            minimum_s=60.0,
            detail=f"{shape.machine} {shape.gpus}x{shape.gpu}" if shape.gpu else shape.machine,
        )
        disk = self.add_disk(name, zone, shape.disk_kind, shape.disk_gb, shape.labels, name)
        instance = Instance(name, zone, shape, self._clock.now(), billed, disk, group)
        group.instances.append(instance)
        self.instances[name] = instance

        def booted() -> None:
            if self.instances.get(name) is instance:
                instance.status = "RUNNING"
                group.booted(instance)

        self._clock.later(self._durations.node_boot, booted)
        if shape.longest_s:
            self._clock.later(shape.longest_s, lambda: self._overdue(instance))

    def _overdue(self, instance: Instance) -> None:
        if self.instances.get(instance.name) is instance:
            group = instance.group
            self.remove(instance)
            if group.alive:
                self._fill(group)


def gpus_of(machine: str, gpu: str, gpus: int) -> tuple[str, int]:
    """What a node of such a machine has in the end."""
    fixed = fixed_gpus(machine)
    return fixed if fixed[0] else (gpu, gpus if gpu else 0)
