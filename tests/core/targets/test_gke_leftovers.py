"""What a cluster leaves behind goes too, and nothing that may be somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from core.errors import WorkError
from core.run.teardown import Hand
from core.targets.gke.hands import Reach, gke_hands
from tests.core.kube.stand_in_store import RESOURCES
from tests.core.targets.gke_scene import (
    CLUSTER,
    OTHER,
    POOL,
    RUN,
    SPEED,
    ZONE,
    access_to,
    add_pool,
    calls,
    labels_of,
    quick_world,
    remove,
    resource,
    stand_up,
    standing,
)
from tests.google.sped_up import SpedUpPolicy
from tests.google.world import PROJECT, GoogleWorld

OURS = labels_of(RUN)
THEIRS = labels_of(OTHER)
IN_CLUSTER = f"context gke_{PROJECT}_{ZONE}_{CLUSTER}, namespace default"
THE_CLUSTER = resource("cluster", CLUSTER)
THE_POOL = resource("node pool", f"{CLUSTER}/{POOL}")


@pytest.fixture
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return SpedUpPolicy(SPEED)


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with quick_world() as stand_in:
        yield stand_in


@pytest.fixture
def hands(world: GoogleWorld) -> dict[str, Hand]:
    # The IP endpoint's authority is the cluster's own, and needs nothing of this process.
    return gke_hands(Reach(access_to(world), RUN, dns=False))


async def with_outside_parts(world: GoogleWorld) -> None:
    """Give the cluster a load balancer and a disk, as somebody's experiments would."""
    server = world.kube_of(CLUSTER)
    service = {"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer", "ports": []}}
    asked = {"resources": {"requests": {"storage": "10Gi"}}, "accessModes": ["ReadWriteOnce"]}
    claim = {"metadata": {"name": "data"}, "spec": asked}
    for kind, document in (("services", service), ("persistentvolumeclaims", claim)):
        server.put(RESOURCES["", kind], document, "default")
    while not any(name.startswith("a") for name in world.fleet.forwarding_rules):
        await asyncio.sleep(1)


async def test_load_balancers_and_claims_go_before_their_cluster(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, OURS)
    await with_outside_parts(world)
    assert await remove(hands, THE_CLUSTER)
    assert standing(world) == []
    assert calls(world, "compute.disks.delete") == 0
    assert calls(world, "compute.forwardingRules.delete") == 0


async def test_what_a_cluster_does_not_give_up_is_deleted_after_it(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, OURS)
    await with_outside_parts(world)
    world.kube_of(CLUSTER).fail(403, method="DELETE", times=1000)
    world.fleet.add_address("reserved", "us-central1", OURS)
    assert await remove(hands, THE_CLUSTER)
    assert standing(world) == []


async def test_a_load_balancer_that_may_be_the_clusters_is_named_not_deleted(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    world.fleet.add_load_balancer(
        "before", "us-central1", {}, '{"kubernetes.io/service-name":"default/web"}'
    )
    await asyncio.sleep(2)
    await stand_up(world, OURS)
    await with_outside_parts(world)
    world.kube_of(CLUSTER).fail(403, times=1000)
    await hands["cluster"].delete(THE_CLUSTER)
    (rule,) = (each for each in world.fleet.forwarding_rules if each != "before")
    with pytest.raises(WorkError) as caught:
        await hands["cluster"].gone(THE_CLUSTER)
    assert f"these may be: forwarding rule {rule} in us-central1 (gcloud compute" in str(
        caught.value
    )
    assert "before" not in str(caught.value).replace("before it was", "")
    assert standing(world) == [f"forwarding rule {rule}", "forwarding rule before"]


async def test_what_cannot_be_deleted_is_named_with_its_command(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    world.fleet.add_disk("pvc-1", ZONE, "pd-balanced", 10, OURS)
    world.faults.add("compute.disks.delete", "permission", times=-1)
    with pytest.raises(WorkError) as caught:
        await hands["cluster"].delete(THE_CLUSTER)
    assert f"has left behind: disk pvc-1 in {ZONE} (gcloud compute disks delete pvc-1" in str(
        caught.value
    )
    assert await hands["cluster"].gone(THE_CLUSTER) is None


async def test_a_disk_with_the_clusters_mark_alone_goes_only_if_it_is_younger(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    mark = {"goog-k8s-cluster-name": CLUSTER, "goog-k8s-cluster-location": ZONE}
    world.fleet.add_disk("somebodys", ZONE, "pd-ssd", 10, mark)
    await asyncio.sleep(2)
    await stand_up(world, OURS)
    world.fleet.add_disk("ours", ZONE, "pd-ssd", 10, mark)
    elsewhere = {**mark, "goog-k8s-cluster-location": "us-central1-b"}
    world.fleet.add_disk("elsewhere", ZONE, "pd-ssd", 10, elsewhere)
    world.fleet.add_disk("other-run", ZONE, "pd-ssd", 10, {**mark, **THEIRS})
    assert await remove(hands, THE_CLUSTER)
    assert standing(world) == ["disk elsewhere", "disk other-run", "disk somebodys"]


async def test_a_run_with_two_clusters_loses_one_at_a_time(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, OURS)
    await stand_up(world, OURS, location="us-central1-b")
    proof = await remove(hands, THE_CLUSTER)
    assert proof is not None
    assert proof.endswith(f"with gpubench-run={RUN} of this cluster")
    assert [each.location for each in world.ledger.standing() if each.kind == "cluster"] == [
        "us-central1-b"
    ]


async def test_the_machines_of_a_pool_that_is_gone_go_too(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, {}, name="somebodys")
    before = standing(world)
    await add_pool(world, OURS, cluster="somebodys")
    pool = world.gke.clusters[ZONE, "somebodys"].pools.pop(POOL)
    world.ledger.closed(pool.billed)
    for group in pool.groups:
        group.alive = False
    assert await remove(hands, resource("node pool", f"somebodys/{POOL}"))
    assert standing(world) == before
