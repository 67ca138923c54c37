"""What a process of a run that was killed had done is neither done nor paid for again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.kube.cluster import Cluster
from core.kube.errors import KubeconfigError
from core.run.events import (
    AnyRecord,
    Event,
    ResourceIntended,
    ResultsStored,
    Stage,
    StageFinished,
    StageStarted,
)
from core.run.pipeline import Pipeline, StageContext
from core.run.process import utc_now
from core.settings import Settings
from core.targets.kubernetes.deployment import Deployment
from core.targets.kubernetes.drivers import Drivers
from core.targets.kubernetes.job import Job
from core.targets.kubernetes.results import let_go
from core.targets.stored import left_of
from tests.core.kube.stand_in import StandIn
from tests.core.stages import StandIn as StandInStage
from tests.core.stages import nothing
from tests.core.targets.kubernetes_world import DONE, IMAGE, RUN, World, kubelet

_STORED = ResultsStored(result_file="r.json", latest="results/baseline", good=1, void=0)
_PROVED = StageFinished(seconds=1, summary="Tesla T4, driver 570, CUDA 12.8")
STAGES = (
    StandInStage(Stage.JOB, nothing),
    StandInStage(Stage.RESULTS, nothing, frozenset({Stage.JOB})),
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with StandIn() as server:
        server.add_node(gpus=1)
        access = server.access(tmp_path)
        settings = Settings(
            target="kubernetes",
            kubeconfig=access.kubeconfig,
            context=access.context,
            namespace="default",
            image="registry.test/benchmark",
        )
        made = World(server, access, tmp_path, settings)
        made.deployment.image = IMAGE
        made.deployment.image_known.set()
        yield made


def events(*told: tuple[Stage, AnyRecord]) -> list[Event]:
    return [
        Event(
            sequence=number,
            run=RUN,
            time=utc_now(),
            stage=stage,
            log_position=0,
            record=record,
        )
        for number, (stage, record) in enumerate(told, 1)
    ]


def context_after(world: World, *told: tuple[Stage, AnyRecord]) -> StageContext:
    return replace(world.context(Stage.DRIVERS), before=events(*told))


async def test_with_the_runs_job_there_no_other_pod_asks_for_its_gpu(world: World) -> None:
    await _run_up_to_the_results(world)
    world.events.clear()
    before = ((Stage.DRIVERS, _PROVED), (Stage.DRIVERS, StageStarted()))
    summary = await Drivers(world.deployment, utc_now).run(context_after(world, *before))
    assert summary == _PROVED.summary
    assert world.records(ResourceIntended) == []


async def test_without_a_job_the_gpu_is_tried_anew(world: World) -> None:
    async with kubelet(world):
        before = ((Stage.DRIVERS, _PROVED),)
        summary = await Drivers(world.deployment, utc_now).run(context_after(world, *before))
    assert summary == "STAND-IN GPU (test), driver 570.00.01, CUDA 12.8"


async def test_a_pod_whose_results_are_stored_is_let_go(world: World) -> None:
    await _run_up_to_the_results(world)
    await let_go(world.deployment, RUN)
    assert (world.pod_results / ".release").exists()


async def test_a_cluster_that_is_gone_has_nobody_to_let_go(world: World) -> None:
    asked = []

    async def log_in(_configuration: object) -> None:
        asked.append(RUN)
        raise KubeconfigError("There is no such cluster.", "Create one.")

    gone = Deployment(world.settings, world.access, lambda access: Cluster(access, login=log_in))
    await let_go(gone, RUN)
    assert asked == [RUN]


async def _run_up_to_the_results(world: World) -> None:
    async with kubelet(world):
        running = asyncio.create_task(
            Pipeline(
                [
                    StandInStage(Stage.IMAGE, nothing),
                    Drivers(world.deployment, utc_now, needs=frozenset()),
                    Job(world.deployment, utc_now),
                ]
            ).run(world.context)
        )
        pod = await world.benchmark_pod()
        await world.measured(pod)
        pod.log(DONE.model_dump_json(), container="benchmark")
        pod.finish(container="benchmark")
        await running


def test_a_run_without_results_has_all_of_its_stages_before_it() -> None:
    assert left_of(STAGES, events((Stage.JOB, StageStarted()))) == STAGES


def test_a_run_whose_results_stage_is_done_has_none() -> None:
    told = events((Stage.RESULTS, _STORED), (Stage.RESULTS, _PROVED))
    assert left_of(STAGES, told) == ()


async def test_a_run_whose_results_are_stored_only_does_what_comes_after(world: World) -> None:
    done = []

    async def rest(context: StageContext) -> None:
        done.append(context.run_id)

    told = events((Stage.RESULTS, StageStarted()), (Stage.RESULTS, _STORED))
    await Pipeline(left_of(STAGES, told, rest)).run(world.context)
    assert done == [RUN]
    finished = world.records(StageFinished)
    assert [each.summary for each in finished] == [_STORED.latest]
