"""A small pod proves that a container can use its GPU, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from core.kube.cluster import Access, Cluster, JsonObject
from core.kube.errors import DeniedError, NotFoundError
from core.kube.objects import Placement
from core.kube.reason import Reason
from core.kube.smoke import (
    DriverFound,
    SmokeError,
    parse_nvidia_smi,
    run_smoke,
    smoke_pod,
)
from tests.cluster_kit import SMALL_IMAGE
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_pods import Pod

PODS = "/api/v1/namespaces/default/pods"
TABLE = """\
Sun Mar  1 10:00:00 2026
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 570.133.20             Driver Version: 570.133.20     CUDA Version: 12.8     |
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
|   0  Tesla T4                       Off |   00000000:00:04.0 Off |                    0 |
| N/A   41C    P8              9W /   70W |       0MiB /  15360MiB |      0%      Default |
|                                         |                        |                  N/A |
+-----------------------------------------+------------------------+----------------------+
|   1  NVIDIA A100-SXM4-40GB          On  |   00000000:00:05.0 Off |                    0 |
| N/A   41C    P0             44W /  400W |       0MiB /  40960MiB |      0%      Default |
|                                         |                        |             Disabled |
+-----------------------------------------+------------------------+----------------------+

+-----------------------------------------------------------------------------------------+
| Processes:                                                                              |
|  GPU   GI   CI              PID   Type   Process name                        GPU Memory |
|  No running processes found                                                             |
+-----------------------------------------------------------------------------------------+
"""
# Drivers of 2018 put two dashes where newer ones have a plus, and have narrower columns.
OLD_TABLE = """\
+-----------------------------------------------------------------------------+
| NVIDIA-SMI 410.104      Driver Version: 410.104      CUDA Version: 10.0     |
|-------------------------------+----------------------+----------------------+
| GPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC |
|===============================+======================+======================|
|   0  Tesla K80           Off  | 00000000:00:04.0 Off |                    0 |
+-------------------------------+----------------------+----------------------+
"""


def test_the_table_is_read() -> None:
    assert parse_nvidia_smi(TABLE) == DriverFound(
        "570.133.20", "12.8", ("Tesla T4", "NVIDIA A100-SXM4-40GB")
    )
    # Drivers from 610 on.
    newest = TABLE.replace("Driver Version", "KMD Version").replace("CUDA Vers", "CUDA UMD Vers")
    assert parse_nvidia_smi(newest) == parse_nvidia_smi(TABLE)
    assert parse_nvidia_smi(OLD_TABLE) == DriverFound("410.104", "10.0", ("Tesla K80",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make "
            "sure that the latest NVIDIA driver is installed and running.\n",
            "no driver is loaded",
        ),
        (
            "Failed to initialize NVML: Driver/library version mismatch\n"
            "NVML library version: 570.133\n",
            "different versions",
        ),
        ("No devices were found\n", "finds no GPU"),
        ("sh: 1: exec: nvidia-smi: not found\n", "no nvidia-smi"),
        ("sh: nvidia-smi: command not found\n", "no nvidia-smi"),
        (
            "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system.",
            "cannot use the driver's library",
        ),
        ("Failed to initialize NVML: Unknown Error\n", "cannot use the driver's library"),
        ("", "it printed nothing"),
        ("\x1b[31mstrange\x1b[0m", "\\x1b[31mstrange"),
        (TABLE.split("|   0  Tesla")[0], "lists none"),
    ],
)
def test_what_nvidia_smi_complains_of_is_said(text: str, words: str) -> None:
    with pytest.raises(SmokeError) as raised:
        parse_nvidia_smi(text)
    assert words in raised.value.sentence
    assert raised.value.remedy


def a_pod(
    namespace: str = "default", image: str = "registry/bench:1", gpus: int = 1, **where: Any
) -> JsonObject:
    return smoke_pod(
        "gpubench-smoke",
        namespace,
        image,
        labels={"gpubench-tui/run": "r1"},
        placement=Placement(gpus, **where),
    )


def test_the_pod_is_as_restricted_as_the_job() -> None:
    pod = a_pod(
        node_selector={"accelerator": "t4"},
        runtime_class="nvidia",
        pull_secret="registry",
    )
    specification = pod["spec"]
    [container] = specification["containers"]
    assert specification["restartPolicy"] == "Never"
    assert specification["activeDeadlineSeconds"] == 600
    assert specification["automountServiceAccountToken"] is False
    assert specification["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert specification["nodeSelector"] == {"accelerator": "t4"}
    assert specification["runtimeClassName"] == "nvidia"
    assert specification["imagePullSecrets"] == [{"name": "registry"}]


def ignore(_reason: Reason) -> None:
    """Somebody who does not look."""


async def _acted(stand_in: StandIn, act: Callable[[Pod], None]) -> None:
    """Do something with the smoke pod as soon as it is there."""
    while ("default", "gpubench-smoke") not in stand_in.controllers.pods:
        await asyncio.sleep(0)
    act(stand_in.pod("gpubench-smoke"))


async def _gone(cluster: Cluster, namespace: str = "default") -> bool:
    try:
        await cluster.request("GET", f"/api/v1/namespaces/{namespace}/pods/gpubench-smoke")
    except NotFoundError:
        return True
    return False


async def _run(
    stand_in: StandIn,
    cluster: Cluster,
    act: Callable[[Pod], None],
    on_reason: Callable[[Reason], None] = ignore,
    deadline_s: float = 20.0,
) -> DriverFound:
    acting = asyncio.create_task(_acted(stand_in, act))
    try:
        return await run_smoke(cluster, a_pod(), on_reason=on_reason, deadline_s=deadline_s)
    finally:
        await acting


def _prints(*lines: str, exit_code: int = 0) -> Callable[[Pod], None]:
    def act(pod: Pod) -> None:
        pod.schedule()
        pod.start()
        pod.log(*lines)
        pod.finish(exit_code)

    return act


async def test_what_the_pod_saw_is_returned_and_the_pod_is_gone(
    stand_in: StandIn, cluster: Cluster
) -> None:
    found = await _run(stand_in, cluster, _prints(*TABLE.splitlines()))
    assert found.driver == "570.133.20"
    assert await _gone(cluster)


async def test_nvidia_smis_own_complaint_is_told_before_the_exit_code(
    stand_in: StandIn, cluster: Cluster
) -> None:
    with pytest.raises(SmokeError, match="finds no GPU"):
        await _run(stand_in, cluster, _prints("No devices were found", exit_code=6))
    assert await _gone(cluster)


async def test_a_pod_that_ends_without_a_word_says_why(stand_in: StandIn, cluster: Cluster) -> None:
    def act(pod: Pod) -> None:
        pod.schedule()
        pod.start()
        pod.oom()

    with pytest.raises(SmokeError, match="was killed because"):
        await _run(stand_in, cluster, act)
    assert await _gone(cluster)


async def test_why_it_waits_is_told_and_the_deadline_is_kept(
    stand_in: StandIn, cluster: Cluster
) -> None:
    told: list[Reason] = []
    with pytest.raises(SmokeError, match=r"within 0\.5 s\. No node takes pod") as raised:
        await _run(
            stand_in,
            cluster,
            lambda pod: pod.unschedulable(
                "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
            ),
            told.append,
            deadline_s=0.5,
        )
    assert told[-1].kind == "no gpu"
    assert "--gpus" in raised.value.remedy
    assert await _gone(cluster)


async def test_what_is_hopeless_is_not_waited_for(stand_in: StandIn, cluster: Cluster) -> None:
    def act(pod: Pod) -> None:
        pod.schedule()
        pod.wait_for("InvalidImageName", "invalid reference format")

    with pytest.raises(SmokeError, match="is no image name"):
        await _run(stand_in, cluster, act)
    assert await _gone(cluster)


async def test_a_pod_that_somebody_deletes_is_said(stand_in: StandIn, cluster: Cluster) -> None:
    waiting = asyncio.Event()

    async def delete() -> None:
        await waiting.wait()
        stand_in.pod("gpubench-smoke").gone()

    deleting = asyncio.create_task(delete())
    with pytest.raises(SmokeError, match="is gone"):
        await _run(stand_in, cluster, lambda pod: pod.schedule(), lambda _: waiting.set())
    await deleting


async def test_a_pod_left_by_a_killed_run_is_replaced(stand_in: StandIn, cluster: Cluster) -> None:
    old = await cluster.request("POST", PODS, body=a_pod())
    smoke = asyncio.create_task(run_smoke(cluster, a_pod(), on_reason=ignore, deadline_s=20))
    while True:
        pod = stand_in.controllers.pods.get(("default", "gpubench-smoke"))
        if pod is not None and pod.document["metadata"]["uid"] != old["metadata"]["uid"]:
            break
        await asyncio.sleep(0)
    _prints(*TABLE.splitlines())(pod)
    assert (await smoke).gpus
    assert await _gone(cluster)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"somebody": "else"}, "none of ours"),
        (
            {"gpubench-tui/run": "r2", "app.kubernetes.io/managed-by": "gpubench-tui"},
            "of run r2",
        ),
    ],
)
async def test_anothers_pod_of_the_same_name_stays(
    cluster: Cluster, labels: dict[str, str], words: str
) -> None:
    theirs = {**a_pod(), "metadata": {"name": "gpubench-smoke", "labels": labels}}
    there = await cluster.request("POST", PODS, body=theirs)
    with pytest.raises(SmokeError, match=words) as raised:
        await run_smoke(cluster, a_pod(), on_reason=ignore, deadline_s=20)
    assert "--name-suffix" in raised.value.remedy
    assert ("teardown r2" in raised.value.remedy) == ("r2" in words)
    after = await cluster.request("GET", f"{PODS}/gpubench-smoke")
    assert after["metadata"] == there["metadata"]


async def test_the_run_is_named_in_full_where_its_label_is_cut(cluster: Cluster) -> None:
    labels = {"gpubench-tui/run": "r2-cut", "app.kubernetes.io/managed-by": "gpubench-tui"}
    theirs = a_pod()
    theirs["metadata"] |= {"labels": labels, "annotations": {"gpubench-tui/run-id": "r2-in-full"}}
    await cluster.request("POST", PODS, body=theirs)
    with pytest.raises(SmokeError, match="of run r2-in-full"):
        await run_smoke(cluster, a_pod(), on_reason=ignore, deadline_s=20)


async def test_a_pod_that_took_the_name_meanwhile_stays(
    stand_in: StandIn, cluster: Cluster
) -> None:
    ours_is_gone, theirs_is_there = asyncio.Event(), asyncio.Event()
    stand_in.fail(method="DELETE", until=theirs_is_there)

    async def take_the_name() -> None:
        while not any(each.method == "DELETE" for each in stand_in.asked):
            await asyncio.sleep(0)
        stand_in.pod("gpubench-smoke").gone()
        ours_is_gone.set()
        await cluster.request("POST", PODS, body=a_pod())
        theirs_is_there.set()

    taking = asyncio.create_task(take_the_name())
    assert (await _run(stand_in, cluster, _prints(*TABLE.splitlines()))).gpus
    await taking
    assert ours_is_gone.is_set()
    assert not await _gone(cluster)


async def test_a_creation_under_way_when_it_is_cancelled_is_undone(
    stand_in: StandIn, cluster: Cluster
) -> None:
    arrives = asyncio.Event()
    stand_in.fail(method="POST", until=arrives)
    smoke = asyncio.create_task(run_smoke(cluster, a_pod(), on_reason=ignore, deadline_s=60))
    while not stand_in.asked:
        await asyncio.sleep(0)
    smoke.cancel()
    # Nothing is looked for, and nothing proved, while the pod may yet come.
    assert not (await asyncio.wait({smoke}, timeout=0.2))[0]
    assert [each.method for each in stand_in.asked] == ["POST"]
    arrives.set()
    with pytest.raises(asyncio.CancelledError):
        await smoke
    assert any(each.method == "DELETE" for each in stand_in.asked)
    assert await _gone(cluster)


async def test_cancelling_it_deletes_the_pod(stand_in: StandIn, cluster: Cluster) -> None:
    told = asyncio.Event()
    smoke = asyncio.create_task(
        run_smoke(cluster, a_pod(), on_reason=lambda _: told.set(), deadline_s=60)
    )
    await asyncio.wait_for(told.wait(), 20)
    smoke.cancel()
    await asyncio.sleep(0)
    smoke.cancel()
    with pytest.raises(asyncio.CancelledError):
        await smoke
    assert await _gone(cluster)


async def test_a_log_that_breaks_off_is_read_again(stand_in: StandIn, cluster: Cluster) -> None:
    stand_in.cut_after(40, path="/log", times=1)
    assert (await _run(stand_in, cluster, _prints(*TABLE.splitlines()))).cuda == "12.8"


async def test_a_log_that_always_breaks_off_is_an_error_and_the_pod_is_gone(
    stand_in: StandIn, cluster: Cluster
) -> None:
    stand_in.cut_after(40, path="/log", times=10)
    with pytest.raises(SmokeError, match="cannot be read"):
        await _run(stand_in, cluster, _prints(*TABLE.splitlines()))
    assert await _gone(cluster)


async def test_a_pod_that_cannot_be_deleted_is_not_called_done(
    stand_in: StandIn, cluster: Cluster
) -> None:
    stand_in.fail(403, method="DELETE")
    with pytest.raises(DeniedError):
        await _run(stand_in, cluster, _prints(*TABLE.splitlines()))


async def test_what_failed_first_is_told_although_the_pod_cannot_be_deleted(
    stand_in: StandIn, cluster: Cluster
) -> None:
    stand_in.fail(403, method="DELETE")
    with pytest.raises(SmokeError, match="finds no GPU"):
        await _run(stand_in, cluster, _prints("No devices were found", exit_code=6))


@pytest.mark.cluster
async def test_on_a_real_cluster_a_container_without_the_driver_says_so_and_is_gone(
    real_cluster_access: Access, real_namespace: str
) -> None:
    access = replace(real_cluster_access, namespace=real_namespace)
    body = a_pod(real_namespace, SMALL_IMAGE, gpus=0)
    async with Cluster(access) as cluster:
        with pytest.raises(SmokeError, match="the container has no nvidia-smi"):
            await run_smoke(cluster, body, on_reason=ignore, deadline_s=60)
        assert await _gone(cluster, real_namespace)
