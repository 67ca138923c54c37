"""Fetches the results of a benchmark from the keeper in its pod, whole and checked.

The way is a command run in the keeper's container: it needs no storage and no open port, and it
goes on at the byte after a break.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import WorkError, writing
from benchmark.files import file_sha256
from benchmark.keeper import NEVER_STARTED, STILL_RUNNING
from core.kube.archive import (
    COLLECTING,
    Contents,
    DamagedError,
    is_in_place,
    parse_contents,
    unpack,
)
from core.kube.errors import ClusterError, DeniedError, NotFoundError, UnreachableError
from core.text import harmless

if TYPE_CHECKING:
    from aiohttp import ClientWebSocketResponse, WSMessage

    from core.kube.cluster import Cluster, JsonObject

__all__ = ["Collected", "PodGoneError", "TransferError", "collect", "release"]

PATIENCE_S = 120.0
"""How long it is tried without a new byte."""
_OPENING_PATIENCE_S = 1.0
_SILENCE_S = 30.0
"""How long a command may say nothing before it is asked again: a server may answer for a node that
does not. The archive is packed before it is asked for, and what is packed anew is packed once.
"""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 3.0
_ASK_AGAIN_S = 0.3
# What is written to the disk, and reported, at a time.
_BLOCK = 1 << 20
_LONGEST_LIST = 64 << 20
_LONGEST_COMPLAINT = 1 << 16
_STDOUT, _STDERR, _STATUS = 1, 2, 3


class TransferError(WorkError):
    """The results were not fetched; the pod keeps them while it is held."""


class PodGoneError(TransferError):
    """The pod, or its keeper, has ended: nothing can be fetched from it any more."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What was fetched."""

    files: int
    bytes: int
    """Length of all files together."""
    seconds: float
    """From the first question to the last file in place."""


