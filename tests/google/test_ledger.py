"""What the stand-in's ledger says of what was billed."""

from __future__ import annotations

import pytest

from tests.google.client import GPU_POOL, Client
from tests.google.clock import GoogleClock
from tests.google.ledger import Ledger
from tests.google.world import GoogleWorld


async def test_a_machine_is_billed_by_the_second_and_for_one_minute_at_least() -> None:
    clock = GoogleClock(0)
    ledger = Ledger(clock)
    short = ledger.opened("instance", "a", "us-central1-a", 3.6, gpus=2, minimum_s=60)
    long = ledger.opened("instance", "b", "us-central1-a", 3.6, minimum_s=60)
    await clock.advance(10)
    ledger.closed(short)
    await clock.advance(90)
    ledger.closed(long)
    await clock.advance(500)
    ledger.closed(long)
    assert short.usd(clock.now()) == pytest.approx(0.060)
    assert long.usd(clock.now()) == pytest.approx(0.100)
    assert ledger.gpu_seconds() == pytest.approx(120)


def test_a_bill_can_be_asked_for_by_label() -> None:
    clock = GoogleClock(0)
    ledger = Ledger(clock)
    ledger.opened("cluster", "a", "us-central1-a", 3600, labels={"gpubench-run": "r1"})
    ledger.opened("cluster", "b", "us-central1-a", 7200, labels={"gpubench-run": "r2"})
    now = clock.now() + 1
    assert ledger.usd(now, label=("gpubench-run", "r1")) == pytest.approx(1)
    assert ledger.usd(now) == pytest.approx(3)


@pytest.mark.parametrize("name", ["a", "b"])
async def test_one_run_that_has_two_clusters_at_once_is_seen(name: str) -> None:
    clock = GoogleClock(0)
    ledger = Ledger(clock)
    labels = {"gpubench-run": "r1"}
    first = ledger.opened("cluster", "a", "us-central1-a", labels=labels)
    await clock.advance(5)
    ledger.closed(first)
    ledger.opened("cluster", name, "us-east1-b", labels=labels)
    assert ledger.doubles() == []
    await clock.advance(5)
    ledger.opened("cluster", name, "us-east1-c", labels=labels)
    assert len(ledger.doubles()) == 1


async def test_a_regional_cluster_has_its_nodes_in_three_zones(
    world: GoogleWorld, client: Client
) -> None:
    client.parent = client.parent.replace("us-central1-a", "us-central1")
    operation = await client.create_cluster()
    await world.clock.advance(361)
    assert (await client.operation(operation)).status.name == "DONE"
    zones = sorted(each.zone for each in world.fleet.instances.values())
    assert zones == ["us-central1-a", "us-central1-b", "us-central1-c"]
    assert len((await client.cluster()).node_pools[0].instance_group_urls) == 3


async def test_a_smaller_pool_bills_less_and_frees_its_quota(
    world: GoogleWorld, client: Client
) -> None:
    await client.ready()
    await client.create_pool(initial_node_count=2)
    await world.clock.advance(71)
    assert world.capacity.used["us-central1", "NVIDIA_T4_GPUS"] == 2
    name = f"{client.parent}/clusters/one/nodePools/gpu"
    operation = await client.ask("set_node_pool_size", name=name, node_count=0)
    await world.clock.advance(40)
    assert (await client.operation(operation)).status.name == "DONE"
    assert world.capacity.used["us-central1", "NVIDIA_T4_GPUS"] == 0
    billed = world.ledger.gpu_seconds()
    assert billed == pytest.approx(2 * (61 + 30))
    await world.clock.advance(3600)
    assert world.ledger.gpu_seconds() == billed


async def test_nodes_end_by_themselves_after_their_longest_time(
    world: GoogleWorld, client: Client
) -> None:
    await client.ready()
    config = {**GPU_POOL["config"], "max_run_duration": {"seconds": 600}}
    await client.create_pool(config=config)
    await world.clock.advance(71)
    (before,) = [each for each in world.fleet.instances if "-gpu-" in each]
    await world.clock.advance(600)
    assert before not in world.fleet.instances
