"""Logs whose streams are cut anywhere: by chance on the stand-in, 20 times on a real cluster."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.kube.cluster import Access, Cluster, Query
from tests.core.kube.log_listener import Clock, Listener, started_pod
from tests.core.kube.proxy import Proxy, kubeconfig_through, server_of
from tests.core.kube.sides import pod_body
from tests.core.kube.stand_in import StandIn

START_NS = 1_790_000_000_900_000_000
REAL_TIME = {"sleep": asyncio.sleep, "monotonic": time.monotonic}
Written = list[tuple[int, bytes]]
# Steps of time: mostly small, sometimes a second, sometimes microseconds back.
STEPS = st.sampled_from([0, 1, 1000, 40_000_000, 600_000_000, 1_000_000_000, -2000])
TEXTS = st.one_of(
    st.sampled_from([b"", b"same", b"\xff\xfe", b"x" * 17_000]),
    st.binary(max_size=30).filter(lambda text: b"\n" not in text),
)


@st.composite
def written_logs(draw: st.DrawFn) -> Written:
    moment, lines = START_NS, []
    for step, text in draw(st.lists(st.tuples(STEPS, TEXTS), min_size=1, max_size=40)):
        moment += step
        lines.append((moment, text))
    return lines


@settings(max_examples=40, deadline=None)
@given(lines=written_logs(), cuts=st.lists(st.integers(0, 3000), max_size=12))
def test_wherever_it_is_cut_the_log_arrives_once_and_in_order(
    lines: Written, cuts: list[int]
) -> None:
    asyncio.run(_cut_anywhere(lines, cuts))


async def _cut_anywhere(lines: Written, cuts: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with StandIn() as stand_in:
            clock = Clock()
            access = stand_in.access(Path(folder))
            async with Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster:
                listener = Listener(cluster, clock=clock)
                pod = await started_pod(stand_in, cluster)
                for size in cuts:
                    stand_in.cut_after(size, path="/log")
                for moment, text in lines:
                    pod.log(text + b"\n", at_ns=moment)
                pod.finish()
                texts = await listener.follow()
    assert texts == [text.decode("utf-8", "backslashreplace") for _, text in lines]
    assert listener.gaps == []


@pytest.mark.cluster
async def test_a_real_log_of_100_000_lines_survives_20_cuts(
    real_cluster_access: Access, real_namespace: str, tmp_path: Path
) -> None:
    count, cuts = 100_000, 20
    # A busy runtime loses what is written in the last instants of a container: nothing is.
    script = f"i=0; while [ $i -lt {count} ]; do echo line $i; i=$((i+1)); done; sleep 5"
    original = Path(real_cluster_access.kubeconfig)
    access = replace(real_cluster_access, namespace=real_namespace)
    async with Cluster(access) as cluster, Proxy(*server_of(original)) as proxy:
        pods = f"/api/v1/namespaces/{real_namespace}/pods"
        body = pod_body("measured", ["sh", "-c", script])
        await cluster.request("POST", pods, body=body)
        await _until_started(cluster, pods)
        through = kubeconfig_through(original, proxy, tmp_path / "through")
        async with Cluster(replace(access, kubeconfig=str(through))) as cut_off:
            listener = Listener(cut_off)
            listener.ended = Listener(cluster).ended  # type: ignore[method-assign]
            async with listener.following(**REAL_TIME) as task:
                for number in range(cuts):
                    goal = count * (number + 1) // (2 * cuts)
                    while len(listener.lines) < goal or len(listener.resumes) < number:
                        await asyncio.sleep(0.005)
                    proxy.cut()
                texts = await task
    assert texts == [f"line {number}" for number in range(count)]
    assert len(listener.breaks) == len(listener.resumes) == cuts
    assert listener.gaps == []


async def _until_started(cluster: Cluster, pods: str) -> None:
    query: Query = {"watch": True, "fieldSelector": "metadata.name=measured"}
    async with cluster.stream(pods, query=query) as events:
        while event := await events.readline():
            if json.loads(event)["object"]["status"]["phase"] != "Pending":
                return
