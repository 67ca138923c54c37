"""A connection to Google Cloud: REST and gRPC with one policy for what is temporary, and every
refusal as a sentence.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

from benchmark.errors import ProblemError
from core.gcp.access import GoogleAccess, is_loopback
from core.gcp.credentials import Tokens
from core.gcp.errors import GoogleError, UnavailableError
from core.gcp.refusals import Asked, Refusal, refusal, unreachable
from core.gcp.said import from_grpc, from_rest, plain

if TYPE_CHECKING:
    import httpx
    from google.cloud import container_v1

JsonObject = dict[str, Any]
Query = Mapping[str, str | int | bool | list[str]]

PATIENCE_S = 60.0
"""How long a request is tried again while Google is away, overloaded or faulty."""
_TIMEOUT_S = 30.0
_FIRST_PAUSE_S = 0.3
_LONGEST_PAUSE_S = 8.0
_CHANNEL_OPTIONS = (
    # Its own pauses between connections grow to two minutes: ours decide.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # A cluster list of a large project passes gRPC's 4 MiB.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)

_Answer = TypeVar("_Answer")


class _RefusedError(Exception):
    """One try did not succeed."""

    def __init__(self, refused: Refusal) -> None:
        super().__init__(str(refused.problem))
        self.refused = refused


class Google:
    """An open connection in the name of one account; use it as an async context manager."""

    def __init__(
        self,
        access: GoogleAccess,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        self.access = access
        self.sleep = sleep
        """How everything waits that belongs to this connection."""
        self._monotonic = monotonic or (lambda: asyncio.get_running_loop().time())
        self._tokens = Tokens(access, self._monotonic)
        self._http: httpx.AsyncClient | None = None
        self._clusters: container_v1.ClusterManagerAsyncClient | None = None

    @property
    def project(self) -> str:
        """The project that everything happens in."""
        return self.access.project

    @property
    def account(self) -> str:
        """E-mail of the account, or a word for it; known after the first request."""
        return self._tokens.account or self.access.impersonate or "the account in use"

    @property
    def quota_project(self) -> str:
        """The project that requests name as the one that they count on, for which the account needs
        ``serviceusage.services.use``; empty: none. Known after the first token.
        """
        return self._tokens.quota_project

    @property
    def clusters(self) -> container_v1.ClusterManagerAsyncClient:
        """GKE's own client, for :meth:`cluster_call`; opened when it is first used."""
        if self._clusters is None:
            self._clusters = _cluster_client(self.access.base_url("container"))
        return self._clusters

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._tokens.close()
        if self._http is not None:
            await self._http.aclose()
            self._http = None
        if self._clusters is not None:
            transport: Any = self._clusters.transport
            await transport.close()
            self._clusters = None

    async def token(self, force: bool = False) -> str:
        """Return an access token that is good for some minutes at least; ``force`` fetches another
        one than is known, for who was refused with it.

        Raises:
            CredentialsError: there are no credentials, or Google does not take them.
            UnavailableError: whoever gives the tokens gave no answer.
        """

        async def once(token: str) -> str:
            return await self._tokens.renew(token) if force else token

        return await self._patiently(once, PATIENCE_S)

    async def call(
        self,
        service: str,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: JsonObject | None = None,
        content: bytes | None = None,
        content_type: str = "application/json",
        asked: str = "",
        patience_s: float = PATIENCE_S,
        timeout_s: float = _TIMEOUT_S,
        retry: bool = True,
    ) -> JsonObject:
        """Make one REST request and return the answer's JSON, an empty object where it changed
        something and says nothing.

        ``path`` begins with the API's own (``/compute/v1/projects/...``). ``content`` is sent as it
        is, as ``content_type``, in place of ``body``. ``asked`` says in words what for, where a
        person reads of a failure. Tried again while Google is away, overloaded or faulty: a POST
        may then meet the ExistsError of its own first try. Without ``retry`` only what surely was
        not carried out is tried again.

        Raises:
            GoogleError: see its classes.
            CredentialsError: Google does not take the credentials.
        """
        data = await self.fetch(
            service,
            method,
            path,
            query=query,
            content=json.dumps(body).encode() if body is not None else content,
            content_type=content_type,
            asked=asked,
            patience_s=patience_s,
            timeout_s=timeout_s,
            retry=retry,
        )
        if method != "GET" and not data.strip():
            return {}
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            # Never an empty answer: an empty listing is taken for a proof.
            raise GoogleError(
                f"Google answered {asked or path} with something else than an object in JSON.",
                "See that no proxy or login page stands between this machine and googleapis.com.",
            )
        return document

    async def fetch(
        self,
        service: str,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        content: bytes | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        asked: str = "",
        patience_s: float = PATIENCE_S,
        timeout_s: float = _TIMEOUT_S,
        retry: bool = True,
    ) -> bytes:
        """Make one request as :meth:`call` does and return the answer's bytes.

        Raises: as :meth:`call`.
        """
        import httpx

        what = asked or f"{method} {path}"
        url = self.access.base_url(service) + path
        client = self._client()

        async def once(token: str) -> bytes:
            sent = {**(headers or {}), **self._headers(token)}
            if content is not None:
                sent["Content-Type"] = content_type
            try:
                async with asyncio.timeout(timeout_s):
                    answer = await client.request(
                        method, url, params=_pairs(query), content=content, headers=sent
                    )
            except (TimeoutError, OSError, httpx.HTTPError, httpx.InvalidURL) as error:
                refused = unreachable(_reason(error), self._about(service, what))
                surely_not = isinstance(error, httpx.ConnectError)
                again = refused.temporary and (retry or surely_not)
                raise _RefusedError(Refusal(refused.problem, temporary=again)) from error
            if answer.is_success:
                return answer.content
            said = from_rest(answer.status_code, answer.text, answer.headers.get("Retry-After", ""))
            understood = refusal(said, self._about(service, what))
            if understood.temporary and not retry and answer.status_code != 429:
                understood = Refusal(understood.problem)
            raise _RefusedError(understood)

        return await self._patiently(once, patience_s)

    async def documents(
        self, service: str, path: str, *, query: Query | None = None, asked: str = ""
    ) -> AsyncIterator[JsonObject]:
        """Yield the answers of a listing one by one, following ``nextPageToken``.

        Raises: as :meth:`call`.
        """
        seen: set[str] = set()
        page = ""
        while True:
            more: Query = {**(query or {}), **({"pageToken": page} if page else {})}
            document = await self.call(service, "GET", path, query=more, asked=asked)
            yield document
            page = str(document.get("nextPageToken") or "")
            if not page:
                return
            if page in seen:
                raise GoogleError(f"Google's listing of {asked or path} goes round in a circle.")
            seen.add(page)

    async def pages(
        self,
        service: str,
        path: str,
        items_key: str,
        *,
        query: Query | None = None,
        asked: str = "",
    ) -> list[JsonObject]:
        """Return the ``items_key`` of all pages of a listing.

        Raises: as :meth:`call`.
        """
        found: list[JsonObject] = []
        async for document in self.documents(service, path, query=query, asked=asked):
            items = document.get(items_key) or []
            if not isinstance(items, list):
                raise GoogleError(f"Google's listing of {asked or path} has no list {items_key}.")
            found += [item for item in items if isinstance(item, dict)]
        return found

    async def cluster_call(
        self,
        name: str,
        request: Any,
        *,
        asked: str = "",
        patience_s: float = PATIENCE_S,
        timeout_s: float = _TIMEOUT_S,
    ) -> Any:
        """Call a method of GKE's client (``get_cluster``) with its request (a message or its
        fields). Tried again as :meth:`call` does: everything there goes by name, so that a second
        try finds what the first one did.

        Raises:
            GoogleError: see its classes.
            CredentialsError: Google does not take the credentials.
        """
        import grpc  # type: ignore[import-untyped]
        from google.api_core.exceptions import GoogleAPIError

        what = asked or name.replace("_", " ")
        method = getattr(self.clusters, name)

        async def once(token: str) -> Any:
            sent = tuple((key.lower(), value) for key, value in self._headers(token).items())
            try:
                # gRPC's own clock is the wall's; this is the loop's.
                async with asyncio.timeout(timeout_s):
                    return await method(request, retry=None, timeout=timeout_s, metadata=sent)
            except TimeoutError as error:
                raise _RefusedError(
                    unreachable(_reason(error), self._about("container", what))
                ) from error
            except (GoogleAPIError, grpc.RpcError) as error:
                refused = refusal(from_grpc(error), self._about("container", what))
                raise _RefusedError(refused) from error

        return await self._patiently(once, patience_s)

    async def _patiently(
        self, once: Callable[[str], Awaitable[_Answer]], patience_s: float
    ) -> _Answer:
        """Try with a good token until it succeeds, is refused for good, or patience ends."""
        give_up_at = self._monotonic() + patience_s
        pause = _FIRST_PAUSE_S
        renewed = False
        while True:
            token = ""
            asked_pause = 0.0
            try:
                token = await self._tokens.token()
                return await once(token)
            except UnavailableError as error:
                # No token; ``once`` says it otherwise.
                problem: ProblemError = error
            except _RefusedError as error:
                refused = error.refused
                if refused.login and not renewed:
                    # Revoked, or this machine slept over its end.
                    renewed = True
                    await self._renew(token)
                    continue
                if not refused.temporary:
                    raise refused.problem from error.__cause__
                problem, asked_pause = refused.problem, refused.pause_s
            # Full jitter: many clients that were thrown out together must not come back together.
            wait = max(asked_pause, pause * random.uniform(0.5, 1.0))
            if self._monotonic() + wait > give_up_at:
                raise problem
            await self.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _renew(self, token: str) -> None:
        try:
            await self._tokens.renew(token)
        except UnavailableError:
            # The next turn meets it again, and has patience.
            return

    def _headers(self, token: str) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {token}"}
        if self.quota_project:
            headers["X-Goog-User-Project"] = self.quota_project
        return headers

    def _about(self, service: str, what: str) -> Asked:
        return Asked(what, self.project, f"{service}.googleapis.com", self._tokens.account)

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            import httpx

            # What is on this machine is not behind a proxy.
            direct = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"))
            # Each request has a limit of its own, by the loop's clock.
            self._http = httpx.AsyncClient(timeout=None, mounts=direct)
        return self._http


def _cluster_client(base_url: str) -> container_v1.ClusterManagerAsyncClient:
    import grpc.aio  # type: ignore[import-untyped]
    from google.cloud import container_v1
    from google.cloud.container_v1.services.cluster_manager.transports import (
        ClusterManagerGrpcAsyncIOTransport,
    )

    parts = urlsplit(base_url)
    if parts.scheme == "http":
        options = (*_CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0))
        channel = grpc.aio.insecure_channel(f"{parts.hostname}:{parts.port or 80}", options)
    else:
        target = f"{parts.hostname}:{parts.port or 443}"
        own = is_loopback(parts.hostname or "")
        options = (*_CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0 if own else 1))
        channel = grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options)
    transport = ClusterManagerGrpcAsyncIOTransport(channel=channel)
    return container_v1.ClusterManagerAsyncClient(transport=transport)


def _pairs(query: Query | None) -> list[tuple[str, str | int | float | bool | None]]:
    # httpx writes booleans as JSON does.
    return [
        (name, each)
        for name, value in (query or {}).items()
        for each in (value if isinstance(value, list) else [value])
    ]


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return plain(str(error))[:300] or type(error).__name__
