"""What of this program's stands in a project, found by its labels alone: no journal is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from core.gcp import artifacts, compute, gcloud, storage
from core.gcp.artifacts import Repository
from core.gcp.clusters import Clusters, Listed, left_out
from core.gcp.errors import GoogleError
from core.gcp.inventory import Disk, Instance, Resource
from core.gcp.specs import EXPIRES_LABEL, KEEP_LABEL, OWNER_LABEL, RUN_LABEL
from core.money.prices import shipped_table
from core.money.table import usd_per_hour
from core.targets.gke.creating import CLUSTER, POOL
from core.targets.gke.deployment import place_of
from core.targets.gke.image import BUCKET, REPOSITORY
from core.targets.gke.image_hands import is_ours
from core.targets.gke.leftovers import (
    CLUSTER_MARK,
    KINDS,
    LISTS,
    LOCATION_MARK,
    POOL_MARK,
    deletion,
)
from core.targets.gke.pricing import Prices, known_shape

if TYPE_CHECKING:
    from google.cloud import container_v1

    from core.gcp.connection import Google

Missed = Callable[[GoogleError], None]
_Answer = TypeVar("_Answer")
# Clocks differ, and who is about to end should be let.
GRACE = timedelta(minutes=5)
_REGIONS_AT_ONCE = 8
# Neither their vCPUs nor their GPUs are billed.
_STOPPED = ("TERMINATED", "SUSPENDED")


@dataclass(frozen=True, slots=True)
class Found:
    """Something that a run created and that can be removed by itself."""

    kind: str
    """``cluster``, ``node pool``, ``instance``, ``forwarding rule``, ``address``, ``disk``,
    ``repository``, ``bucket``."""
    name: str
    """Of a pool CLUSTER/POOL."""
    location: str
    """PROJECT/PLACE, as the journal has it."""
    run: str
    """Value of the run's label; empty for what all runs share."""
    owner: str
    expires: datetime | None
    """None: its label is missing or cannot be read."""
    is_kept: bool
    """Its run meant it to stay, until it expires."""
    usd_per_hour: float | None
    """With all that goes with it; None: not known."""
    delete_command: str

    def is_overdue(self, now: datetime) -> bool:
        """Return whether nobody needs it any more."""
        return self.expires is not None and self.expires + GRACE < now


async def survey(google: Google, missed: Missed | None = None) -> tuple[Found, ...]:
    """Return everything of any run in the project, in every location, in the order of removal.
    ``missed`` hears of each list that is not whole, and what the others show is returned; without
    it such a list is an error.

    Raises:
        UnavailableError: not everything could be asked.
        CredentialsError, GoogleError: see core.gcp.errors; with ``missed`` where no list at all
            could be had.
    """
    listed, resources = await _asked(google, missed)
    holders = _holders(google.project, listed.clusters)
    parts: dict[tuple[str, ...], list[Resource]] = {holder.key: [] for holder in holders}
    alone: list[Resource] = []
    machines = {(each.place, each.name) for each in resources if isinstance(each, Instance)}
    for each in resources:
        key = _holder_of(each, parts)
        if key is not None:
            parts[key].append(each)
        elif not (isinstance(each, Disk) and _attached(each, machines)):
            # A disk that is attached goes with its instance.
            alone.append(each)
    prices = Prices(shipped_table())
    found = [holder.found(prices, parts[holder.key]) for holder in holders]
    return (*found, *(_single(google.project, prices, each) for each in alone))


async def _asked(google: Google, missed: Missed | None) -> tuple[Listed, list[Resource]]:
    problems: list[GoogleError] = []

    async def tried(asking: Awaitable[_Answer]) -> _Answer | None:
        try:
            return await asking
        except GoogleError as problem:
            if missed is None:
                raise
            problems.append(problem)
            return None

    listed, by_kind = await asyncio.gather(
        tried(Clusters(google).listed({})),
        asyncio.gather(*(tried(of(google, {RUN_LABEL: None})) for of in LISTS.values())),
    )
    if len(problems) > len(by_kind):
        raise problems[0]
    found = {kind: each for kind, each in zip(LISTS, by_kind, strict=True) if each is not None}
    resources = [resource for each in found.values() for resource in each]
    if "instances" not in found:
        # A disk that is attached goes with its instance.
        resources = [each for each in resources if not (isinstance(each, Disk) and each.users)]
    # What may be a part of a cluster of which nothing is known is no thing of its own.
    if listed is None:
        listed = Listed((), ())
        resources = [each for each in resources if CLUSTER_MARK not in each.labels]
    elif listed.missing:
        problems.append(left_out(listed.missing, "clusters"))
        resources = [
            each for each in resources if each.labels.get(LOCATION_MARK) not in listed.missing
        ]
    for problem in problems:
        if missed is None:
            raise problem
        missed(problem)
    return listed, resources


async def repositories(google: Google) -> tuple[Found, ...]:
    """Return this program's repositories of images, of all regions. All runs share them, and they
    stay; what cannot be asked is left out.
    """
    try:
        zones = await compute.zones(google)
    except GoogleError:
        return ()
    several = asyncio.Semaphore(_REGIONS_AT_ONCE)

    async def of(region: str) -> tuple[Repository, ...]:
        async with several:
            try:
                return await artifacts.repositories(google, region)
            except GoogleError:
                return ()

    regions = sorted({zone.region for zone in zones if zone.region})
    listed = await asyncio.gather(*(of(region) for region in regions))
    return tuple(
        _repository(google.project, each)
        for every in listed
        for each in every
        if is_ours(each.labels)
    )


