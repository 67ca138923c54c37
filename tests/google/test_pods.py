"""What runs on a cluster of the stand-in: nodes, drivers, the benchmark, the autoscaler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from benchmark.progress import Finished, Started, parse_progress
from benchmark.results import read_result
from core.kube.cluster import Access, Cluster
from core.kube.objects import JobOrder, Placement, job_object, to_json
from core.kube.smoke import parse_nvidia_smi, smoke_pod
from core.kube.transfer import collect, release
from tests.core.runs import small_plan
from tests.google.client import GPU_POOL, ZONE, Client
from tests.google.world import GoogleWorld

PODS = "/api/v1/namespaces/default/pods"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
T4 = "nvidia-tesla-t4"
AUTOSCALED: dict[str, Any] = {
    "initial_node_count": 0,
    "autoscaling": {"enabled": True, "max_node_count": 2},
}


def job() -> dict[str, Any]:
    order = JobOrder(
        name="gpu-benchmark-xen",
        namespace="default",
        image="registry.test/benchmark@sha256:" + "0" * 64,
        labels={"gpubench-tui/run": "run-7"},
        plan=small_plan().model_dump_json(),
        run_id="run-7",
        leg="xen",
        placement=Placement(gpus=1),
        deadline_s=7200,
        start_s=3600,
        hold_s=600,
    )
    return to_json(job_object(order))


async def only_pod(kube: httpx.AsyncClient) -> dict[str, Any]:
    items = (await kube.get(PODS)).json()["items"]
    assert len(items) == 1
    document: dict[str, Any] = items[0]
    return document


async def reasons(kube: httpx.AsyncClient) -> set[str]:
    items = (await kube.get("/api/v1/namespaces/default/events")).json()["items"]
    return {item["reason"] for item in items}


async def test_a_gpu_is_allocatable_when_its_driver_is_installed(
    world: GoogleWorld, client: Client
) -> None:
    await client.ready()
    await client.create_pool()
    await world.clock.advance(71)
    async with client.kubernetes() as kube:
        nodes = (await kube.get("/api/v1/nodes")).json()["items"]
        (node,) = [each for each in nodes if "-gpu-" in each["metadata"]["name"]]
        assert node["metadata"]["labels"]["cloud.google.com/gke-accelerator"] == T4
        assert node["spec"]["taints"][0]["key"] == "nvidia.com/gpu"
        assert "nvidia.com/gpu" not in node["status"]["allocatable"]
        await world.clock.advance(120)
        node = (await kube.get(f"/api/v1/nodes/{node['metadata']['name']}")).json()
        assert node["status"]["allocatable"]["nvidia.com/gpu"] == "1"


async def test_a_smoke_pod_sees_the_gpu(world: GoogleWorld, client: Client) -> None:
    await client.ready()
    await client.create_pool()
    await world.clock.advance(200)
    pod = smoke_pod(
        "run-7-nvidia-smi", "default", "busybox", labels={}, placement=Placement(gpus=1)
    )
    async with client.kubernetes() as kube:
        await kube.post(PODS, json=pod)
        await world.clock.advance(40)
        assert (await only_pod(kube))["status"]["phase"] == "Succeeded"
        log = (await kube.get(f"{PODS}/run-7-nvidia-smi/log")).text
    assert parse_nvidia_smi(log).gpus == ("Tesla T4",)


async def test_a_benchmark_runs_and_its_results_are_fetched_from_the_keeper(
    world: GoogleWorld, client: Client, tmp_path: Path
) -> None:
    await client.ready()
    await client.create_pool()
    await world.clock.advance(200)
    async with client.kubernetes() as kube:
        await kube.post(JOBS, json=job())
        await world.clock.advance(100)
        assert (await only_pod(kube))["status"]["phase"] == "Running"
        await world.clock.advance(352)
        pod = await only_pod(kube)
        states = [list(each["state"]) for each in pod["status"]["containerStatuses"]]
        assert states == [["terminated"], ["running"]]
        name = pod["metadata"]["name"]
        log = (await kube.get(f"{PODS}/{name}/log", params={"container": "benchmark"})).text
    said = [parse_progress(line) for line in log.splitlines()]
    assert isinstance(said[0], Started)
    assert said[0].plan == small_plan()
    assert isinstance(said[-1], Finished)
    async with Cluster(access(world, client, tmp_path)) as cluster:
        await collect(cluster, name, tmp_path / "here", report=lambda _done, _total: None)
        await release(cluster, name)
    result = read_result(tmp_path / "here" / "benchmark_results.json")
    assert (result.run_id, result.leg) == ("run-7", "xen")
    await world.clock.advance(1)
    assert world.kube_of("one").pod(name).document["status"]["phase"] == "Succeeded"


def access(world: GoogleWorld, client: Client, folder: Path) -> Access:
    """A kubeconfig with the cluster's CA."""
    server = world.kube_of("one")
    ca_file = folder / "ca.pem"
    ca_file.write_text(world.ca_bundle.read_text())
    path = server.kubeconfig(folder / "kubeconfig", client.token)
    document = json.loads(path.read_text())
    document["clusters"][0]["cluster"]["certificate-authority"] = str(ca_file)
    path.write_text(json.dumps(document))
    return Access(str(path), "stand-in", "default")


