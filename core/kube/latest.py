"""Several watches as one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping

from core.kube.cluster import JsonObject
from core.kube.errors import DeniedError, NotFoundError

Objects = Mapping[str, JsonObject]
_NOTHING: Objects = {}


async def latest(
    watches: Mapping[str, AsyncIterator[Objects]], *, optional: Collection[str] = ()
) -> AsyncGenerator[Mapping[str, Objects], None]:
    """Yield what every watch last gave, once all have given something and after each change.

    Changes that come while the reader is busy are given as one. A watch named in ``optional`` reads
    as empty where it is denied or there is nothing of its kind. Ends when all have ended.

    Raises: what a watch raises.
    """
    known: dict[str, Objects] = {}
    changed = asyncio.Event()

    async def follow(name: str, objects: AsyncIterator[Objects]) -> None:
        try:
            async for each in objects:
                known[name] = each
                changed.set()
        except (DeniedError, NotFoundError):
            if name not in optional:
                raise
            known[name] = _NOTHING
        finally:
            changed.set()

    tasks = [asyncio.create_task(follow(name, objects)) for name, objects in watches.items()]
    try:
        while True:
            await changed.wait()
            changed.clear()
            over = [task for task in tasks if task.done()]
            for task in over:
                task.result()
            if len(known) == len(watches):
                yield known
            if len(over) == len(tasks) and not changed.is_set():
                return
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