async def buckets(google: Google) -> tuple[Found, ...]:
    """Return the buckets that builds of this program's images made. All runs share them, and they
    stay; what cannot be asked is left out.
    """
    try:
        listed = await storage.buckets(google)
    except GoogleError:
        return ()
    found = []
    for each in listed:
        if is_ours(each.labels):
            place = place_of(google.project, each.location)
            command = gcloud.delete_bucket(google.project, each.name)
            found.append(_found(BUCKET, each.name, place, {}, None, command))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Holder:
    """A cluster, or a pool in another's cluster: what goes with it is no thing of its own."""

    kind: str
    name: str
    project: str
    location: str
    labels: Mapping[str, str]
    guests: tuple[Mapping[str, str], ...]
    """Labels of other runs' pools inside."""
    command: gcloud.Command

    @property
    def key(self) -> tuple[str, ...]:
        """Return location, cluster and, of a pool, its name."""
        return (self.location, *self.name.split("/"))

    def found(self, prices: Prices, parts: Sequence[Resource]) -> Found:
        costs = [_usd(prices, each) for each in parts]
        if self.kind == CLUSTER:
            fee = prices.cluster(self.location)
            costs.append(None if fee is None else usd_per_hour(fee))
        return _found(
            self.kind,
            self.name,
            place_of(self.project, self.location),
            self.labels,
            _sum(costs),
            self.command,
            # Nobody may take the ground from under another run that has a pool in here.
            at_least=max((at for guest in self.guests if (at := _expires(guest))), default=None),
        )


def _holders(project: str, clusters: Iterable[container_v1.Cluster]) -> list[_Holder]:
    """Pools first, as their clusters may be removed too."""
    pools: list[_Holder] = []
    ours: list[_Holder] = []
    for cluster in clusters:
        run = cluster.resource_labels.get(RUN_LABEL, "")
        where = (project, cluster.location)
        guests = []
        for pool in cluster.node_pools:
            labels = pool.config.resource_labels
            if labels.get(RUN_LABEL, run) == run:
                continue
            guests.append(dict(labels))
            command = gcloud.delete_pool(*where, cluster.name, pool.name)
            name = f"{cluster.name}/{pool.name}"
            pools.append(_Holder(POOL, name, *where, dict(labels), (), command))
        if run:
            command = gcloud.delete_cluster(*where, cluster.name)
            labels = dict(cluster.resource_labels)
            ours.append(_Holder(CLUSTER, cluster.name, *where, labels, tuple(guests), command))
    return [*pools, *ours]


def _holder_of(
    resource: Resource, holders: Mapping[tuple[str, ...], object]
) -> tuple[str, ...] | None:
    labels = resource.labels
    cluster = (labels.get(LOCATION_MARK, ""), labels.get(CLUSTER_MARK, ""))
    pool = (*cluster, labels.get(POOL_MARK, ""))
    return next((key for key in (pool, cluster) if key in holders), None)


def _attached(disk: Disk, machines: set[tuple[str, str]]) -> bool:
    return any((disk.place, user) in machines for user in disk.users)


def _single(project: str, prices: Prices, resource: Resource) -> Found:
    return _found(
        KINDS[resource.kind],
        resource.name,
        place_of(project, resource.place),
        resource.labels,
        _usd(prices, resource),
        deletion(project, resource),
    )


def _found(
    kind: str,
    name: str,
    location: str,
    labels: Mapping[str, str],
    usd: float | None,
    command: gcloud.Command,
    at_least: datetime | None = None,
) -> Found:
    expires = _expires(labels)
    if expires is not None and at_least is not None:
        expires = max(expires, at_least)
    return Found(
        kind=kind,
        name=name,
        location=location,
        run=labels.get(RUN_LABEL, ""),
        owner=labels.get(OWNER_LABEL, ""),
        expires=expires,
        is_kept=labels.get(KEEP_LABEL) == "yes",
        usd_per_hour=usd,
        delete_command=gcloud.shown(command),
    )


def _repository(project: str, repository: Repository) -> Found:
    command = gcloud.delete_repository(project, repository.region, repository.name)
    place = place_of(project, repository.region)
    return _found(REPOSITORY, repository.name, place, {}, None, command)


def _expires(labels: Mapping[str, str]) -> datetime | None:
    text = labels.get(EXPIRES_LABEL, "")
    try:
        return datetime.fromtimestamp(int(text), UTC) if text.isascii() else None
    except (ValueError, OverflowError, OSError):
        return None


def _usd(prices: Prices, resource: Resource) -> float | None:
    match resource:
        case Instance(status=status) if status in _STOPPED:
            return 0.0
        case Instance():
            machine, zone = resource.machine, resource.zone
            shape = known_shape(machine)
            items = prices.node(machine, shape, resource.gpu, resource.gpus, resource.spot, zone)
        case Disk():
            items = prices.disk(resource.type, resource.gb, resource.place)
        case _:
            # Load balancers and addresses are billed by use too.
            return None
    return None if items is None else usd_per_hour(items)


def _sum(costs: Sequence[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
