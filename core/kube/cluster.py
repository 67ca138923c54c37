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

from benchmark.errors import ProblemError
from core.kube.errors import ClusterError, DeniedError
from core.kube.login import log_in
from core.kube.refusals import TemporaryError, Who, message_of, refusal, unreachable

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
_LOGIN_AGAIN_AFTER_S = 10.0
_FAREWELL_S = 0.5

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Access:
    """Which cluster, and where in it."""

    kubeconfig: str
    """One path, or several joined as in ``$KUBECONFIG``."""
    context: str
    namespace: str


Login = Callable[[Any], Awaitable[None]]
"""Sets address and credentials of the client's configuration; called again when a token has ended.
Raises ProblemError: there is no address, or no credentials.
"""


def load_client() -> None:
    """Import the client and its models, a second's work, where there is time for it."""
    from kubernetes.aio.client import V1Job, V1Pod  # noqa: F401


class Cluster:
    """An open connection; use it as an async context manager. ``login`` takes the place of the
    kubeconfig where there is none.

    Raises (entering): KubeconfigError; of a ``login``, what that raises.
    """

    def __init__(
        self,
        access: Access,
        *,
        login: Login | None = None,
        patience_s: float = PATIENCE_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.access = access
        self._login = login
        self.server = ""
        """Address of the API server."""
        self._patience_s = patience_s
        self._sleep = sleep
        self._monotonic = monotonic
        # The client's own code is only partly typed.
        self._api: Any = None
        self._logged_in_at = 0.0
        self._logins = 0
        self._logging_in = asyncio.Lock()

    @property
    def namespace(self) -> str:
        """The namespace to work in."""
        return self.access.namespace

    async def __aenter__(self) -> Self:
        # 1 s to import: only who talks to a cluster pays for it.
        from kubernetes.aio.client import ApiClient, Configuration

        # Else an address that is missing would be the client's own default, this machine.
        configuration = Configuration(host="")
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
            # The client passes these only with requests of its own.
            configuration = self._api.configuration
            try:
                async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                    return await session.ws_connect(
                        "ws" + url.removeprefix("http"),
                        # The server answers 406 to an exec that asks for JSON.
                        headers={**headers, "Accept": "*/*"},
                        protocols=("v4.channel.k8s.io",),
                        max_msg_size=0,
                        heartbeat=20.0,
                        # One that has fallen silent does not answer a farewell either.
                        timeout=aiohttp.ClientWSTimeout(ws_close=_FAREWELL_S),
                        proxy=configuration.proxy,
                        proxy_headers=configuration.proxy_headers,
                        server_hostname=configuration.tls_server_name,
                    )
            except aiohttp.WSServerHandshakeError as error:
                # The client keeps the answer's status only.
                said = f"running a command in pod {pod}: HTTP status {error.status}"
                raise refusal(
                    self._who(), error.status, said, f"GET {path}", error.headers or {}
                ) from error

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
            login = self._logins
            try:
                return await once()
            except TemporaryError as error:
                asked_pause, problem = error.pause_s, error.problem
            except DeniedError as error:
                if not await self._log_in_again(error, login):
                    raise
                continue
            except (TimeoutError, OSError, aiohttp.ClientError) as error:
                problem = unreachable(self._who(), error)
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
        try:
            if self._login is not None:
                await self._login(configuration)
            else:
                await log_in(self.access.kubeconfig, self.access.context, configuration)
        finally:
            # One that fails counts too: else all who wait for it would fail it in turn.
            self._logged_in_at = self._monotonic()
        self._logins += 1

    async def _log_in_again(self, error: DeniedError, login: int) -> bool:
        """Read the kubeconfig again when a token may have ended; return whether to try again.
        ``login`` is the number of the one that the refused request was sent with.
        """
        if error.status != 401 or self._api is None:
            return False
        async with self._logging_in:
            if login != self._logins:
                # Another request has logged in while this one was under way.
                return True
            if self._monotonic() - self._logged_in_at < _LOGIN_AGAIN_AFTER_S:
                return False
            try:
                await self._log_in(self._api.configuration)
            except ProblemError as problem:
                # It was good when work began: what fails now is the work, not the input.
                raise DeniedError(problem.sentence, problem.remedy, status=401) from problem
        return True

    def _who(self) -> Who:
        return Who(self.server, self.access.context)

    def _raise_for_status(
        self, answer: aiohttp.ClientResponse, text: str, method: str, path: str
    ) -> None:
        if answer.status >= 400:
            said = message_of(text) or answer.reason or ""
            raise refusal(self._who(), answer.status, said, f"{method} {path}", answer.headers)


class _Closing:
    """Gives a response back to its pool, however it ends."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def aclose(self) -> None:
        self._answer.release()
