"""A server on loopback that answers as it is told: REST, token endpoint, IAM credentials."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from core.gcp.access import GoogleAccess


@dataclass
class Answer:
    """What the next request of the API gets."""

    status: int = 200
    body: Any = field(default_factory=dict)
    """JSON, or text as it is."""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """The connection ends without an answer."""
    hang: bool = False


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes


class Scripted:
    """Gives the queued answers in turn, then empty objects; hands out ``token-1``, ``token-2``."""

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque()
        self.seen: list[Seen] = []
        self.tokens_given = 0
        self.token_lasts_s = 3600
        self.refuse_tokens: Answer | None = None
        self.impersonated: list[str] = []
        self.url = ""
        self._hanging = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/token", self._token)
        app.router.add_post("/v1/projects/-/serviceAccounts/{account}", self._impersonate)
        app.router.add_route("*", "/{path:.*}", self._api)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hanging.set()
        await self._runner.cleanup()

    def access(self, folder: Path, **changes: Any) -> GoogleAccess:
        """A service account whose tokens and APIs are here."""
        file = folder / "account.json"
        file.write_text(json.dumps(service_account(f"{self.url}/token")))
        endpoints = dict.fromkeys(("compute", "iamcredentials", "storage"), self.url)
        whole: dict[str, Any] = {
            "project": "p",
            "credentials_file": str(file),
            "endpoints": endpoints,
        }
        return GoogleAccess(**{**whole, **changes})

    async def _token(self, request: web.Request) -> web.Response:
        await request.read()
        if self.refuse_tokens is not None:
            return _response(self.refuse_tokens)
        self.tokens_given += 1
        return web.json_response(
            {
                "access_token": f"token-{self.tokens_given}",
                "expires_in": self.token_lasts_s,
                "token_type": "Bearer",
            }
        )

    async def _impersonate(self, request: web.Request) -> web.Response:
        self.impersonated.append(request.headers["Authorization"])
        return web.json_response(
            {"accessToken": "acting-token", "expireTime": "2100-01-01T00:00:00Z"}
        )

    async def _api(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(
            Seen(
                request.method,
                request.path,
                list(request.query.items()),
                dict(request.headers),
                await request.read(),
            )
        )
        answer = self.answers.popleft() if self.answers else Answer()
        if answer.hang:
            await self._hanging.wait()
        if answer.cut or answer.hang:
            assert request.transport is not None
            request.transport.abort()
        return _response(answer)


def _response(answer: Answer) -> web.Response:
    text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
    return web.Response(status=answer.status, text=text, headers=answer.headers)


def refusal(status: int, message: str = "No.", **fields: Any) -> Answer:
    """An error as Google's REST APIs give it."""
    return Answer(status, {"error": {"code": status, "message": message, **fields}})


def service_account(token_uri: str) -> dict[str, str]:
    """A service account's key file."""
    return {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k",
        "private_key": _key(),
        "client_email": "robot@p.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }


@cache
def _key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
