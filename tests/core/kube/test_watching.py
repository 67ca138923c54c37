"""A watch gives what the server has, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from core.kube.cluster import Access, Cluster
from core.kube.watching import watch
from tests.core.kube.clocks import Clock
from tests.core.kube.following import (
    PATH,
    Objects,
    followed,
    lists_and_watches,
    put,
    reading,
    take,
)
from tests.core.kube.proxy import Proxy, kubeconfig_through, server_of
from tests.core.kube.sides import Side
from tests.core.kube.stand_in import StandIn


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


async def test_an_object_larger_than_any_buffer_arrives_whole(
    stand_in: StandIn, cluster: Cluster
) -> None:
    async with followed(watch(cluster, PATH)) as following:
        await following.next()
        put(stand_in, "large", text="é" * 2_000_000)
        found = await following.until(bool)
        assert found["large"]["data"]["text"] == "é" * 2_000_000


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
            found = await following.until(partial(_holds, name))
            seen.append(sorted(found))
            await asyncio.sleep(0.7)
        for name in ("a", "b", "c"):
            await side.cluster.request(
                "DELETE", f"{side.jobs}/{name}", query={"propagationPolicy": "Background"}
            )
        assert not await following.until(lambda objects: not objects)
    assert seen == [["a"], ["a", "b"], ["a", "b", "c"]]


def _holds(name: str, objects: Objects) -> bool:
    return name in objects


@pytest.fixture
async def through_proxy(
    real_cluster_access: Access, real_namespace: str, tmp_path: Path
) -> AsyncIterator[tuple[Cluster, Proxy]]:
    """A connection to a real server, and the proxy that it goes through."""
    host, port = server_of(Path(real_cluster_access.kubeconfig))
    if host != "127.0.0.1":
        pytest.skip("the server's certificate is not for the proxy's address")
    async with Proxy(host, port) as proxy:
        kubeconfig = Path(real_cluster_access.kubeconfig)
        copy = kubeconfig_through(kubeconfig, proxy, tmp_path / "through")
        access = replace(real_cluster_access, kubeconfig=str(copy), namespace=real_namespace)
        async with Cluster(access) as cluster:
            yield cluster, proxy


@pytest.mark.cluster
async def test_real_changes_are_followed_through_cut_connections(
    through_proxy: tuple[Cluster, Proxy], real_cluster_access: Access
) -> None:
    cluster, proxy = through_proxy
    path = f"/api/v1/namespaces/{cluster.namespace}/configmaps"
    names = [f"c{number:02}" for number in range(15)]
    # The cluster puts some of its own into every namespace.
    query = {"labelSelector": "test"}
    async with (
        Cluster(real_cluster_access) as direct,
        followed(watch(cluster, path, query=query)) as following,
    ):
        await following.next()
        for name in names:
            metadata = {"name": name, "labels": {"test": "watch"}}
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
            await direct.request("POST", path, body=body)
            connections = proxy.connections
            assert proxy.cut() >= 1
            await following.until(partial(_holds, name))
            async with asyncio.timeout(30):
                while proxy.connections == connections:
                    await asyncio.sleep(0.01)
        assert set(await following.until(bool)) == set(names)
        await direct.request("DELETE", path, query=query)
        proxy.cut()
        assert not await following.until(lambda objects: not objects)


@pytest.mark.cluster
async def test_a_real_link_that_died_is_noticed(
    through_proxy: tuple[Cluster, Proxy], real_cluster_access: Access
) -> None:
    cluster, proxy = through_proxy
    path = f"/api/v1/namespaces/{cluster.namespace}/configmaps"
    query = {"labelSelector": "test"}
    limits: Any = {"server_timeout_s": 1, "margin_s": 1.0}
    async with (
        Cluster(real_cluster_access) as direct,
        followed(watch(cluster, path, query=query, **limits)) as following,
    ):
        await following.next()
        proxy.silent = True
        metadata = {"name": "unheard", "labels": {"test": "watch"}}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        await direct.request("POST", path, body=body)
        connections = proxy.connections
        async with asyncio.timeout(30):
            while proxy.connections == connections:
                await asyncio.sleep(0.02)
        proxy.silent = False
        assert set(await following.until(bool)) == {"unheard"}
