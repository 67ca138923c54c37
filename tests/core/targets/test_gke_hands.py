"""What a run created at Google is gone, and that was asked: the stand-in's ledger is the judge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.errors import WorkError
from core.gcp.errors import DeniedError, GoogleError, UnavailableError
from core.run.teardown import Hand
from core.targets.gke.hands import Reach, gke_hands
from tests.core.kube.stand_in_store import JOBS
from tests.core.targets.gke_scene import (
    CLUSTER,
    HOUR,
    OTHER,
    POOL,
    RUN,
    SPEED,
    ZONE,
    access_to,
    add_pool,
    begin,
    calls,
    labels_of,
    quick_world,
    remove,
    resource,
    stand_up,
    standing,
)
from tests.google.faults import FaultKind
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


async def test_a_cluster_goes_with_all_its_nodes(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, OURS)
    await add_pool(world, OURS)
    assert await remove(hands, THE_CLUSTER) == (
        f"container.googleapis.com has no cluster {CLUSTER} in {ZONE}; compute.googleapis.com "
        f"lists no instance, disk, forwarding rule or address with gpubench-run={RUN}"
    )
    assert standing(world) == []


async def test_a_pool_goes_and_the_cluster_of_another_stays(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, THEIRS)
    before = standing(world)
    await add_pool(world, OURS)
    proof = await remove(hands, THE_POOL)
    assert proof is not None
    assert f"has no node pool {POOL} in cluster {CLUSTER}" in proof
    assert f"no instance of that pool with gpubench-run={RUN}" in proof
    assert standing(world) == before


@pytest.mark.parametrize("fault", ["unavailable", "operation fails", "cut after", "deadline"])
async def test_a_pool_goes_whatever_google_does_once(
    world: GoogleWorld, hands: dict[str, Hand], fault: Any
) -> None:
    await stand_up(world, THEIRS)
    before = standing(world)
    await add_pool(world, OURS)
    met = world.faults.add("container.DeleteNodePool", fault, seconds=40)
    assert await remove(hands, THE_POOL)
    assert met.met == 1
    assert standing(world) == before


async def test_a_pool_that_is_not_this_runs_is_left_alone(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, THEIRS)
    await add_pool(world, THEIRS)
    before = standing(world)
    proof = await remove(hands, THE_POOL)
    assert proof is not None
    assert f"is run {OTHER}'s, not this one's" in proof
    assert standing(world) == before


async def test_a_cluster_of_another_run_under_the_same_name_is_left_alone(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, THEIRS)
    before = standing(world)
    proof = await remove(hands, THE_CLUSTER)
    assert proof is not None
    assert f"has a cluster {CLUSTER} in {ZONE} that is run {OTHER}'s" in proof
    assert standing(world) == before
    assert calls(world, "container.DeleteCluster") == 0


async def test_a_cluster_that_lost_its_labels_is_neither_deleted_nor_called_gone(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, {})
    with pytest.raises(WorkError, match="has lost the labels of its run"):
        await remove(hands, THE_CLUSTER)
    assert f"cluster {CLUSTER}" in standing(world)


async def test_a_cluster_in_which_another_run_still_works_is_not_taken_from_under_it(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, OURS)
    await add_pool(world, THEIRS, "gpu-cd34-a")
    with pytest.raises(WorkError, match=f"gpu-cd34-a of run {OTHER}, which still needs it"):
        await hands["cluster"].delete(THE_CLUSTER)
    assert "pool gpu-benchmark-cluster/gpu-cd34-a" in standing(world)


async def test_a_cluster_with_an_overdue_guest_goes(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, OURS)
    await add_pool(world, labels_of(OTHER, -HOUR), "gpu-cd34-a")
    assert await remove(hands, THE_CLUSTER)
    assert standing(world) == []


@pytest.mark.parametrize(
    "fault",
    [
        *("unavailable", "deadline", "not found", "already exists", "resource exhausted"),
        *("internal", "operation fails", "cut after", "cut before", "unauthenticated"),
    ],
)
async def test_a_cluster_goes_whatever_google_does_once(
    world: GoogleWorld, hands: dict[str, Hand], fault: Any
) -> None:
    await stand_up(world, OURS)
    met = world.faults.add("container.DeleteCluster", fault, seconds=40)
    assert await remove(hands, THE_CLUSTER)
    assert met.met == 1
    assert standing(world) == []


async def test_a_missing_permission_is_said_and_the_next_try_finishes(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, OURS)
    world.faults.add("container.DeleteCluster", "permission")
    with pytest.raises(DeniedError, match=f"deleting cluster {CLUSTER}"):
        await hands["cluster"].delete(THE_CLUSTER)
    assert await hands["cluster"].gone(THE_CLUSTER) is None
    assert await remove(hands, THE_CLUSTER)
    assert standing(world) == []


async def test_an_operation_that_always_fails_is_an_error_with_googles_words(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, OURS)
    world.faults.add("container.DeleteCluster", "operation fails", times=-1)
    with pytest.raises(GoogleError, match="Internal error"):
        await hands["cluster"].delete(THE_CLUSTER)
    assert await hands["cluster"].gone(THE_CLUSTER) is None


async def test_an_operation_that_never_ends_is_given_up_and_not_waited_for_again(
    world: GoogleWorld,
) -> None:
    hand = gke_hands(Reach(access_to(world), RUN, dns=False, deletion_s=120))["cluster"]
    await stand_up(world, OURS)
    world.faults.add("container.DeleteCluster", "operation never ends")
    now = asyncio.get_running_loop().time
    began = now()
    with pytest.raises(GoogleError, match=r"has not ended deleting .* within 2 minutes"):
        await hand.delete(THE_CLUSTER)
    assert now() - began >= 120
    began = now()
    with pytest.raises(GoogleError, match="operation-"):
        await hand.delete(THE_CLUSTER)
    assert now() - began < 60
    assert await hand.gone(THE_CLUSTER) is None


async def test_google_that_does_not_answer_proves_nothing(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, OURS)
    world.faults.add("container.*", "unavailable", times=-1)
    with pytest.raises(UnavailableError):
        await hands["cluster"].delete(THE_CLUSTER)
    with pytest.raises(UnavailableError):
        await hands["cluster"].gone(THE_CLUSTER)


async def test_a_list_that_fails_proves_nothing(world: GoogleWorld, hands: dict[str, Hand]) -> None:
    world.faults.add("compute.disks.aggregatedList", "permission", times=-1)
    with pytest.raises(DeniedError):
        await hands["cluster"].gone(THE_CLUSTER)


async def test_a_creation_under_way_is_cancelled_not_waited_for(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    begin(world, OURS)
    assert await remove(hands, THE_CLUSTER)
    assert calls(world, "container.CancelOperation") == 1
    assert standing(world) == []


async def test_a_clusters_creation_is_cancelled_when_its_own_pool_is_to_go(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    begin(world, OURS)
    pool = resource("node pool", f"{CLUSTER}/system")
    assert await remove(hands, pool) is not None
    assert calls(world, "container.CancelOperation") == 1


@pytest.mark.parametrize("answer", ["not found", "permission", "internal"])
async def test_what_google_lists_is_there_although_it_is_not_found(
    world: GoogleWorld, hands: dict[str, Hand], answer: FaultKind
) -> None:
    await stand_up(world, OURS)
    await add_pool(world, OURS)
    world.faults.add("container.Get[CN]*", answer, times=-1)
    assert await hands["node pool"].gone(THE_POOL) is None
    assert await hands["cluster"].gone(THE_CLUSTER) is None
    assert await remove(hands, THE_POOL) is not None
    assert await remove(hands, THE_CLUSTER) is not None
    assert standing(world) == []


async def test_a_creation_that_was_only_just_asked_for_is_found(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    async def arrives() -> None:
        await asyncio.sleep(4)
        begin(world, OURS)

    arrival = asyncio.create_task(arrives())
    proof = await remove(hands, resource("cluster", CLUSTER, identity=""))
    await arrival
    assert proof is not None
    assert len(world.ledger.created("cluster")) == 1
    assert standing(world) == []


async def test_what_never_came_is_proved_gone(world: GoogleWorld, hands: dict[str, Hand]) -> None:
    now = asyncio.get_running_loop().time
    began = now()
    assert await remove(hands, resource("node pool", f"{CLUSTER}/{POOL}", identity=""))
    assert await remove(hands, resource("cluster", CLUSTER, identity=""))
    assert now() - began >= 10
    assert calls(world, "container.DeleteCluster") == 0


async def test_somebody_elses_work_on_the_cluster_is_waited_for(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, THEIRS)
    await add_pool(world, OURS)
    other = asyncio.create_task(add_pool(world, THEIRS, "gpu-cd34-a"))
    await asyncio.sleep(0)
    assert await remove(hands, THE_POOL)
    await other
    assert calls(world, "container.CancelOperation") == 0
    assert "pool gpu-benchmark-cluster/gpu-cd34-a" in standing(world)


async def test_a_job_goes_with_its_cluster(world: GoogleWorld, hands: dict[str, Hand]) -> None:
    proof = await remove(hands, resource("job", "gpu-benchmark-baseline", IN_CLUSTER))
    assert proof == f"container.googleapis.com has no cluster {CLUSTER} in {ZONE}"


async def test_a_job_goes_from_a_cluster_that_stays(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    world.kubelet_options["pods_run"] = False
    await stand_up(world, THEIRS)
    server = world.kube_of(CLUSTER)
    for name, run in (("ours", RUN), ("theirs", OTHER)):
        container = {"name": "benchmark", "image": "example.org/benchmark:1"}
        pod = {"restartPolicy": "Never", "containers": [container]}
        metadata = {"name": name, "labels": {"gpubench-tui/run": run}}
        server.put(JOBS, {"metadata": metadata, "spec": {"template": {"spec": pod}}}, "default")
    proof = await remove(hands, resource("job", "ours", IN_CLUSTER))
    assert proof is not None
    assert f"lists no job ours and no pod of it with gpubench-tui/run={RUN}" in proof
    assert [job["metadata"]["name"] for job in server.store.list(JOBS)] == ["theirs"]


async def test_a_job_in_a_cluster_that_cannot_be_reached_is_not_called_gone(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    await stand_up(world, OURS)
    world.kube_of(CLUSTER).fail(503, times=1000)
    with pytest.raises(WorkError):
        await hands["job"].gone(resource("job", "ours", IN_CLUSTER))


async def test_a_place_outside_google_is_refused(hands: dict[str, Hand]) -> None:
    with pytest.raises(WorkError, match="names no cluster of Google's"):
        await hands["pod"].delete(resource("pod", "x", "context kind, namespace default"))
