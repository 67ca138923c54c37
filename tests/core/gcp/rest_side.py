"""Google's REST side with answers by path, as a test has written them down, for shapes that the
stand-in of Google Cloud does not show.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from core.gcp.access import GoogleAccess
from core.gcp.connection import Google
from tests.google.tokens import Tokens

PROJECT = "test-project"
_SERVICES = (
    "artifactregistry",
    "cloudbilling",
    "cloudbuild",
    "cloudresourcemanager",
    "compute",
    "iam",
    "serviceusage",
    "storage",
)


@dataclass(frozen=True)
class Refused:
    """A refusal as an answer, in Google's shape."""

    status: int
    code: str
    message: str = "no"

    def body(self) -> dict[str, Any]:
        return {"error": {"code": self.status, "message": self.message, "status": self.code}}


class Cut:
    """The connection ends without an answer."""


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    query: Mapping[str, str]
    content: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    @property
    def body(self) -> Any:
        return json.loads(self.content)


Answer = Mapping[str, Any] | bytes | Refused | Cut
Script = Answer | Callable[[Request], Answer]


class RestSide:
    """Use it as an async context manager; ``google`` is connected to it, and its time goes by as it
    sleeps.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tokens = Tokens(PROJECT, f"tester@{PROJECT}.iam.gserviceaccount.com")
        self._scripts: dict[tuple[str, str], list[Script]] = {}
        self.requests: list[Request] = []
        self.slept_s = 0.0

    def answer(self, method: str, path: str, *scripts: Script) -> None:
        """Say what requests meet, one after the other; the last answer stays."""
        self._scripts[method, path] = list(scripts)

    def asked(self, method: str, path: str) -> list[Request]:
        """Return the requests of this kind."""
        return [each for each in self.requests if (each.method, each.path) == (method, path)]

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        file = self._tokens.write_credentials(self._folder / "credentials.json", f"{url}/token")
        access = GoogleAccess(PROJECT, str(file), endpoints=dict.fromkeys(_SERVICES, url))
        self.google = Google(access, sleep=self._sleep, monotonic=lambda: self.slept_s)
        await self.google.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.google.__aexit__(None, None, None)
        await self._runner.cleanup()

    async def _sleep(self, seconds: float) -> None:
        self.slept_s += seconds

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            granted = {"access_token": self._tokens.grant(), "token_type": "Bearer"}
            return web.json_response({**granted, "expires_in": 3600})
        self._tokens.account_of(request.headers["Authorization"])
        asked = Request(
            request.method,
            request.rel_url.raw_path,
            dict(request.query),
            await request.read(),
            dict(request.headers),
        )
        self.requests.append(asked)
        scripts = self._scripts.get((asked.method, asked.path))
        if not scripts:
            refused = Refused(404, "NOT_FOUND", f"nothing is written down for {asked.path}")
            return web.json_response(refused.body(), status=404)
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        answer = script(asked) if callable(script) else script
        match answer:
            case Cut():
                assert request.transport is not None
                request.transport.abort()
                raise ConnectionResetError
            case Refused():
                return web.json_response(answer.body(), status=answer.status)
            case bytes():
                return web.Response(body=answer, content_type="text/plain")
        return web.json_response(answer)
