"""The container engine, through the docker SDK: synchronous, so each exchange has one thread.

The engine ends a build, pull or push when its connection closes: that is how one is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from core.image.credentials import Login
from core.image.docker_config import engine_address
from core.image.errors import EngineError
from core.image.progress import Message
from core.image.reference import ImageReference
from core.text import harmless

if TYPE_CHECKING:
    from docker import APIClient
    from requests import Response

# Where the benchmark runs, whatever this machine is.
_PLATFORM = "linux/amd64"
_ANSWER_TIMEOUT_S = 60.0

_Answer = TypeVar("_Answer")
_Feed = Callable[[object], None]


class Engine:
    """An open connection to an engine."""

    def __init__(self, client: APIClient, address: str) -> None:
        self.address = address
        self._client = client

    async def image_size(self, name: str) -> int | None:
        """Return an image's uncompressed bytes, or None where the engine has no such image.

        Raises:
            EngineError: the engine does not answer.
        """
        from docker.errors import ImageNotFound

        # Without types in the SDK's stubs.
        client: Any = self._client

        def inspect() -> int | None:
            try:
                return int(client.inspect_image(name)["Size"])
            except ImageNotFound:
                return None

        return await self._ask(inspect)

    def build(
        self, archive: bytes, name: str, arguments: Mapping[str, str]
    ) -> AsyncGenerator[Message, None]:
        """Build an image from a tar archive with a Dockerfile; yields the engine's messages.

        Raises:
            EngineError: the engine ended the connection, or refused to begin.
        """
        parameters = {
            "t": name,
            "rm": "1",
            "forcerm": "1",
            "platform": _PLATFORM,
            "buildargs": json.dumps(dict(arguments)),
        }
        return self._messages("/build", parameters, {"Content-Type": "application/tar"}, archive)

    def pull(self, reference: ImageReference, login: Login | None) -> AsyncGenerator[Message, None]:
        """Pull an image; yields the engine's messages.

        Raises:
            EngineError: the engine ended the connection.
        """
        # One that names neither would be every tag there is.
        wanted = reference.digest or reference.tag or "latest"
        return self._messages(
            "/images/create",
            {"fromImage": reference.name, "tag": wanted, "platform": _PLATFORM},
            _authentication(reference, login),
        )

    def push(self, reference: ImageReference, login: Login | None) -> AsyncGenerator[Message, None]:
        """Push a tag; yields the engine's messages.

        Raises:
            EngineError: the engine ended the connection.
        """
        return self._messages(
            f"/images/{reference.name}/push",
            {"tag": reference.tag or "latest"},
            _authentication(reference, login),
        )

    async def _messages(
        self,
        path: str,
        parameters: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> AsyncGenerator[Message, None]:
        """Yield what the engine says until it has said all; an error is a message too."""
        exchange = _Exchange()

        def talk(feed: _Feed) -> None:
            # Not the SDK's own build(): that one asks every credential helper of the machine, and
            # none of its methods gives the response, without which nothing can be ended.
            response = self._client.post(
                f"{self._client.base_url}/v{self._client.api_version}{path}",
                params=dict(parameters),
                headers=dict(headers),
                data=body,
                stream=True,
                timeout=(_ANSWER_TIMEOUT_S, None),
            )
            exchange.opened(response)
            for message in _decoded(response):
                feed(message)

        messages = _from_thread(talk)
        try:
            async with contextlib.aclosing(messages):
                async for message in messages:
                    if isinstance(message, dict):
                        yield message
        except Exception as error:
            raise _problem(error, self.address) from error
        finally:
            exchange.close()

    async def _ask(self, question: Callable[[], _Answer]) -> _Answer:
        try:
            return await _in_thread(question)
        except Exception as error:
            raise _problem(error, self.address) from error


@asynccontextmanager
async def open_engine(
    environment: Mapping[str, str], *, timeout_s: float = _ANSWER_TIMEOUT_S
) -> AsyncIterator[Engine]:
    """Connect to the engine that the docker command would use: ``$DOCKER_HOST``, else the chosen
    context's, else the usual socket.

    ``timeout_s`` is for short answers; builds and pushes take as long as they take.

    Raises:
        CredentialsError: the Docker config cannot be read.
        EngineError: none answers there, or this user may not use it.
    """
    address = engine_address(environment)

    def connect() -> APIClient:
        # 0.3 s to import: only who needs an engine pays for it.
        from docker import APIClient
        from docker.utils import kwargs_from_env

        options: Any = kwargs_from_env(environment={**environment, "DOCKER_HOST": address})
        options["timeout"] = timeout_s
        return APIClient(
            version="auto",
            use_ssh_client=address.startswith("ssh://"),
            **options,
        )

    try:
        client = await _in_thread(connect)
    except Exception as error:
        raise _problem(error, address) from error
    try:
        yield Engine(client, address)
    finally:
        client.close()


class _Exchange:
    """One response that is being read in another thread, and can be ended from this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._response: Response | None = None
        self._closed = False

    def opened(self, response: Response) -> None:
        """Take the response; when nobody waits for it any more, end it."""
        with self._lock:
            self._response = response
            closed = self._closed
        if closed:
            _shut(response)

    def close(self) -> None:
        """End the response now, or as soon as there is one."""
        with self._lock:
            self._closed = True
            response = self._response
        if response is not None:
            _shut(response)


