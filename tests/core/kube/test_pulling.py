"""A pod that only has its node pull the image: it asks for nothing else and leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from core.kube.cluster import Cluster, JsonObject
from core.kube.errors import DeniedError
from core.kube.objects import Placement, Toleration
from core.kube.pulling import pull, pull_pod
from core.kube.smoke import SmokeError
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_pods import Pod

PODS = "/api/v1/namespaces/default/pods"
NAME = "gpu-benchmark-baseline-pull"


def a_pod(run: str = "r1") -> JsonObject:
    return pull_pod(
        NAME,
        "default",
        "registry.test/benchmark@sha256:" + "0" * 64,
        labels={"gpubench-tui/run": run},
        annotations={"gpubench-tui/run-id": run},
        placement=Placement(
            1,
            cpus="4",
            memory="8Gi",
            node_selector={"cloud.google.com/gke-nodepool": "gpu-ab12-a"},
            tolerations=(Toleration("dedicated"),),
            pull_secret="registry",
        ),
        deadline_s=1200.4,
    )


async def there(cluster: Cluster) -> list[str]:
    answer = await cluster.request("GET", PODS)
    return [each["metadata"]["name"] for each in answer["items"]]


@asynccontextmanager
async def pulling(
    stand_in: StandIn, cluster: Cluster
) -> AsyncIterator[tuple[asyncio.Task[bool], Pod]]:
    """A pull under way, and its pod."""
    task = asyncio.create_task(pull(cluster, a_pod()))
    try:
        async with asyncio.timeout(10):
            while ("default", NAME) not in stand_in.controllers.pods:
                await asyncio.sleep(0.005)
        yield task, stand_in.pod(NAME)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_it_goes_where_the_benchmark_will_go_and_asks_for_no_gpu() -> None:
    specification = a_pod()["spec"]
    (container,) = specification["containers"]
    assert not container.get("resources")
    assert specification["nodeSelector"] == {"cloud.google.com/gke-nodepool": "gpu-ab12-a"}
    keys = [each["key"] for each in specification["tolerations"]]
    assert keys == ["nvidia.com/gpu", "dedicated"]
    assert specification["imagePullSecrets"] == [{"name": "registry"}]
    assert specification["activeDeadlineSeconds"] == 1200
    assert specification["restartPolicy"] == "Never"
    assert specification["automountServiceAccountToken"] is False
    assert container["securityContext"]["allowPrivilegeEscalation"] is False


@pytest.mark.parametrize(
    ("end", "was_pulled"),
    [
        (lambda pod: pod.finish(), True),
        # Whatever came of its command, the image was there.
        (lambda pod: pod.finish(1), True),
    ],
)
async def test_it_is_over_when_its_container_has_run_and_the_pod_is_gone(
    stand_in: StandIn, cluster: Cluster, end: Callable[[Pod], None], was_pulled: bool
) -> None:
    stand_in.add_node(gpus=1)
    async with pulling(stand_in, cluster) as (task, pod):
        pod.schedule()
        pod.start()
        assert not task.done()
        end(pod)
        async with asyncio.timeout(10):
            assert await task is was_pulled
    assert await there(cluster) == []


async def test_somebody_who_deletes_it_ends_it(stand_in: StandIn, cluster: Cluster) -> None:
    async with pulling(stand_in, cluster) as (task, _pod):
        await cluster.request("DELETE", f"{PODS}/{NAME}", body={"gracePeriodSeconds": 0})
        async with asyncio.timeout(10):
            assert await task is False


async def test_cancelled_it_takes_its_pod_along(stand_in: StandIn, cluster: Cluster) -> None:
    stand_in.add_node(gpus=1)
    async with pulling(stand_in, cluster) as (task, pod):
        pod.schedule()
        task.cancel()
        async with asyncio.timeout(10):
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError)
    assert await there(cluster) == []


async def test_another_runs_pod_of_that_name_stays(cluster: Cluster) -> None:
    await cluster.request("POST", PODS, body=a_pod("another"))
    with pytest.raises(SmokeError, match="is there already"):
        await pull(cluster, a_pod())
    assert await there(cluster) == [NAME]


async def test_its_own_of_a_killed_process_is_taken_over(
    stand_in: StandIn, cluster: Cluster
) -> None:
    await cluster.request("POST", PODS, body=a_pod())
    before = stand_in.pod(NAME).document["metadata"]["uid"]
    stand_in.add_node(gpus=1)
    async with pulling(stand_in, cluster) as (task, _pod), asyncio.timeout(10):
        while ("default", NAME) not in stand_in.controllers.pods or (
            stand_in.pod(NAME).document["metadata"]["uid"] == before
        ):
            await asyncio.sleep(0.005)
        fresh = stand_in.pod(NAME)
        fresh.schedule()
        fresh.start()
        fresh.finish()
        assert await task is True
    assert await there(cluster) == []


async def test_what_forbids_it_is_told(stand_in: StandIn, cluster: Cluster) -> None:
    stand_in.fail(403, method="POST", path="/pods")
    with pytest.raises(DeniedError):
        await pull(cluster, a_pod())
