"""What Google says is billed just now: the run's instances, disks and clusters, by its label."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core.gcp.answers import moment
from core.gcp.clusters import Clusters
from core.gcp.inventory import Disk, Instance, disks, instances
from core.gcp.specs import RUN_LABEL
from core.money.meter import MACHINE_MINIMUM_S
from core.money.table import PriceItem
from core.run.cost_events import BilledItem, BillingStarted
from core.targets.gke.creating import CLUSTER, POOL
from core.targets.gke.deployment import GkeDeployment
from core.targets.gke.leftovers import CLUSTER_MARK, POOL_MARK
from core.targets.gke.pricing import PriceBook
from core.text import harmless

NODE = "node"
DISK = "disk"
KINDS = (NODE, DISK, CLUSTER)
"""What is billed; each is asked for by itself."""
# Neither vCPUs nor GPUs of these are billed; their disks are listed by themselves.
_STOPPED = frozenset({"TERMINATED", "SUSPENDED"})
_STEADY = frozenset({"RUNNING", "PROVISIONING"})
_LEAVING = frozenset({"STOPPING", "ERROR"})


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something that is billed."""

    name: str
    since: datetime | None
    """By the provider's word; None: it does not say."""
    parent: str
    """``kind name`` of the resource with which it goes."""
    what: Instance | Disk | str
    """A cluster's location."""


@dataclass(frozen=True, slots=True)
class Look:
    """One kind of thing, as it was at one moment."""

    kind: str
    time: datetime
    there: tuple[Sighting, ...]
    stopped: tuple[tuple[str, datetime], ...] = ()
    """Names of what is there and not billed, and since when."""
    changing: bool = False
    """Something is being removed or made smaller."""
    leaving: bool = False
    """The cluster is on its way out."""


async def look(deployment: GkeDeployment, kind: str) -> Look:
    """Ask Google for the run's things of a kind.

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    if kind == CLUSTER:
        return await _clusters(deployment)
    having = {RUN_LABEL: deployment.labels()[RUN_LABEL]}
    google = deployment.google()
    if kind == DISK:
        found = await disks(google, having)
        there = tuple(_sighting(deployment, each) for each in found)
        return Look(kind, deployment.clock(), there)
    nodes = await instances(google, having)
    return Look(
        kind,
        deployment.clock(),
        tuple(_sighting(deployment, each) for each in nodes if each.status not in _STOPPED),
        tuple(
            (harmless(each.name), each.stopped)
            for each in nodes
            if each.status in _STOPPED and each.stopped is not None
        ),
        changing=any(each.status == "STOPPING" for each in nodes),
    )


async def looks(deployment: GkeDeployment) -> list[Look | BaseException]:
    """Ask for every kind at once; what could not be asked stands as its error."""
    return await asyncio.gather(*(look(deployment, kind) for kind in KINDS), return_exceptions=True)


async def billing_of(
    book: PriceBook, kind: str, sighting: Sighting, since: datetime
) -> BillingStarted:
    """Return what a thing costs; no items where no price is known."""
    items = await _items(book, sighting) or ()
    return BillingStarted(
        kind=kind,
        name=sighting.name,
        usd_per_hour=sum(item.usd_per_hour for item in items),
        items=tuple(
            BilledItem(what=item.what, usd_per_hour=item.usd_per_hour, source=harmless(item.source))
            for item in items
        ),
        since=since,
        parent=sighting.parent,
        # What goes on after a gap in Google's list has had its minimum.
        minimum_s=round(MACHINE_MINIMUM_S) if kind == NODE and since == sighting.since else 0,
    )


def is_gpu(record: BillingStarted) -> bool:
    """Return whether a thing goes with a pool of GPU nodes."""
    return record.parent.startswith(f"{POOL} ")


async def _clusters(deployment: GkeDeployment) -> Look:
    having = {RUN_LABEL: deployment.labels()[RUN_LABEL]}
    found = await Clusters(deployment.google()).find(having)
    states = [cluster.status.name for cluster in found]
    pools = [pool.status.name for cluster in found for pool in cluster.node_pools]
    there = tuple(
        Sighting(
            harmless(cluster.name),
            moment({"created": cluster.create_time}, "created"),
            f"{CLUSTER} {harmless(cluster.name)}",
            harmless(cluster.location),
        )
        for cluster in found
    )
    return Look(
        CLUSTER,
        deployment.clock(),
        there,
        changing=any(state not in _STEADY for state in (*states, *pools)),
        leaving=any(state in _LEAVING for state in states),
    )


async def _items(book: PriceBook, sighting: Sighting) -> Sequence[PriceItem] | None:
    prices, what = await book.prices(), sighting.what
    if isinstance(what, str):
        return prices.cluster(what)
    if isinstance(what, Disk):
        return prices.disk(what.type, what.gb, what.zone)
    shape = await book.shape(what.machine, what.zone)
    return prices.node(what.machine, shape, what.gpu, what.gpus, what.spot, what.zone)


def _sighting(deployment: GkeDeployment, thing: Instance | Disk) -> Sighting:
    cluster = harmless(thing.labels.get(CLUSTER_MARK, ""))
    pool = harmless(thing.labels.get(POOL_MARK, ""))
    parent = f"{CLUSTER} {cluster}" if cluster else ""
    if cluster and pool and pool != deployment.cluster_spec().pool.name:
        parent = f"{POOL} {cluster}/{pool}"
    return Sighting(harmless(thing.name), thing.created, parent, thing)
