"""A real cluster: how fast a log is followed, how late its lines are, how long results take.

    python -m tests.performance kubernetes

The cluster is that of the tests (see tests/cluster_kit.py) and must run. Lateness compares the
node's clock with this machine's, so it means something only where they are one. The figures are
absolute and want a quiet machine: API server and kubelet share it here.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import yaml

from core.kube.cluster import Access, Cluster, Query
from core.kube.logs import follow_log
from core.kube.transfer import collect
from core.run.log import LOG_FILE, RunLog
from core.run.process import utc_now
from tests.cluster_kit import kit
from tests.core.kube.keeper_pod import ended_benchmark
from tests.core.kube.sides import pod_body
from tests.performance.pairs import Outcome, spread
from tests.pushed_image import python_image

_BUSY_LINES, _QUIET_LINES = 100_000, 500
# 10,000 lines a second, 100 at a time, and 50 a second; both end with a rest, because a busy
# runtime loses what is written in a container's last instants.
_BUSY = """
import time
begun = time.monotonic()
for round in range(1000):
    lines = [f"measured line {round} {each} of a log of ordinary width" for each in range(100)]
    print("\\n".join(lines), flush=True)
    time.sleep(max(0.0, begun + (round + 1) / 100 - time.monotonic()))
time.sleep(5)
"""
_QUIET = "n=0; while [ $n -lt 500 ]; do echo line $n; n=$((n+1)); usleep 20000; done; sleep 1"
_RESULTS = """
import os
os.makedirs("/results/run/raw")
for number in range(10):
    open(f"/results/run/raw/{number}", "wb").write(os.urandom(2_000_000))
"""
_ROUNDS = 5


@dataclass(frozen=True)
class _Arrival:
    """One line of the log."""

    written: datetime
    late_s: float


def check() -> Iterator[Outcome]:
    yield from asyncio.run(_check())


async def _check() -> list[Outcome]:
    outcomes: list[Outcome] = []
    if not os.environ.get("GPUBENCH_E2E_KUBECONFIG") and not kit().is_up():
        print("no cluster runs here and GPUBENCH_E2E_KUBECONFIG names none")
        return outcomes
    async with _namespace() as cluster:
        image = python_image()
        busy = await _followed(cluster, ["python3", "-c", _BUSY], image)
        outcomes += _busy(busy, _BUSY_LINES)
        outcomes += _quiet(await _followed(cluster, ["sh", "-c", _QUIET]), _QUIET_LINES)
        outcomes.append(await _collecting(cluster, image))
    return outcomes


def _access() -> Access:
    own = os.environ.get("GPUBENCH_E2E_KUBECONFIG")
    path = Path(own) if own else kit().kubeconfig("admin")
    return Access(str(path), yaml.safe_load(path.read_text())["current-context"], "default")


@asynccontextmanager
async def _namespace() -> AsyncIterator[Cluster]:
    name = f"gpubench-performance-{secrets.token_hex(4)}"
    async with Cluster(replace(_access(), namespace=name)) as cluster:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await cluster.request("POST", "/api/v1/namespaces", body=body)
        try:
            # Until its account is there the API server refuses pods.
            accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
            query: Query = {"watch": True, "fieldSelector": "metadata.name=default"}
            async with cluster.stream(accounts, query=query) as lines:
                await lines.readline()
            yield cluster
        finally:
            await cluster.request("DELETE", f"/api/v1/namespaces/{name}")


async def _followed(cluster: Cluster, command: list[str], image: str = "") -> list[_Arrival]:
    """Follow a pod's log into a run's log, and return when each line came."""
    pods, name = f"/api/v1/namespaces/{cluster.namespace}/pods", f"log-{secrets.token_hex(4)}"
    body = pod_body(name, command)
    if image:
        body["spec"]["containers"][0]["image"] = image
    await cluster.request("POST", pods, body=body)
    with tempfile.TemporaryDirectory() as folder:
        log = RunLog(Path(folder) / LOG_FILE, utc_now)
        return await _followed_into(cluster, pods, name, log)


async def _followed_into(cluster: Cluster, pods: str, name: str, log: RunLog) -> list[_Arrival]:
    ended = asyncio.Event()
    query: Query = {"watch": True, "fieldSelector": f"metadata.name={name}"}

    async def follow() -> list[_Arrival]:
        arrivals: list[_Arrival] = []

        async def has_ended() -> bool:
            return ended.is_set()

        async for batch in follow_log(
            cluster,
            name,
            "main",
            ended=has_ended,
            on_break=lambda _: None,
            on_resume=lambda _: None,
        ):
            for line in batch:
                log.write("benchmark", line.text, line.time)
            now = time.time()
            arrivals += [_Arrival(line.time, now - line.time.timestamp()) for line in batch]
        return arrivals

    task: asyncio.Task[list[_Arrival]] | None = None
    async with cluster.stream(pods, query=query) as events:
        while event := await events.readline():
            phase = json.loads(event)["object"]["status"]["phase"]
            if phase != "Pending" and task is None:
                task = asyncio.create_task(follow())
            if phase in ("Succeeded", "Failed"):
                break
    ended.set()
    assert task is not None
    return await task


def _busy(arrivals: list[_Arrival], wanted: int) -> list[Outcome]:
    seconds = (arrivals[-1].written - arrivals[0].written).total_seconds()
    tenth = len(arrivals) // 10
    # The first lines are older than the news that the container runs.
    early = statistics.median(each.late_s for each in arrivals[tenth : 2 * tenth])
    late = statistics.median(each.late_s for each in arrivals[-tenth:])
    return [
        Outcome("lines followed, part of those written", len(arrivals) / wanted, least=1, most=1),
        Outcome("lines written and followed, per s", len(arrivals) / seconds, least=9_500),
        Outcome(
            "what the last tenth is later than the second, s",
            late - early,
            most=0.5,
            details=f"{early:.3f} s and {late:.3f} s late in the median",
        ),
    ]


def _quiet(arrivals: list[_Arrival], wanted: int) -> list[Outcome]:
    # The first second of lines waited for the news that the container runs.
    late_ms = [each.late_s * 1000 for each in arrivals[len(arrivals) // 5 :]]
    return [
        Outcome("quiet lines followed, part", len(arrivals) / wanted, least=1, most=1),
        Outcome(
            "a line of a quiet log is late, ms median",
            statistics.median(late_ms),
            most=300,
            details=spread(late_ms, "ms"),
        ),
    ]


async def _collecting(cluster: Cluster, image: str) -> Outcome:
    seconds = []
    for number in range(_ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            async with ended_benchmark(cluster, f"results-{number}", image, _RESULTS):
                collected = await collect(
                    cluster, f"results-{number}", Path(folder), report=lambda _done, _total: None
                )
                assert collected.bytes == 20_000_000
                seconds.append(collected.seconds)
    return Outcome(
        "20 MB from the benchmark's end to checked files, s",
        statistics.median(seconds),
        most=3,
        details=spread(seconds, "s"),
    )
