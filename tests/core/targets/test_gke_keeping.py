"""A run that is kept keeps no GPU, and says that it is kept only when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import StageError
from core.gcp.specs import KEEP_LABEL
from core.run.events import ResourceCreated, ResourceDeleted, ResourceIntended, Stage
from core.run.pipeline import StageContext
from core.run.view import RunView
from core.targets.gke.creating import Creating
from core.targets.gke.keeping import Kept
from core.targets.gke.results import let_go
from tests.core.stages import StandIn
from tests.core.targets.gke_run import QUICK, GkeRun, until
from tests.core.targets.gke_scene import CLUSTER, SPEED, ZONE
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


async def a_run(world: GoogleWorld, folder: Path, keep: str) -> GkeRun:
    """A run with a GPU node."""
    run = GkeRun(world, folder, {"keep": keep, "endpoint": "ip"})
    await run.stand_up(gpus=True)
    name = f"{CLUSTER}/{run.deployment.pool}"
    place = run.deployment.place
    run.emit(ResourceIntended(kind="node pool", name=name, location=place, delete_command="x"))
    run.emit(ResourceCreated(kind="node pool", name=name, identity="x"))
    return run


def context(run: GkeRun, lines: list[str]) -> StageContext:
    return replace(
        run.context(),
        resources=lambda: RunView.of(run.told).resources,
        log=lambda _source, text, time=None: lines.append(text),
    )


async def failing(run: GkeRun) -> list[str]:
    """Have a stage fail; what is logged."""

    async def fail(_context: StageContext) -> str:
        raise StageError("It does not work.")

    lines: list[str] = []
    async with run.deployment:
        kept = Kept(StandIn(Stage.JOB, fail, frozenset({Stage.DRIVERS})), run.deployment)
        assert (kept.stage, kept.needs) == (Stage.JOB, {Stage.DRIVERS})
        with pytest.raises(StageError, match="It does not work"):
            await kept.run(context(run, lines))
    return lines


def gpus(world: GoogleWorld) -> list[str]:
    return [name for name, each in world.fleet.instances.items() if each.shape.gpu]


def says_kept(world: GoogleWorld) -> bool:
    return world.gke.clusters[ZONE, CLUSTER].labels.get(KEEP_LABEL) == "yes"


@pytest.mark.parametrize("keep", ["failed", "everything"])
async def test_a_run_that_fails_and_is_kept_keeps_no_gpu(
    world: GoogleWorld, tmp_path: Path, keep: str
) -> None:
    run = await a_run(world, tmp_path, keep)
    assert not says_kept(world)
    assert await failing(run) == []
    assert gpus(world) == []
    assert list(world.gke.clusters[ZONE, CLUSTER].pools) == ["system"]
    (gone,) = run.records(ResourceDeleted)
    assert gone.name == f"{CLUSTER}/{run.deployment.pool}"
    assert says_kept(world)


@pytest.mark.parametrize("must_end", [False, True])
async def test_what_the_teardown_removes_is_left_to_it(
    world: GoogleWorld, tmp_path: Path, must_end: bool
) -> None:
    run = await a_run(world, tmp_path, "everything" if must_end else "nothing")
    run.deployment.must_end = must_end
    await failing(run)
    assert gpus(world)
    assert not says_kept(world)


async def test_a_gpu_that_could_not_be_removed_is_told(world: GoogleWorld, tmp_path: Path) -> None:
    run = await a_run(world, tmp_path, "failed")
    world.faults.add("container.DeleteNodePool", "permission", times=-1)
    lines = await failing(run)
    assert lines[0].startswith("The GPU nodes may still be there, and cost money: ")


async def test_a_kept_run_that_is_done_says_so_and_lets_the_gpu_go(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = await a_run(world, tmp_path, "everything")
    async with run.deployment:
        await let_go(run.deployment, context(run, []))
    await until(lambda: not gpus(world))
    assert says_kept(world)


async def test_a_pool_that_does_not_shrink_goes_where_no_teardown_follows(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = await a_run(world, tmp_path, "everything")
    world.faults.add("container.SetNodePoolSize", "permission", times=-1)
    async with run.deployment:
        await let_go(run.deployment, context(run, []))
    assert gpus(world) == []


async def test_anothers_cluster_is_not_marked(world: GoogleWorld, tmp_path: Path) -> None:
    run = await a_run(world, tmp_path, "everything")
    run.deployment.owns_cluster = False
    await failing(run)
    assert not says_kept(world)


async def test_a_cluster_that_stays_busy_is_not_marked_and_nobody_waits_for_ever(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path, {"keep": "failed"})
    async with run.deployment:
        await Creating(run.deployment, run.context()).cluster()
    world.gke.gate.fate = "never ends"
    Doings(world.gke).change(world.gke.clusters[ZONE, CLUSTER], 18)
    world.gke.gate.fate = ""
    lines = await failing(run)
    assert "is kept, but no later run will use it" in lines[-1]
