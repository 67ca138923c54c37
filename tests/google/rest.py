"""The REST half: one server for all of Google's JSON APIs, and the token endpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from tests.google.faults import CutError, Gate
from tests.google.refusals import Refusal
from tests.google.tokens import OAuthRefusal, Tokens

Json = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request, taken apart."""

    path: Mapping[str, str]
    """What stood in the pattern's braces."""
    query: Mapping[str, str]
    names: tuple[str, ...]
    """Values of a repeated ``names``."""
    body: Json
    raw: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """An answer that is no JSON."""

    content: bytes
    content_type: str = "text/plain"
    status: int = 200


Act = Callable[[Asked], Any]


@dataclass(frozen=True)
class Route:
    """One method of one API."""

    method: str
    pattern: str
    """Braces take one part of the path; ``{+x}`` takes all that is left."""
    call: str
    act: Act

    def match(self, method: str, path: str) -> dict[str, str] | None:
        if method != self.method:
            return None
        found = _compiled(self.pattern).fullmatch(path)
        if found is None:
            return None
        return {key: unquote(value) for key, value in found.groupdict().items()}


_COMPILED: dict[str, re.Pattern[str]] = {}


def _compiled(pattern: str) -> re.Pattern[str]:
    if pattern not in _COMPILED:
        expression = ""
        for part in re.split(r"(\{\+?\w+\})", pattern):
            if part.startswith("{+"):
                expression += f"(?P<{part[2:-1]}>.+)"
            elif part.startswith("{"):
                expression += f"(?P<{part[1:-1]}>[^/:]+)"
            else:
                expression += re.escape(part)
        _COMPILED[pattern] = re.compile(expression)
    return _COMPILED[pattern]


class RestServer:
    """An async context manager; ``url`` is its address."""

    def __init__(
        self,
        routes: list[Route],
        gate: Gate,
        tokens: Tokens,
        admit: Callable[[str, str], str],
    ) -> None:
        self._routes = routes
        self._gate = gate
        self._tokens = tokens
        self._admit = admit
        self.url = ""

    @property
    def token_uri(self) -> str:
        return f"{self.url}/token"

    async def start(self, port: int = 0) -> None:
        application = web.Application(client_max_size=2**30)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(
            application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        path = request.rel_url.raw_path
        try:
            if path in ("/token", "/v1/token") and request.method == "POST":
                return await self._token(request)
            return await self._answer(request, path, raw)
        except Refusal as refusal:
            return web.json_response(refusal.as_json(), status=refusal.http)
        except CutError:
            assert request.transport is not None
            request.transport.abort()
            raise ConnectionResetError("cut as the test wants it") from None

    async def _answer(self, request: web.Request, path: str, raw: bytes) -> web.StreamResponse:
        for route in self._routes:
            parts = route.match(request.method, path)
            if parts is not None:
                break
        else:
            return web.Response(status=404, text=f"Error 404 (Not Found)!!1 {path}")
        body: Json = {}
        if raw and "json" in request.content_type:
            try:
                body = json.loads(raw)
            except ValueError as error:
                raise Refusal("INVALID_ARGUMENT", "Invalid JSON payload received.") from error
        asked = Asked(
            path=parts,
            query=dict(request.query),
            names=tuple(request.query.getall("names", [])),
            body=body,
            raw=raw,
            headers=request.headers,
        )
        authorization = request.headers.get("Authorization", "")
        answer = await self._gate.serve(
            *(route.call, path, body or dict(request.query)),
            lambda: self._admit(route.call, authorization),
            lambda: route.act(asked),
        )
        if isinstance(answer, Raw):
            return web.Response(
                body=answer.content, content_type=answer.content_type, status=answer.status
            )
        return web.json_response(answer)

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = {key: str(value) for key, value in (await request.post()).items()}
        try:
            answer = await self._gate.serve(
                *("token", request.path, form.get("grant_type", "")),
                lambda: "",
                lambda: self._tokens.answer(form, self.token_uri),
            )
        except OAuthRefusal as refusal:
            return web.json_response(refusal.body, status=refusal.status)
        return web.json_response(answer)


def paged(items: list[Any], query: Mapping[str, str], size: int) -> tuple[list[Any], Json]:
    """Cut one page out; the second value is ``nextPageToken`` where there is more."""
    asked = int(query.get("pageSize") or query.get("maxResults") or 0)
    length = min(asked or size, size)
    start = int(query.get("pageToken") or 0)
    more = {"nextPageToken": str(start + length)} if start + length < len(items) else {}
    return items[start : start + length], more
