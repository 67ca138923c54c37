"""What the autoscaler says of a run's own pods counts, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

# These take a second to import, which is most of a minute where time flies.
from kubernetes.aio.client import V1Job, V1Pod  # noqa: F401

from core.gcp.errors import StockoutError
from core.kube.objects import RUN_LABEL, label_value
from core.targets.gke.shortage import ShortageWatch
from tests.core.targets.gke_run import QUICK, GkeRun
from tests.core.targets.gke_scene import OTHER, RUN, SPEED, ZONE
from tests.google.sped_up import SpedUpPolicy
from tests.google.world import GoogleWorld

_PATH = "/api/v1/namespaces/default"


@pytest.fixture
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return SpedUpPolicy(SPEED)


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with GoogleWorld(speed=SPEED, durations=QUICK) as stand_in:
        yield stand_in


async def pod_that_waits(run: GkeRun, of_run: str) -> None:
    """A pod for which no node can be added."""
    async with run.deployment.kube.connect(run.deployment.kube.access) as cluster:
        labels = {RUN_LABEL: label_value(of_run)}
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "waits", "namespace": "default", "labels": labels},
            "spec": {
                "containers": [{"name": "one", "image": "registry.test/one"}],
                "nodeSelector": {"no": "such"},
            },
        }
        await cluster.request("POST", f"{_PATH}/pods", body=body)
        now = datetime.fromtimestamp(run.world.clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "waits.1", "namespace": "default"},
            "involvedObject": {"kind": "Pod", "name": "waits", "namespace": "default"},
            "reason": "FailedScaleUp",
            "message": f"Node scale up in zones {ZONE} associated with this pod failed: GCE out "
            "of resources. Pod is at risk of not being scheduled.",
            **{"type": "Warning", "count": 1, "firstTimestamp": now, "lastTimestamp": now},
        }
        await cluster.request("POST", f"{_PATH}/events", body=event)


async def test_what_an_own_pod_lacks_is_found(world: GoogleWorld, tmp_path: Path) -> None:
    run = GkeRun(world, tmp_path, {"endpoint": "ip"})
    await run.stand_up()
    async with run.deployment:
        watch = ShortageWatch(run.deployment, "a GPU")
        await pod_that_waits(run, RUN)
        async with asyncio.timeout(120):
            assert isinstance(await watch.found(), StockoutError)


async def test_what_anothers_pod_lacks_is_not_this_runs_affair(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path, {"endpoint": "ip"})
    await run.stand_up()
    async with run.deployment:
        watch = ShortageWatch(run.deployment, "a GPU")
        await pod_that_waits(run, OTHER)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(120):
                await watch.found()
