"""What a collection of the API server holds, now and after each change, across every break."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from types import MappingProxyType

from core.kube.cluster import PATIENCE_S, Cluster, JsonObject, Query
from core.kube.errors import ClusterError, ExpiredError, UnreachableError
from core.text import harmless

_SERVER_TIMEOUT_S = 240
# How much later than the server a connection that says nothing is given up: it is dead.
_MARGIN_S = 15.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
# A watch that ends sooner than this without having said anything did not work.
_TOO_SOON_S = 2.0


async def watch(
    cluster: Cluster,
    path: str,
    *,
    query: Query | None = None,
    patience_s: float | None = None,
    server_timeout_s: int = _SERVER_TIMEOUT_S,
    margin_s: float = _MARGIN_S,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Mapping[str, JsonObject]]:
    """Yield all objects of a collection by name, at once and after each change, for ever.

    It is always the same mapping, read-only and kept up to date: copy what is to stay. The ends of
    watches, broken and silent connections and forgotten versions are passed over; after each the
    collection is as the server has it. ``server_timeout_s`` is how long the server keeps one watch
    open; ``margin_s`` later a silent connection is taken for dead.

    Raises:
        DeniedError: the collection may not be listed or watched.
        NotFoundError: there is no such collection.
        UnreachableError: no list or watch came about for ``patience_s`` seconds.
    """
    collection = _Collection(cluster, path, dict(query or {}), patience_s)
    breaks = _Breaks(PATIENCE_S if patience_s is None else patience_s, sleep, monotonic)
    while True:
        if not collection.version:
            await collection.list()
            yield collection.view
        opened_at = monotonic()
        try:
            async with aclosing(collection.changes(server_timeout_s, margin_s)) as changes:
                async for changed in changes:
                    breaks.forget()
                    if changed:
                        yield collection.view
            problem = "it ends at once"
        except ExpiredError:
            collection.version = ""
            problem = "its versions are forgotten at once"
        except _BrokenError as error:
            problem = str(error)
        if monotonic() - opened_at >= _TOO_SOON_S:
            breaks.forget()
        else:
            await breaks.pause(f"The watch of {path} at {cluster.server} does not last: {problem}.")


class _BrokenError(Exception):
    """A watch ended in another way than by the server's wish."""


class _Breaks:
    """Watches that broke with nothing said since the last that said something."""

    def __init__(
        self,
        patience_s: float,
        sleep: Callable[[float], Awaitable[None]],
        monotonic: Callable[[], float],
    ) -> None:
        self._patience_s = patience_s
        self._sleep = sleep
        self._monotonic = monotonic
        self._since: float | None = None
        self._pause_s = _FIRST_PAUSE_S

    def forget(self) -> None:
        self._since = None
        self._pause_s = _FIRST_PAUSE_S

    async def pause(self, sentence: str) -> None:
        now = self._monotonic()
        if self._since is None:
            self._since = now
        elif now - self._since > self._patience_s:
            raise UnreachableError(
                sentence, "See whether a proxy or load balancer on the way cuts long answers."
            )
        # The jitter keeps many watches that broke together from coming back together.
        await self._sleep(self._pause_s * random.uniform(0.5, 1.0))
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)


class _Collection:
    """The objects, and from which version a watch goes on."""

    def __init__(
        self,
        cluster: Cluster,
        path: str,
        query: dict[str, str | int | bool | list[str]],
        patience_s: float | None,
    ) -> None:
        self._cluster = cluster
        self._path = path
        self._query = query
        self._patience_s = patience_s
        self._objects: dict[str, JsonObject] = {}
        self.view: Mapping[str, JsonObject] = MappingProxyType(self._objects)
        self.version = ""
        """Empty: list first."""

    async def list(self) -> None:
        answer = await self._cluster.request(
            "GET", self._path, query=self._query, patience_s=self._patience_s
        )
        kind = str(answer.get("kind") or "").removesuffix("List")
        self._objects.clear()
        for each in answer.get("items") or []:
            # The items of a list do not say what they are; those of a watch do.
            item: JsonObject = {"kind": kind, "apiVersion": answer.get("apiVersion"), **each}
            self._objects[_name(item)] = item
        self.version = _version(answer)
        if not self.version:
            raise ClusterError(f"{self._cluster.server} answered {self._path} with no list.")

    async def changes(self, server_timeout_s: int, margin_s: float) -> AsyncGenerator[bool, None]:
        """Run one watch; yields with each message whether an object changed."""
        query = {
            **self._query,
            "watch": True,
            "resourceVersion": self.version,
            "timeoutSeconds": server_timeout_s,
            "allowWatchBookmarks": True,
        }
        lines = _lines(self._cluster, self._path, query, self._patience_s, margin_s)
        async with aclosing(lines):
            async for line in lines:
                try:
                    message = json.loads(line)
                    changed = self._apply(str(message["type"]), message["object"])
                except (ValueError, KeyError, TypeError) as error:
                    said = harmless(line[:80].decode(errors="backslashreplace"))
                    raise _BrokenError(f"it says {said}") from error
                yield changed

    def _apply(self, kind: str, document: JsonObject) -> bool:
        if kind == "ERROR":
            # Whatever it is, what is known may be wrong now.
            self.version = ""
            if document.get("code") == 410:
                raise ExpiredError(f"{self._path}: {harmless(str(document.get('message')))}.")
            raise _BrokenError(harmless(str(document.get("message"))))
        self.version = _version(document) or self.version
        if kind == "BOOKMARK":
            return False
        if kind == "DELETED":
            self._objects.pop(_name(document), None)
        else:
            self._objects[_name(document)] = document
        return True


async def _lines(
    cluster: Cluster, path: str, query: Query, patience_s: float | None, margin_s: float
) -> AsyncGenerator[bytes, None]:
    """Read a watch line by line; a line may be of any length. The rest of a broken one is lost."""
    import aiohttp

    limit_s = float(str(query["timeoutSeconds"])) + margin_s
    async with AsyncExitStack() as stack:
        opened = cluster.stream(path, query=query, patience_s=patience_s)
        try:
            async with asyncio.timeout(limit_s):
                content = await stack.enter_async_context(opened)
        except TimeoutError as error:
            raise _BrokenError("it is not answered") from error
        begun: list[bytes] = []
        while True:
            try:
                async with asyncio.timeout(limit_s):
                    chunk = await content.readany()
            except TimeoutError as error:
                raise _BrokenError("it is silent") from error
            except (OSError, aiohttp.ClientError) as error:
                raise _BrokenError(harmless(str(error)) or type(error).__name__) from error
            if not chunk:
                return
            first, *rest = chunk.split(b"\n")
            begun.append(first)
            for part in rest:
                line = b"".join(begun)
                begun = [part]
                if line.strip():
                    yield line


def _name(document: JsonObject) -> str:
    return str(document["metadata"]["name"])


def _version(document: JsonObject) -> str:
    return str((document.get("metadata") or {}).get("resourceVersion") or "")
