"""Drivers on a cluster: a GPU is waited for and tried, and what is installed is removed again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import StageError
from core.kube.cluster import JsonObject
from core.kube.driver_manifests import ManifestError
from core.kube.errors import NotFoundError
from core.run.events import (
    ResourceCreated,
    ResourceDeleted,
    ResourceIntended,
    Stage,
    StageChecked,
)
from core.run.process import utc_now
from core.run.view import ResourceView
from core.settings import Settings
from core.targets.kubernetes.deployment import Deployment
from core.targets.kubernetes.drivers import Drivers
from core.targets.kubernetes.hands import DaemonSetHand
from core.targets.kubernetes.preflight import Preflight
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_access import ADMIN, Account, Action
from tests.core.kube.stand_in_store import RESOURCES
from tests.core.targets.kubernetes_world import IMAGE, NVIDIA_SMI, RUN, World

NAME = "nvidia-driver-installer"
DAEMONSETS = "/apis/apps/v1/namespaces/kube-system/daemonsets"
SMOKE_POD = "gpu-benchmark-baseline-nvidia-smi"
MANIFEST = """\
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: nvidia-driver-installer
  namespace: kube-system
spec:
  selector: {matchLabels: {k8s-app: nvidia-driver-installer}}
  template:
    metadata: {labels: {k8s-app: nvidia-driver-installer}}
    spec: {containers: [{name: pause, image: registry.test/pause}]}
