"""The reference session at the stand-in, measured: how long until its Job starts, what it has
billed, and the same of the plain sequence that somebody types by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.gcp.access import GoogleAccess, endpoints_of
from core.gcp.clusters import Clusters, endpoint_of
from core.gcp.connection import Google
from core.gcp.kube_login import login_for
from core.gcp.specs import RUN_LABEL, ClusterSpec, PoolSpec
from core.kube.cluster import Access, Cluster, JsonObject
from core.kube.objects import GPU_RESOURCE, JobOrder, Placement, job_object, to_json
from core.kube.reading import mapping, objects, quantity, words
from core.kube.transfer import collect
from core.run.events import Event, PartChanged, RunFinished, Stage, StageStarted
from tests.core.runs import small_plan
from tests.google.clock import Durations
from tests.google.world import GoogleWorld

PLAIN = "plain-sequence"
_ZONE = "us-central1-a"
_NAME = "plain-cluster"
_LOOKS_EVERY_S = 2.0
"""Google's seconds; somebody with ``kubectl get --watch`` is no quicker."""


@dataclass(frozen=True)
class Measured:
    """One session. Times are seconds of Google's clock since its command."""

    job_started_s: float
    """When the benchmark's container ran."""
    ended_s: float
    """When all was gone."""
    collection_s: float
    """From the benchmark's end until its results were here and checked."""
    gpu_seconds: float
    usd: float


def longest_path_s(durations: Durations, build_s: float) -> float:
    """What must pass before a Job can start, whoever asks: the cluster's creation or the build,
    whichever is longer, and then a GPU node (autoscaler, boot) with its driver. What is asked of
    the node needs both: it is billed while it waits for an image.
    """
    cluster = durations.control_plane + durations.system_nodes
    node = durations.autoscaler + durations.node_boot
    return max(cluster, build_s) + node + durations.driver


def needed_gpu_seconds(durations: Durations, collection_s: float) -> float:
    """For what a GPU is needed: its node's boot and driver (together the stage ``drivers`` of the
    reference), the benchmark, and the collection of what that measured.
    """
    return durations.node_boot + durations.driver + durations.benchmark + collection_s


def measured(world: GoogleWorld, run_id: str, events: Sequence[Event]) -> Measured:
    """What a run's stream and the stand-in's ledger say of it."""
    began = events[0].time

    def since(wanted: Callable[[Event], bool]) -> float:
        found = next(event for event in events if wanted(event))
        return (found.time - began).total_seconds()

    results = since(lambda e: e.stage is Stage.RESULTS and isinstance(e.record, StageStarted))
    let_go = since(
        lambda e: (
            e.stage is Stage.RESULTS
            and isinstance(e.record, PartChanged)
            and e.record.kind == "node pool"
        )
    )
    return Measured(
        job_started_s=since(
            lambda e: (
                isinstance(e.record, PartChanged)
                and (e.record.kind, e.record.state) == ("job", "working")
            )
        ),
        ended_s=since(lambda e: isinstance(e.record, RunFinished)),
        collection_s=let_go - results,
        gpu_seconds=_gpu_seconds(world, run_id),
        usd=world.ledger.usd(label=(RUN_LABEL, run_id)),
    )


async def plain_sequence(world: GoogleWorld, folder: Path, build_s: float) -> Measured:
    """One thing after the other, as the reference deployment's own commands are typed: a cluster
    with its GPU node, the driver, the image's build, the Job, its results, and the cluster's end.
    """
    access = GoogleAccess(
        world.project.name,
        str(world.credentials_file),
        endpoints=endpoints_of(world.environment()),
    )
    began = world.clock.now()
    sleep = world.clock.sleep
    async with Google(access, sleep=sleep) as google:
        clusters = Clusters(google)
        await _followed(clusters, await clusters.create(_spec()))
        found = await clusters.get(_ZONE, _NAME)
        assert found is not None
        login = login_for(google, endpoint_of(found))
        async with Cluster(Access("", PLAIN, "default"), login=login) as cluster:
            await _until(lambda: _has_gpu(cluster), sleep)
            await sleep(build_s)
            body = to_json(job_object(_order()))
            await cluster.request("POST", "/apis/batch/v1/namespaces/default/jobs", body=body)
            await _until(lambda: _is(cluster, "running"), sleep)
            started = world.clock.now()
            await _until(lambda: _is(cluster, "terminated"), sleep)
            ended = world.clock.now()
            (pod,) = await _pods(cluster)
            await collect(cluster, words(pod, "metadata", "name"), folder, report=_ignored)
            collected = world.clock.now()
        deletion = await clusters.delete(_ZONE, _NAME)
        assert deletion
        await _followed(clusters, deletion)
    return Measured(
        job_started_s=started - began,
        ended_s=world.clock.now() - began,
        collection_s=collected - ended,
        gpu_seconds=_gpu_seconds(world, PLAIN),
        usd=world.ledger.usd(label=(RUN_LABEL, PLAIN)),
    )


def _gpu_seconds(world: GoogleWorld, run: str) -> float:
    now = world.clock.now()
    return sum(
        entry.gpus * entry.seconds(now)
        for entry in world.ledger.entries
        if entry.labels.get(RUN_LABEL) == run
    )


def _spec() -> ClusterSpec:
    pool = PoolSpec(
        name="default-pool",
        machine="n1-standard-4",
        nodes=1,
        zones=(_ZONE,),
        most_nodes=2,
        gpu="nvidia-tesla-t4",
        gpus=1,
        disk_gb=60,
        labels={RUN_LABEL: PLAIN},
    )
    return ClusterSpec(_NAME, _ZONE, pool, {RUN_LABEL: PLAIN})


def _order() -> JobOrder:
    return JobOrder(
        name=PLAIN,
        namespace="default",
        image="registry.test/benchmark:plain",
        labels={"app": PLAIN},
        plan=small_plan().model_dump_json(),
        run_id=PLAIN,
        leg="baseline",
        placement=Placement(gpus=1),
        deadline_s=7200,
        start_s=1200,
        hold_s=1800,
    )


async def _followed(clusters: Clusters, operation: str) -> None:
    async for _seen in clusters.follow(_ZONE, operation):
        pass


async def _until(
    condition: Callable[[], Awaitable[bool]], sleep: Callable[[float], Awaitable[None]]
) -> None:
    while not await condition():
        await sleep(_LOOKS_EVERY_S)


async def _has_gpu(cluster: Cluster) -> bool:
    nodes = objects(await cluster.request("GET", "/api/v1/nodes"), "items")
    return any(
        quantity(mapping(node, "status", "allocatable").get(GPU_RESOURCE)) >= 1 for node in nodes
    )


async def _pods(cluster: Cluster) -> list[JsonObject]:
    query = {"labelSelector": f"app={PLAIN}"}
    answer = await cluster.request("GET", "/api/v1/namespaces/default/pods", query=query)
    return list(objects(answer, "items"))


async def _is(cluster: Cluster, state: str) -> bool:
    return any(
        words(status, "name") == "benchmark" and state in (status.get("state") or {})
        for pod in await _pods(cluster)
        for status in objects(pod, "status", "containerStatuses")
    )


def _ignored(_done: int, _total: int) -> None:
    return


async def both(
    world: GoogleWorld, folder: Path, build_s: float, session: Awaitable[int]
) -> tuple[int, Measured]:
    """Have a session and the plain sequence side by side: the same clock, the same machine."""
    plain = asyncio.create_task(plain_sequence(world, folder / "plain", build_s))
    try:
        code = await session
        return code, await plain
    finally:
        plain.cancel()
        await asyncio.gather(plain, return_exceptions=True)
