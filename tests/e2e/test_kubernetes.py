"""The benchmark on a real cluster, end to end, as a user starts it.

On a cluster of your own: ``GPUBENCH_E2E_KUBECONFIG`` names its kubeconfig, ``GPUBENCH_E2E_IMAGE``
a repository that this machine may push to and its nodes may pull from, ``GPUBENCH_E2E_GPUS`` how
many GPUs the pod asks for (default 0: the node's CPU).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.results import read_result
from core.kube.cluster import Access, Cluster
from core.kube.objects import run_selector
from tests import base_image
from tests.cluster_kit import kit, real_cluster_access, real_namespace
from tests.core.conftest import CommandLine, command_line
from tests.e2e.cluster_run import (
    Deployment,
    cordon,
    driver_manifest,
    events_of,
    follow_to,
    follow_until,
    left_by,
    named,
    node_without_gpu,
    offer_gpu_once_installed,
    on_the_kit,
    says_why_it_waits,
)

__all__ = ["command_line", "real_cluster_access", "real_namespace"]

pytestmark = [pytest.mark.cluster, pytest.mark.real, pytest.mark.timeout(1500)]


@pytest.fixture
def deployment(
    command_line: CommandLine, real_cluster_access: Access, real_namespace: str, tmp_path: Path
) -> Deployment:
    access = replace(real_cluster_access, namespace=real_namespace)
    return Deployment(command_line, access, tmp_path)


async def test_the_quick_profile_from_nothing_to_nothing(
    deployment: Deployment, tmp_path: Path
) -> None:
    if not on_the_kit():
        gpus = os.environ.get("GPUBENCH_E2E_GPUS", "0")
        done = await asyncio.to_thread(deployment.run, "run", *deployment.target("--gpus", gpus))
        assert_whole_run(deployment, done)
        assert await left_by(deployment.access, events_of(done)[0]["run"]) == []
        return
    async with node_without_gpu(deployment.access) as node:
        driver = asyncio.create_task(offer_gpu_once_installed(deployment.access, node))
        try:
            flags = deployment.target("--install-drivers", str(driver_manifest(tmp_path)))
            done = await asyncio.to_thread(deployment.run, "run", *flags)
        finally:
            driver.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await driver
    events = assert_whole_run(deployment, done)
    parts = named(events, "part_changed")
    nodes = [part["state"] for part in parts if part["kind"] == "node"]
    assert nodes[0] in ("waiting", "working")
    assert nodes[-1] == "ready"
    # Nothing of the Job before there was a GPU for it.
    ready = next(e["sequence"] for e in parts if e["kind"] == "node" and e["state"] == "ready")
    jobs = [e["sequence"] for e in named(events, "resource_intended") if e["kind"] == "job"]
    assert len(jobs) == 1
    assert jobs[0] > ready
    smoke = [e for e in named(events, "stage_checked") if e["name"] == "nvidia-smi in a pod"]
    assert base_image.GPU_NAME in smoke[0]["detail"]
    assert await left_by(deployment.access, events[0]["run"]) == []


def assert_whole_run(
    deployment: Deployment, done: subprocess.CompletedProcess[str]
) -> list[dict[str, Any]]:
    """The run is done, its results are here and checked, and what it created has a proof."""
    assert done.returncode == 0, done.stderr[-3000:]
    events = events_of(done)
    stored = named(events, "results_stored")[0]
    result = read_result(Path(stored["result_file"]))
    good = [part.name for part in result.benchmarks if not part.void]
    assert (stored["good"], stored["void"]) == (len(good), len(result.benchmarks) - len(good))
    # Others may slow this machine down or stop doing so in the middle, and only LoadGen's verdict
    # on the times may hang on that; none of SingleStream's rules is about how fast it goes.
    assert "singlestream-b1" in good
    for part in result.benchmarks:
        assert all("LoadGen called it INVALID" in reason for reason in part.void_reasons)
    assert result.environment.container_image is not None
    assert "@sha256:" in result.environment.container_image
    folder = Path(stored["result_file"]).parent
    for measurement in result.benchmarks:
        raw = folder / "measurements" / f"{measurement.name}-block{measurement.block}"
        assert (raw / "mlperf_log_summary.txt").stat().st_size > 0
    created = {(e["kind"], e["name"]) for e in named(events, "resource_created")}
    proved = {(e["kind"], e["name"]) for e in named(events, "resource_deleted")}
    intended = {(e["kind"], e["name"]) for e in named(events, "resource_intended")}
    assert created
    assert intended == proved
    assert named(events, "teardown_finished")[0]["left"] == []
    finished = [e["name"] for e in named(events, "measurement_finished")]
    assert len(finished) == len(set(finished)) == len(result.benchmarks)
    again = deployment.run("show", events[0]["run"])
    assert again.returncode == 0
    return events


@pytest.fixture
def under_way(deployment: Deployment) -> Iterator[str]:
    """A run whose benchmark measures in its pod; torn down at the end, however that comes."""
    flags = deployment.target("--gpus", "0", "--profile", str(deployment.tiny))
    # The kit has one node, so this is one run; its results are kept by the node's name.
    each = ("--each", "kubernetes.io/hostname") if on_the_kit() else ()
    run = deployment.run("run", "--detach", *flags, *each).stdout.strip()
    try:
        follow_until(deployment, run, "measurement_started")
        yield run
    finally:
        deployment.run("teardown", run)


@pytest.mark.slow
async def test_a_run_that_is_stopped_leaves_nothing_and_keeps_what_it_had(
    deployment: Deployment, under_way: str
) -> None:
    told = await asyncio.to_thread(deployment.run, "describe", under_way)
    assert "Job gpu-benchmark-baseline" in told.stdout
    assert "Container benchmark  running" in told.stdout
    stopped = await asyncio.to_thread(deployment.run, "stop", under_way)
    assert stopped.returncode == 0
    last = deployment.run("follow", under_way, "--quiet")
    assert last.returncode == 130
    assert named(events_of(last), "teardown_finished")[0]["left"] == []
    assert await left_by(deployment.access, under_way) == []


@pytest.mark.slow
async def test_a_killed_run_is_torn_down_from_its_journal_and_run_again(
    deployment: Deployment, under_way: str
) -> None:
    started = follow_until(deployment, under_way, "run_started")
    os.kill(started["pid"], 9)
    assert await left_by(deployment.access, under_way) != []
    again = await asyncio.to_thread(deployment.run, "rerun", under_way)
    assert again.returncode == 0, again.stderr[-3000:]
    assert await left_by(deployment.access, under_way) == []
    events = events_of(again)
    assert events[0]["run"] != under_way
    assert named(events, "results_stored")
    assert await left_by(deployment.access, events[0]["run"]) == []


@pytest.mark.slow
async def test_a_pod_that_is_deleted_ends_the_run_with_that_reason(
    deployment: Deployment, under_way: str
) -> None:
    async with Cluster(deployment.access) as cluster:
        pods = f"/api/v1/namespaces/{cluster.namespace}/pods"
        found = await cluster.request("GET", pods, query={"labelSelector": run_selector(under_way)})
        await cluster.request("DELETE", f"{pods}/{found['items'][0]['metadata']['name']}")
    last = await asyncio.to_thread(deployment.run, "follow", under_way, "--quiet")
    assert last.returncode == 1
    assert "was deleted" in named(events_of(last), "run_finished")[0]["sentence"]
    assert await left_by(deployment.access, under_way) == []


async def test_a_benchmark_that_runs_out_of_memory_is_said_to_have(deployment: Deployment) -> None:
    flags = deployment.target("--gpus", "0", "--memory", "120Mi")
    done = await asyncio.to_thread(deployment.run, "run", *flags)
    finished = named(events_of(done), "run_finished")[0]
    assert done.returncode == 1, done.stderr[-3000:]
    assert "memory" in finished["sentence"]
    assert "--memory" in finished["remedy"]
    assert await left_by(deployment.access, events_of(done)[0]["run"]) == []


async def test_an_api_server_that_restarts_costs_a_run_nothing(
    deployment: Deployment, under_way: str
) -> None:
    if not on_the_kit():
        pytest.skip("only the cluster kit's API server is ours to kill")
    await asyncio.to_thread(kit().restart_api_server)
    last = await asyncio.to_thread(deployment.run, "follow", under_way, "--quiet")
    events = events_of(last)
    assert last.returncode == 0, events[-1]
    measured = [event["name"] for event in named(events, "measurement_finished")]
    assert len(measured) == len(set(measured)) == 1
    broken, resumed = named(events, "log_stream_interrupted"), named(events, "log_stream_resumed")
    assert len(broken) == len(resumed)
    latest = Path(named(events, "results_stored")[0]["latest"])
    assert latest.name == f"baseline-{await the_node(deployment.access)}"
    assert await left_by(deployment.access, under_way) == []


async def the_node(access: Access) -> str:
    async with Cluster(access) as cluster:
        nodes = (await cluster.request("GET", "/api/v1/nodes"))["items"]
    return str(nodes[0]["metadata"]["name"])


async def test_missing_permissions_are_named_before_anything_is_created(
    deployment: Deployment,
) -> None:
    viewer = kit().kubeconfig("viewer")
    if not on_the_kit() or not viewer.is_file():
        pytest.skip("only the cluster kit has a viewer's kubeconfig")
    flags = deployment.target("--gpus", "0")
    done = await asyncio.to_thread(deployment.run, "run", *flags, "--kubeconfig", str(viewer))
    assert done.returncode == 2
    finished = named(events_of(done), "run_finished")[0]
    assert "create and delete jobs.batch" in finished["sentence"]
    assert "pods/exec" in finished["sentence"]
    assert named(events_of(done), "resource_intended") == []


async def test_a_pod_that_must_wait_says_why_within_seconds(deployment: Deployment) -> None:
    flags = deployment.target("--gpus", "0", "--profile", str(deployment.tiny))
    unmet = ("--node-selector", "gpubench.test/no-such-label=yes")
    run = (
        await asyncio.to_thread(deployment.run, "run", "--detach", *flags, *unmet)
    ).stdout.strip()
    try:
        waiting = await asyncio.to_thread(follow_to, deployment, run, says_why_it_waits)
        assert "does not match the node selector" in waiting["detail"]
    finally:
        done = await asyncio.to_thread(deployment.run, "teardown", run)
    assert done.returncode == 0
    assert await left_by(deployment.access, run) == []


@pytest.mark.slow
async def test_a_cordoned_node_is_named_as_the_reason(deployment: Deployment) -> None:
    if not on_the_kit():
        pytest.skip("only the cluster kit's node is ours to cordon")
    flags = deployment.target("--gpus", "0", "--profile", str(deployment.tiny))
    node = await the_node(deployment.access)
    async with Cluster(deployment.access) as cluster:
        await cordon(cluster, node, True)
        try:
            started = await asyncio.to_thread(deployment.run, "run", "--detach", *flags)
            run = started.stdout.strip()
            waiting = await asyncio.to_thread(follow_to, deployment, run, says_why_it_waits)
            assert "cordoned" in waiting["detail"]
        finally:
            await cordon(cluster, node, False)
    # It goes on by itself once it may.
    await asyncio.to_thread(follow_until, deployment, run, "benchmark_started")
    assert (await asyncio.to_thread(deployment.run, "teardown", run)).returncode == 0
    assert await left_by(deployment.access, run) == []
