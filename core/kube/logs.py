"""Follows a container's log over every break of its stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.kube.errors import ClusterError, UnreachableError
from core.kube.log_lines import LogLine, RawLine, Splitter, Window
from core.text import harmless

if TYPE_CHECKING:
    import aiohttp

    from core.kube.cluster import Cluster

__all__ = ["LogLine", "follow_log"]

PATIENCE_S = 900.0
"""How long a log is waited for while its server is away: a control plane's upgrade takes minutes,
and the container goes on meanwhile."""
QUIET_S = 45.0
"""A stream that is silent for this long is opened again: its connection may be dead."""
START_PATIENCE_S = 30.0
"""How long a container may still be on its way to its start."""
# An opening that fails for so long is a break that somebody should hear of.
_FIRST_PATIENCE_S = 1.0
_SETTLED_S = 1.0
# After a clean end, a stream that stays open for so long without a byte, or with bytes, belongs to
# a container that runs on; one that has ended may still have much to repeat.
_ALIVE_SILENT_S = 1.0
_ALIVE_S = 10.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
# A container's end reaches its stream up to 3 s before it reaches its status.
_LONGEST_PAUSE_AT_END_S = 0.5
_LAST_TRIES = 5
_WAITING = "waiting to start"


def _ignore(_words: str) -> None:
    pass


async def follow_log(
    cluster: Cluster,
    pod: str,
    container: str,
    *,
    ended: Callable[[], Awaitable[bool]],
    on_break: Callable[[str], None],
    on_resume: Callable[[float], None],
    on_gap: Callable[[str], None] = _ignore,
    patience_s: float = PATIENCE_S,
    quiet_s: float = QUIET_S,
    start_patience_s: float = START_PATIENCE_S,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[list[LogLine], None]:
    """Yield the lines of a started container as they come, each once and in the log's order, until
    ``ended`` says that the container has terminated and its log was read to the end after that.

    ``on_break`` is told why a stream broke, ``on_resume`` how many seconds later it went on, and
    ``on_gap`` that lines may be missing: the node keeps only the newest file of a log that it
    rotated, and only the newest instance's of a container that was restarted.

    Raises:
        UnreachableError: the server was away for ``patience_s``.
        NotFoundError: the pod is gone, and the end of its log with it.
        ClusterError: see its classes; also a container that did not start in ``start_patience_s``.
    """
    follower = _Follower(
        cluster=cluster,
        path=f"/api/v1/namespaces/{cluster.namespace}/pods/{pod}/log",
        container=container,
        ended=ended,
        on_break=on_break,
        on_resume=on_resume,
        on_gap=on_gap,
        patience_s=patience_s,
        quiet_s=quiet_s,
        start_patience_s=start_patience_s,
        sleep=sleep,
        monotonic=monotonic,
    )
    async with aclosing(follower.batches()) as batches:
        async for batch in batches:
            yield batch


class _QuietError(Exception):
    """Nothing came for a while, as is right for a container that has nothing to say."""


class _BrokenError(Exception):
    """The stream is lost before its end."""


@dataclass(kw_only=True, slots=True)
class _Follower:
    cluster: Cluster
    path: str
    container: str
    ended: Callable[[], Awaitable[bool]]
    on_break: Callable[[str], None]
    on_resume: Callable[[float], None]
    on_gap: Callable[[str], None]
    patience_s: float
    quiet_s: float
    start_patience_s: float
    sleep: Callable[[float], Awaitable[None]]
    monotonic: Callable[[], float]
    window: Window = field(default_factory=Window)
    opened_at: float | None = None
    broken_at: float | None = None
    clean_end_at: float | None = None
    well_at: float = 0.0
    served: bool = False
    pause_s: float = _FIRST_PAUSE_S
    last_tries: int = 0

    async def batches(self) -> AsyncGenerator[list[LogLine], None]:
        self.well_at = self.monotonic()
        while True:
            over = await self.ended()
            self.opened_at, self.served = None, False
            splitter = Splitter()
            try:
                async with AsyncExitStack() as stack:
                    stream = await self._open(stack, over)
                    while data := await self._read(stream):
                        if batch := self._new(splitter.feed(data)):
                            yield batch
                if over and self._is_whole():
                    if batch := self._new([splitter.rest()]):
                        yield batch
                    self._check_end()
                    return
                await self._ended_cleanly(over)
            except _QuietError:
                continue
            except _BrokenError as broken:
                await self._broke(str(broken))

    async def _open(self, stack: AsyncExitStack, over: bool) -> aiohttp.StreamReader:
        import aiohttp

        since = self.window.reopen()
        query: dict[str, str | int | bool | list[str]] = {
            "container": self.container,
            "timestamps": True,
            "follow": not over,
        }
        if since is not None:
            query["sinceTime"] = since.strftime("%Y-%m-%dT%H:%M:%SZ")
        patience = _FIRST_PATIENCE_S if self.broken_at is None else self.quiet_s
        try:
            # A log without a line has no head either: its opening may last as long as its silence.
            async with asyncio.timeout(self.quiet_s):
                stream = await stack.enter_async_context(
                    self.cluster.stream(self.path, query=query, patience_s=patience)
                )
        except TimeoutError as error:
            if since is None and self.broken_at is None:
                raise _QuietError from error
            raise _BrokenError(f"the server gave no answer for {self.quiet_s:.0f} s") from error
        except UnreachableError as error:
            raise _BrokenError(error.sentence) from error
        except (OSError, aiohttp.ClientError) as error:
            raise _BrokenError(_words(error)) from error
        except ClusterError as error:
            if _WAITING not in error.sentence or self._is_late():
                raise
            raise _QuietError from await self._later(error)
        self._opened()
        return stream

    async def _read(self, stream: aiohttp.StreamReader) -> bytes:
        import aiohttp

        asked_at = self.monotonic()
        try:
            async with asyncio.timeout(self.quiet_s):
                return await stream.readany()
        except TimeoutError as error:
            raise _QuietError from error
        except (OSError, aiohttp.ClientError) as error:
            raise _BrokenError(_words(error)) from error
        finally:
            self._note_life(asked_at)

    def _is_late(self) -> bool:
        return self.monotonic() - self.well_at > self.start_patience_s

    async def _later(self, error: ClusterError) -> ClusterError:
        await self._pause(_LONGEST_PAUSE_AT_END_S)
        return error

    def _opened(self) -> None:
        self.opened_at = self.monotonic()
        if self.broken_at is not None:
            self.on_resume(self.opened_at - self.broken_at)
            self.broken_at = self.clean_end_at = None

    def _new(self, raw: list[RawLine]) -> list[LogLine]:
        batch = self.window.new(raw)
        if batch:
            self._was_served()
            if not self.window.is_recognised:
                self._tell_of_gap(f"before {batch[0].time:%H:%M:%S} UTC ")
        return batch

    def _tell_of_gap(self, where: str) -> None:
        self.window.accept()
        self.on_gap(
            f"Lines {where}may be missing from the log of {self.container}: while its stream was "
            "broken the node rotated it, or started the container again."
        )

    def _note_life(self, asked_at: float) -> None:
        """Notice that a stream lives: then an end before it was no end of the container."""
        now = self.monotonic()
        assert self.opened_at is not None
        if now - self.opened_at > _SETTLED_S:
            self._was_served()
        alive = now - asked_at > _ALIVE_SILENT_S or now - self.opened_at > _ALIVE_S
        if alive and self.clean_end_at is not None:
            self.on_break("the server ended the stream")
            self.on_resume(self.opened_at - self.clean_end_at)
            self.clean_end_at = None

    def _was_served(self) -> None:
        self.served = True
        self.well_at = self.monotonic()
        self.pause_s = _FIRST_PAUSE_S

    async def _ended_cleanly(self, over: bool) -> None:
        if self.window.server_words:
            await self._broke(self.window.server_words)
        elif not over:
            if self.clean_end_at is None:
                self.clean_end_at = self.monotonic()
            await self._pause(_LONGEST_PAUSE_AT_END_S)

    def _is_whole(self) -> bool:
        """Return whether a last reading needs no repetition."""
        self.last_tries += 1
        return not self.window.server_words or self.last_tries >= _LAST_TRIES

    def _check_end(self) -> None:
        if self.window.server_words:
            self.on_gap(
                f"The end of the log of {self.container} cannot be read: "
                f"{harmless(self.window.server_words)}."
            )
        elif not self.window.is_recognised:
            self._tell_of_gap("at the end ")

    async def _broke(self, words: str) -> None:
        now = self.monotonic()
        reason = harmless(words).rstrip(".")
        if self.broken_at is None:
            self.broken_at = now if self.clean_end_at is None else self.clean_end_at
            self.on_break(reason)
        if now - self.well_at > self.patience_s:
            raise UnreachableError(
                f"The log of {self.container} could not be read for {self.patience_s:.0f} s: "
                f"{reason}.",
                "See that the cluster runs and that this machine's network and VPN lead to it.",
            )
        # After good service at once again; without any, patiently.
        if not self.served:
            await self._pause(_LONGEST_PAUSE_S)

    async def _pause(self, longest_s: float) -> None:
        await self.sleep(min(self.pause_s, longest_s))
        self.pause_s = min(self.pause_s * 2, longest_s)


def _words(error: Exception) -> str:
    import aiohttp

    if isinstance(error, aiohttp.ClientPayloadError):
        # What the client says of it is about chunks and lengths.
        return "the connection was lost"
    said = str(error).strip().splitlines()
    return f"the connection was lost ({said[-1] if said else type(error).__name__})"