async def test_a_deleted_benchmark_keeps_what_it_has_until_it_is_released(
    world: GoogleWorld, client: Client, tmp_path: Path
) -> None:
    await client.ready()
    await client.create_pool()
    await world.clock.advance(200)
    async with client.kubernetes() as kube:
        await kube.post(JOBS, json=job())
        await world.clock.advance(100)
        name = (await only_pod(kube))["metadata"]["name"]
        await kube.delete(f"{JOBS}/gpu-benchmark-xen", params={"propagationPolicy": "Foreground"})
        await world.clock.advance(20)
        states = [
            list(each["state"]) for each in (await only_pod(kube))["status"]["containerStatuses"]
        ]
        assert states == [["terminated"], ["running"]]
        async with Cluster(access(world, client, tmp_path)) as cluster:
            await collect(cluster, name, tmp_path / "here", report=lambda _done, _total: None)
            await release(cluster, name)
        await world.clock.advance(0)
        assert (await kube.get(PODS)).json()["items"] == []
        assert (await kube.get(JOBS)).json()["items"] == []


async def test_a_pending_pod_brings_one_node_and_an_idle_node_goes(
    world: GoogleWorld, client: Client
) -> None:
    await client.ready()
    await client.create_pool(**AUTOSCALED)
    await world.clock.advance(30)
    async with client.kubernetes() as kube:
        await kube.post(JOBS, json=job())
        await world.clock.advance(10)
        assert len(world.ledger.created("instance")) == 2
        await world.clock.advance(200)
        assert (await only_pod(kube))["spec"]["nodeName"].startswith("gke-one-gpu-")
        assert "TriggeredScaleUp" in await reasons(kube)
        await kube.delete(f"{JOBS}/gpu-benchmark-xen", params={"propagationPolicy": "Background"})
        await world.clock.advance(590)
        assert len(world.fleet.instances) == 2
        await world.clock.advance(60)
    assert [each.shape.gpu for each in world.fleet.instances.values()] == [""]
    assert len(world.ledger.created("instance")) == 2


async def test_a_stockout_is_told_by_the_autoscaler_on_the_pod(
    world: GoogleWorld, client: Client
) -> None:
    await client.ready()
    await client.create_pool(**AUTOSCALED)
    world.capacity.sold_out(ZONE, T4)
    await world.clock.advance(30)
    async with client.kubernetes() as kube:
        await kube.post(JOBS, json=job())
        await world.clock.advance(45)
        assert {"TriggeredScaleUp", "FailedScaleUp"} <= await reasons(kube)
    assert world.ledger.gpu_seconds() == 0


