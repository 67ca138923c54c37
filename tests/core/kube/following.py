"""Reading a watch of ConfigMaps, as a program does, and changing them behind its back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast

from core.kube.cluster import JsonObject
from tests.core.kube.stand_in import StandIn
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
