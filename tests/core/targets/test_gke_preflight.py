"""Before anything is created: one line a condition, and each failure with its fix."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.run.cost_events import RunPlanned
from tests.core.image.stand_in_engine import StandInEngine
from tests.core.runs import small_plan
from tests.core.targets.gke_preflight import PINNED, check, limit, refused
from tests.core.targets.gke_run import GkeRun
from tests.core.targets.gke_scene import ZONE
from tests.google.world import PROJECT, GoogleWorld


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with GoogleWorld() as stand_in:
        yield stand_in


@pytest.fixture
def engine() -> Iterator[StandInEngine]:
    with StandInEngine().serve() as serving:
        yield serving


async def test_what_is_ready_is_told_line_by_line_and_then_the_plan(
    world: GoogleWorld, tmp_path: Path, engine: StandInEngine
) -> None:
    run = GkeRun(world, tmp_path)
    checks = await check(run, environment={"DOCKER_HOST": engine.address})
    assert all(each.passed for each in checks.values())
    assert list(checks) == [
        "disk space",
        "results folder",
        "inputs",
        "credentials",
        "project",
        "container engine",
        "billing",
        "APIs",
        "permissions",
        "labels",
        "cluster's name",
        "zone",
        "repository",
        "quota NVIDIA_T4_GPUS",
        "quota CPUS",
        "quota SSD_TOTAL_GB",
        "quota DISKS_TOTAL_GB",
        "quota IN_USE_ADDRESSES",
        "quota GPUS_ALL_REGIONS",
        "quota CPUS_ALL_REGIONS",
        "prices",
        "budget",
        "deadline",
    ]
    assert f"as runner@{PROJECT}.iam.gserviceaccount.com" in checks["credentials"].detail
    assert checks["quota NVIDIA_T4_GPUS"].detail == "1 needed, 0 of 4 in use in us-central1"
    assert checks["quota CPUS"].detail == "6 needed, 0 of 128 in use in us-central1"
    assert checks["APIs"].detail == "enabled: compute, container, artifactregistry"
    assert isinstance(run.told[-1].record, RunPlanned)
    (planned,) = run.records(RunPlanned)
    assert planned.usd is not None
    assert 0.05 < planned.usd < 0.4
    assert planned.source.startswith("live prices of ")
    assert planned.budget_usd == 5.0
    assert planned.deadline_s == 7200
    assert run.deployment.rates.pool == pytest.approx(0.54 + 60 * 0.1 / 730, rel=0.01)
    assert run.deployment.rates.cluster > 0.1
    assert stat.S_IMODE((tmp_path / "prices.json").stat().st_mode) == 0o600
    assert world.ledger.created() == []


async def test_zones_come_in_the_order_in_which_they_are_tried(
    world: GoogleWorld, tmp_path: Path
) -> None:
    region = ("us-central1-c", "us-central1-a", "us-central1-b", "us-central1-f")
    run = GkeRun(world, tmp_path, {**PINNED, "zone": "us-central1-c"})
    checks = await check(run)
    assert run.deployment.zones == region
    assert "if there is none, in us-central1-a, us-central1-b, us-central1-f" in (
        checks["zone"].detail
    )
    further = GkeRun(world, tmp_path, {**PINNED, "zone": "us-central1-c", "regions": "us-east1"})
    await check(further)
    assert further.deployment.zones == (*region, "us-east1-c", "us-east1-d")


async def test_only_the_zones_that_were_named_are_tried(world: GoogleWorld, tmp_path: Path) -> None:
    only = GkeRun(world, tmp_path, {**PINNED, "zones": "none"})
    assert "no other zone may be tried" in (await check(only))["zone"].detail
    assert only.deployment.zones == (ZONE,)
    named = GkeRun(world, tmp_path, {**PINNED, "zones": "us-west1-c,us-central1-f"})
    other = (await check(named))["other zone"]
    assert named.deployment.zones == (ZONE, "us-central1-f")
    assert not other.required
    assert "us-west1-c" in other.detail


async def test_without_an_engine_cloud_build_builds(world: GoogleWorld, tmp_path: Path) -> None:
    checks = await check(GkeRun(world, tmp_path))
    assert not checks["container engine"].required
    assert checks["container engine"].detail.endswith(": Cloud Build builds the image")
    assert checks["Cloud Build"].passed
    assert checks["APIs"].detail.endswith("artifactregistry, cloudbuild, storage")


async def test_an_image_elsewhere_needs_an_engine(world: GoogleWorld, tmp_path: Path) -> None:
    (failed,) = await refused(GkeRun(world, tmp_path, {"image": "ghcr.io/somebody/benchmark"}))
    assert failed.name == "container engine"
    assert "Cloud Build pushes to Artifact Registry only" in failed.remedy


async def test_without_credentials_nothing_else_is_asked(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    run.deployment.access = dataclasses.replace(
        run.deployment.access, credentials_file=str(tmp_path / "missing.json")
    )
    (failed,) = await refused(run)
    assert failed.name == "credentials"
    assert "missing.json" in failed.detail
    assert world.calls == []


async def test_credentials_that_google_does_not_take(world: GoogleWorld, tmp_path: Path) -> None:
    world.tokens.refuse = "invalid_grant"
    (failed,) = await refused(GkeRun(world, tmp_path))
    assert failed.name == "credentials"


async def test_a_project_that_is_not_there_is_the_only_thing_told(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    run.deployment.access = dataclasses.replace(run.deployment.access, project="another-one")
    (failed,) = await refused(run)
    assert failed.name == "project"
    assert "There is no project another-one" in failed.detail
    assert "gcloud projects list" in failed.remedy


def switch_off(service: str) -> Callable[[GoogleWorld], None]:
    return lambda world: world.project.services.discard(f"{service}.googleapis.com")


def lack(permission: str) -> Callable[[GoogleWorld], None]:
    return lambda world: world.project.missing_permissions.add(permission)


def globally(value: float) -> Callable[[GoogleWorld], None]:
    return lambda world: world.capacity.global_quotas.update({"GPUS_ALL_REGIONS": value})


def unpaid(world: GoogleWorld) -> None:
    world.project.billing_enabled = False


def ending(world: GoogleWorld) -> None:
    world.project.state = "DELETE_REQUESTED"


def nothing(world: GoogleWorld) -> None:
    """All is well at Google's."""


