"""``collect``: one more try at a run's results, which says how it ended wherever it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import StageError
from core.run.events import Stage
from core.run.journal import Journal, Run
from core.run.process import utc_now
from core.run.status import STATUS_FILE
from core.run.view import RunView, StageState
from core.settings import Settings
from core.targets.kubernetes.collecting import Collecting
from core.targets.kubernetes.deployment import Deployment
from tests.core.kube.stand_in import StandIn
from tests.core.targets.kubernetes_world import DONE, World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A run whose pod still holds its results."""
    async with StandIn() as stand_in:
        stand_in.add_node(gpus=1)
        access = stand_in.access(tmp_path)
        settings = Settings(
            target="kubernetes",
            kubeconfig=access.kubeconfig,
            context=access.context,
            namespace="default",
            image="registry.test/benchmark",
            gpus=0,
        )
        world = World(stand_in, access, tmp_path, settings)
        running = asyncio.create_task(world.run())
        pod = await world.benchmark_pod()
        await world.measured(pod)
        await world.said("pod", "working", "runs")
        stand_in.fail(403, path="/exec", times=1)
        pod.log(DONE.model_dump_json(), container="benchmark")
        pod.finish(container="benchmark")
        with pytest.raises(StageError, match="could not be collected"):
            await running
        yield world


class Later:
    """The command, and what it left in the journal and in the run's folder."""

    def __init__(self, world: World, journal: Journal) -> None:
        self.journal = journal
        self.run: Run = world.written_down(journal)
        self.happened: list[str] = []
        self.collecting = Collecting(
            journal,
            self.run,
            Deployment(world.settings, world.access, world.connect),
            utc_now,
            lambda _line, event: self.happened.append(event.record.event),
        )

    @property
    def state(self) -> StageState:
        return RunView.of(self.journal.events(self.run.id)).stages[Stage.RESULTS].state

    @property
    def status(self) -> str:
        return (self.run.folder / STATUS_FILE).read_text()


@pytest.fixture
def later(world: World, journal: Journal) -> Later:
    return Later(world, journal)


async def test_what_was_fetched_stands_in_the_status(later: Later) -> None:
    await later.collecting.execute()
    assert later.state is StageState.DONE
    assert "- [x] results" in later.status


async def test_what_cannot_be_fetched_again_is_a_failure(world: World, later: Later) -> None:
    world.stand_in.fail(403, path="/exec", times=1000)
    with pytest.raises(StageError, match="could not be collected"):
        await later.collecting.execute()
    assert later.state is StageState.FAILED
    assert "- [ ] (failed) results" in later.status


async def test_an_interrupted_one_does_not_run_for_ever(world: World, later: Later) -> None:
    asked = asyncio.Event()

    async def hanging(_command: object) -> AsyncIterator[tuple[int, bytes]]:
        asked.set()
        await asyncio.Event().wait()
        yield 1, b""

    pod = await world.benchmark_pod()
    pod.executor = hanging  # type: ignore[assignment]
    running = asyncio.create_task(later.collecting.execute())
    await asked.wait()
    world.stand_in.fail(403, path="/exec", times=1000)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert later.state is StageState.STOPPED
    assert "- [ ] (stopped) results" in later.status
