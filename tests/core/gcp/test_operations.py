"""Operations followed to their end, good or bad."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest
from google.cloud import container_v1 as gke
from google.rpc.status_pb2 import Status

from core.gcp.clusters import Clusters
from core.gcp.connection import Google
from core.gcp.errors import (
    DeniedError,
    NotFoundError,
    OperationError,
    QuotaError,
    StockoutError,
)
from core.gcp.operations import follow
from tests.core.gcp.asked_for import GPU, SPEC
from tests.google.world import GoogleWorld

ZONE = "us-central1-a"
T4 = dataclasses.replace(GPU, service_account="", most_nodes=0)


@pytest.fixture
async def clusters(cloud: Google) -> Clusters:
    """One cluster, ``c``, is there."""
    clusters = Clusters(cloud)
    async for _ in clusters.follow(ZONE, await clusters.create(SPEC)):
        pass
    return clusters


async def test_a_stockout_is_seen_long_before_the_operation_fails(
    world: GoogleWorld, clusters: Clusters
) -> None:
    world.capacity.sold_out(ZONE, "nvidia-tesla-t4", hints=("us-central1-b", "us-central1-f"))
    operation = await clusters.create_pool(ZONE, "c", T4)
    began = world.clock.now()
    following = clusters.follow(ZONE, operation, every_s=10.0)
    problem = None
    while problem is None:
        problem = (await anext(following)).problem
    assert world.clock.now() - began < 60
    assert isinstance(problem, StockoutError)
    assert problem.zones == ("us-central1-b", "us-central1-f")
    with pytest.raises(StockoutError) as caught:
        async for _ in following:
            pass
    assert world.clock.now() - began > 1800
    assert "no hardware" in caught.value.sentence


async def test_a_global_quota_says_that_no_region_helps(
    world: GoogleWorld, clusters: Clusters
) -> None:
    world.capacity.global_quotas["GPUS_ALL_REGIONS"] = 0
    with pytest.raises(QuotaError) as caught:
        async for _ in clusters.follow(ZONE, await clusters.create_pool(ZONE, "c", T4)):
            pass
    assert caught.value.is_global
    assert caught.value.metric == "GPUS_ALL_REGIONS"


async def test_an_operation_that_fails_says_what_it_was_about(
    world: GoogleWorld, clusters: Clusters
) -> None:
    world.faults.add("container.CreateNodePool", "operation fails")
    operation = await clusters.create_pool(ZONE, "c", T4)
    with pytest.raises(OperationError, match="creating the node pool gpu"):
        async for _ in clusters.follow(ZONE, operation):
            pass


async def test_a_deletion_of_what_had_failed_ends_well(
    world: GoogleWorld, clusters: Clusters
) -> None:
    world.faults.add("container.CreateNodePool", "operation fails")
    with pytest.raises(OperationError):
        async for _ in clusters.follow(ZONE, await clusters.create_pool(ZONE, "c", T4)):
            pass
    deletion = await clusters.delete(ZONE, "c")
    assert deletion is not None
    seen = [each async for each in clusters.follow(ZONE, deletion)]
    assert seen[-1].status == "DONE"
    assert seen[-1].problem is None
    assert world.ledger.standing() == []


async def test_an_operation_that_never_ends_goes_on_being_seen(
    world: GoogleWorld, clusters: Clusters
) -> None:
    world.faults.add("container.CreateNodePool", "operation never ends")
    operation = await clusters.create_pool(ZONE, "c", T4)
    began = world.clock.now()
    async for seen in clusters.follow(ZONE, operation, every_s=60.0):
        assert seen.running
        if world.clock.now() - began > 3600:
            break


async def test_google_away_for_minutes_is_outlived_and_told(
    world: GoogleWorld, clusters: Clusters
) -> None:
    operation = await clusters.create_pool(ZONE, "c", T4)
    fault = world.faults.add("container.GetOperation", "unavailable", times=60, skip=1)
    seen = [each async for each in clusters.follow(ZONE, operation)]
    assert fault.met == 60
    silent = [each for each in seen if "looking at the operation" in each.message]
    assert silent
    # What was known before is still shown.
    assert {each.kind for each in seen} == {"CREATE_NODE_POOL"}
    assert seen[-1].status == "DONE"


async def test_an_operation_that_may_not_be_looked_at_is_told(
    world: GoogleWorld, clusters: Clusters
) -> None:
    operation = await clusters.create_pool(ZONE, "c", T4)
    world.project.missing_permissions.add("container.operations.get")
    with pytest.raises(DeniedError, match="looking at the operation"):
        async for _ in clusters.follow(ZONE, operation):
            pass


async def test_an_operation_that_is_not_there_is_told(clusters: Clusters) -> None:
    with pytest.raises(NotFoundError):
        async for _ in clusters.follow(ZONE, "operation-of-nobody"):
            pass


class Ended:
    """A connection where an operation has ended, as the test says it."""

    project = "p"

    def __init__(self, operation: gke.Operation) -> None:
        self._operation = operation

    async def cluster_call(self, name: str, request: object, *, asked: str = "") -> gke.Operation:
        return self._operation


def ended(kind: gke.Operation.Type, *conditions: str, **error: object) -> AsyncIterator[object]:
    operation = gke.Operation(
        name="operation-1",
        operation_type=kind,
        status=gke.Operation.Status.DONE,
        cluster_conditions=[
            gke.StatusCondition(code=gke.StatusCondition.Code[code], message="words")
            for code in conditions
        ],
    )
    if error:
        operation.error = Status(**error)
    return follow(Ended(operation), ZONE, "operation-1")  # type: ignore[arg-type]


async def test_done_with_conditions_and_without_an_error_is_a_failure_too() -> None:
    with pytest.raises(StockoutError):
        await anext(ended(gke.Operation.Type.CREATE_CLUSTER, "GCE_STOCKOUT"))


async def test_the_conditions_of_what_was_deleted_are_no_failure() -> None:
    assert await anext(ended(gke.Operation.Type.DELETE_CLUSTER, "GCE_STOCKOUT"))
    with pytest.raises(OperationError):
        await anext(ended(gke.Operation.Type.DELETE_CLUSTER, "UNKNOWN", code=13))


async def test_an_authority_that_ends_some_day_is_no_failure_and_hides_none() -> None:
    assert await anext(ended(gke.Operation.Type.UPDATE_CLUSTER, "CA_EXPIRING"))
    with pytest.raises(OperationError):
        await anext(ended(gke.Operation.Type.UPDATE_CLUSTER, "CA_EXPIRING", code=13))
