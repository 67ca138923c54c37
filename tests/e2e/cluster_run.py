"""A run on a real cluster as a test drives and sees it, and what the test does to the node."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from core.kube.cluster import Access, Cluster, JsonObject
from core.kube.objects import run_selector
from tests import base_image
from tests.cluster_kit import SMALL_IMAGE
from tests.core.conftest import CommandLine

_DRIVERS = "gpubench-test-driver"
_MERGE = "application/merge-patch+json"
# Small, and yet whole: one process with a real model under the real LoadGen.
_TINY = """
sample_count = 16
execution = "eager"
weights = "random"
[[scenarios]]
scenario = "SingleStream"
query_count = 64
[warm_up]
minimum_s = 0.5
maximum_s = 1.0
"""


class Deployment:
    """The command line, pointed at a namespace of a real cluster."""

    def __init__(self, command_line: CommandLine, access: Access, folder: Path) -> None:
        self.command_line = command_line
        self.access = access
        self.tiny = folder / "tiny.toml"
        self.tiny.write_text(_TINY)

    def run(self, *arguments: str, timeout_s: float = 900) -> subprocess.CompletedProcess[str]:
        """Run a headless command to its end."""
        return self.command_line("--no-ui", *arguments, timeout=timeout_s)

    def target(self, *more: str) -> tuple[str, ...]:
        """The flags of a run on the cluster."""
        return (
            *("--target", "kubernetes", "--kubeconfig", self.access.kubeconfig),
            *("--context", self.access.context, "--namespace", self.access.namespace),
            *("--image", image_repository()),
            *("--device", "cpu", "--weights", "random", *base_flags(), *more),
        )


def image_repository() -> str:
    return os.environ.get("GPUBENCH_E2E_IMAGE") or "127.0.0.1:5000/gpubench-e2e/benchmark"


def base_flags() -> tuple[str, ...]:
    """On the kit nothing can be pulled from outside: the base is made here."""
    if os.environ.get("GPUBENCH_E2E_IMAGE"):
        return ()
    if why := base_image.why_not():
        pytest.skip(why)
    try:
        return ("--base-image", base_image.ensure_base_image())
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"the test base image cannot be made here: {error}")


def events_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def named(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == name]


async def left_by(access: Access, run: str) -> list[str]:
    """Everything with the run's label that the cluster still lists, in all namespaces."""
    paths = (
        "/apis/batch/v1/jobs",
        "/api/v1/pods",
        "/apis/apps/v1/daemonsets",
        "/api/v1/configmaps",
    )
    found = []
    async with Cluster(access) as cluster:
        for path in paths:
            answer = await cluster.request("GET", path, query={"labelSelector": run_selector(run)})
            found += [f"{path} {item['metadata']['name']}" for item in answer["items"]]
    return found


@asynccontextmanager
async def node_without_gpu(access: Access) -> AsyncIterator[str]:
    """Take the GPU from the kit's node, and give it back at the end."""
    async with Cluster(access) as cluster:
        node = (await cluster.request("GET", "/api/v1/nodes"))["items"][0]["metadata"]["name"]
        await offer_gpus(cluster, node, 0)
        try:
            yield node
        finally:
            await offer_gpus(cluster, node, 1)


async def offer_gpus(cluster: Cluster, node: str, count: int) -> None:
    amounts = {"nvidia.com/gpu": str(count)}
    await cluster.request(
        "PATCH",
        f"/api/v1/nodes/{node}/status",
        body={"status": {"capacity": amounts, "allocatable": amounts}},
        content_type=_MERGE,
    )


def driver_manifest(folder: Path) -> Path:
    """A stand-in for NVIDIA's installer: it takes some seconds and installs nothing."""
    labels = {"k8s-app": "nvidia-driver-installer"}
    document: JsonObject = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": _DRIVERS, "namespace": "kube-system", "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "tolerations": [{"operator": "Exists"}],
                    "initContainers": [
                        {
                            **{"name": "nvidia-driver-installer", "image": SMALL_IMAGE},
                            "command": ["sh", "-c", "echo installing; sleep 4"],
                        }
                    ],
                    "containers": [
                        {"name": "pause", "image": SMALL_IMAGE, "command": ["sleep", "3600"]}
                    ],
                },
            },
        },
    }
    path = folder / "driver.yaml"
    path.write_text(json.dumps(document))
    return path


async def offer_gpu_once_installed(access: Access, node: str) -> None:
    """What driver and device plugin do together: the GPU appears when the installer is through."""
    async with Cluster(access) as cluster:
        while True:
            answer = await cluster.request(
                "GET",
                "/api/v1/namespaces/kube-system/pods",
                query={"labelSelector": "k8s-app=nvidia-driver-installer"},
            )
            phases = [pod["status"].get("phase") for pod in answer["items"]]
            if phases == ["Running"]:
                await offer_gpus(cluster, node, 1)
                return
            await asyncio.sleep(0.5)


def on_the_kit() -> bool:
    return not os.environ.get("GPUBENCH_E2E_KUBECONFIG")


def follow_until(deployment: Deployment, run: str, event: str) -> dict[str, Any]:
    """Follow a run until an event of this name."""
    return follow_to(deployment, run, lambda found: found["event"] == event)


def follow_to(
    deployment: Deployment, run: str, wanted: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Follow a run until an event that is wanted."""
    follower = deployment.command_line.start(
        "--no-ui", "follow", run, "--quiet", stdout=subprocess.PIPE
    )
    assert follower.stdout is not None
    try:
        for line in follower.stdout:
            found: dict[str, Any] = json.loads(line)
            if wanted(found):
                return found
    finally:
        follower.kill()
        follower.wait()
        follower.stdout.close()
    raise AssertionError(f"run {run} ended without it")


async def cordon(cluster: Cluster, node: str, unschedulable: bool) -> None:
    await cluster.request(
        "PATCH",
        f"/api/v1/nodes/{node}",
        body={"spec": {"unschedulable": unschedulable}},
        content_type=_MERGE,
    )


def says_why_it_waits(event: dict[str, Any]) -> bool:
    """The pod waits, and the scheduler has looked at it."""
    return (
        event["event"] == "part_changed"
        and (event["kind"], event["state"]) == ("pod", "waiting")
        and "waits for the scheduler" not in event["detail"]
    )
