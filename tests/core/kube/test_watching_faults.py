"""A watch over servers and connections that fail: it recovers, or says what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from core.kube.cluster import Access, Cluster
from core.kube.errors import ClusterError, DeniedError, NotFoundError, UnreachableError
from core.kube.watching import watch
from tests.core.kube.clocks import Clock
from tests.core.kube.following import (
    PATH,
    followed,
    lists_and_watches,
    put,
    reading,
    take,
)
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_access import ADMIN, VIEWER


async def test_a_burst_of_server_errors_is_passed_over(stand_in: StandIn, tmp_path: Path) -> None:
    clock = Clock()
    async with Cluster(stand_in.access(tmp_path), sleep=clock.sleep) as cluster:
        stand_in.fail(503, times=3)
        async with followed(watch(cluster, PATH, sleep=clock.sleep)) as following:
            assert await following.next() == []
            stand_in.fail(500, times=3)
            stand_in.fail(429, times=2, retry_after="2")
            put(stand_in, "a")
            assert await following.next() == ["a"]
    assert len(clock.pauses) == 8


async def test_a_connection_that_says_nothing_is_given_up(
    stand_in: StandIn, cluster: Cluster
) -> None:
    never = asyncio.Event()
    limits: Any = {"server_timeout_s": 0, "margin_s": 0.2, "sleep": Clock().sleep}
    async with followed(watch(cluster, PATH, **limits)) as following:
        assert await following.next() == []
        stand_in.fail(path=PATH, until=never)
        async with asyncio.timeout(20):
            while lists_and_watches(stand_in)[1] < 4:
                await asyncio.sleep(0.005)
        put(stand_in, "a")
        assert await following.next() == ["a"]


async def test_watches_that_never_last_end_in_one_sentence(
    stand_in: StandIn, tmp_path: Path
) -> None:
    clock = Clock()
    stand_in.cut_after(1, path=PATH, times=1000)
    async with Cluster(stand_in.access(tmp_path)) as cluster:
        objects = watch(cluster, PATH, patience_s=30, sleep=clock.sleep, monotonic=clock.monotonic)
        async with followed(objects) as following:
            assert await following.next() == []
            put(stand_in, "a")
            with pytest.raises(UnreachableError, match="does not last") as caught:
                await following.next()
    assert caught.value.remedy
    assert 30 <= sum(clock.pauses) <= 40


async def test_breaks_long_ago_are_not_held_against_a_watch(
    stand_in: StandIn, cluster: Cluster
) -> None:
    clock = Clock()
    objects = watch(cluster, PATH, patience_s=30, sleep=clock.sleep, monotonic=clock.monotonic)
    async with followed(objects) as following:
        await following.next()
        for name in ("a", "b"):
            await reading(stand_in)
            watches = lists_and_watches(stand_in)[1]
            stand_in.streams.cut()
            async with asyncio.timeout(20):
                while lists_and_watches(stand_in)[1] == watches:
                    await asyncio.sleep(0.005)
            clock.now += 100
            put(stand_in, name)
            assert name in await following.next()


async def test_refusals_pass_through(stand_in: StandIn, tmp_path: Path) -> None:
    async with Cluster(stand_in.access(tmp_path, VIEWER)) as viewer:
        with pytest.raises(DeniedError, match='cannot list resource "nodes"'):
            await anext(aiter(watch(viewer, "/api/v1/nodes")))
        with pytest.raises(NotFoundError):
            await anext(aiter(watch(viewer, "/apis/nothing.example/v1/things")))
        objects = watch(viewer, PATH, sleep=Clock().sleep)
        async with followed(objects) as following:
            await following.next()
            await reading(stand_in)
            del stand_in.accounts[VIEWER]
            stand_in.streams.cut()
            with pytest.raises(DeniedError) as caught:
                await following.next()
            assert caught.value.status == 401


async def test_a_page_instead_of_a_watch_is_said(tmp_path: Path) -> None:
    async def serve(request: web.Request) -> web.Response:
        if "watch" in request.query:
            return web.Response(text="<html>\x1b[31mPlease log in</html>\n")
        document = {"kind": "ConfigMapList", "metadata": {"resourceVersion": "5"}, "items": []}
        return web.json_response(document)

    clock = Clock()
    async with _serving(serve, tmp_path) as cluster:
        objects = watch(cluster, PATH, sleep=clock.sleep, monotonic=clock.monotonic)
        async with followed(objects) as following:
            await following.next()
            with pytest.raises(UnreachableError, match="<html>") as caught:
                await following.next()
            assert "\x1b" not in caught.value.sentence


async def test_an_answer_that_is_no_list_is_said(tmp_path: Path) -> None:
    async def serve(_request: web.Request) -> web.Response:
        return web.json_response({"hello": "world"})

    async with _serving(serve, tmp_path) as cluster:
        with pytest.raises(ClusterError, match="with no list"):
            await anext(aiter(watch(cluster, PATH)))


@pytest.mark.parametrize("seed", range(5))
async def test_after_any_mischief_it_agrees_with_the_server(
    stand_in: StandIn, cluster: Cluster, seed: int
) -> None:
    chance = random.Random(seed)
    there: set[str] = set()

    async def mischief() -> None:
        for number in range(150):
            name = f"n{chance.randrange(8)}"
            match chance.randrange(8):
                case 0:
                    stand_in.streams.cut()
                case 1:
                    stand_in.streams.end()
                case 2:
                    stand_in.streams.bookmark()
                case 3 if number % 3 == 0:
                    stand_in.store.forget_history()
                case 4:
                    stand_in.cut_after(chance.randrange(1, 900), path=PATH)
                case _ if name in there:
                    there.remove(name)
                    take(stand_in, name)
                case _:
                    there.add(name)
                    put(stand_in, name, text="x" * chance.randrange(600))
            await asyncio.sleep(chance.choice((0, 0, 0.002)))
        put(stand_in, "end")
        there.add("end")

    async with followed(watch(cluster, PATH, sleep=Clock().sleep)) as following:
        doing = asyncio.create_task(mischief())
        found = await following.until(lambda objects: "end" in objects)
        await doing
        assert set(found) == there


@contextlib.asynccontextmanager
async def _serving(serve: Callable[[web.Request], Any], folder: Path) -> AsyncIterator[Cluster]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        path = StandIn().kubeconfig(folder / "kubeconfig", ADMIN)
        document = json.loads(path.read_text())
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        document["clusters"][0]["cluster"]["server"] = address
        path.write_text(json.dumps(document))
        async with Cluster(Access(str(path), "stand-in", "default")) as cluster:
            yield cluster
    finally:
        await runner.cleanup()
