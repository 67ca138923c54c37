"""The answers of the stand-in that stay open: watches, logs and commands."""

from __future__ import annotations

import asyncio
import json
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.core.kube.stand_in_pods import ContainerLog, Pod, with_timestamp
from tests.core.kube.stand_in_store import Object, Refused, Resource, Selection, Store

_LINES_A_WRITE = 500


@dataclass
class Cut:
    """Break the next streams of a path after so many bytes."""

    path: str
    size: int
    times: int


class Streams:
    """All open answers, so that a test can end or break them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: set[Stream] = set()
        self._logs: list[ContainerLog] = []
        self.cuts: list[Cut] = []
        self.bookmarks = 0

    def __len__(self) -> int:
        return len(self._open)

    def end(self) -> None:
        """Close every open stream, once it has said all, as a server does that has had enough."""
        for stream in self._open:
            stream.ended = True
        self._wake()

    def cut(self) -> None:
        """Break every open stream in the middle."""
        for stream in list(self._open):
            stream.abort()

    def bookmark(self) -> None:
        """Send a bookmark to every watch that allows it."""
        self.bookmarks += 1
        self._wake()

    def opened(self, request: web.Request) -> Stream:
        cut = next((each for each in self.cuts if each.path in request.path), None)
        if cut:
            cut.times -= 1
            if not cut.times:
                self.cuts.remove(cut)
        stream = Stream(request, cut.size if cut else None)
        self._open.add(stream)
        return stream

    def closed(self, stream: Stream) -> None:
        self._open.discard(stream)

    def follows(self, log: ContainerLog) -> None:
        self._logs.append(log)

    def _wake(self) -> None:
        self._store.wake()
        for log in self._logs:
            log.wake()


class Stream:
    """One open answer."""

    def __init__(self, request: web.Request, budget: int | None) -> None:
        self._request = request
        self._budget = budget
        self._response = web.StreamResponse()
        self.ended = False

    async def begin(self, content_type: str) -> web.StreamResponse:
        self._response.content_type = content_type
        await self._response.prepare(self._request)
        return self._response

    async def write(self, data: bytes) -> None:
        """Raises: ConnectionResetError (also where the test wants a break)."""
        if self._budget is None:
            await self._response.write(data)
            return
        part = data[: self._budget]
        self._budget -= len(part)
        if part:
            await self._response.write(part)
        if not self._budget:
            self.close()
            raise ConnectionResetError("broken as the test wants it")

    def spend(self, size: int) -> None:
        """Count bytes that go another way.

        Raises: ConnectionResetError.
        """
        if self._budget is not None:
            self._budget -= size
            if self._budget <= 0:
                self.close()
                raise ConnectionResetError("broken as the test wants it")

    def close(self) -> None:
        if self._request.transport is not None:
            self._request.transport.close()

    def abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()


async def serve_watch(
    request: web.Request,
    streams: Streams,
    store: Store,
    resource: Resource,
    selection: Selection,
) -> web.StreamResponse:
    stream = streams.opened(request)
    try:
        response = await stream.begin("application/json")
        await _Watch(request.query, streams, store, resource, selection, stream).serve()
        await response.write_eof()
        return response
    finally:
        streams.closed(stream)


class _Watch:
    def __init__(
        self,
        query: Mapping[str, str],
        streams: Streams,
        store: Store,
        resource: Resource,
        selection: Selection,
        stream: Stream,
    ) -> None:
        self._query = query
        self._streams, self._store, self._stream = streams, store, stream
        self._resource, self._selection = resource, selection
        self._bookmarks_seen = streams.bookmarks
        self._may_bookmark = query.get("allowWatchBookmarks") in ("true", "1")
        self._shelf = store.shelf(resource)
        self._version = 0

    async def serve(self) -> None:
        asked = self._query.get("resourceVersion", "")
        if asked in ("", "0"):
            self._version = self._store.version
            for each in self._store.list(self._resource):
                if each in self._selection:
                    await self._send("ADDED", each)
        else:
            self._version = int(asked)
        timeout = float(self._query.get("timeoutSeconds") or 0) or 1800
        try:
            async with asyncio.timeout(timeout):
                await self._follow()
        except TimeoutError:
            if self._may_bookmark:
                await self._send_bookmark()

    async def _follow(self) -> None:
        while True:
            if self._version < self._shelf.forgotten:
                text = f"too old resource version: {self._version} ({self._shelf.forgotten})"
                await self._send("ERROR", Refused(410, "Expired", text).status)
                return
            if self._bookmarks_seen < self._streams.bookmarks:
                self._bookmarks_seen = self._streams.bookmarks
                if self._may_bookmark:
                    await self._send_bookmark()
                continue
            changes = self._shelf.changes
            start = bisect_right(changes, self._version, key=lambda change: change.version)
            if start == len(changes):
                if self._stream.ended:
                    return
                await self._store.changed()
                continue
            for change in changes[start:]:
                was = change.before is not None and change.before in self._selection
                now = change.kind != "DELETED" and change.now in self._selection
                if was or now:
                    kind = "MODIFIED" if was and now else "ADDED" if now else "DELETED"
                    await self._send(kind, change.now)
                self._version = change.version

    async def _send(self, kind: str, document: Object) -> None:
        line = json.dumps({"type": kind, "object": document}).encode() + b"\n"
        await self._stream.write(line)

    async def _send_bookmark(self) -> None:
        changes = self._shelf.changes
        if not changes or changes[-1].version <= self._version:
            # All is said: whatever happened since was none of this watch's business.
            self._version = self._store.version
        version = str(self._version)
        document = {
            "kind": self._resource.kind,
            "apiVersion": self._resource.api_version,
            "metadata": {"resourceVersion": version, "creationTimestamp": None},
        }
        await self._send("BOOKMARK", document)


async def serve_log(request: web.Request, streams: Streams, pod: Pod) -> web.StreamResponse:
    query = request.query
    since_ns = _since_ns(query)
    log = _asked_log(query, pod)
    follow = query.get("follow") in ("true", "1")
    with_times = query.get("timestamps") in ("true", "1")
    first = next(
        (index for index, (moment, _) in enumerate(log.lines) if moment >= since_ns),
        len(log.lines),
    )
    if "tailLines" in query:
        first = max(first, len(log.lines) - int(query["tailLines"]))
    stream = streams.opened(request)
    streams.follows(log)
    try:
        response = await stream.begin("text/plain")
        while True:
            lines = log.lines[first : first + _LINES_A_WRITE]
            first += len(lines)
            if lines:
                texts = [with_timestamp(*each) if with_times else each[1] for each in lines]
                await stream.write(b"".join(texts))
            elif log.ended or not follow or stream.ended:
                break
            else:
                await log.more()
        await response.write_eof()
        return response
    finally:
        streams.closed(stream)


def _since_ns(query: Mapping[str, str]) -> int:
    text = query.get("sinceTime")
    if not text:
        return 0
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[-+]\d\d:\d\d)", text)
    if not found:
        layout = "2006-01-02T15:04:05Z07:00"
        said = f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "2006"'
        raise Refused(400, "BadRequest", said)
    # The field has whole seconds: what is below is cut off.
    zone = found[2].replace("Z", "+00:00")
    return int(datetime.fromisoformat(found[1] + zone).astimezone(UTC).timestamp()) * 10**9


def _asked_log(query: Mapping[str, str], pod: Pod) -> ContainerLog:
    container = query.get("container") or ""
    names = pod.containers
    if not container and len(names) > 1:
        said = f"a container name must be specified for pod {pod.name}, choose one of: "
        raise Refused(400, "BadRequest", f"{said}[{' '.join(names)}]")
    container = container or names[0]
    if container not in names:
        raise Refused(400, "BadRequest", f"container {container} is not valid for pod {pod.name}")
    starts = pod.logs.get(container, [])
    if query.get("previous") in ("true", "1"):
        if len(starts) < 2:
            said = f'previous terminated container "{container}" in pod "{pod.name}" not found'
            raise Refused(400, "BadRequest", said)
        return starts[-2]
    if not starts:
        if not pod.document["spec"].get("nodeName"):
            return ContainerLog(ended=True)
        raise Refused(
            400,
            "BadRequest",
            f'container "{container}" in pod "{pod.name}" is waiting to start: '
            f"{_waits_for(pod, container)}",
        )
    return starts[-1]


def _waits_for(pod: Pod, container: str) -> str:
    for each in pod.document["status"].get("containerStatuses", []):
        if each["name"] == container:
            reason = str(each["state"].get("waiting", {}).get("reason", ""))
            pulls = reason in ("ErrImagePull", "ImagePullBackOff")
            return "image can't be pulled" if pulls else reason
    return "ContainerCreating"


async def serve_exec(request: web.Request, streams: Streams, pod: Pod) -> web.StreamResponse:
    if "application/json" in request.headers.get("Accept", ""):
        return web.Response(status=406, text="406 Not Acceptable\n")
    container = request.query.get("container") or pod.containers[0]
    if container not in pod.containers:
        raise Refused(400, "BadRequest", f"container {container} is not valid for pod {pod.name}")
    if not pod.logs.get(container) or pod.logs[container][-1].ended:
        raise Refused(500, "InternalError", f'container not found ("{container}")')
    socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",), max_msg_size=0)
    await socket.prepare(request)
    stream = streams.opened(request)
    command = request.query.getall("command")
    try:
        await socket.send_bytes(b"\x01")
        async for frame in pod.executor(command):
            if isinstance(frame, int):
                await socket.send_bytes(b"\x03" + json.dumps(exit_status(frame, command)).encode())
                # The real server closes the connection without a closing frame.
                stream.close()
            else:
                stream.spend(len(frame[1]))
                await socket.send_bytes(bytes([frame[0]]) + frame[1])
    except FileNotFoundError:
        await socket.send_bytes(b"\x03" + json.dumps(_no_such_program(command[0])).encode())
    except ConnectionResetError:
        pass
    finally:
        streams.closed(stream)
    return socket


def _no_such_program(program: str) -> dict[str, Any]:
    said = (
        "error executing command in container: failed to start exec: OCI runtime exec failed: exec "
        f'failed: unable to start container process: exec: "{program}": executable file not found '
        "in $PATH: unknown"
    )
    return {
        **{"metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500},
        **{
            "message": f"Internal error occurred: {said}",
            "details": {"causes": [{"message": said}]},
        },
    }


def exit_status(code: int, command: list[str]) -> dict[str, Any]:
    """The last frame of a command that ran to its end."""
    if not code:
        return {"metadata": {}, "status": "Success"}
    said = f"error executing command [{' '.join(command)}], exit code {code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: {said}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