FAILURES: list[tuple[str, Callable[[GoogleWorld], None], dict[str, Any], str, str, str]] = [
    ("ending project", ending, {}, "project", "is being deleted", "gcloud projects undelete"),
    (
        "no billing",
        unpaid,
        {},
        "billing",
        "no open billing account",
        "gcloud billing projects link",
    ),
    (
        "an API",
        switch_off("container"),
        {},
        "API",
        "container.googleapis.com is not enabled",
        f"gcloud services enable container.googleapis.com --project {PROJECT}",
    ),
    (
        "the registry's API",
        switch_off("artifactregistry"),
        {},
        "API",
        "artifactregistry.googleapis.com is not enabled",
        "gcloud services enable artifactregistry.googleapis.com",
    ),
    (
        "Cloud Build's API",
        switch_off("cloudbuild"),
        {"image": None},
        "API",
        "cloudbuild.googleapis.com is not enabled",
        "gcloud services enable cloudbuild.googleapis.com",
    ),
    (
        "a permission",
        lack("container.clusters.create"),
        {},
        "permission",
        "lacks container.clusters.create",
        "--role roles/container.admin",
    ),
    (
        "no such zone",
        nothing,
        {"zone": "us-central1-z"},
        "zone",
        "there is no zone us-central1-z",
        "Take another zone, such as us-central1-a",
    ),
    (
        "no such GPU there",
        nothing,
        {"zone": "us-east1-b"},
        "zone",
        "The zone us-east1-b has no 1 x nvidia-tesla-t4",
        "us-east1-c",
    ),
    (
        "no such machine there",
        nothing,
        {"machine": "n1-highmem-4"},
        "zone",
        "us-central1-a does not offer n1-highmem-4",
        "Take another machine type",
    ),
    (
        "GPU quota",
        limit("NVIDIA_T4_GPUS", 0),
        {},
        "quota NVIDIA_T4_GPUS",
        "may have 0 NVIDIA_T4_GPUS in us-central1 and uses 0",
        "iam-admin/quotas",
    ),
    ("CPU quota", limit("CPUS", 5), {}, "quota CPUS", "6 more are too many", "iam-admin/quotas"),
    (
        "disk quota",
        limit("SSD_TOTAL_GB", 10),
        {},
        "quota SSD_TOTAL_GB",
        "60 more are too many",
        "iam-admin/quotas",
    ),
    (
        "address quota",
        limit("IN_USE_ADDRESSES", 1),
        {},
        "quota IN_USE_ADDRESSES",
        "2 more are too many",
        "iam-admin/quotas",
    ),
    (
        "global quota",
        globally(0),
        {"regions": "us-east1"},
        "quota GPUS_ALL_REGIONS",
        "may have 0 GPUS_ALL_REGIONS over all regions",
        "iam-admin/quotas",
    ),
    ("budget", nothing, {"budget": 0.05}, "budget", "of $0.05", "is enough by what is expected"),
    (
        "deadline",
        nothing,
        {"deadline_minutes": 15},
        "deadline",
        "with what is held back for the teardown",
        "is enough by what is expected",
    ),
    (
        "node account",
        nothing,
        {"node_account": "nobody@stand-in-project.iam.gserviceaccount.com"},
        "node account",
        "has no active nobody@",
        "--node-account",
    ),
]


