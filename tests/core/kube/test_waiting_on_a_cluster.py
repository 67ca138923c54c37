"""On a real cluster the reasons are right, and there within seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from core.kube.cluster import Access, Cluster, JsonObject
from core.kube.describe import describe_json, gather
from tests.cluster_kit import SMALL_IMAGE, TOLERATE_ALL

pytestmark = pytest.mark.cluster

WITHIN_S = 60.0


def a_job(name: str, change: Callable[[JsonObject], None]) -> JsonObject:
    labels = {"reasons": "tried"}
    specification: JsonObject = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "tolerations": TOLERATE_ALL,
        "containers": [{"name": "main", "image": SMALL_IMAGE, "command": ["sleep", "600"]}],
    }
    template = {"metadata": {"labels": labels}, "spec": specification}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {"backoffLimit": 0, "template": template},
    }
    change(job)
    return job


def of_pod(**fields: Any) -> Callable[[JsonObject], None]:
    return lambda job: job["spec"]["template"]["spec"].update(fields)


def of_container(**fields: Any) -> Callable[[JsonObject], None]:
    return lambda job: job["spec"]["template"]["spec"]["containers"][0].update(fields)


SITUATIONS: dict[str, tuple[Callable[[JsonObject], None], str]] = {
    "gpus": (of_container(resources={"limits": {"nvidia.com/gpu": "1000"}}), "no gpu"),
    "selector": (of_pod(nodeSelector={"gpubench.test/no-such": "node"}), "node selector"),
    "claim": (
        of_pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "missing"}}]),
        "volume",
    ),
    "runtime": (of_pod(runtimeClassName="gpubench-no-such"), "runtime class"),
    "account": (of_pod(serviceAccountName="gpubench-no-such"), "service account"),
    "image": (of_container(image="Not A Name"), "image pull"),
    "command": (of_container(command=["/no/such/program"]), "cannot start"),
    "exit": (of_container(command=["sh", "-c", "exit 3"]), "failed"),
    "memory": (
        # The container outlives the one that is killed: where it ends at that very moment,
        # containerd 1.6 may miss what killed it.
        of_container(
            command=["sh", "-c", "tail /dev/zero; sleep 2; exit 137"],
            resources={"limits": {"memory": "16Mi"}},
        ),
        "out of memory",
    ),
    "deadline": (lambda job: job["spec"].update(activeDeadlineSeconds=3), "deadline"),
}


async def test_each_situation_is_named(real_cluster_access: Access, real_namespace: str) -> None:
    access = replace(real_cluster_access, namespace=real_namespace)
    wanted = {name: kind for name, (_, kind) in SITUATIONS.items()}
    found: dict[str, str] = {}
    async with Cluster(access) as cluster:
        jobs = f"/apis/batch/v1/namespaces/{real_namespace}/jobs"
        for name, (change, _) in SITUATIONS.items():
            await cluster.request("POST", jobs, body=a_job(name, change))
        try:
            async with asyncio.timeout(WITHIN_S):
                while found != wanted:
                    reasons = describe_json(await gather(cluster, "reasons=tried"))["reasons"]
                    # A reason is given by the name of the pod, or of the Job that has none.
                    found = {name.split("-")[0]: each["kind"] for name, each in reasons.items()}
                    await asyncio.sleep(0.2)
        except TimeoutError:
            assert found == wanted


async def test_a_used_up_quota_is_named(real_cluster_access: Access, real_namespace: str) -> None:
    access = replace(real_cluster_access, namespace=real_namespace)
    core = f"/api/v1/namespaces/{real_namespace}/resourcequotas"
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "gpus"},
        "spec": {"hard": {"requests.nvidia.com/gpu": "0"}},
    }
    async with Cluster(access) as cluster:
        await cluster.request("POST", core, body=quota)
        async with asyncio.timeout(WITHIN_S):
            # The quota counts only after its controller has seen it.
            while "hard" not in (await cluster.request("GET", f"{core}/gpus")).get("status", {}):
                await asyncio.sleep(0.1)
            jobs = f"/apis/batch/v1/namespaces/{real_namespace}/jobs"
            change, _ = SITUATIONS["gpus"]
            await cluster.request("POST", jobs, body=a_job("gpus", change))
            reasons: JsonObject = {}
            while reasons.get("gpus", {}).get("kind") != "quota":
                reasons = describe_json(await gather(cluster, "reasons=tried"))["reasons"]
                await asyncio.sleep(0.2)
    assert reasons["gpus"]["hopeless"]
    assert "quota gpus is used up" in reasons["gpus"]["sentence"]
