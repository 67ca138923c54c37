"""A loopback proxy for TCP that knows nothing of what it carries, TLS included, and can be told to
misbehave.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Passes connections on to ``host:port``. Use it as an async context manager."""

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        """Where it listens on 127.0.0.1."""
        self.refuse = False
        """Whether new connections are closed at once."""
        self.silent = False
        """Whether bytes are swallowed, as by a dead link."""
        self.delay_s = 0.0
        """How long each piece from the server is held back."""
        self.connections = 0
        """How many were accepted and passed on."""
        self.cuts = 0
        """How many connections were cut."""
        self._target = (host, port)
        self._budgets: deque[int] = deque()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> int:
        """Reset every connection; return how many there were."""
        count = len(self._open)
        for writer in list(self._open):
            writer.transport.abort()
        self.cuts += count // 2
        return count // 2

    def cut_after(self, bytes_from_server: Iterable[int]) -> None:
        """Cut each of the next connections after so many bytes from the server."""
        self._budgets.extend(bytes_from_server)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # Cancelled only at the end; the server would complain of a cancelled handler.
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._carry(reader, writer)
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            return
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        self.connections += 1
        self._open |= {writer, there_writer}
        try:
            upstream = asyncio.create_task(self._up(reader, there_writer))
            try:
                await self._down(there_reader, writer)
            finally:
                upstream.cancel()
                await asyncio.gather(upstream, return_exceptions=True)
        finally:
            self._open -= {writer, there_writer}
            there_writer.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            if not self.silent:
                writer.write(data)
                await writer.drain()
        writer.write_eof()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        budget = self._budgets.popleft() if self._budgets else None
        while data := await reader.read(1 << 16):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if self.silent:
                continue
            writer.write(data if budget is None else data[:budget])
            await writer.drain()
            if budget is not None:
                budget -= len(data)
                if budget <= 0:
                    self.cuts += 1
                    # In order, so that what was within the budget arrives.
                    writer.close()
                    await writer.wait_closed()
                    return


def server_of(kubeconfig: Path) -> tuple[str, int]:
    """Return host and port of the only cluster in a kubeconfig."""
    parts = urlsplit(_document(kubeconfig)["clusters"][0]["cluster"]["server"])
    assert parts.hostname is not None
    return parts.hostname, parts.port or 443


def kubeconfig_through(kubeconfig: Path, proxy: Proxy, copy: Path) -> Path:
    """Write a kubeconfig that leads to the same cluster through the proxy; return ``copy``."""
    import yaml

    document = _document(kubeconfig)
    cluster = document["clusters"][0]["cluster"]
    parts = urlsplit(cluster["server"])
    cluster["server"] = urlunsplit(parts._replace(netloc=f"127.0.0.1:{proxy.port}"))
    copy.write_text(yaml.safe_dump(document))
    return copy


def _document(kubeconfig: Path) -> Any:
    import yaml

    return yaml.safe_load(kubeconfig.read_text())