async def collect(
    cluster: Cluster,
    pod: str,
    destination: Path,
    *,
    report: Callable[[int, int], None],
    container: str = "keeper",
    folder: str = "/results",
    patience_s: float = PATIENCE_S,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Collected:
    """Fetch the results of an ended benchmark into ``destination``; waits ``patience_s`` for its
    end. Done again it changes nothing, and after a break, or a kill of this process, it goes on
    where it was. ``report`` hears how many bytes of the archive are here, and how many there are.

    Raises:
        PodGoneError: there is nobody left to ask.
        TransferError: no new byte for ``patience_s``, or what came is not what was announced.
        DeniedError: the credentials do not allow it.
        DiskFullError, OutputError: ``destination`` cannot be written.
    """
    started_at = monotonic()
    keeper = _Keeper(cluster, pod, container, folder, patience_s, sleep, monotonic)
    contents = await keeper.contents()
    if not await asyncio.to_thread(is_in_place, contents, destination):
        work = destination / COLLECTING
        with writing(work):
            work.mkdir(parents=True, exist_ok=True)
        archive = work / f"{contents.sha256}.part"
        await _fetch_whole(keeper, contents, archive, report)
        try:
            await asyncio.to_thread(unpack, archive, contents, destination)
        except DamagedError as error:
            archive.unlink(missing_ok=True)
            raise TransferError(error.sentence, keeper.remedy) from error
    await asyncio.to_thread(shutil.rmtree, destination / COLLECTING, ignore_errors=True)
    return Collected(len(contents.files), contents.unpacked_bytes, monotonic() - started_at)


async def release(
    cluster: Cluster,
    pod: str,
    *,
    container: str = "keeper",
    folder: str = "/results",
    patience_s: float = 30.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Let the pod end. A pod that has ended already is as good.

    Raises:
        TransferError: the keeper could not be told for ``patience_s``.
        DeniedError: the credentials do not allow it.
    """
    keeper = _Keeper(cluster, pod, container, folder, patience_s, sleep, monotonic)
    try:
        await keeper.ask("release")
    except PodGoneError:
        return


async def _fetch_whole(
    keeper: _Keeper, contents: Contents, archive: Path, report: Callable[[int, int], None]
) -> None:
    for _ in range(2):
        await keeper.fetch(contents, archive, report)
        if await asyncio.to_thread(file_sha256, archive) == contents.sha256:
            return
        # What an earlier process left may have lost its end in a crash of this machine.
        archive.unlink()
    raise TransferError(f"The results of pod {keeper.pod} arrived damaged twice.", keeper.remedy)


class _InterruptedError(Exception):
    """The command's end is not known."""


@dataclass(slots=True)
class _Keeper:
    cluster: Cluster
    pod: str
    container: str
    folder: str
    patience_s: float
    sleep: Callable[[float], Awaitable[None]]
    monotonic: Callable[[], float]

    @property
    def remedy(self) -> str:
        return "Collect again while the pod is there; it keeps the results until its time is over."

    async def contents(self) -> Contents:
        give_up_at = self.monotonic() + self.patience_s
        while True:
            answer = await self.ask("bundle", accept=(STILL_RUNNING, NEVER_STARTED))
            if answer.exit_code == 0:
                break
            if answer.exit_code == NEVER_STARTED:
                raise TransferError(
                    f"There are no results in pod {self.pod}: its benchmark never started.",
                    "Its events and log say why; run it again.",
                )
            if self.monotonic() > give_up_at:
                raise TransferError(f"The benchmark in pod {self.pod} still runs.", self.remedy)
            await self.sleep(_ASK_AGAIN_S)
        try:
            return parse_contents(answer.stdout.decode("utf-8", "replace"))
        except DamagedError as error:
            raise TransferError(error.sentence, self.remedy) from error

    async def ask(self, action: str, accept: tuple[int, ...] = ()) -> _Answer:
        """Run a keeper's command until its end is known: all of them may be repeated."""
        patience = _Patience(self)
        while True:
            output = bytearray()

            async def take(data: bytes, output: bytearray = output) -> None:
                output += data
                if len(output) > _LONGEST_LIST:
                    raise TransferError(f"The keeper of pod {self.pod} says too much.")

            try:
                answer = await self._run([action], take)
            except _InterruptedError as error:
                await patience.spend(error)
                continue
            if answer.exit_code not in (0, *accept):
                raise self._failed(answer)
            return _Answer(answer.exit_code, bytes(output), answer.complaint)

    async def fetch(
        self, contents: Contents, archive: Path, report: Callable[[int, int], None]
    ) -> None:
        """Append what is missing of the archive, over as many breaks as it takes."""
        patience = _Patience(self)
        with writing(archive):
            part = archive.open("ab")
        with part:
            have = part.tell()
            if have > contents.bytes:
                part.truncate(0)
                have = 0
            sink = _Sink(archive, part, have, contents.bytes, report)
            while sink.have < contents.bytes:
                had = sink.have
                try:
                    answer = await self._run(["send", "--from", str(had)], sink.take)
                    if answer.exit_code:
                        raise self._failed(answer)
                    problem = _InterruptedError("the command ended before the archive did")
                except _InterruptedError as error:
                    problem = error
                await sink.flush()
                if sink.have > had:
                    patience.renew()
                if sink.have < contents.bytes:
                    await patience.spend(problem)

    async def is_alive(self) -> bool:
        """Return whether the container may answer yet; a server that is away leaves that open."""
        path = f"/api/v1/namespaces/{self.cluster.namespace}/pods/{self.pod}"
        try:
            document = await self.cluster.request("GET", path, patience_s=_OPENING_PATIENCE_S)
        except NotFoundError:
            return False
        except UnreachableError:
            return True
        return not _has_ended(document.get("status") or {}, self.container)

    def gone(self) -> PodGoneError:
        return PodGoneError(
            f"The results cannot be fetched: pod {self.pod} has ended or was deleted.",
            "Run the benchmark again.",
        )

    async def _run(self, words: list[str], take: Callable[[bytes], Awaitable[None]]) -> _Answer:
        import aiohttp

        command = ["python3", "-m", "benchmark.keeper", *words, "--folder", self.folder]
        complaint = bytearray()
        try:
            async with self.cluster.execute(
                self.pod, self.container, command, patience_s=_OPENING_PATIENCE_S
            ) as socket:
                while (message := await self._next(socket)) is not None:
                    if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                        continue
                    channel, data = message.data[0], message.data[1:]
                    if channel == _STDOUT:
                        await take(data)
                    elif channel == _STDERR:
                        complaint += data[: _LONGEST_COMPLAINT - len(complaint)]
                    elif channel == _STATUS:
                        return _judged(data, bytes(complaint))
        except NotFoundError as error:
            raise self.gone() from error
        except (UnreachableError, OSError, aiohttp.ClientError) as error:
            raise _InterruptedError(_said(error)) from error
        except DeniedError:
            raise
        except ClusterError as error:
            raise TransferError(error.sentence, self.remedy) from error
        raise _InterruptedError("the connection was lost")

    async def _next(self, socket: ClientWebSocketResponse) -> WSMessage | None:
        """Return what comes next; None at the end of the connection."""
        # Half of it, so that there is time to ask once more.
        silence_s = min(_SILENCE_S, self.patience_s / 2)
        try:
            async with asyncio.timeout(silence_s):
                return await anext(socket, None)
        except TimeoutError as error:
            raise _InterruptedError(f"nothing came for {silence_s:g} s") from error

    def _failed(self, answer: _Answer) -> TransferError:
        lines = answer.complaint.decode("utf-8", "replace").strip().splitlines()
        said = harmless(lines[-1]) if lines else f"exit code {answer.exit_code}"
        return TransferError(f"The keeper of pod {self.pod} failed: {said}", self.remedy)


@dataclass(frozen=True, slots=True)
class _Answer:
    exit_code: int
    stdout: bytes = b""
    complaint: bytes = b""


class _Patience:
    """Pauses between tries, and an end of them."""

    def __init__(self, keeper: _Keeper) -> None:
        self._keeper = keeper
        self.renew()

    def renew(self) -> None:
        """Something went well."""
        self._end = self._keeper.monotonic() + self._keeper.patience_s
        self._pause_s = _FIRST_PAUSE_S

    async def spend(self, problem: Exception) -> None:
        """Wait a little.

        Raises:
            PodGoneError, TransferError: trying again is of no use.
        """
        if not await self._keeper.is_alive():
            raise self._keeper.gone() from problem
        if self._keeper.monotonic() + self._pause_s > self._end:
            raise TransferError(
                f"The results of pod {self._keeper.pod} could not be fetched: "
                f"{harmless(str(problem)).rstrip('.')}.",
                self._keeper.remedy,
            ) from problem
        await self._keeper.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)


class _Sink:
    """Appends to the part file in blocks, off the event loop."""

    def __init__(
        self, path: Path, file: Any, have: int, total: int, report: Callable[[int, int], None]
    ) -> None:
        self.have = have
        self._path, self._file, self._total, self._report = path, file, total, report
        self._block = bytearray()
        report(have, total)

    async def take(self, data: bytes) -> None:
        self.have += len(data)
        if self.have > self._total:
            raise TransferError("The keeper sent more than it had announced.")
        self._block += data
        if len(self._block) >= _BLOCK:
            await self.flush()

    async def flush(self) -> None:
        block, self._block = self._block, bytearray()
        with writing(self._path):
            await asyncio.to_thread(self._write, block)
        self._report(self.have, self._total)

    def _write(self, block: bytearray) -> None:
        self._file.write(block)
        self._file.flush()


def _judged(data: bytes, complaint: bytes) -> _Answer:
    """Read the last channel's Status object."""
    try:
        status: JsonObject = json.loads(data)
        if status.get("status") == "Success":
            return _Answer(0, complaint=complaint)
        causes = (status.get("details") or {}).get("causes") or []
        codes = [each["message"] for each in causes if each.get("reason") == "ExitCode"]
        if codes:
            return _Answer(int(codes[0]), complaint=complaint)
        # The command did not start, or the runtime lost it.
        raise _InterruptedError(str(status.get("message") or "the command could not be run"))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _InterruptedError("the server's word on the command's end is not readable") from error


def _has_ended(status: JsonObject, container: str) -> bool:
    if status.get("phase") in ("Succeeded", "Failed"):
        return True
    return any(
        each.get("name") == container and "terminated" in (each.get("state") or {})
        for each in status.get("containerStatuses") or []
    )


def _said(error: Exception) -> str:
    if isinstance(error, ClusterError):
        return error.sentence
    lines = str(error).strip().splitlines()
    return f"the connection was lost ({lines[-1] if lines else type(error).__name__})"