"""


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with StandIn() as server:
        yield server


def world_of(stand_in: StandIn, folder: Path, **values: Any) -> World:
    access = stand_in.access(folder)
    settings = Settings(
        target="kubernetes",
        kubeconfig=access.kubeconfig,
        context=access.context,
        namespace="default",
        image="registry.test/benchmark",
        **values,
    )
    world = World(stand_in, access, folder, settings)
    world.deployment.image = IMAGE
    world.deployment.image_known.set()
    return world


@pytest.fixture
def installing(stand_in: StandIn, tmp_path: Path) -> World:
    """A run that installs the drivers on a cluster whose only node has its GPU already."""
    stand_in.add_node(gpus=1)
    manifest = tmp_path / "drivers.yaml"
    manifest.write_text(MANIFEST)
    return world_of(stand_in, tmp_path, install_drivers=str(manifest))


async def drivers(world: World) -> str:
    return await Drivers(world.deployment, utc_now).run(world.context(Stage.DRIVERS))


async def tried(world: World, *, unscheduled: str = "") -> JsonObject:
    """Run the stage to its end, with a GPU for its pod; return that pod as it was asked for."""
    running = asyncio.create_task(drivers(world))
    pod = await world.pod(lambda name: name == SMOKE_POD)
    if unscheduled:
        pod.unschedulable(unscheduled)
        await world.said("pod", "waiting", "too little nvidia.com/gpu free")
    pod.start()
    pod.log(*NVIDIA_SMI.strip().splitlines())
    pod.finish()
    assert "STAND-IN GPU" in await running
    return next(each.body for each in world.stand_in.asked if each.body.get("kind") == "Pod")


async def test_a_pool_without_nodes_gets_its_first_by_the_pod_that_waits(
    stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in.add_node("cpu-node-1")
    said = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    await tried(world_of(stand_in, tmp_path), unscheduled=said)


async def test_nodes_that_are_too_small_do_not_keep_larger_ones_from_coming(
    stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in.add_node(gpus=1)
    said = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    await tried(world_of(stand_in, tmp_path, gpus=4), unscheduled=said)


async def test_a_node_whose_driver_is_to_come_is_waited_for_before_the_pod(
    stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in.add_node()
    stand_in.change("nodes", "gpu-node-1", {"metadata": {"labels": {"accelerator": "t4"}}})
    world = world_of(stand_in, tmp_path)
    running = asyncio.create_task(drivers(world))
    await world.said("node", "waiting", "nothing installs a driver here")
    assert stand_in.controllers.pods == {}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_pod_s_deadline_is_how_long_the_start_may_take(
    stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in.add_node(gpus=1)
    pod = await tried(world_of(stand_in, tmp_path, start_minutes=45))
    assert pod["spec"]["activeDeadlineSeconds"] == 45 * 60
    assert pod["metadata"]["annotations"]["gpubench-tui/run-id"] == RUN


async def removed(world: World, identity: str = "") -> str | None:
    """Have the hand remove the DaemonSet, and return the proof."""
    hand = DaemonSetHand(world.access, RUN, world.connect)
    intended = ResourceIntended(kind="daemonset", name=f"kube-system/{NAME}", delete_command="")
    await hand.delete(ResourceView(intended, identity))
    return await hand.gone(ResourceView(intended, identity))


async def there(world: World) -> JsonObject | None:
    async with world.connect(world.access) as cluster:
        try:
            return await cluster.request("GET", f"{DAEMONSETS}/{NAME}")
        except NotFoundError:
            return None


def put(stand_in: StandIn, run: str | None) -> JsonObject:
    labels = {"gpubench-tui/run": run} if run else {}
    document: JsonObject = {"metadata": {"name": NAME, "labels": labels}, "spec": {}}
    return stand_in.put(RESOURCES["apps", "daemonsets"], document, "kube-system")


async def test_what_the_run_installed_is_noted_and_removed(installing: World) -> None:
    await tried(installing)
    created = next(each for each in installing.records(ResourceCreated) if each.kind != "pod")
    made = await there(installing)
    assert made is not None
    assert created.identity == made["metadata"]["uid"]
    # A run that was killed before it could note the identity is removed all the same.
    assert RUN in str(await removed(installing))
    assert await there(installing) is None


async def test_a_daemonset_that_somebody_else_creates_meanwhile_is_theirs(
    installing: World,
) -> None:
    arrives = asyncio.Event()
    installing.stand_in.fail(method="POST", path="daemonsets", until=arrives)
    running = asyncio.create_task(tried(installing))
    while not any(each.body.get("kind") == "DaemonSet" for each in installing.stand_in.asked):
        await asyncio.sleep(0)
    theirs = put(installing.stand_in, None)
    arrives.set()
    await running
    assert [each.kind for each in installing.records(ResourceCreated)] == []
    [withdrawn] = [each for each in installing.records(ResourceDeleted) if each.kind != "pod"]
    assert "somebody else" in withdrawn.proof
    assert await removed(installing) is not None
    left = await there(installing)
    assert left is not None
    assert left["metadata"]["uid"] == theirs["metadata"]["uid"]


@pytest.mark.parametrize("run", [None, "20260504-120000-kubernetes-xen-cd34"])
async def test_teardown_leaves_a_daemonset_of_somebody_else(
    installing: World, run: str | None
) -> None:
    theirs = put(installing.stand_in, run)
    assert RUN in str(await removed(installing))
    assert RUN in str(await removed(installing, theirs["metadata"]["uid"]))
    assert await there(installing) is not None


async def test_teardown_leaves_a_daemonset_that_takes_the_name_meanwhile(
    installing: World,
) -> None:
    put(installing.stand_in, RUN)
    replaced = asyncio.Event()
    installing.stand_in.fail(method="DELETE", until=replaced)
    removing = asyncio.create_task(removed(installing))
    while not any(each.method == "DELETE" for each in installing.stand_in.asked):
        await asyncio.sleep(0)
    installing.stand_in.store.remove(RESOURCES["apps", "daemonsets"], "kube-system", NAME)
    theirs = put(installing.stand_in, None)
    replaced.set()
    assert await removing is not None
    left = await there(installing)
    assert left is not None
    assert left["metadata"]["uid"] == theirs["metadata"]["uid"]


async def test_who_may_not_list_daemonsets_may_install_and_remove_one(installing: World) -> None:
    def allows(action: Action) -> bool:
        return action.resource != "daemonsets" or action.verb in ("create", "get", "delete")

    installing.stand_in.accounts[ADMIN] = Account("narrow", allows)
    await tried(installing)
    assert await removed(installing) is not None


async def preflight(world: World) -> list[StageChecked]:
    # Of a run of its own: within one the manifest is read once.
    deployment = Deployment(world.settings, world.access, world.connect)
    await Preflight(deployment).run(world.context(Stage.PREFLIGHT))
    return [each for each in world.records(StageChecked) if not each.passed]


async def test_a_manifest_that_is_none_is_said_before_anything_is_created(
    installing: World, tmp_path: Path
) -> None:
    (tmp_path / "drivers.yaml").write_text("kind: ConfigMap")
    with pytest.raises(ManifestError, match="only DaemonSets"):
        await preflight(installing)


async def test_where_the_manifest_leads_is_looked_at_first(
    installing: World, tmp_path: Path
) -> None:
    assert await preflight(installing) == []
    (tmp_path / "drivers.yaml").write_text(MANIFEST.replace("kube-system", "gpu-operator"))
    with pytest.raises(StageError, match="there is no namespace gpu-operator"):
        await preflight(installing)
    installing.events.clear()
    installing.stand_in.put(RESOURCES["", "namespaces"], {"metadata": {"name": "gpu-operator"}})
    [warned] = await preflight(installing)
    assert "namespace gpu-operator" in warned.detail
    assert not warned.required