@pytest.mark.parametrize(
    ("break_it", "values", "name", "detail", "remedy"),
    [entry[1:] for entry in FAILURES],
    ids=[entry[0] for entry in FAILURES],
)
async def test_what_is_missing_is_one_line_with_its_fix(
    world: GoogleWorld,
    tmp_path: Path,
    break_it: Callable[[GoogleWorld], None],
    values: dict[str, Any],
    name: str,
    detail: str,
    remedy: str,
) -> None:
    break_it(world)
    (failed,) = await refused(GkeRun(world, tmp_path, {**PINNED, **values}))
    assert failed.name == name
    assert detail in failed.detail
    assert remedy in failed.remedy
    assert world.ledger.created() == []


async def test_the_budget_that_is_named_is_enough(world: GoogleWorld, tmp_path: Path) -> None:
    (failed,) = await refused(GkeRun(world, tmp_path, {**PINNED, "budget": 0.05}))
    enough = float(failed.remedy.split()[1])
    await check(GkeRun(world, tmp_path, {**PINNED, "budget": enough}))
    await refused(GkeRun(world, tmp_path, {**PINNED, "budget": enough - 0.02}))


async def test_the_deadline_that_is_named_is_enough(world: GoogleWorld, tmp_path: Path) -> None:
    (failed,) = await refused(GkeRun(world, tmp_path, {**PINNED, "deadline_minutes": 15}))
    enough = int(failed.remedy.split()[1])
    await check(GkeRun(world, tmp_path, {**PINNED, "deadline_minutes": enough}))


async def test_several_things_missing_are_all_told_at_once(
    world: GoogleWorld, tmp_path: Path
) -> None:
    switch_off("cloudbuild")(world)
    lack("storage.objects.delete")(world)
    limit("NVIDIA_T4_GPUS", 0)(world)
    failed = await refused(GkeRun(world, tmp_path, {"budget": 0.01}))
    assert [each.name for each in failed] == ["API", "permission", "quota NVIDIA_T4_GPUS", "budget"]


@pytest.mark.parametrize("service", ["compute", "container"])
async def test_one_api_that_fails_hides_no_other_check(
    world: GoogleWorld, tmp_path: Path, service: str
) -> None:
    world.faults.add(f"{service}.*", "permission", times=-1)
    run = GkeRun(world, tmp_path, {**PINNED, "budget": 0.01})
    failed = {each.name for each in await refused(run)}
    assert (
        failed
        == {"compute": {"zone", "quotas", "budget"}, "container": {"clusters", "budget"}}[service]
    )


async def test_what_may_not_be_looked_at_stops_nothing(world: GoogleWorld, tmp_path: Path) -> None:
    for call in ("cloudbilling.projects.*", "serviceusage.*", "cloudresourcemanager.*:test*"):
        world.faults.add(call, "permission", times=-1)
    checks = await check(GkeRun(world, tmp_path, PINNED))
    for name in ("billing", "APIs"):
        assert not checks[name].passed
        assert not checks[name].required


async def test_a_region_with_quota_comes_first_where_it_may(
    world: GoogleWorld, tmp_path: Path
) -> None:
    limit("NVIDIA_T4_GPUS", 0)(world)
    run = GkeRun(world, tmp_path, {**PINNED, "regions": "us-east1"})
    checks = await check(run)
    assert run.deployment.zones == ("us-east1-c", "us-east1-d")
    assert run.deployment.location == "us-east1-c"
    assert checks["region"].detail == (
        "the quotas of us-central1 do not suffice: it is not tried, us-east1-c comes first"
    )


async def test_live_prices_that_cannot_be_had_are_said_to_be_missing(
    world: GoogleWorld, tmp_path: Path
) -> None:
    world.faults.add("cloudbilling.skus.list", "permission", times=-1)
    run = GkeRun(world, tmp_path, PINNED)
    checks = await check(run)
    assert checks["prices"].detail.startswith("shipped prices as of ")
    assert "the Cloud Billing Catalog could not be read" in checks["prices"].detail
    assert run.records(RunPlanned)[0].usd is not None


async def test_without_a_price_the_budget_cannot_be_kept_and_that_is_said(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path, {**PINNED, "prices": "shipped", "zone": "asia-east1-a"})
    checks = await check(run)
    assert not checks["budget"].passed
    assert "no price is known of: system node, GPU node" in checks["budget"].detail
    assert run.records(RunPlanned)[0].usd is None


async def test_a_plan_that_needs_files_of_this_machine(world: GoogleWorld, tmp_path: Path) -> None:
    (failed,) = await refused(
        GkeRun(world, tmp_path, PINNED), plan=small_plan(dataset=str(tmp_path))
    )
    assert failed.name == "inputs"
