"""What the stand-in of Google Cloud promises, asked through Google's own clients: clusters."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from google.api_core import exceptions

from tests.google.client import ZONE, Client, client_of
from tests.google.world import GoogleWorld

T4 = "nvidia-tesla-t4"


async def test_a_cluster_takes_six_minutes_and_is_billed_from_the_first(
    world: GoogleWorld, client: Client
) -> None:
    operation = await client.create_cluster(resource_labels={"gpubench-run": "r1"})
    assert operation.operation_type.name == "CREATE_CLUSTER"
    assert (await client.cluster()).status.name == "PROVISIONING"
    await world.clock.advance(359)
    told = await client.operation(operation)
    assert told.status.name == "RUNNING"
    assert {stage.name: stage.status.name for stage in told.progress.stages} == {
        "CLUSTER_CONFIGURING": "DONE",
        "CLUSTER_DEPLOYING": "DONE",
        "CLUSTER_HEALTHCHECKING": "RUNNING",
    }
    await world.clock.advance(1)
    assert (await client.operation(operation)).status.name == "DONE"
    cluster = await client.cluster()
    assert (cluster.status.name, cluster.current_node_count) == ("RUNNING", 1)
    assert [entry.kind for entry in world.ledger.standing()] == [
        *("cluster", "pool", "instance", "disk")
    ]
    # 6 minutes of the fee, and 1 of two cores, 8 GiB and 30 GiB of disk.
    e2 = 2 * 0.02181159 + 8 * 0.00292353 + 30 * 0.10 / 730
    assert world.ledger.usd() == pytest.approx(0.10 * 360 / 3600 + e2 * 60 / 3600)


@pytest.mark.parametrize("labels", [{"leg": "xen-4.17"}, {"leg": "Xen"}, {"a.b": "c"}])
async def test_labels_are_refused_that_google_refuses(
    client: Client, labels: dict[str, str]
) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await client.create_cluster(resource_labels=labels)


async def test_deleting_a_cluster_ends_every_bill(world: GoogleWorld, client: Client) -> None:
    await client.ready()
    await client.create_pool()
    await world.clock.advance(71)
    operation = await client.delete_cluster()
    assert (await client.cluster()).status.name == "STOPPING"
    await world.clock.advance(180)
    assert (await client.operation(operation)).status.name == "DONE"
    assert world.ledger.is_empty()
    with pytest.raises(exceptions.NotFound):
        await client.cluster()
    # 11 s after the pool was asked for, to three quarters of the deletion.
    assert world.ledger.gpu_seconds() == pytest.approx(61 + 135)
    assert world.ledger.doubles() == []


async def test_a_second_operation_has_to_wait_for_the_first(
    world: GoogleWorld, client: Client
) -> None:
    operation = await client.create_cluster()
    with pytest.raises(exceptions.FailedPrecondition, match=operation.name):
        await client.delete_cluster()
    with pytest.raises(exceptions.AlreadyExists):
        await client.create_cluster()


async def test_a_stockout_shows_early_and_fails_late(world: GoogleWorld, client: Client) -> None:
    await client.ready()
    world.capacity.sold_out(ZONE, T4, ("us-central1-b",))
    operation = await client.create_pool()
    await world.clock.advance(39)
    assert not (await client.operation(operation)).nodepool_conditions
    await world.clock.advance(2)
    told = await client.operation(operation)
    assert told.status.name == "RUNNING"
    assert told.nodepool_conditions[0].code.name == "GCE_STOCKOUT"
    pool = (await client.cluster()).node_pools[1]
    assert pool.conditions[0].code.name == "GCE_STOCKOUT"
    path = pool.instance_group_urls[0].removeprefix("https://www.googleapis.com")
    errors = (await client.get(f"{path}/listErrors")).json()["items"]
    assert errors[0]["error"]["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"
    assert "us-central1-b" in errors[0]["error"]["message"]
    await world.clock.advance(2000)
    assert (await client.operation(operation)).status.name == "RUNNING"
    await world.clock.advance(200)
    told = await client.operation(operation)
    assert (told.status.name, told.error.code) == ("DONE", 8)
    assert (await client.cluster()).node_pools[1].status.name == "ERROR"


async def test_capacity_that_comes_back_ends_a_stockout(world: GoogleWorld, client: Client) -> None:
    await client.ready()
    world.capacity.sold_out(ZONE, T4)
    operation = await client.create_pool()
    await world.clock.advance(100)
    world.capacity.stock[ZONE, T4] = 1
    await world.clock.advance(100)
    told = await client.operation(operation)
    assert (told.status.name, told.error.code) == ("DONE", 0)
    assert not told.nodepool_conditions


async def test_a_pool_that_cannot_be_made_can_be_cancelled_and_deleted(
    world: GoogleWorld, client: Client
) -> None:
    await client.ready()
    world.capacity.sold_out(ZONE, T4)
    operation = await client.create_pool()
    await world.clock.advance(60)
    await client.ask("cancel_operation", name=f"{client.parent}/operations/{operation.name}")
    assert (await client.operation(operation)).status.name == "ABORTING"
    await world.clock.advance(21)
    assert (await client.operation(operation)).error.code == 1
    name = f"{client.parent}/clusters/one/nodePools/gpu"
    await client.ask("delete_node_pool", name=name)
    await world.clock.advance(120)
    assert [pool.name for pool in (await client.cluster()).node_pools] == ["system"]


async def test_a_regional_quota_refuses_at_once_and_a_global_one_in_the_operation(
    world: GoogleWorld, client: Client
) -> None:
    await client.ready()
    world.capacity.quotas["us-central1", "NVIDIA_T4_GPUS"] = 0
    with pytest.raises(exceptions.PermissionDenied, match=r"NVIDIA_T4_GPUS.*short '1.0'"):
        await client.create_pool()
    del world.capacity.quotas["us-central1", "NVIDIA_T4_GPUS"]
    world.capacity.global_quotas["GPUS_ALL_REGIONS"] = 0
    operation = await client.create_pool()
    await world.clock.advance(140)
    told = await client.operation(operation)
    assert "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally." in told.error.message
    assert told.nodepool_conditions[0].code.name == "GCE_QUOTA_EXCEEDED"


async def test_a_failed_creation_leaves_a_cluster_that_bills_until_it_is_deleted(
    world: GoogleWorld, client: Client
) -> None:
    world.faults.add("container.CreateCluster", "operation fails")
    operation = await client.create_cluster()
    await world.clock.advance(361)
    told = await client.operation(operation)
    assert (told.status.name, told.error.code) == ("DONE", 13)
    assert (await client.cluster()).status.name == "ERROR"
    before = world.ledger.usd()
    await world.clock.advance(3600)
    assert world.ledger.usd() > before + 0.10
    with pytest.raises(exceptions.FailedPrecondition, match="ERROR state"):
        await client.create_pool()
    await client.delete_cluster()
    await world.clock.advance(180)
    assert world.ledger.is_empty()


async def test_an_operation_can_be_told_never_to_end(world: GoogleWorld, client: Client) -> None:
    await client.ready()
    world.faults.add("container.DeleteCluster", "operation never ends")
    operation = await client.delete_cluster()
    await world.clock.advance(86400)
    assert (await client.operation(operation)).status.name == "RUNNING"
    assert (await client.cluster()).status.name == "STOPPING"
    assert not world.ledger.is_empty()


async def test_a_cut_after_the_work_leaves_the_work(world: GoogleWorld, client: Client) -> None:
    world.faults.add("container.CreateCluster", "cut after")
    with pytest.raises(exceptions.ServiceUnavailable):
        await client.create_cluster()
    assert (await client.cluster()).name == "one"
    world.faults.add("storage.buckets.insert", "cut before")
    with pytest.raises(httpx.TransportError):
        await client.rest.post("/storage/v1/b", json={"name": "a-bucket"})
    assert (await client.get("/storage/v1/b/a-bucket")).status_code == 404
    assert [call.answer for call in world.calls if call.answer == "cut"] == ["cut", "cut"]


async def test_a_cut_breaks_one_connection_only(world: GoogleWorld, client: Client) -> None:
    world.faults.add("container.GetCluster", "cut before")
    async with client_of(world) as another:
        world.faults.add("container.ListClusters", "slow", seconds=0.3)
        listing = asyncio.create_task(another.ask("list_clusters", parent=client.parent))
        with pytest.raises(exceptions.ServiceUnavailable):
            await client.cluster()
        assert list((await listing).clusters) == []
    with pytest.raises(exceptions.NotFound):
        await client.cluster()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("unavailable", exceptions.ServiceUnavailable),
        ("permission", exceptions.PermissionDenied),
        ("not found", exceptions.NotFound),
        ("already exists", exceptions.AlreadyExists),
        ("resource exhausted", exceptions.ResourceExhausted),
        ("internal", exceptions.InternalServerError),
        ("unauthenticated", exceptions.Unauthenticated),
    ],
)
async def test_a_call_is_refused_as_often_as_it_was_ordered(
    world: GoogleWorld, client: Client, kind: str, error: type[Exception]
) -> None:
    fault = world.faults.add("container.*", kind, times=1, skip=1)  # type: ignore[arg-type]
    await client.ask("list_clusters", parent=client.parent)
    with pytest.raises(error):
        await client.ask("list_clusters", parent=client.parent)
    await client.ask("list_clusters", parent=client.parent)
    assert fault.met == 1


async def test_a_call_can_hang_beyond_the_clients_patience(
    world: GoogleWorld, client: Client
) -> None:
    world.faults.add("container.GetCluster", "deadline")
    with pytest.raises(exceptions.DeadlineExceeded):
        await client.ask("get_cluster", name=f"{client.parent}/clusters/one", timeout=0.05)


async def test_a_hook_hears_of_every_call_before_and_after_it(
    world: GoogleWorld, client: Client
) -> None:
    heard = []

    async def hook(call: object, when: str) -> None:
        heard.append((getattr(call, "name", ""), when, world.ledger.is_empty()))

    world.on_call = hook
    await client.create_cluster()
    assert heard == [
        ("container.CreateCluster", "before", True),
        ("container.CreateCluster", "after", False),
    ]


async def test_a_token_that_has_ended_is_refused_everywhere(
    world: GoogleWorld, client: Client
) -> None:
    await client.ready()
    async with client.kubernetes() as kube:
        assert (await kube.get("/version")).json()["gitVersion"].startswith("v1.31")
        world.tokens.expire()
        assert (await kube.get("/version")).status_code == 401
    with pytest.raises(exceptions.Unauthenticated):
        await client.cluster()
    answer = await client.get(f"/compute/v1/projects/{world.project.name}")
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


async def test_an_api_that_is_off_and_a_permission_that_lacks_are_told_apart(
    world: GoogleWorld, client: Client
) -> None:
    world.project.services.discard("container.googleapis.com")
    with pytest.raises(exceptions.PermissionDenied) as caught:
        await client.create_cluster()
    assert caught.value.reason == "SERVICE_DISABLED"
    world.project.services.add("container.googleapis.com")
    world.project.missing_permissions.add("container.clusters.create")
    with pytest.raises(exceptions.PermissionDenied, match=r"container\.clusters\.create"):
        await client.create_cluster()
    world.project.missing_permissions.clear()
    world.project.billing_enabled = False
    with pytest.raises(exceptions.PermissionDenied) as caught:
        await client.create_cluster()
    assert caught.value.reason == "BILLING_DISABLED"


async def test_a_world_starts_within_a_third_of_a_second() -> None:
    async with GoogleWorld(speed=0):
        begun = time.monotonic()
    async with GoogleWorld(speed=0):
        assert time.monotonic() - begun < 0.5


async def test_time_passes_as_fast_as_it_was_told_to(tmp_path: object) -> None:
    async with GoogleWorld(speed=3600) as world:
        before = world.clock.now()
        await asyncio.wait_for(world.clock.sleep(36), 5)
        assert world.clock.now() - before >= 36