def _shut(response: Response) -> None:
    from docker.errors import DockerException
    from docker.types import CancellableStream

    # Closing the file would wait for the reader; the socket's end wakes it. One that has been read
    # to its end has no socket any more.
    with contextlib.suppress(AttributeError, OSError, DockerException):
        CancellableStream(iter(()), response).close()


def _decoded(response: Response) -> Iterator[Message]:
    if response.status_code >= 400:
        text = response.text
        try:
            said = json.loads(text)["message"]
        except (ValueError, KeyError, TypeError):
            said = text
        yield {"error": f"{said or response.reason} ({response.status_code})"}
        return
    for line in response.iter_lines():
        if line.strip():
            message = json.loads(line)
            if isinstance(message, dict):
                yield message


async def _from_thread(talk: Callable[[_Feed], None]) -> AsyncGenerator[object, None]:
    """Yield what ``talk`` feeds, from a thread that nobody waits for at the end."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[bool, object]] = asyncio.Queue()

    def put(is_last: bool, item: object) -> None:
        # The loop may have ended when the engine answers at last.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(queue.put_nowait, (is_last, item))

    def work() -> None:
        try:
            talk(lambda item: put(False, item))
            put(True, None)
        except BaseException as error:
            put(True, error)

    # A daemon, unlike the loop's own threads: a program's end must not wait for an engine.
    threading.Thread(target=work, name="container engine", daemon=True).start()
    while True:
        is_last, item = await queue.get()
        if isinstance(item, BaseException):
            raise item
        if is_last:
            return
        yield item


async def _in_thread(function: Callable[[], _Answer]) -> _Answer:
    """Return what ``function`` returns in a thread."""
    messages = _from_thread(lambda feed: feed(function()))
    async with contextlib.aclosing(messages):
        async for answer in messages:
            return answer  # type: ignore[return-value]
    raise RuntimeError("the thread gave no answer")


def _authentication(reference: ImageReference, login: Login | None) -> dict[str, str]:
    from docker.auth import encode_header

    # Never absent: older engines refuse a push without it.
    given: dict[str, str] = {} if login is None else login.for_engine(reference.domain)
    return {"X-Registry-Auth": encode_header(given).decode("ascii")}


def _problem(error: Exception, address: str) -> EngineError:
    """Return what an exception of the SDK means. Its own words may hold a request's headers."""
    from requests import Timeout

    shown = harmless(address)
    causes = list(_causes(error))
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    if numbers & {errno.EACCES, errno.EPERM}:
        return EngineError(
            f"This user may not use the container engine at {shown} (permission denied).",
            "Join its group (sudo usermod -aG docker $USER, then log in again), or set DOCKER_HOST "
            "to an engine of your own.",
        )
    if numbers & {errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR}:
        return EngineError(
            f"No container engine answers at {shown}.",
            "Install Docker or start it (sudo systemctl start docker), or set DOCKER_HOST; an "
            "image that is in a registry already, named with its tag or digest, needs none.",
        )
    if any(isinstance(cause, Timeout | TimeoutError) for cause in causes):
        return EngineError(
            f"The container engine at {shown} does not answer.",
            "See what it does (sudo systemctl status docker), or restart it.",
        )
    return EngineError(
        f"The container engine at {shown} cannot be used: {_words(error)}.",
        "See what it says itself (sudo journalctl -u docker), then try again.",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it wraps: the SDK and its libraries do it in three ways."""
    waiting, seen = [error], set()
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner: list[Any] = [current.__cause__, current.__context__, *current.args]
        waiting += [each for each in inner if isinstance(each, BaseException)]


def _words(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return harmless(text).rstrip(".")[:300]
