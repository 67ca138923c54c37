"""The rollout of drivers is followed as the cluster changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from core.kube.cluster import Access, Cluster, JsonObject
from core.kube.drivers import Rollout, follow_rollout
from core.kube.errors import DeniedError
from tests.core.kube.objects_for_tests import container, installer
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_store import PODS


async def _next(rollouts: AsyncIterator[Rollout]) -> Rollout:
    return await asyncio.wait_for(anext(rollouts), 20)


def _kind(found: Rollout) -> str:
    assert found.reason is not None
    return found.reason.kind


async def test_the_rollout_is_followed_until_the_gpu_appears(
    stand_in: StandIn, cluster: Cluster
) -> None:
    stand_in.add_node("gpu-node-1", gpus=0)
    async with aclosing(follow_rollout(cluster, selector={}, needed=1)) as rollouts:
        assert _kind(await _next(rollouts)) == "no driver"
        body = installer(
            initContainerStatuses=[container({"running": {}}, name="nvidia-driver-installer")]
        )
        stand_in.put(PODS, body, "kube-system")
        found = await _next(rollouts)
        while found.nodes[0].state != "working":
            found = await _next(rollouts)
        assert "step 1 of 1" in found.nodes[0].detail
        offers = {"allocatable": {"nvidia.com/gpu": "1"}, "capacity": {"nvidia.com/gpu": "1"}}
        stand_in.change("nodes", "gpu-node-1", {"status": offers})
        while not found.ready:
            found = await _next(rollouts)
        assert [each.state for each in found.nodes] == ["ready"]


async def test_who_may_not_read_kube_system_is_told_by_nodes_alone(
    stand_in: StandIn, cluster: Cluster
) -> None:
    stand_in.add_node("gpu-node-1", gpus=0)
    stand_in.fail(403, path="kube-system", times=1000)
    stand_in.fail(403, path="gpu-operator", times=1000)
    async with aclosing(follow_rollout(cluster, selector={}, needed=1)) as rollouts:
        assert (await _next(rollouts)).nodes[0].state == "waiting"
        stand_in.add_node("gpu-node-2", gpus=1)
        assert (await _next(rollouts)).ready


async def test_who_may_not_read_nodes_is_denied(stand_in: StandIn, cluster: Cluster) -> None:
    stand_in.fail(403, path="/api/v1/nodes", times=1000)
    with pytest.raises(DeniedError):
        async with aclosing(follow_rollout(cluster, selector={}, needed=1)) as rollouts:
            await _next(rollouts)


async def test_a_failed_installers_log_is_read_for_its_cause(
    stand_in: StandIn, cluster: Cluster
) -> None:
    stand_in.add_node("gpu-node-1", gpus=0)
    body: JsonObject = installer()
    body["spec"]["containers"] = [{"name": "nvidia-driver-installer", "image": "x"}]
    stand_in.put(PODS, body, "kube-system")
    pod = stand_in.pod(body["metadata"]["name"], "kube-system")
    pod.schedule("gpu-node-1")
    pod.start()
    pod.log("I0312 Downloading the driver", "E0312 failed to download: HTTP 403")
    pod.finish(1)
    async with aclosing(follow_rollout(cluster, selector={}, needed=1)) as rollouts:
        found = await _next(rollouts)
    assert _kind(found) == "driver download"
    assert "last: E0312 failed to download: HTTP 403" in found.nodes[0].detail


async def test_a_log_that_may_not_be_read_leaves_the_exit_code(
    stand_in: StandIn, cluster: Cluster
) -> None:
    stand_in.add_node("gpu-node-1", gpus=0)
    state = {"terminated": {"exitCode": 9}}
    body = installer(initContainerStatuses=[container(state, name="nvidia-driver-installer")])
    stand_in.put(PODS, body, "kube-system")
    stand_in.fail(403, path="/log", times=10)
    async with aclosing(follow_rollout(cluster, selector={}, needed=1)) as rollouts:
        assert "exit code 9" in (await _next(rollouts)).nodes[0].detail


@pytest.mark.cluster
async def test_on_a_real_cluster_the_first_rollout_comes_at_once(
    real_cluster_access: Access,
) -> None:
    async with (
        Cluster(real_cluster_access) as cluster,
        aclosing(follow_rollout(cluster, selector={}, needed=1000)) as rollouts,
    ):
        found = await _next(rollouts)
        assert found.nodes
        assert not found.ready
