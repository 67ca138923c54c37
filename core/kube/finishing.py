"""What was begun and must not be left half done, although whoever waits for it may be cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Answer = TypeVar("_Answer")


async def to_its_end(work: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Return what ``work`` returns. A cancellation meanwhile, or several, waits until it has ended:
    a request to create something that is dropped half-way may arrive after it was proved that
    nothing is there.

    Raises:
        asyncio.CancelledError: it was cancelled meanwhile, however ``work`` ended.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled() and (problem := task.exception()) is not None:
        raise cancelled from problem
    raise cancelled
