"""A project of Google's with a run's things in it, on a loop whose time flies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from google.cloud.container_v1 import types

from core.gcp.access import GoogleAccess, endpoints_of
from core.gcp.cluster_request import cluster_request, pool_message
from core.gcp.specs import EXPIRES_LABEL, OWNER_LABEL, RUN_LABEL, ClusterSpec, PoolSpec
from core.run.events import ResourceIntended
from core.run.teardown import Hand
from core.run.view import ResourceView
from tests.google.clock import Durations
from tests.google.clusters import GkeCluster
from tests.google.doings import Doings
from tests.google.world import PROJECT, GoogleWorld

SPEED = 40.0
RUN = "20261123-060000-gke-baseline-ab12"
OTHER = "20261123-070000-gke-xen-cd34"
ZONE = "us-central1-a"
CLUSTER = "gpu-benchmark-cluster"
POOL = "gpu-ab12-a"
HOUR = 3600.0


def quick_world() -> GoogleWorld:
    """Google, thirty times as fast as it is beside the loop's own speed."""
    usual = Durations()
    quick = {
        each.name: getattr(usual, each.name) / 30
        for each in fields(usual)
        # A share, no time.
        if each.name != "instances_gone"
    }
    return GoogleWorld(speed=SPEED, durations=Durations(**quick))


def access_to(world: GoogleWorld) -> GoogleAccess:
    return GoogleAccess(
        PROJECT, str(world.credentials_file), endpoints=endpoints_of(world.environment())
    )


def labels_of(run: str, expires_in_s: float = HOUR, owner: str = "ann-laptop") -> dict[str, str]:
    return {
        RUN_LABEL: run,
        EXPIRES_LABEL: str(int(time.time() + expires_in_s)),
        OWNER_LABEL: owner,
    }


def pool_spec(name: str, labels: Mapping[str, str], *, gpus: int = 0, nodes: int = 1) -> PoolSpec:
    return PoolSpec(
        name=name,
        machine="n1-standard-4" if gpus else "e2-standard-2",
        nodes=nodes,
        zones=(ZONE,),
        gpu="nvidia-tesla-t4" if gpus else "",
        gpus=gpus,
        labels=dict(labels),
    )


async def stand_up(
    world: GoogleWorld, labels: Mapping[str, str], name: str = CLUSTER, location: str = ZONE
) -> GkeCluster:
    """Have a cluster that runs, with its system node."""
    begin(world, labels, name, location)
    return await settled(world, name, location)


def begin(
    world: GoogleWorld, labels: Mapping[str, str], name: str = CLUSTER, location: str = ZONE
) -> None:
    """Ask for a cluster, as whoever is killed then would have."""
    spec = ClusterSpec(name, location, pool_spec("system", labels), dict(labels))
    message = cluster_request(PROJECT, spec).cluster
    Doings(world.gke).create_cluster(location, types.Cluster(message))


async def add_pool(
    world: GoogleWorld,
    labels: Mapping[str, str],
    name: str = POOL,
    cluster: str = CLUSTER,
    nodes: int = 1,
) -> None:
    """Give a cluster a pool of GPU nodes."""
    message = pool_message(pool_spec(name, labels, gpus=1, nodes=nodes))
    Doings(world.gke).create_pool(ZONE, cluster, types.NodePool(message))
    await settled(world, cluster)


async def settled(world: GoogleWorld, name: str = CLUSTER, location: str = ZONE) -> GkeCluster:
    while world.gke.clusters[location, name].work is not None:
        await asyncio.sleep(1)
    return world.gke.clusters[location, name]


def resource(
    kind: str, name: str, location: str = f"{PROJECT}/{ZONE}", **more: Any
) -> ResourceView:
    """What the journal has of a resource."""
    intended = ResourceIntended(kind=kind, name=name, location=location, delete_command="gcloud …")
    return ResourceView(intended, more.get("identity", "known"))


async def remove(hands: Mapping[str, Hand], what: ResourceView) -> str | None:
    """Delete as a teardown does, and return the proof."""
    hand = hands[what.intended.kind]
    await hand.delete(what)
    return await hand.gone(what)


def standing(world: GoogleWorld, run: str | None = None) -> list[str]:
    """What the ledger has; of one run alone where it is named."""
    return sorted(
        f"{each.kind} {each.name}"
        for each in world.ledger.standing()
        if run is None or each.labels.get(RUN_LABEL) == run
    )


def calls(world: GoogleWorld, name: str) -> int:
    return sum(each.name == name for each in world.calls)
