"""A cluster and a pool are there afterwards, however far an earlier try came, and never twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.cloud import container_v1
from google.cloud.container_v1 import types

from core.errors import ProblemError, StageError
from core.gcp.cluster_request import cluster_request
from core.gcp.errors import GoogleError, QuotaError, StockoutError
from core.gcp.specs import KEEP_LABEL
from core.run.events import (
    PartChanged,
    ResourceCreated,
    ResourceIntended,
    StageChecked,
    StageProgressed,
)
from core.targets.gke.creating import Creating, why_not_reused
from core.targets.gke.deployment import owner
from tests.core.targets.gke_run import QUICK, GkeRun, until
from tests.core.targets.gke_scene import (
    CLUSTER,
    OTHER,
    SPEED,
    ZONE,
    add_pool,
    calls,
    labels_of,
    stand_up,
)
from tests.google.clusters import ClusterStatus
from tests.google.doings import Doings
from tests.google.sped_up import SpedUpPolicy
from tests.google.world import GoogleWorld


@pytest.fixture
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return SpedUpPolicy(SPEED)


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with GoogleWorld(speed=SPEED, durations=QUICK) as stand_in:
        yield stand_in


async def have_cluster(run: GkeRun) -> None:
    async with run.deployment:
        await Creating(run.deployment, run.context()).cluster()


def identities(run: GkeRun) -> dict[str, str]:
    return {record.kind: record.identity for record in run.records(ResourceCreated)}


def begun(run: GkeRun) -> None:
    """What a process that was killed has asked for."""
    message = cluster_request(run.deployment.project, run.deployment.cluster_spec()).cluster
    Doings(run.world.gke).create_cluster(ZONE, types.Cluster(message))


async def test_what_is_created_is_written_down_before_and_told_as_it_goes(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    intended_at_creation: list[str] = []

    async def on_call(call: Any, stage: str) -> None:
        if (call.name, stage) == ("container.CreateCluster", "before"):
            intended_at_creation.extend(each.kind for each in run.records(ResourceIntended))

    world.on_call = on_call
    await have_cluster(run)
    assert intended_at_creation == ["cluster", "node pool"]
    cluster, pool = run.records(ResourceIntended)
    assert (cluster.name, pool.name) == (CLUSTER, f"{CLUSTER}/{run.deployment.pool}")
    assert cluster.delete_command.startswith(f"gcloud container clusters delete {CLUSTER} ")
    assert set(identities(run)) == {"cluster", "node pool"}
    assert run.records(StageProgressed)
    last = run.records(PartChanged)[-1]
    assert (last.kind, last.state) == ("cluster", "ready")
    assert "runs Kubernetes 1." in last.detail
    # The pool has come with it, empty: no GPU is billed.
    assert world.ledger.gpu_seconds() == 0
    assert run.deployment.pool in world.gke.clusters[ZONE, CLUSTER].pools


async def test_its_own_under_way_is_taken_up_and_not_asked_for_again(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    begun(run)
    await have_cluster(run)
    assert calls(world, "container.CreateCluster") == 0
    assert world.ledger.doubles() == []
    assert identities(run)["cluster"]


async def test_a_creation_whose_answer_was_lost_is_known_again(
    world: GoogleWorld, tmp_path: Path
) -> None:
    world.faults.add("container.CreateCluster", "cut after")
    run = GkeRun(world, tmp_path)
    await have_cluster(run)
    assert len(world.ledger.created("cluster")) == 1
    assert run.deployment.owns_cluster


async def test_anothers_cluster_is_refused_as_wrong_input(
    world: GoogleWorld, tmp_path: Path
) -> None:
    await stand_up(world, labels_of(OTHER))
    run = GkeRun(world, tmp_path)
    with pytest.raises(StageError) as caught:
        await have_cluster(run)
    assert caught.value.exit_code == 2
    assert f"of run {OTHER}" in caught.value.sentence
    assert "--name-suffix" in caught.value.remedy
    assert len(world.ledger.created("cluster")) == 1


async def test_another_that_is_quicker_is_not_taken_for_the_own_one(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run, another = GkeRun(world, tmp_path), labels_of(OTHER)

    async def on_call(call: Any, stage: str) -> None:
        if (call.name, stage) == ("container.CreateCluster", "before"):
            world.on_call = None
            asyncio.get_running_loop().create_task(stand_up(world, another))
            await until(lambda: (ZONE, CLUSTER) in world.gke.clusters, 0.1)

    world.on_call = on_call
    with pytest.raises(StageError, match="is there already"):
        await have_cluster(run)
    assert identities(run) == {}


async def test_any_cluster_may_be_used_if_that_is_wanted_and_stays_anothers(
    world: GoogleWorld, tmp_path: Path
) -> None:
    await stand_up(world, {})
    run = GkeRun(world, tmp_path, {"reuse": "any"})
    async with run.deployment:
        creating = Creating(run.deployment, run.context())
        await creating.cluster()
        await creating.pool()
    assert not run.deployment.owns_cluster
    assert "it stays" in run.records(StageChecked)[0].detail
    # Of the cluster nothing is written down, so no teardown touches it.
    assert {record.kind for record in run.records(ResourceIntended)} == {"node pool"}
    assert set(identities(run)) == {"node pool"}
    assert run.deployment.pool in world.gke.clusters[ZONE, CLUSTER].pools


async def test_what_fails_on_anothers_cluster_is_no_failure_of_this_run(
    world: GoogleWorld, tmp_path: Path
) -> None:
    theirs = await stand_up(world, {})
    world.gke.gate.fate = "fails"
    Doings(world.gke).change(theirs, 18)
    world.gke.gate.fate = ""
    run = GkeRun(world, tmp_path, {"reuse": "any"})
    await have_cluster(run)
    assert run.records(PartChanged)[-1].state == "ready"


async def test_a_place_where_nothing_was_found_is_the_runs_own(
    world: GoogleWorld, tmp_path: Path
) -> None:
    await stand_up(world, {})
    run = GkeRun(world, tmp_path, {"reuse": "any"})
    await have_cluster(run)
    assert not run.deployment.owns_cluster
    run.deployment.use("us-east1-c", "us-east1-c")
    assert run.deployment.owns_cluster


async def test_anothers_pool_of_the_same_name_is_not_used(
    world: GoogleWorld, tmp_path: Path
) -> None:
    await stand_up(world, {})
    run = GkeRun(world, tmp_path, {"reuse": "any"})
    await add_pool(world, labels_of(OTHER), run.deployment.pool, nodes=0)
    async with run.deployment:
        with pytest.raises(StageError, match=f"is there already, of run {OTHER}"):
            await Creating(run.deployment, run.context()).pool()
    assert identities(run) == {}


async def test_a_pool_that_never_comes_ends_the_wait(world: GoogleWorld, tmp_path: Path) -> None:
    run = GkeRun(world, tmp_path)
    await run.stand_up()
    run.deployment.use(ZONE, "us-central1-b")
    world.faults.add("container.CreateNodePool", "operation never ends")
    async with run.deployment:
        with pytest.raises(StageError, match=r"had no node pool .* within 2 minutes"):
            await Creating(run.deployment, run.context(), pool_limit_s=120).pool()


async def test_a_leg_with_a_dot_has_labels_that_google_takes(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    run.deployment.run_id = "20261122-120000-gke-xen-4.17-ab12"
    await have_cluster(run)
    assert set(identities(run)) == {"cluster", "node pool"}


async def test_a_pool_that_is_there_is_not_created_again(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    await run.stand_up()
    before = calls(world, "container.CreateNodePool")
    async with run.deployment:
        await Creating(run.deployment, run.context()).pool()
    assert calls(world, "container.CreateNodePool") == before
    assert set(identities(run)) == {"node pool"}


async def test_a_pool_waits_while_its_cluster_is_at_work_on_something_else(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    await run.stand_up()
    run.deployment.use(ZONE, "us-central1-b")
    system = run.deployment.cluster_spec().pool.name
    Doings(world.gke).resize_pool(ZONE, CLUSTER, system, 0)
    async with run.deployment:
        await Creating(run.deployment, run.context()).pool()
    assert run.deployment.pool in world.gke.clusters[ZONE, CLUSTER].pools
    assert calls(world, "container.CreateNodePool") == 2


@pytest.mark.parametrize("answer", ["cut after", "unavailable"])
async def test_a_pool_is_created_once_whatever_becomes_of_the_answer(
    world: GoogleWorld, tmp_path: Path, answer: Any
) -> None:
    run = GkeRun(world, tmp_path)
    await run.stand_up()
    run.deployment.use(ZONE, "us-central1-b")
    world.faults.add("container.CreateNodePool", answer)
    async with run.deployment:
        await Creating(run.deployment, run.context()).pool()
    name = f"{CLUSTER}/{run.deployment.pool}"
    assert [each.name for each in world.ledger.created("pool")].count(name) == 1
    assert world.ledger.doubles() == []


async def test_a_cluster_that_fails_is_named_with_what_removes_it(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    begun(run)
    await until(lambda: world.gke.clusters[ZONE, CLUSTER].work is None)
    world.gke.clusters[ZONE, CLUSTER].message.status = ClusterStatus.ERROR
    world.gke.clusters[ZONE, CLUSTER].message.status_message = "Something \x1b[31mbroke"
    with pytest.raises(GoogleError) as caught:
        await have_cluster(run)
    assert "is error: Something \\x1b[31mbroke" in caught.value.sentence
    assert "teardown" in caught.value.remedy


@pytest.mark.parametrize(
    ("quotas", "stock", "kind"),
    [
        ({}, {(ZONE, ""): 0}, StockoutError),
        ({("us-central1", "CPUS"): 1.0}, {}, QuotaError),
    ],
)
async def test_a_shortage_is_raised_long_before_google_gives_up(
    world: GoogleWorld, tmp_path: Path, quotas: Any, stock: Any, kind: type[ProblemError]
) -> None:
    world.capacity.stock.update(stock)
    run = GkeRun(world, tmp_path)
    began = world.clock.now()
    task = asyncio.ensure_future(have_cluster(run))
    if quotas:
        # As if somebody else took it between the request and the machines.
        await until(lambda: (ZONE, CLUSTER) in world.gke.clusters, 0.5)
        world.capacity.quotas.update(quotas)
    with pytest.raises(kind):
        await task
    passed = world.clock.now() - began
    assert passed < QUICK.control_plane + QUICK.system_nodes + 90


NOW = 1_800_000_000.0


def found(**labels: str) -> container_v1.Cluster:
    """A cluster by its labels, ``_`` for ``-``."""
    named = {name.replace("_", "-"): value for name, value in labels.items()}
    return container_v1.Cluster(name=CLUSTER, location=ZONE, resource_labels=named)


def kept(**more: str) -> container_v1.Cluster:
    return found(
        **{
            "gpubench_run": OTHER,
            "gpubench_owner": owner(),
            "gpubench_expires": str(int(NOW + 60)),
            KEEP_LABEL.replace("-", "_"): "yes",
            **more,
        }
    )


def usable(**labels: str) -> container_v1.Cluster:
    cluster = found(**labels)
    cluster.workload_identity_config.workload_pool = "p.svc.id.goog"
    return cluster


@pytest.mark.parametrize(
    ("cluster", "reuse"),
    [(kept(), "ours"), (usable(), "any"), (usable(gpubench_owner="ann-laptop"), "any")],
)
def test_what_may_be_used(cluster: container_v1.Cluster, reuse: str) -> None:
    assert why_not_reused(cluster, reuse, NOW) is None


@pytest.mark.parametrize(
    ("cluster", "reuse", "sentence", "remedy"),
    [
        (found(), "ours", "none of ours", "--reuse any"),
        (kept(), "never", f"of run {OTHER}", f"teardown {OTHER}"),
        (kept(gpubench_keep="no"), "ours", f"of run {OTHER}", f"teardown {OTHER}"),
        (kept(gpubench_owner="ann-laptop"), "ours", "of ann-laptop", "--reuse any"),
        (kept(gpubench_owner=""), "ours", "of somebody else", "--reuse any"),
        (kept(gpubench_expires=str(int(NOW - 1))), "ours", "is overdue", "sweep"),
        (kept(gpubench_expires="1"), "never", f"of run {OTHER}", "sweep"),
    ],
)
def test_why_one_is_refused_with_the_way_out(
    cluster: container_v1.Cluster, reuse: str, sentence: str, remedy: str
) -> None:
    refused = why_not_reused(cluster, reuse, NOW)
    assert refused is not None
    assert sentence in refused[0]
    assert remedy in refused[1]
    assert "--name-suffix" in refused[1]


def test_one_that_cannot_take_the_pool_is_refused_whatever_is_allowed() -> None:
    cluster = usable()
    cluster.autopilot.enabled = True
    refused = why_not_reused(cluster, "any", NOW)
    assert refused is not None
    assert "Autopilot" in refused[0]
    cluster = found()
    cluster.self_link = (
        f"https://container.googleapis.com/v1/projects/p/locations/{ZONE}/clusters/c"
    )
    refused = why_not_reused(cluster, "any", NOW)
    assert refused is not None
    assert "no Workload Identity" in refused[0]
    assert (
        f"gcloud container clusters update {CLUSTER} --location {ZONE} "
        "--workload-pool=p.svc.id.goog turns it on"
    ) in refused[1]


def test_what_others_wrote_into_labels_is_harmless() -> None:
    refused = why_not_reused(found(gpubench_run="\x1b[2J"), "ours", time.time())
    assert refused is not None
    assert "\x1b" not in "".join(refused)
