"""Passes gRPC's connections on, so that one of them can be broken: a server cannot do it itself."""

from __future__ import annotations

import asyncio
import contextlib


class Relay:
    """Listens on loopback; ``port`` says where."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self._target_port = target_port
        self._clients: dict[int, asyncio.StreamWriter] = {}
        """By the port that the server sees."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self, peer: str) -> None:
        """Reset the connection of a peer, as the server calls it (``ipv4:127.0.0.1:40000``)."""
        client = self._clients.get(int(peer.rsplit(":", 1)[1]))
        if client is not None:
            client.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # Cancelled only at the end; asyncio's server would complain of it.
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._carry(reader, writer)
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self._target_port)
        port = there[1].get_extra_info("sockname")[1]
        self._clients[port] = writer
        ways = [
            asyncio.create_task(_pump(reader, there[1])),
            asyncio.create_task(_pump(there[0], writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            del self._clients[port]
            there[1].transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
