"""A watch gives what the server has, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from core.kube.cluster import Access, Cluster, JsonObject
from core.kube.errors import ClusterError, DeniedError, NotFoundError, UnreachableError
from core.kube.watching import watch
from tests.core.kube.clocks import Clock
from tests.core.kube.sides import Side
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_access import ADMIN, VIEWER
from tests.core.kube.stand_in_store import RESOURCES

CONFIG_MAPS = RESOURCES["", "configmaps"]
PATH = "/api/v1/namespaces/default/configmaps"
Objects = Mapping[str, JsonObject]


def put(stand_in: StandIn, name: str, **data: str) -> None:
    stand_in.put(CONFIG_MAPS, {"metadata": {"name": name}, "data": data}, "default")


def take(stand_in: StandIn, name: str) -> None:
    stand_in.store.remove(CONFIG_MAPS, "default", name)


def lists_and_watches(stand_in: StandIn) -> tuple[int, int]:
    asked = [each for each in stand_in.asked if each.method == "GET" and each.path == PATH]
    watches = sum("watch" in each.query for each in asked)
    return len(asked) - watches, watches


@contextlib.asynccontextmanager
async def followed(objects: AsyncIterator[Objects]) -> AsyncIterator[Following]:
    following = Following(objects)
    try:
        yield following
    finally:
        await following.close()


class Following:
    """Reads a watch all the time, as a program does, and gives what it gave one by one."""

    def __init__(self, objects: AsyncIterator[Objects]) -> None:
        self._given: asyncio.Queue[list[str] | Exception] = asyncio.Queue()
        self._objects: Objects = {}
        self._task = asyncio.create_task(self._read(objects))

    async def next(self) -> list[str]:
        """The names that were there at the next change."""
        async with asyncio.timeout(20):
            given = await self._given.get()
        if isinstance(given, Exception):
            raise given
        return given

    async def until(self, is_it: Callable[[Objects], bool]) -> Objects:
        async with asyncio.timeout(60):
            while not is_it(self._objects):
                await self.next()
        return self._objects

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self, objects: AsyncIterator[Objects]) -> None:
        try:
            async with contextlib.aclosing(cast(Any, objects)) as closing:
                async for found in closing:
                    self._objects = found
                    self._given.put_nowait(sorted(found))
        except Exception as error:
            self._given.put_nowait(error)


async def reading(stand_in: StandIn, clients: int = 1) -> None:
    """Until so many watches are open at the server."""
    async with asyncio.timeout(20):
        while len(stand_in.streams) != clients:
            await asyncio.sleep(0.005)


async def test_it_begins_with_what_is_there_and_gives_every_change(
    stand_in: StandIn, cluster: Cluster
) -> None:
    put(stand_in, "a")
    async with followed(watch(cluster, PATH)) as following:
        assert await following.next() == ["a"]
        put(stand_in, "b")
        assert await following.next() == ["a", "b"]
        stand_in.change("configmaps", "a", {"data": {"x": "1"}}, namespace="default")
        found = await following.until(lambda objects: bool(objects["a"]["data"]))
        assert found["a"]["data"] == {"x": "1"}
        take(stand_in, "b")
        assert await following.next() == ["a"]
        put(stand_in, "c")
        put(stand_in, "d")
        assert await following.next() == ["a", "c"]
        assert await following.next() == ["a", "c", "d"]
    assert lists_and_watches(stand_in) == (1, 1)


async def test_an_empty_collection_is_given_too(stand_in: StandIn, cluster: Cluster) -> None:
    async with followed(watch(cluster, PATH)) as following:
        assert await following.next() == []
        put(stand_in, "a")
        assert await following.next() == ["a"]


async def test_listed_and_watched_objects_look_alike(stand_in: StandIn, cluster: Cluster) -> None:
    put(stand_in, "listed")
    async with followed(watch(cluster, PATH)) as following:
        await following.next()
        put(stand_in, "watched")
        found = await following.until(lambda objects: len(objects) == 2)
        assert found["listed"].keys() == found["watched"].keys()
        kinds = {(each["kind"], each["apiVersion"]) for each in found.values()}
        assert kinds == {("ConfigMap", "v1")}


async def test_the_mapping_cannot_be_changed(stand_in: StandIn, cluster: Cluster) -> None:
    put(stand_in, "a")
    async with contextlib.aclosing(cast(Any, watch(cluster, PATH))) as objects:
        found = await anext(objects)
    with pytest.raises(TypeError):
        found["b"] = {}


async def test_the_query_goes_with_the_list_and_every_watch(
    stand_in: StandIn, cluster: Cluster
) -> None:
    put(stand_in, "a")
    put(stand_in, "b")
    query = {"fieldSelector": "metadata.name=b"}
    async with followed(watch(cluster, PATH, query=query)) as following:
        assert await following.next() == ["b"]
        await reading(stand_in)
        stand_in.streams.end()
        put(stand_in, "c")
        take(stand_in, "b")
        assert await following.next() == []
    assert all(each.query["fieldSelector"] == "metadata.name=b" for each in stand_in.asked)


@pytest.mark.parametrize("how", ["ended", "cut"])
async def test_what_happens_between_two_watches_is_not_lost(
    stand_in: StandIn, cluster: Cluster, how: str
) -> None:
    put(stand_in, "a")
    async with followed(watch(cluster, PATH, sleep=Clock().sleep)) as following:
        assert await following.next() == ["a"]
        for round_number in range(10):
            await reading(stand_in)
            let_in = asyncio.Event()
            stand_in.fail(path=PATH, until=let_in)
            stand_in.streams.end() if how == "ended" else stand_in.streams.cut()
            await reading(stand_in, 0)
            put(stand_in, f"b{round_number}")
            take(stand_in, f"b{round_number}")
            let_in.set()
            assert await following.next() == ["a", f"b{round_number}"]
            assert await following.next() == ["a"]
    assert lists_and_watches(stand_in) == (1, 11)


async def test_half_a_message_before_a_break_is_not_believed(
    stand_in: StandIn, cluster: Cluster
) -> None:
    stand_in.cut_after(150, path=PATH, times=3)
    async with followed(watch(cluster, PATH, sleep=Clock().sleep)) as following:
        assert await following.next() == []
        put(stand_in, "long", text="x" * 1000)
        found = await following.until(bool)
        assert found["long"]["data"] == {"text": "x" * 1000}
    assert lists_and_watches(stand_in) == (1, 4)


async def test_a_forgotten_version_is_listed_again(stand_in: StandIn, cluster: Cluster) -> None:
    put(stand_in, "a")
    put(stand_in, "b")
    async with followed(watch(cluster, PATH, sleep=Clock().sleep)) as following:
        assert await following.next() == ["a", "b"]
        await reading(stand_in)
        stand_in.streams.cut()
        take(stand_in, "a")
        stand_in.store.forget_history()
        assert await following.next() == ["b"]
        put(stand_in, "c")
        assert await following.next() == ["b", "c"]
    assert lists_and_watches(stand_in)[0] == 2


async def test_a_version_refused_at_the_door_is_listed_again(
    stand_in: StandIn, cluster: Cluster
) -> None:
    async with followed(watch(cluster, PATH, sleep=Clock().sleep)) as following:
        assert await following.next() == []
        stand_in.fail(410, path=PATH)
        assert await following.next() == []
        put(stand_in, "a")
        assert await following.next() == ["a"]
    assert lists_and_watches(stand_in) == (2, 2)


async def test_a_bookmark_is_where_the_next_watch_begins(
    stand_in: StandIn, cluster: Cluster
) -> None:
    put(stand_in, "a")
    async with followed(watch(cluster, PATH, sleep=Clock().sleep)) as following:
        assert await following.next() == ["a"]
        await reading(stand_in)
        stand_in.add_node("elsewhere")
        bookmark = stand_in.store.version
        stand_in.streams.bookmark()
        stand_in.streams.end()
        async with asyncio.timeout(20):
            while lists_and_watches(stand_in)[1] < 2:
                await asyncio.sleep(0.005)
        put(stand_in, "b")
        assert await following.next() == ["a", "b"]
    assert stand_in.asked[-1].query["resourceVersion"] == str(bookmark)
    assert stand_in.asked[-1].query["allowWatchBookmarks"] == "true"


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


async def test_an_object_larger_than_any_buffer_arrives_whole(
    stand_in: StandIn, cluster: Cluster
) -> None:
    async with followed(watch(cluster, PATH)) as following:
        await following.next()
        put(stand_in, "large", text="é" * 2_000_000)
        found = await following.until(bool)
        assert found["large"]["data"]["text"] == "é" * 2_000_000


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


async def test_leaving_it_closes_the_connection(stand_in: StandIn, cluster: Cluster) -> None:
    async with followed(watch(cluster, PATH)) as following:
        await following.next()
        await reading(stand_in)
    await reading(stand_in, 0)


async def test_it_follows_a_job_through_many_short_watches(side: Side) -> None:
    seen: list[list[str]] = []
    async with followed(watch(side.cluster, side.jobs, server_timeout_s=1)) as following:
        assert await following.next() == []
        for name in ("a", "b", "c"):
            await side.create_job(name)
            found = await following.until(lambda objects, name=name: name in objects)
            seen.append(sorted(found))
            await asyncio.sleep(0.7)
        for name in ("a", "b", "c"):
            await side.cluster.request(
                "DELETE", f"{side.jobs}/{name}", query={"propagationPolicy": "Background"}
            )
        assert not await following.until(lambda objects: not objects)
    assert seen == [["a"], ["a", "b"], ["a", "b", "c"]]


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