async def test_a_preempted_node_takes_its_pod_along_and_is_replaced(
    world: GoogleWorld, client: Client
) -> None:
    await client.ready()
    await client.create_pool()
    await world.clock.advance(200)
    (name,) = [each for each in world.fleet.instances if "-gpu-" in each]
    async with client.kubernetes() as kube:
        await kube.post(JOBS, json=job())
        await world.clock.advance(60)
        before = (await only_pod(kube))["metadata"]["uid"]
        world.fleet.preempt(name)
        await world.clock.advance(31)
        after = await only_pod(kube)
        assert after["metadata"]["uid"] != before
        assert "nodeName" not in after["spec"]
    assert name not in world.fleet.instances
    assert len([each for each in world.fleet.instances if "-gpu-" in each]) == 1


async def test_disks_and_load_balancers_outlive_a_cluster_that_is_deleted_first(
    world: GoogleWorld, client: Client
) -> None:
    await client.ready()
    claim = {
        **{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}},
        "spec": {"resources": {"requests": {"storage": "20Gi"}}},
    }
    service = {
        **{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "out"}},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    }
    namespace = "/api/v1/namespaces/default"
    async with client.kubernetes() as kube:
        for name in ("one", "two"):
            claim["metadata"] = {"name": name}
            await kube.post(f"{namespace}/persistentvolumeclaims", json=claim)
        await kube.post(f"{namespace}/services", json=service)
        await world.clock.advance(1)
        await kube.delete(f"{namespace}/persistentvolumeclaims/two")
        await world.clock.advance(1)
    await client.delete_cluster()
    await world.clock.advance(181)
    assert sorted(entry.kind for entry in world.ledger.standing()) == ["disk", "forwarding rule"]


async def test_a_node_without_googles_driver_waits_for_an_installer(
    world: GoogleWorld, client: Client
) -> None:
    await client.ready()
    off = {"gpu_driver_installation_config": {"gpu_driver_version": 1}}
    card = {**GPU_POOL["config"]["accelerators"][0], **off}
    await client.create_pool(config={**GPU_POOL["config"], "accelerators": [card]})
    await world.clock.advance(600)
    (name,) = [each for each in world.fleet.instances if "-gpu-" in each]
    container = {"name": "pause", "image": "pause"}
    daemonset = {
        **{"apiVersion": "apps/v1", "kind": "DaemonSet"},
        "metadata": {"name": "nvidia-driver-installer"},
        "spec": {
            "selector": {"matchLabels": {"k8s-app": "nvidia-driver-installer"}},
            "template": {
                "metadata": {"labels": {"k8s-app": "nvidia-driver-installer"}},
                "spec": {"containers": [container]},
            },
        },
    }
    path = "/apis/apps/v1/namespaces/kube-system/daemonsets"
    async with client.kubernetes() as kube:
        node = (await kube.get(f"/api/v1/nodes/{name}")).json()
        assert "nvidia.com/gpu" not in node["status"]["allocatable"]
        await kube.post(path, json=daemonset)
        await world.clock.advance(131)
        node = (await kube.get(f"/api/v1/nodes/{name}")).json()
        assert node["status"]["allocatable"]["nvidia.com/gpu"] == "1"
        status = (await kube.get(f"{path}/nvidia-driver-installer")).json()["status"]
    assert (status["desiredNumberScheduled"], status["numberReady"]) == (1, 1)


async def test_a_benchmark_can_be_told_to_fail(world: GoogleWorld, client: Client) -> None:
    world.kubelet_options = {"exit_code": 3}
    await client.ready()
    await client.create_pool()
    await world.clock.advance(200)
    async with client.kubernetes() as kube:
        await kube.post(JOBS, json=job())
        await world.clock.advance(460)
        pod = await only_pod(kube)
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 3


async def test_pods_can_be_left_to_the_test(world: GoogleWorld, client: Client) -> None:
    world.kubelet_options = {"pods_run": False}
    await client.ready()
    await client.create_pool()
    await world.clock.advance(200)
    async with client.kubernetes() as kube:
        await kube.post(JOBS, json=job())
        await world.clock.advance(600)
        assert "nodeName" not in (await only_pod(kube))["spec"]
        world.kube_of("one").pod_of("gpu-benchmark-xen").schedule("by-hand")
        assert (await only_pod(kube))["spec"]["nodeName"] == "by-hand"
