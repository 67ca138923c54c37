"""A container engine on a unix socket that says what a test wants it to."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.core.image.serving import serving

VERSION = "1.41"
Said = Sequence[dict[str, Any]]


@dataclass
class StandInEngine:
    """Its images, its words and what it was asked."""

    images: dict[str, int] = field(default_factory=dict)
    """Name and bytes."""
    build_says: Said = ({"stream": "Step 1/1 : FROM base\n"}, {"aux": {"ID": "sha256:built"}})
    pull_says: Said = ({"status": "Pull complete", "id": "aaa"},)
    push_says: Said = ({"status": "Pushed", "id": "aaa"},)
    refuses: tuple[int, str] | None = None
    """An HTTP status and message for builds, pulls and pushes."""
    hangs: bool = False
    """Whether, having said all, it says nothing and does not end."""
    cuts: bool = False
    """Whether it breaks the connection where the end would be."""
    on_push: Callable[[str, str], None] = lambda name, tag: None
    built: list[dict[str, Any]] = field(default_factory=list)
    pulled: list[str] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)
    logins: list[dict[str, str]] = field(default_factory=list)
    said_all: threading.Event = field(default_factory=threading.Event)
    left_alone: threading.Event = field(default_factory=threading.Event)
    """The client went away while it hung."""
    socket: Path = Path()

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    @contextmanager
    def serve(self) -> Iterator[StandInEngine]:
        """Serve on a socket of its own."""
        application = web.Application()
        prefix = f"/v{VERSION}"
        application.router.add_get("/version", self._version)
        application.router.add_get(prefix + "/images/{name:.+}/json", self._inspect)
        application.router.add_post(prefix + "/build", self._build)
        application.router.add_post(prefix + "/images/create", self._pull)
        application.router.add_post(prefix + "/images/{name:.+}/push", self._push)
        # A socket's path ends at 107 characters: not under the test's own folder.
        folder = tempfile.mkdtemp(prefix="engine")
        self.socket = Path(folder, "docker.sock")

        async def start(runner: web.AppRunner) -> None:
            await web.UnixSite(runner, str(self.socket)).start()

        try:
            with serving(application, start):
                yield self
        finally:
            shutil.rmtree(folder)

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"ApiVersion": VERSION, "MinAPIVersion": "1.12"})

    async def _inspect(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.images:
            return web.json_response({"message": f"No such image: {name}"}, status=404)
        return web.json_response({"Id": "sha256:" + "1" * 64, "Size": self.images[name]})

    async def _build(self, request: web.Request) -> web.StreamResponse:
        with tarfile.open(fileobj=BytesIO(await request.read())) as tar:
            names = tar.getnames()
        arguments = json.loads(request.query["buildargs"])
        self.built.append({"tag": request.query["t"], "files": names, "arguments": arguments})
        response = await self._say(request, self.build_says)
        if not any("error" in message for message in self.build_says):
            self.images[request.query["t"]] = 1234
        return response

    async def _pull(self, request: web.Request) -> web.StreamResponse:
        self._note_login(request)
        name, tag = request.query["fromImage"], request.query["tag"]
        self.pulled.append(f"{name}{'@' if tag.startswith('sha256:') else ':'}{tag}")
        return await self._say(request, self.pull_says)

    async def _push(self, request: web.Request) -> web.StreamResponse:
        self._note_login(request)
        name, tag = request.match_info["name"], request.query["tag"]
        self.pushed.append(f"{name}:{tag}")
        if not any("error" in message for message in self.push_says):
            self.on_push(name, tag)
        return await self._say(request, self.push_says)

    def _note_login(self, request: web.Request) -> None:
        encoded = request.headers["X-Registry-Auth"]
        self.logins.append(json.loads(base64.urlsafe_b64decode(encoded)))

    async def _say(self, request: web.Request, messages: Said) -> web.StreamResponse:
        if self.refuses is not None:
            status, message = self.refuses
            return web.json_response({"message": message}, status=status)
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for message in messages:
            await response.write(json.dumps(message).encode() + b"\r\n")
        self.said_all.set()
        if self.cuts:
            assert request.transport is not None
            request.transport.abort()
        if self.hangs:
            try:
                await asyncio.Event().wait()
            finally:
                self.left_alone.set()
        return response
