"""A GPU that can be used, in the first place within the bounds that has one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

# These take a second to import, which is most of a minute where time flies.
from kubernetes.aio.client import V1Job, V1Pod  # noqa: F401

from core.errors import StageError
from core.gcp.errors import QuotaError
from core.run.events import PartChanged, ResourceDeleted, StageChecked
from core.run.pipeline import StageContext
from core.run.view import RunView
from core.targets.gke.creating import Creating
from core.targets.gke.drivers import Drivers
from tests.core.targets.gke_run import QUICK, GkeRun
from tests.core.targets.gke_scene import CLUSTER, SPEED, ZONE
from tests.google.child import IMAGE
from tests.google.sped_up import SpedUpPolicy
from tests.google.world import GoogleWorld

T4 = "nvidia-tesla-t4"
B, C, F = (f"us-central1-{letter}" for letter in "bcf")


@pytest.fixture
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return SpedUpPolicy(SPEED)


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    times = replace(QUICK, driver=60.0, pull=5.0)
    async with GoogleWorld(speed=SPEED, durations=times) as stand_in:
        yield stand_in


async def a_run(world: GoogleWorld, folder: Path, *zones: str, **values: Any) -> GkeRun:
    """A run whose cluster is there and whose image is known."""
    run = GkeRun(world, folder, {"endpoint": "ip", **values})
    run.deployment.zones = (ZONE, *zones)
    await Creating(run.deployment, context(run)).cluster()
    run.deployment.kube.image = IMAGE
    run.deployment.kube.image_known.set()
    return run


def context(run: GkeRun) -> StageContext:
    """With what the run has created: an attempt that fails is cleared."""
    return replace(run.context(), resources=lambda: RunView.of(run.told).resources)


async def drive(run: GkeRun) -> str:
    async with run.deployment:
        return await Drivers(run.deployment).run(context(run))


def attempts(run: GkeRun) -> list[tuple[str, str]]:
    return [(each.name, each.state) for each in run.records(PartChanged) if each.kind == "attempt"]


def pools(world: GoogleWorld, location: str = ZONE) -> set[str]:
    return {name for name in world.gke.clusters[location, CLUSTER].pools if name != "system"}


async def test_a_gpu_is_asked_for_and_proved(world: GoogleWorld, tmp_path: Path) -> None:
    run = await a_run(world, tmp_path)
    assert await drive(run) == "Tesla T4, driver 570.86.15, CUDA 12.8"
    assert attempts(run) == [(ZONE, "working"), (ZONE, "ready")]
    assert run.records(StageChecked)[-1].name == "nvidia-smi in a pod"
    (node,) = (each for each in world.fleet.instances.values() if each.shape.gpu)
    assert node.zone == ZONE


async def test_the_image_is_pulled_while_the_driver_is_installed(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = await a_run(world, tmp_path)
    await drive(run)
    said = [(each.kind, each.name, each.state) for each in run.records(PartChanged)]
    pulled = said.index(("pod", "gpu-benchmark-baseline-pull", "gone"))
    node = next(each.name for each in world.fleet.instances.values() if each.shape.gpu)
    assert pulled < said.index(("node", node, "ready"))
    gone = {each.name for each in run.records(ResourceDeleted)}
    assert gone == {"gpu-benchmark-baseline-pull", "gpu-benchmark-baseline-nvidia-smi"}


async def test_where_google_has_none_the_next_zone_is_tried_within_90_seconds(
    world: GoogleWorld, tmp_path: Path
) -> None:
    world.capacity.sold_out(ZONE, T4, hints=(F,))
    run = await a_run(world, tmp_path, B, C, F)
    first = run.deployment.pool
    await drive(run)
    assert attempts(run) == [(ZONE, "working"), (ZONE, "failed"), (F, "working"), (F, "ready")]
    begun, failed = (
        event.time
        for event in run.told
        if isinstance(event.record, PartChanged)
        and (event.record.kind, event.record.name) == ("attempt", ZONE)
    )
    assert (failed - begun).total_seconds() <= 90
    # What the failed attempt had made went before the next one began.
    assert pools(world) == {run.deployment.pool}
    order = [
        (event.record.event, event.record.name)
        for event in run.told
        if isinstance(event.record, PartChanged | ResourceDeleted)
    ]
    gone = order.index(("resource_deleted", f"{CLUSTER}/{first}"))
    assert gone < order.index(("part_changed", F))


async def test_after_a_quota_another_region_is_tried_with_a_cluster_of_its_own(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = await a_run(world, tmp_path, B, "us-east1-c")
    world.capacity.quotas["us-central1", "NVIDIA_T4_GPUS"] = 0.0
    await drive(run)
    assert attempts(run)[2:] == [("us-east1-c", "working"), ("us-east1-c", "ready")]
    assert list(world.gke.clusters) == [("us-east1-c", CLUSTER)]
    assert world.ledger.doubles() == []


async def test_where_no_place_has_any_all_that_were_tried_are_named(
    world: GoogleWorld, tmp_path: Path
) -> None:
    for zone in (ZONE, B):
        world.capacity.sold_out(zone, T4)
    run = await a_run(world, tmp_path, B)
    with pytest.raises(StageError) as caught:
        await drive(run)
    assert f"Tried {ZONE}: no hardware; {B}: no hardware." in caught.value.sentence
    assert "--zones and --regions" in caught.value.remedy
    assert world.ledger.gpu_seconds() == 0


async def test_a_global_quota_ends_it_at_once(world: GoogleWorld, tmp_path: Path) -> None:
    run = await a_run(world, tmp_path, B, "us-east1-c")
    world.capacity.global_quotas["GPUS_ALL_REGIONS"] = 0.0
    with pytest.raises(QuotaError) as caught:
        await drive(run)
    assert caught.value.is_global
    assert attempts(run) == [(ZONE, "working"), (ZONE, "failed")]
