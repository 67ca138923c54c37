"""Quotas, zones, machines, GPUs and the errors of instance groups, as Compute Engine tells them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.gcp.compute import (
    GroupError,
    MachineType,
    Zone,
    accelerators,
    global_quotas,
    group_errors,
    machine_type,
    machine_zones,
    quotas,
    zones,
)
from core.gcp.connection import Google
from core.gcp.errors import (
    DeniedError,
    InvalidError,
    NotFoundError,
    QuotaError,
    StockoutError,
    UnavailableError,
)
from core.gcp.quotas import Quota, lacking, quota_needs
from tests.core.gcp.at_stand_in import connection
from tests.core.gcp.rest_side import PROJECT, RestSide
from tests.google.machines import NodeShape
from tests.google.world import GoogleWorld

ZONE = "us-central1-a"
BASE = f"/compute/v1/projects/{PROJECT}"
GROUP = f"https://www.googleapis.com{BASE}/zones/{ZONE}/instanceGroupManagers/gke-c-gpu-1-grp"


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with GoogleWorld(speed=600) as world:
        yield world


@pytest.fixture
async def google(world: GoogleWorld) -> AsyncIterator[Google]:
    async with connection(world) as google:
        yield google


async def test_quotas_of_a_region_come_with_their_use(google: Google, world: GoogleWorld) -> None:
    world.capacity.quotas["us-central1", "NVIDIA_T4_GPUS"] = 3

    found = await quotas(google, "us-central1")

    assert found["NVIDIA_T4_GPUS"] == Quota("NVIDIA_T4_GPUS", 3, 0)
    for need in quota_needs("n1-standard-4", 4, "nvidia-tesla-t4", 1):
        assert need.is_global or lacking(need, found, "us-central1") is None


async def test_a_global_quota_of_none_is_seen(google: Google, world: GoogleWorld) -> None:
    world.capacity.global_quotas["GPUS_ALL_REGIONS"] = 0
    assert (await global_quotas(google))["GPUS_ALL_REGIONS"] == Quota("GPUS_ALL_REGIONS", 0, 0)


async def test_a_region_that_is_none_has_no_quotas(google: Google) -> None:
    with pytest.raises(NotFoundError, match="quotas of mars-north1"):
        await quotas(google, "mars-north1")


async def test_quotas_that_google_does_not_know_are_not_zeros(tmp_path: Path) -> None:
    async with RestSide(tmp_path) as side:
        warning = {"code": "QUOTA_INFO_UNAVAILABLE", "message": "Not now."}
        side.answer("GET", f"{BASE}/regions/r", {"quotas": [], "quotaStatusWarning": warning})
        with pytest.raises(UnavailableError, match="does not know the quotas of r now: Not now"):
            await quotas(side.google, "r")


async def test_zones_are_those_of_the_region(google: Google, world: GoogleWorld) -> None:
    everywhere = await zones(google)
    central = await zones(google, "us-central1")

    assert Zone(ZONE, "us-central1", True) in central
    assert {zone.region for zone in central} == {"us-central1"}
    assert {zone.name for zone in everywhere} == set(world.capacity.zones)


async def test_a_machine_type_says_its_size_and_what_is_built_in(google: Google) -> None:
    plain = await machine_type(google, ZONE, "n1-standard-4")
    assert plain == MachineType("n1-standard-4", ZONE, 4, 15.0, {})
    g2 = await machine_type(google, ZONE, "g2-standard-4")
    assert g2 is not None
    assert g2.gpus == {"nvidia-l4": 1}


async def test_a_machine_type_that_is_not_there_is_none(google: Google) -> None:
    assert await machine_type(google, ZONE, "n1-standard-5") is None


async def test_a_refusal_is_not_taken_for_a_machine_that_is_missing(
    google: Google, world: GoogleWorld
) -> None:
    world.faults.add("compute.machineTypes.get", "permission")
    with pytest.raises(DeniedError):
        await machine_type(google, ZONE, "n1-standard-4")


async def test_the_zones_of_a_machine_type_are_those_that_offer_it(
    google: Google, world: GoogleWorld
) -> None:
    assert set(await machine_zones(google, "n1-standard-4")) == set(world.capacity.zones)
    assert await machine_zones(google, "n1-standard-5") == ()


async def test_gpus_are_told_by_zone(google: Google, world: GoogleWorld) -> None:
    world.compute.page_size = 3
    everywhere = await accelerators(google)
    here = await accelerators(google, ZONE)

    offered = {zone: set(gpus) for zone, gpus in world.capacity.offered.items() if gpus}
    assert {zone: set(gpus) for zone, gpus in everywhere.items()} == offered
    assert here == {ZONE: everywhere[ZONE]}
    assert here[ZONE]["nvidia-tesla-t4"] >= 1


def scripted_error(code: str, message: str, at: str) -> dict[str, Any]:
    instance = f"https://www.googleapis.com{BASE}/zones/{ZONE}/instances/gke-c-gpu-1-x"
    return {
        "error": {"code": code, "message": message},
        "instanceActionDetails": {"action": "CREATING", "instance": instance},
        "timestamp": at,
    }


async def errors_of(tmp_path: Path, *items: dict[str, Any]) -> tuple[GroupError, ...]:
    async with RestSide(tmp_path) as side:
        path = f"{BASE}/zones/{ZONE}/instanceGroupManagers/gke-c-gpu-1-grp/listErrors"
        side.answer("GET", path, {"items": list(items)})
        return await group_errors(side.google, GROUP)


async def test_a_groups_errors_tell_a_stockout_from_a_quota(tmp_path: Path) -> None:
    first, second = await errors_of(
        tmp_path,
        scripted_error(
            "QUOTA_EXCEEDED",
            "Instance 'gke-c-gpu-1-x' creation failed: Quota 'NVIDIA_T4_GPUS' exceeded. "
            "Limit: 0.0 in region us-central1.",
            "2026-11-22T21:40:00.000-08:00",
        ),
        scripted_error(
            "ZONE_RESOURCE_POOL_EXHAUSTED",
            f"The zone 'projects/{PROJECT}/zones/{ZONE}' does not have enough resources available "
            "to fulfill the request.",
            "2026-11-22T21:46:12.000-08:00",
        ),
    )

    assert first.code == "ZONE_RESOURCE_POOL_EXHAUSTED"
    assert first.instance == "gke-c-gpu-1-x"
    assert first.time == datetime(2026, 11, 23, 5, 46, 12, tzinfo=UTC)
    assert isinstance(first.problem, StockoutError)
    assert isinstance(second.problem, QuotaError)
    assert second.problem.metric == "NVIDIA_T4_GPUS"


async def test_a_pool_that_finds_no_gpu_says_so_in_its_groups_errors(
    google: Google, world: GoogleWorld
) -> None:
    world.capacity.sold_out(ZONE, "nvidia-tesla-t4", hints=("us-central1-b",))
    shape = NodeShape("n1-standard-4", "nvidia-tesla-t4", 1, False, "pd-standard", 50, {})
    group = world.fleet.add_group("gke-c-gpu", ZONE, shape, lambda _: None, lambda _: None)
    url = f"https://www.googleapis.com/compute/v1/projects/{google.project}/zones/{ZONE}"
    assert await group_errors(google, f"{url}/instanceGroupManagers/{group.name}") == ()
    world.fleet.resize(group, 1)
    await world.clock.sleep(100)

    first, *_ = await group_errors(google, f"{url}/instanceGroupManagers/{group.name}")
    assert isinstance(first.problem, StockoutError)
    assert first.problem.zones == ("us-central1-b",)
    assert first.instance.startswith("gke-c-gpu-")


async def test_words_of_a_group_error_steer_no_terminal(tmp_path: Path) -> None:
    (error,) = await errors_of(
        tmp_path, scripted_error("\x1b[31mODD", "bad\x07 \u202enews", "2026-11-22T21:40:00Z")
    )
    assert f"{error.code}{error.message}{error.problem}".isprintable()


async def test_a_group_without_errors_has_none(tmp_path: Path) -> None:
    assert await errors_of(tmp_path) == ()


@pytest.mark.parametrize(
    "group",
    [
        "",
        "gke-c-gpu-1-grp",
        f"https://evil.example{BASE.replace(PROJECT, 'other')}/zones/z/instanceGroupManagers/g",
        f"https://www.googleapis.com{BASE}/zones/z/instances",
        f"https://www.googleapis.com{BASE}/../zones/z/instanceGroupManagers/g",
    ],
)
async def test_what_is_no_instance_group_of_the_project_is_not_asked_for(
    tmp_path: Path, group: str
) -> None:
    async with RestSide(tmp_path) as side:
        with pytest.raises(InvalidError, match="no instance group of project"):
            await group_errors(side.google, group)
        assert side.requests == []
