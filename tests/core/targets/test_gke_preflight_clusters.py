"""Before anything is created: what stands under the cluster's name already, and what else of us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.gcp.specs import EXPIRES_LABEL, KEEP_LABEL, OWNER_LABEL, RUN_LABEL
from core.run.cost_events import RunPlanned
from core.run.events import Event, RunStarted
from core.targets.gke.deployment import owner
from tests.core.targets.gke_preflight import PINNED, check, limit, refused
from tests.core.targets.gke_run import QUICK, GkeRun
from tests.core.targets.gke_scene import CLUSTER, OTHER, SPEED, ZONE, labels_of, stand_up
from tests.google.sped_up import SpedUpPolicy
from tests.google.world import PROJECT, GoogleWorld


@pytest.fixture
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return SpedUpPolicy(SPEED)


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with GoogleWorld(speed=SPEED, durations=QUICK) as stand_in:
        yield stand_in


async def test_of_another_run_it_stops_this_one(world: GoogleWorld, tmp_path: Path) -> None:
    await stand_up(world, labels_of(OTHER))
    (failed,) = await refused(GkeRun(world, tmp_path, PINNED))
    assert failed.name == "cluster's name"
    assert f"Cluster {CLUSTER} in {ZONE} is there already, of run {OTHER}" in failed.detail
    assert f"teardown {OTHER}" in failed.remedy


async def test_of_nobody_it_stops_this_one(world: GoogleWorld, tmp_path: Path) -> None:
    await stand_up(world, {})
    (failed,) = await refused(GkeRun(world, tmp_path, PINNED))
    assert "none of ours" in failed.detail
    assert "--name-suffix" in failed.remedy


async def test_kept_by_the_same_owner_it_is_used_and_costs_nothing_more(
    world: GoogleWorld, tmp_path: Path
) -> None:
    await stand_up(world, {**labels_of(OTHER, owner=owner()), KEEP_LABEL: "yes"})
    run = GkeRun(world, tmp_path, PINNED)
    checks = await check(run)
    assert checks["cluster's name"].detail.endswith("is there already and is used; it stays")
    kept = checks["kept cluster"]
    assert f"was kept by run {OTHER}" in kept.detail
    # Also from a machine that knows nothing of that run.
    assert kept.remedy.endswith(f"sweep --project {PROJECT} --run {OTHER} --yes removes it.")
    assert not run.deployment.owns_cluster
    assert checks["quota CPUS"].detail.startswith("4 needed")
    (planned,) = run.records(RunPlanned)
    (cluster,) = [step for step in planned.steps if step.name == "cluster"]
    assert cluster.usd == 0


async def test_a_folder_where_the_results_go_stops_the_run(
    world: GoogleWorld, tmp_path: Path
) -> None:
    (tmp_path / "baseline").mkdir()
    (failed,) = await refused(GkeRun(world, tmp_path, PINNED))
    assert failed.detail.startswith(f"{tmp_path / 'baseline'} is in the way")


async def test_cloud_build_is_refused_where_the_projects_number_cannot_be_asked(
    world: GoogleWorld, tmp_path: Path
) -> None:
    world.project.services.discard("cloudresourcemanager.googleapis.com")
    failed = await refused(GkeRun(world, tmp_path))
    (cloud,) = [each for each in failed if each.name == "Cloud Build"]
    assert "services enable cloudresourcemanager.googleapis.com" in cloud.remedy


async def test_of_this_run_it_is_taken_up(world: GoogleWorld, tmp_path: Path) -> None:
    first = GkeRun(world, tmp_path, {**PINNED, "budget": 0.01})
    await first.stand_up(gpus=True)
    limit("NVIDIA_T4_GPUS", 1)(world)
    before = [Event(1, "run", first.deployment.clock(), None, 0, RunStarted(pid=1, version="1"))]
    checks = await check(first, before=before)
    assert checks["cluster's name"].detail.endswith("is this run's own")
    # Its own nodes are among what is in use; its limits are the watch's affair.
    assert not checks["quota NVIDIA_T4_GPUS"].required
    assert not checks["budget"].required


async def test_a_zone_elsewhere_that_google_does_not_list_stops_nothing(
    world: GoogleWorld, tmp_path: Path
) -> None:
    world.gke.unlisted.add("us-east1-b")
    other = (await check(GkeRun(world, tmp_path, PINNED)))["other clusters"]
    assert not other.required
    assert "leaves out us-east1-b" in other.detail
    world.gke.unlisted.add(ZONE)
    (failed,) = await refused(GkeRun(world, tmp_path, PINNED))
    assert failed.name == "clusters"
    assert ZONE in failed.detail


async def test_an_overdue_one_of_ours_is_told(world: GoogleWorld, tmp_path: Path) -> None:
    labels = {RUN_LABEL: "old", OWNER_LABEL: owner(), EXPIRES_LABEL: "1"}
    await stand_up(world, labels, "forgotten")
    overdue = (await check(GkeRun(world, tmp_path, PINNED)))["overdue cluster"]
    assert "forgotten in us-central1-a of run old is overdue" in overdue.detail
    assert overdue.remedy == f"gpubench-tui --no-ui sweep --project {PROJECT} --yes removes it."
