"""A real pod with results and a keeper, from any image with Python 3.11 or newer: this checkout's
keeper comes in a ConfigMap.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from core.kube.cluster import Access, Cluster, JsonObject
from core.kube.transfer import Collected, collect, release
from tests.cluster_kit import TOLERATE_ALL
from tests.core.kube.proxy import Proxy, kubeconfig_through, server_of
from tests.core.runs import ROOT

_KEEPER = ["python3", "-m", "benchmark.keeper"]


@asynccontextmanager
async def ended_benchmark(
    cluster: Cluster, name: str, image: str, program: str
) -> AsyncIterator[None]:
    """A pod in which ``program`` (Python) has run as the benchmark, until the context ends."""
    core = f"/api/v1/namespaces/{cluster.namespace}"
    sources = {
        f"{module}.py": (ROOT / "benchmark" / f"{module}.py").read_text()
        for module in ("__init__", "errors", "keeper")
    }
    kind = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": sources}
    await cluster.request("POST", f"{core}/configmaps", body=kind)
    try:
        await cluster.request("POST", f"{core}/pods", body=_pod(name, image, program))
        await _until_terminated(cluster, f"{core}/pods/{name}")
        yield
    finally:
        at_once = {"gracePeriodSeconds": 0}
        await cluster.request("DELETE", f"{core}/pods/{name}", query=at_once)
        await cluster.request("DELETE", f"{core}/configmaps/{name}")


async def collected_over_cuts(
    access: Access, namespace: str, image: str, program: str, folder: Path
) -> tuple[Collected, dict[str, bytes]]:
    """Collect over a connection that is cut again and again; return the files too."""
    original = Path(access.kubeconfig)
    access = replace(access, namespace=namespace)
    async with Cluster(access) as cluster, Proxy(*server_of(original)) as proxy:
        through = kubeconfig_through(original, proxy, folder / "through")

        def cut_at_times(done: int, total: int) -> None:
            if done * 6 // total > proxy.cuts:
                proxy.cut()

        destination = folder / "here"
        async with (
            ended_benchmark(cluster, "measured", image, program),
            Cluster(replace(access, kubeconfig=str(through))) as cut_off,
        ):
            collected = await collect(cut_off, "measured", destination, report=cut_at_times)
            await release(cut_off, "measured")
        assert proxy.cuts >= 5
    contents = {
        path.relative_to(destination).as_posix(): path.read_bytes()
        for path in destination.rglob("*")
        if path.is_file()
    }
    return collected, contents


def _pod(name: str, image: str, program: str) -> JsonObject:
    mounts = [
        {"name": "results", "mountPath": "/results"},
        {"name": "keeper", "mountPath": "/keeper/benchmark"},
    ]
    alike = {
        "image": image,
        "volumeMounts": mounts,
        "env": [{"name": "PYTHONPATH", "value": "/keeper"}],
    }
    run = [*_KEEPER, "run", "--", "python3", "-c", program]
    return {
        **{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "tolerations": TOLERATE_ALL,
            "volumes": [
                {"name": "results", "emptyDir": {}},
                {"name": "keeper", "configMap": {"name": name}},
            ],
            "containers": [
                {"name": "benchmark", "command": run, **alike},
                {"name": "keeper", "command": [*_KEEPER, "hold", "--hold-s", "600"], **alike},
            ],
        },
    }


async def _until_terminated(cluster: Cluster, path: str) -> None:
    async with asyncio.timeout(120):
        while True:
            status = (await cluster.request("GET", path))["status"]
            for each in status.get("containerStatuses", []):
                if each["name"] == "benchmark" and "terminated" in each["state"]:
                    assert each["state"]["terminated"]["exitCode"] == 0
                    return
            await asyncio.sleep(0.02)
