"""Runs an aiohttp application beside the test, in a thread and loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

Start = Callable[[web.AppRunner], Awaitable[None]]


@contextmanager
def serving(application: web.Application, start: Start) -> Iterator[None]:
    """Serve until the block ends; ``start`` opens the socket."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    # A client that goes away ends its handler: that is what is to be seen.
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)

    async def open_socket() -> None:
        await runner.setup()
        await start(runner)

    try:
        asyncio.run_coroutine_threadsafe(open_socket(), loop).result(10)
        yield
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
