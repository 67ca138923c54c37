"""The GPU nodes go the moment the results are here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

# These take a second to import, which is most of a minute where time flies.
from kubernetes.aio.client import V1Job, V1Pod  # noqa: F401

from benchmark.results import read_result
from core.run.events import PartChanged, ResultsStored
from core.run.pipeline import StageContext
from core.targets.gke.drivers import Drivers
from core.targets.gke.results import Results, shrink
from core.targets.kubernetes.job import Job
from tests.core.targets.gke_run import QUICK, GkeRun, until
from tests.core.targets.gke_scene import CLUSTER, SPEED, ZONE, calls
from tests.google.child import IMAGE
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


def gpus(world: GoogleWorld) -> list[str]:
    return [name for name, each in world.fleet.instances.items() if each.shape.gpu]


def let_go(run: GkeRun) -> list[PartChanged]:
    return [
        each
        for each in run.records(PartChanged)
        if (each.kind, each.state) == ("node pool", "gone")
    ]


def context(run: GkeRun, lines: list[str]) -> StageContext:
    return replace(run.context(), log=lambda _source, text, time=None: lines.append(text))


async def test_results_are_fetched_and_then_the_gpu_goes(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path, {"endpoint": "ip"})
    await run.stand_up()
    run.deployment.kube.image = IMAGE
    run.deployment.kube.image_known.set()
    async with run.deployment as deployment:
        await Drivers(deployment).run(run.context())
        await Job(deployment.kube, deployment.clock).run(run.context())
        assert gpus(world)
        await Results(deployment).run(run.context())
    (stored,) = run.records(ResultsStored)
    assert read_result(tmp_path / stored.result_file).run_id == run.context().run_id
    assert len(let_go(run)) == 1
    await until(lambda: not gpus(world))
    # Of the teardown nothing has begun yet.
    assert (ZONE, CLUSTER) in world.gke.clusters


async def test_a_cluster_that_is_busy_is_waited_for(world: GoogleWorld, tmp_path: Path) -> None:
    run = GkeRun(world, tmp_path)
    await run.stand_up(gpus=True)
    cluster = world.gke.clusters[ZONE, CLUSTER]
    Doings(world.gke).change(cluster, 18)
    async with run.deployment:
        await shrink(run.deployment, context(run, []))
    assert calls(world, "container.SetNodePoolSize") == 2
    await until(lambda: not gpus(world))


async def test_a_cluster_that_stays_busy_is_not_waited_for_for_long(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    await run.stand_up(gpus=True)
    world.gke.gate.fate = "never ends"
    Doings(world.gke).change(world.gke.clusters[ZONE, CLUSTER], 18)
    world.gke.gate.fate = ""
    lines: list[str] = []
    async with run.deployment:
        async with asyncio.timeout(300):
            assert not await shrink(run.deployment, context(run, lines))
    assert lines == [
        "the GPU nodes could not be let go at once: Google did not take it within 120 s."
    ]


async def test_a_look_that_fails_while_the_cluster_is_busy_is_only_noted(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    await run.stand_up(gpus=True)
    Doings(world.gke).change(world.gke.clusters[ZONE, CLUSTER], 18)
    world.faults.add("container.ListOperations", "permission", times=-1)
    lines: list[str] = []
    async with run.deployment:
        assert not await shrink(run.deployment, context(run, lines))
    assert len(lines) == 1


@pytest.mark.parametrize("fault", ["permission", "internal"])
async def test_what_prevents_it_is_only_noted(
    world: GoogleWorld, tmp_path: Path, fault: Any
) -> None:
    run = GkeRun(world, tmp_path)
    await run.stand_up(gpus=True)
    world.faults.add("container.SetNodePoolSize", fault, times=-1)
    lines: list[str] = []
    async with run.deployment:
        await shrink(run.deployment, context(run, lines))
    assert len(lines) == 1
    assert lines[0].startswith("the GPU nodes could not be let go at once: ")
    assert let_go(run) == []
    assert gpus(world)
