"""One run's deployment in a project of the stand-in's, with what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from google.cloud.container_v1 import types

from benchmark.plan import Plan
from core.errors import ProblemError
from core.gcp.cluster_request import cluster_request, pool_message
from core.run.events import AnyRecord, Event
from core.run.pipeline import StageContext
from core.settings import Settings
from core.targets.gke.deployment import GkeDeployment
from core.targets.gke.forecasting import Prospect
from core.targets.gke.watching import CostWatch
from tests.core.runs import small_plan
from tests.core.targets.gke_scene import RUN, access_to, settled
from tests.google.clock import Durations
from tests.google.clusters import GkeCluster
from tests.google.doings import Doings
from tests.google.world import PROJECT, GoogleWorld

QUICK = Durations(
    control_plane=60,
    system_nodes=15,
    pool_accepted=3,
    node_boot=12,
    driver=30,
    pool_create=20,
    pool_delete=30,
    cluster_delete=45,
    resize=10,
    # A GPU node without a pod stays.
    autoscaler_idle=1e6,
)

_Record = TypeVar("_Record")


@dataclass
class GkeRun:
    """A run of which a test drives one part."""

    world: GoogleWorld
    folder: Path
    values: dict[str, Any] = field(default_factory=dict)
    """Settings that are not the defaults."""
    told: list[Event] = field(default_factory=list)
    stops: list[ProblemError] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = Settings.model_validate(
            {
                "target": "gke",
                "project": PROJECT,
                "state_dir": str(self.folder),
                # Its vCPUs are billed as many as they are, unlike those of a shared-core machine.
                "system_machine": "e2-standard-2",
                **self.values,
            }
        )
        clock = self.world.clock.datetime
        self.deployment = GkeDeployment(
            settings, RUN, clock, access_to(self.world), created_at=clock()
        )
        self.prospect = Prospect(self.deployment)

    def emit(self, record: AnyRecord) -> None:
        time = self.world.clock.datetime()
        self.told.append(Event(len(self.told) + 1, RUN, time, None, 0, record))

    def records(self, kind: type[_Record]) -> list[_Record]:
        """All that was told of a kind."""
        return [event.record for event in self.told if isinstance(event.record, kind)]

    def context(self, plan: Plan | None = None, before: Iterable[Event] = ()) -> StageContext:
        return StageContext(
            run_id=RUN,
            leg="baseline",
            folder=self.folder,
            results_dir=self.folder,
            plan=plan or small_plan(),
            emit=self.emit,
            log=lambda source, text, time=None: None,
            before=tuple(before),
        )

    async def stand_up(self, *, gpus: bool = False) -> None:
        """Have the run's cluster, with its empty pool or one GPU node in that."""
        spec, doings = self.deployment.cluster_spec(), Doings(self.world.gke)
        message = cluster_request(PROJECT, spec).cluster
        doings.create_cluster(spec.location, types.Cluster(message))
        await settled(self.world, spec.name, spec.location)
        if self.deployment.pool not in self._cluster().pools:
            pool = pool_message(self.deployment.pool_spec())
            doings.create_pool(spec.location, spec.name, types.NodePool(pool))
            await settled(self.world, spec.name, spec.location)
        if gpus:
            doings.resize_pool(spec.location, spec.name, self.deployment.pool, 1)
            await settled(self.world, spec.name, spec.location)

    async def take_down(self) -> None:
        """As the run's own end does it: the GPU nodes first, then all."""
        deployment, doings = self.deployment, Doings(self.world.gke)
        where = (deployment.location, deployment.cluster)
        doings.resize_pool(*where, deployment.pool, 0)
        await settled(self.world, where[1], where[0])
        doings.delete_pool(*where, deployment.pool)
        await settled(self.world, where[1], where[0])
        doings.delete_cluster(*where)
        await until(lambda: where not in self.world.gke.clusters)

    def _cluster(self) -> GkeCluster:
        return self.world.gke.find(self.deployment.location, self.deployment.cluster)

    def watch(self, before: Iterable[Event] = ()) -> asyncio.Task[None]:
        """Begin to watch over the costs."""
        watch = CostWatch(self.prospect, tuple(before))
        return asyncio.ensure_future(watch.run(self.emit, self.stops.append))


async def until(condition: Any, every_s: float = 1.0, limit_s: float = 3600.0) -> None:
    """Return when something has come true, by the loop's time."""
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(every_s)


async def ended(task: asyncio.Task[None]) -> None:
    """End a watch as the run's process does."""
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError), outcome
