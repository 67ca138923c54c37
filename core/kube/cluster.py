"""A connection to one cluster: requests, streams and websockets with one policy for what is
temporary, and every refusal as a sentence.

Answers are read as plain JSON: clusters older and newer than the client's models are in use.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from core.kube.errors import (
    ClusterError,
    ConflictError,
    DeniedError,
    ExpiredError,
    NotFoundError,
    UnreachableError,
)
from core.kube.login import log_in
from core.text import harmless

if TYPE_CHECKING:
    import aiohttp

JsonObject = dict[str, Any]
Query = Mapping[str, str | int | bool | list[str]]

PATIENCE_S = 60.0
"""How long a request is tried again while the server is away or asks for patience."""
_REQUEST_TIMEOUT_S = 30.0
# A stream's total; whoever reads it reopens it when it ends.
_STREAM_TIMEOUT_S = 86400.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_TEMPORARY = frozenset({429, 500, 502, 503, 504})
_LOGIN_AGAIN_AFTER_S = 10.0

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Access:
    """Which cluster, and where in it."""

    kubeconfig: str
    """One path, or several joined as in ``$KUBECONFIG``."""
    context: str
    namespace: str


class Cluster:
    """An open connection; use it as an async context manager.

    Raises (entering): KubeconfigError.
    """

    def __init__(
        self,
        access: Access,
        *,
        patience_s: float = PATIENCE_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.access = access
        self.server = ""
        """Address of the API server."""
        self._patience_s = patience_s
        self._sleep = sleep
        self._monotonic = monotonic
        # The client's own code is only partly typed.
        self._api: Any = None
        self._logged_in_at = 0.0

    @property
    def namespace(self) -> str:
        """The namespace to work in."""
        return self.access.namespace

    async def __aenter__(self) -> Self:
        # 1 s to import: only who talks to a cluster pays for it.
        from kubernetes.aio.client import ApiClient, Configuration

        configuration = Configuration()
        await self._log_in(configuration)
        self.server = configuration.host
        self._api = ApiClient(configuration=configuration)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._api is not None:
            await self._api.close()
            self._api = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: JsonObject | None = None,
        content_type: str = "application/json",
        patience_s: float | None = None,
    ) -> JsonObject:
        """Make one request and return the answer. Tried again while the server is away, overloaded
        or faulty; a POST may then meet the ConflictError of its own first try.

        Raises:
            ClusterError: see its classes.
        """

        async def once() -> JsonObject:
            answer = await self._send(
                method, path, query or {}, body, content_type, _REQUEST_TIMEOUT_S
            )
            async with contextlib.aclosing(_Closing(answer)):
                text = await answer.text()
                self._raise_for_status(answer, text, method, path)
            try:
                document = json.loads(text)
            except ValueError as error:
                raise ClusterError(f"{self.server} answered {path} with no JSON.") from error
            return document if isinstance(document, dict) else {}

        return await self._patiently(once, patience_s)

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Query | None = None, patience_s: float | None = None
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Open an answer that is read as it comes: a watch or a log. Only the opening is tried
        again; when it breaks, reading raises :class:`aiohttp.ClientError` or OSError.

        Raises:
            ClusterError: see its classes.
        """

        async def once() -> aiohttp.ClientResponse:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                answer = await self._send(
                    "GET", path, query or {}, None, "application/json", _STREAM_TIMEOUT_S
                )
            if answer.status >= 400:
                async with contextlib.aclosing(_Closing(answer)):
                    self._raise_for_status(answer, await answer.text(), "GET", path)
            return answer

        answer = await self._patiently(once, patience_s)
        try:
            yield answer.content
        finally:
            answer.close()

    @asynccontextmanager
    async def execute(
        self, pod: str, container: str, command: list[str], *, patience_s: float | None = None
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Run a command in a container; its output comes in binary frames of the channel protocol
        ``v4.channel.k8s.io``: one byte says which (1 stdout, 2 stderr, 3 the final status).

        Raises:
            ClusterError: see its classes.
        """
        import aiohttp

        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/exec"
        query: Query = {
            "command": command,
            "container": container,
            "stdin": False,
            "stdout": True,
            "stderr": True,
            "tty": False,
        }

        async def once() -> aiohttp.ClientWebSocketResponse:
            _method, url, headers, *_ = await self._serialized("GET", path, query, None, "")
            session = self._session()
            try:
                async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                    return await session.ws_connect(
                        "ws" + url.removeprefix("http"),
                        # The server answers 406 to an exec that asks for JSON.
                        headers={**headers, "Accept": "*/*"},
                        protocols=("v4.channel.k8s.io",),
                        max_msg_size=0,
                        heartbeat=20.0,
                    )
            except aiohttp.WSServerHandshakeError as error:
                # The client keeps the answer's status only.
                said = f"running a command in pod {pod}: HTTP status {error.status}"
                raise self._refusal(error.status, said, "GET", path, error.headers or {}) from error

        socket = await self._patiently(once, patience_s)
        try:
            yield socket
        finally:
            await socket.close()

    async def _patiently(
        self, once: Callable[[], Awaitable[_Answer]], patience_s: float | None
    ) -> _Answer:
        import aiohttp

        patience = self._patience_s if patience_s is None else patience_s
        give_up_at = self._monotonic() + patience
        pause = _FIRST_PAUSE_S
        while True:
            asked_pause = 0.0
            try:
                return await once()
            except _TemporaryError as error:
                asked_pause, problem = error.pause_s, error.problem
            except DeniedError as error:
                if not await self._log_in_again(error):
                    raise
                continue
            except (TimeoutError, OSError, aiohttp.ClientError) as error:
                problem = self._unreachable(error)
                if isinstance(error, aiohttp.ClientConnectorCertificateError):
                    raise problem from error
            # Full jitter: many clients that were thrown out together must not come back together.
            wait = max(asked_pause, pause * random.uniform(0.5, 1.0))
            if self._monotonic() + wait > give_up_at:
                raise problem
            await self._sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _send(
        self,
        method: str,
        path: str,
        query: Query,
        body: JsonObject | None,
        content_type: str,
        timeout_s: float,
    ) -> aiohttp.ClientResponse:
        parameters = await self._serialized(method, path, query, body, content_type)
        answer = await self._api.call_api(*parameters, _request_timeout=timeout_s)
        response: aiohttp.ClientResponse = answer.response
        return response

    async def _serialized(
        self, method: str, path: str, query: Query, body: JsonObject | None, content_type: str
    ) -> tuple[Any, ...]:
        pairs: list[tuple[str, str | int]] = []
        for name, value in query.items():
            several = value if isinstance(value, list) else [value]
            pairs += [
                (name, str(each).lower() if isinstance(each, bool) else each) for each in several
            ]
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
        parameters: tuple[Any, ...] = await self._api.param_serialize(
            method=method,
            resource_path=path,
            query_params=pairs,
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        return parameters

    def _session(self) -> aiohttp.ClientSession:
        rest = self._api.rest_client
        if rest.pool_manager is None:
            rest.pool_manager = rest._create_pool_manager()
        session: aiohttp.ClientSession = rest.pool_manager
        return session

    async def _log_in(self, configuration: Any) -> None:
        await log_in(self.access.kubeconfig, self.access.context, configuration)
        self._logged_in_at = self._monotonic()

    async def _log_in_again(self, error: DeniedError) -> bool:
        """Read the kubeconfig again when a token may have ended; return whether to try again."""
        if error.status != 401 or self._api is None:
            return False
        if self._monotonic() - self._logged_in_at < _LOGIN_AGAIN_AFTER_S:
            return False
        await self._log_in(self._api.configuration)
        return True

    def _raise_for_status(
        self, answer: aiohttp.ClientResponse, text: str, method: str, path: str
    ) -> None:
        if answer.status >= 400:
            raise self._refusal(
                answer.status, _message(text) or answer.reason or "", method, path, answer.headers
            )

    def _refusal(
        self, status: int, message: str, method: str, path: str, headers: Mapping[str, str]
    ) -> Exception:
        said = harmless(message).strip().rstrip(".") or f"HTTP status {status}"
        if status in _TEMPORARY:
            problem = UnreachableError(
                f"The API server {self.server} cannot serve requests now ({status}: {said}).",
                "Try again when it is well; what was created is in the journal.",
            )
            return _TemporaryError(problem, _retry_after(headers))
        match status:
            case 401:
                return DeniedError(
                    f"The API server {self.server} does not accept the credentials of context "
                    f"{self.access.context} (401: {said}).",
                    "Log in again, as for kubectl, and see that this machine's clock is right.",
                    status=status,
                )
            case 403:
                return DeniedError(
                    f"Context {self.access.context} may not do this: {said}.",
                    "gpubench-tui --no-ui permissions prints the Role that is needed.",
                    status=status,
                )
            case 404:
                return NotFoundError(f"{method} {path}: {said}.")
            case 409:
                return ConflictError(f"{method} {path}: {said}.")
            case 410:
                return ExpiredError(f"{method} {path}: {said}.")
        return ClusterError(f"The API server {self.server} refused {method} {path}: {said}.")

    def _unreachable(self, error: Exception) -> UnreachableError:
        reason = harmless(_last_line(error))
        return UnreachableError(
            f"The API server {self.server} of context {self.access.context} cannot be reached: "
            f"{reason}.",
            "See that the cluster runs and that this machine's network and VPN lead to it.",
        )


class _TemporaryError(Exception):
    """The server asks to be asked again."""

    def __init__(self, problem: UnreachableError, pause_s: float) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.pause_s = pause_s


class _Closing:
    """Gives a response back to its pool, however it ends."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def aclose(self) -> None:
        self._answer.release()


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return max(0.0, min(float(headers.get("Retry-After", "0")), 120.0))
    except ValueError:
        # An HTTP date: the server's clock may not be ours, so our own pauses must do.
        return 0.0


def _message(text: str) -> str:
    """Return what a Status object says, else the beginning of the body."""
    try:
        document = json.loads(text)
    except ValueError:
        return text.strip()[:300]
    return str(document.get("message") or "") if isinstance(document, dict) else ""


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[-1].strip() if lines else type(error).__name__).rstrip(".")
