"""The connection: what is temporary is survived, what is not ends in one right sentence."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from core.kube.cluster import Access, Cluster, Query
from core.kube.errors import (
    ClusterError,
    ConflictError,
    DeniedError,
    ExpiredError,
    NotFoundError,
    UnreachableError,
)
from tests.core.kube.clocks import Clock
from tests.core.kube.sides import job_body, pod_body
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_access import ADMIN, VIEWER
from tests.core.kube.stand_in_pods import answering

PODS = "/api/v1/namespaces/default/pods"
JOBS = "/apis/batch/v1/namespaces/default/jobs"


async def test_a_query_is_written_as_the_server_reads_it(
    stand_in: StandIn, cluster: Cluster
) -> None:
    query: Query = {"labelSelector": "a in (b,c),d=é&f"}
    stand_in.add_node()
    await cluster.request("GET", "/api/v1/nodes", query={"watch": False, "limit": 5})
    assert stand_in.asked[-1].query == {"watch": "false", "limit": "5"}
    with pytest.raises(ClusterError):
        await cluster.request("GET", PODS, query=query)
    assert stand_in.asked[-1].query["labelSelector"] == "a in (b,c),d=é&f"


async def test_retry_after_is_honoured(stand_in: StandIn, patient: Cluster, clock: Clock) -> None:
    stand_in.fail(429, retry_after="7", times=2)
    async with patient as cluster:
        assert (await cluster.request("GET", PODS))["items"] == []
    assert len(clock.pauses) == 2
    assert all(7 <= pause < 8 for pause in clock.pauses)


async def test_a_date_to_retry_after_gives_a_pause_of_our_own(
    stand_in: StandIn, patient: Cluster, clock: Clock
) -> None:
    stand_in.fail(429, retry_after="Wed, 21 Oct 2099 07:28:00 GMT")
    async with patient as cluster:
        await cluster.request("GET", PODS)
    [pause] = clock.pauses
    assert 0 < pause < 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_burst_of_errors_is_survived(
    stand_in: StandIn, patient: Cluster, clock: Clock, status: int
) -> None:
    stand_in.fail(status, times=6)
    async with patient as cluster:
        assert (await cluster.request("GET", PODS))["kind"] == "PodList"
    assert len(clock.pauses) == 6
    assert sum(clock.pauses) < 20


async def test_errors_without_end_are_one_sentence_within_the_patience(
    stand_in: StandIn, patient: Cluster, clock: Clock
) -> None:
    stand_in.fail(503, times=1000)
    async with patient as cluster:
        with pytest.raises(UnreachableError) as caught:
            await cluster.request("GET", PODS, patience_s=20)
    assert 12 < sum(clock.pauses) <= 20
    assert stand_in.url in caught.value.sentence
    assert "503: answered 503 as the test wants it" in caught.value.sentence
    assert caught.value.remedy


async def test_a_retry_after_beyond_the_patience_ends_at_once(
    stand_in: StandIn, patient: Cluster, clock: Clock
) -> None:
    stand_in.fail(429, retry_after="100", times=2)
    async with patient as cluster:
        with pytest.raises(UnreachableError, match="429"):
            await cluster.request("GET", PODS)
    assert clock.pauses == []


async def test_no_patience_means_one_try(stand_in: StandIn, patient: Cluster, clock: Clock) -> None:
    stand_in.fail(503, times=2)
    async with patient as cluster:
        with pytest.raises(UnreachableError):
            await cluster.request("GET", PODS, patience_s=0)
    assert (len(stand_in.asked), clock.pauses) == (1, [])


async def test_dropped_connections_are_made_again(
    stand_in: StandIn, patient: Cluster, clock: Clock
) -> None:
    stand_in.fail(drop=True, times=4)
    async with patient as cluster:
        assert (await cluster.request("GET", PODS))["items"] == []
        stand_in.fail(drop=True, times=2)
        async with cluster.stream(PODS) as content:
            assert json.loads(await content.read())["items"] == []
    assert 1 <= len(clock.pauses) <= 6


async def test_a_create_whose_answer_was_lost_meets_its_own_object(
    stand_in: StandIn, patient: Cluster
) -> None:
    """What the docstring of ``request`` says; callers read the object then."""
    async with patient as cluster:
        stand_in.fail(drop=True, method="POST", after=True)
        with pytest.raises(ConflictError, match="already exists"):
            await cluster.request("POST", JOBS, body=job_body("once"))
        assert (await cluster.request("GET", f"{JOBS}/once"))["metadata"]["name"] == "once"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotFoundError), (409, ConflictError), (410, ExpiredError), (422, ClusterError)],
)
async def test_a_refusal_is_not_tried_again(
    stand_in: StandIn, patient: Cluster, clock: Clock, status: int, kind: type[ClusterError]
) -> None:
    stand_in.fail(status, times=2)
    async with patient as cluster:
        with pytest.raises(kind) as caught:
            await cluster.request("GET", PODS)
        with pytest.raises(kind):
            async with cluster.stream(PODS):
                pass
    assert type(caught.value) is kind
    assert f"answered {status} as the test wants it" in caught.value.sentence
    assert clock.pauses == []


async def test_a_viewer_is_told_what_is_not_allowed(stand_in: StandIn, tmp_path: Path) -> None:
    async with Cluster(stand_in.access(tmp_path, VIEWER)) as cluster:
        assert (await cluster.request("GET", JOBS))["items"] == []
        with pytest.raises(DeniedError) as caught:
            await cluster.request("POST", JOBS, body=job_body("mine"))
        assert caught.value.status == 403
        assert 'cannot create resource "jobs" in API group "batch"' in caught.value.sentence
        assert "permissions" in caught.value.remedy
        with pytest.raises(DeniedError) as caught:
            async with cluster.execute("nobody", "main", ["true"]):
                pass
        assert caught.value.status == 403


@pytest.mark.cluster
async def test_a_real_viewer_is_told_what_is_not_allowed(real_viewer_access: Access) -> None:
    async with Cluster(real_viewer_access) as cluster:
        assert "items" in await cluster.request("GET", JOBS)
        with pytest.raises(DeniedError, match='cannot create resource "jobs"'):
            await cluster.request("POST", JOBS, body=job_body("mine"))
        with pytest.raises(DeniedError, match="running a command in pod nobody"):
            async with cluster.execute("nobody", "main", ["true"]):
                pass


@pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 2099 23:59:59 GMT"])
async def test_a_clock_that_is_far_off_changes_nothing(
    stand_in: StandIn, patient: Cluster, clock: Clock, date: str
) -> None:
    stand_in.date = date
    stand_in.fail(503, retry_after="1")
    async with patient as cluster:
        assert (await cluster.request("GET", PODS))["items"] == []
        created = await cluster.request("POST", JOBS, body=job_body("on-time"))
    assert created["metadata"]["name"] == "on-time"
    assert len(clock.pauses) == 1


async def test_nothing_listening_is_one_sentence(tmp_path: Path, clock: Clock) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = StandIn()
    server.url = f"http://127.0.0.1:{port}"
    access = server.access(tmp_path)
    async with Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster:
        for ask in (
            lambda: cluster.request("GET", PODS),
            lambda: cluster.stream(PODS).__aenter__(),
            lambda: cluster.execute("pod", "main", ["true"]).__aenter__(),
        ):
            with pytest.raises(UnreachableError) as caught:
                await ask()
            assert f"127.0.0.1:{port}" in caught.value.sentence
            assert "cannot be reached" in caught.value.sentence
            assert "context stand-in" in caught.value.sentence
            assert "network" in caught.value.remedy
    assert sum(clock.pauses) <= 180


async def test_a_body_that_is_no_json_is_said(tmp_path: Path) -> None:
    async def serve(_request: web.Request) -> web.Response:
        return web.Response(text="<html>\x1b]0;Welcome\x07</html>", content_type="text/html")

    runner = web.AppRunner(_application(serve), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server = StandIn()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with Cluster(server.access(tmp_path)) as cluster:
            with pytest.raises(ClusterError, match="with no JSON") as caught:
                await cluster.request("GET", PODS)
    finally:
        await runner.cleanup()
    assert "\x1b" not in str(caught.value)


async def test_what_a_server_says_cannot_steer_a_terminal(
    stand_in: StandIn, cluster: Cluster
) -> None:
    with pytest.raises(NotFoundError) as caught:
        await cluster.request("GET", f"{PODS}/a%1b[31mb")
    assert "\x1b" not in str(caught.value)


async def test_leaving_a_stream_early_closes_its_connection(
    stand_in: StandIn, cluster: Cluster
) -> None:
    await cluster.request("POST", PODS, body=pod_body("talks"))
    pod = stand_in.pod("talks")
    pod.start()
    pod.log("first", "second")
    async with cluster.stream(f"{PODS}/talks/log", query={"follow": True}) as content:
        assert await content.readline() == b"first\n"
        assert len(stand_in.streams) == 1
    async with asyncio.timeout(20):
        while len(stand_in.streams):
            await asyncio.sleep(0.005)


async def test_a_stream_that_breaks_says_so_to_its_reader(
    stand_in: StandIn, cluster: Cluster
) -> None:
    await cluster.request("POST", PODS, body=pod_body("talks"))
    pod = stand_in.pod("talks")
    pod.start()
    pod.log("first", "second")
    stand_in.cut_after(8, path="log")
    async with cluster.stream(f"{PODS}/talks/log", query={"follow": True}) as content:
        assert await content.readline() == b"first\n"
        with pytest.raises(aiohttp.ClientError):
            await content.read()


async def test_a_command_that_breaks_off_has_no_status(stand_in: StandIn, cluster: Cluster) -> None:
    await cluster.request("POST", PODS, body=pod_body("works"))
    pod = stand_in.pod("works")
    pod.start()
    pod.executor = answering(bytes(500_000))
    stand_in.cut_after(100_000, path="exec")
    async with cluster.execute("works", "main", ["cat", "file"]) as channel:
        frames = [message.data async for message in channel]
    assert 0 < sum(len(frame) for frame in frames) < 500_000
    assert not any(frame[0] == 3 for frame in frames)


async def test_a_command_goes_through_the_proxy_of_the_kubeconfig(
    stand_in: StandIn, tmp_path: Path
) -> None:
    access = stand_in.access(tmp_path)
    path = Path(access.kubeconfig)
    document = json.loads(path.read_text())
    # No such host: only through the proxy, which the stand-in itself is, is there an answer.
    there = {"server": "http://kubernetes.invalid:6443", "proxy-url": stand_in.url}
    document["clusters"][0]["cluster"] = there
    path.write_text(json.dumps(document))
    async with Cluster(access) as cluster:
        await cluster.request("POST", PODS, body=pod_body("works"), patience_s=0)
        stand_in.pod("works").start()
        stand_in.pod("works").executor = answering(b"done")
        async with cluster.execute("works", "main", ["x"], patience_s=0) as channel:
            assert b"\x01done" in [message.data async for message in channel]


async def test_a_request_can_be_cancelled_while_the_server_thinks(
    stand_in: StandIn, cluster: Cluster
) -> None:
    stand_in.fail(until=asyncio.Event())
    asking = asyncio.ensure_future(cluster.request("GET", PODS))
    async with asyncio.timeout(20):
        while not stand_in.asked:
            await asyncio.sleep(0.005)
    asking.cancel()
    # The server would think for ever.
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_the_token_is_in_no_error(stand_in: StandIn, patient: Cluster) -> None:
    async with patient as cluster:
        for status in (400, 401, 403, 404, 409, 410, 429, 503):
            stand_in.fail(status)
            with pytest.raises(ClusterError) as caught:
                await cluster.request("GET", PODS, patience_s=0)
            assert ADMIN not in f"{caught.value}{caught.value.__cause__!r}"


def _application(serve: Callable[[web.Request], Any]) -> web.Application:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", serve)
    return application
