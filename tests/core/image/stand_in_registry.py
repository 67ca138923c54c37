"""A registry that speaks the Docker Registry HTTP API v2: manifests, uploads and both logins."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from tests.core.image.serving import serving

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass
class Fault:
    """An answer that is given instead of the right one."""

    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    code: str = "UNAVAILABLE"
    message: str = "not now"
    cut: bool = False
    """Close the connection without a word."""
    body: bytes | None = None


@dataclass
class StandInRegistry:
    """What it holds, whom it lets in and what it was asked."""

    login: Literal["none", "basic", "bearer"] = "none"
    user: str = "someone"
    password: str = "the-password"
    identity_token: str = "the-identity-token"
    may_push: bool = True
    repositories: set[str] | None = None
    """Where pushes may go; None: anywhere."""
    faults: deque[Fault] = field(default_factory=deque)
    """Each is given once, before anything else."""
    realm: str | None = None
    location: str | None = None
    """Where an upload that was begun is said to be; None: where it is."""
    keeps_uploads: bool = False
    """Does not let an upload be given up."""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and authorization."""
    domain: str = ""
    _manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)

    def hold(self, repository: str, tag: str, document: dict[str, Any]) -> str:
        """Keep a manifest or an index; returns its digest."""
        content = json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        kept = (str(document["mediaType"]), content)
        self._manifests[repository, tag] = self._manifests[repository, digest] = kept
        return digest

    def asked(self, method: str) -> list[str]:
        """The paths that were asked for with this method."""
        return [path for asked, path, _ in self.requests if asked == method]

    @contextmanager
    def serve(
        self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> Iterator[StandInRegistry]:
        """Serve on a free port."""
        application = web.Application()
        application.router.add_get("/token", self._token)
        application.router.add_post("/token", self._token)
        application.router.add_get("/v2/{name:.+}/manifests/{wanted}", self._manifest)
        application.router.add_post("/v2/{name:.+}/blobs/uploads/", self._begin)
        application.router.add_delete("/v2/{name:.+}/blobs/uploads/{upload}", self._give_up)

        async def start(runner: web.AppRunner) -> None:
            site = web.TCPSite(runner, host, 0, ssl_context=tls)
            await site.start()
            self.domain = f"{host}:{runner.addresses[0][1]}"

        with serving(application, start):
            yield self

    async def _manifest(self, request: web.Request) -> web.StreamResponse:
        name, wanted = request.match_info["name"], request.match_info["wanted"]
        if refused := self._refusal(request, name, "pull"):
            return refused
        kept = self._manifests.get((name, wanted))
        if kept is None:
            return _error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        kind, content = kept
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        accepted = ", ".join(request.headers.getall("Accept", []))
        if kind not in accepted:
            return _error(404, "MANIFEST_UNKNOWN", f"not as {accepted}")
        return web.Response(
            body=content,
            headers={"Content-Type": kind, "Docker-Content-Digest": digest},
        )

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if refused := self._refusal(request, name, "pull,push"):
            return refused
        if self.repositories is not None and name not in self.repositories:
            return _error(404, "NAME_UNKNOWN", f'Repository "{name}" not found')
        if not self.may_push:
            return _error(403, "DENIED", "requested access to the resource is denied")
        location = self.location or f"/v2/{name}/blobs/uploads/one"
        return web.Response(status=202, headers={"Location": location})

    async def _give_up(self, request: web.Request) -> web.StreamResponse:
        refused = self._refusal(request, request.match_info["name"], "pull,push")
        return refused or web.Response(status=503 if self.keeps_uploads else 204)

    async def _token(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        if request.method == "POST":
            form = await request.post()
            given = form.get("refresh_token") == self.identity_token
            scope = str(form.get("scope"))
        else:
            given = request.headers.get("Authorization") == self._basic()
            scope = request.query.get("scope", "")
        if not given or (request.method == "GET" and request.query.get("service") != "stand-in"):
            return _error(401, "UNAUTHORIZED", "authentication required")
        return web.json_response({"token": f"token-for-{scope}", "expires_in": 60})

    def _refusal(self, request: web.Request, name: str, rights: str) -> web.StreamResponse | None:
        self._note(request)
        if self.faults:
            fault = self.faults.popleft()
            if fault.cut:
                assert request.transport is not None
                request.transport.abort()
            if fault.body is not None:
                return web.Response(status=fault.status, body=fault.body, headers=fault.headers)
            return _error(fault.status, fault.code, fault.message, fault.headers)
        given = request.headers.get("Authorization")
        scope = f"repository:{name}:{rights}"
        match self.login:
            case "basic" if given != self._basic():
                challenge = 'Basic realm="Stand-in, with a comma"'
            case "bearer" if given != f"Bearer token-for-{scope}":
                realm = self.realm or f"http://{self.domain}/token"
                challenge = f'Bearer realm="{realm}",service="stand-in",scope="{scope}"'
            case _:
                return None
        headers = {"WWW-Authenticate": challenge}
        return _error(401, "UNAUTHORIZED", "authentication required", headers)

    def _basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def _note(self, request: web.Request) -> None:
        authorization = request.headers.get("Authorization", "")
        self.requests.append((request.method, request.path, authorization))


def manifest(*sizes: int) -> dict[str, Any]:
    """A manifest whose first size is the configuration's."""
    blobs = [{"size": size, "digest": "sha256:" + "0" * 64} for size in sizes]
    return {"schemaVersion": 2, "mediaType": MANIFEST, "config": blobs[0], "layers": blobs[1:]}


def _error(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    return web.json_response(
        {"errors": [{"code": code, "message": message}]}, status=status, headers=headers
    )
