"""``serve``: the console in a browser of this machine.

textual-serve draws it; what is here keeps everybody else out. Whoever reaches the page can start
and remove what costs money, so: loopback only, a random token, and no page of another origin.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hmac
import io
import ipaddress
import logging
import re
import secrets
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web
from aiohttp_jinja2 import render_string
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

from benchmark.process import environment_of_child
from core.cli.parser import Options
from core.errors import ExitCode, InputError, WorkError
from core.text import harmless

PREFERRED_PORT = 8000
TITLE = "gpubench-tui"
_TOKEN = "token"
# A console that is asked ends by itself; it holds nothing that a kill could lose.
_GOODBYE_S = 2.0
_GOODBYE_AT_THE_END_S = 0.15
_CLOSING_S = 0.1
_LARGEST_SCREEN = 1000
_REFUSED = "This page needs the address that `gpubench-tui serve` printed, token included.\n"

# The shipped page asks a foreign server for the font that it also brings along.
_FOREIGN_LINK = re.compile(r'<link\b[^>]*\bhref="https?://(?!127\.|localhost|\[::1\])[^>]*>')
_HEAD = (
    '<style>@font-face { font-family: "Roboto Mono"; '
    'src: url("/static/fonts/RobotoMono-VariableFont_wght.ttf"); }</style>'
    # The token has done its work: it must not stay in the address bar.
    '<script>history.replaceState(null, "", "/");</script></head>'
)
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        # Not every browser counts a websocket among what is its own.
        "connect-src 'self' ws://127.0.0.1:* ws://localhost:* ws://[::1]:*; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def execute(options: Options) -> int:
    """Serve the console until Ctrl-C.

    Raises:
        InputError: the address is not this machine's own, or the port is none.
        WorkError: the port is in use.
    """
    arguments = []
    for name, value in {**options.flags(), "config": options.config}.items():
        if value is not None:
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    return serve([sys.executable, "-P", "-m", "tui", *arguments], options.host, options.port)


def serve(command: Sequence[str], host: str = "127.0.0.1", port: int | None = None) -> int:
    """Serve the Textual app that ``command`` starts; prints the address. Raises as execute."""
    # In asyncio 3.11 one of two reaps a console that ends while its pipes are closed, and the other
    # one wonders aloud.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    with _listen(_loopback(host), port) as listener:
        return asyncio.run(_serve(command, listener))


def _loopback(host: str) -> str:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise InputError(
            f"The console is served only on this machine itself, not on {host!r}: whoever reaches "
            "it can start what costs money, and the connection is not encrypted.",
            "From afar use ssh -L 8000:127.0.0.1:8000 and a loopback address such as 127.0.0.1.",
        )
    return str(address)


def _listen(host: str, port: int | None) -> socket.socket:
    if port is not None and not 0 <= port <= 65535:
        raise InputError(f"{port} is no port.", "Ports are 0 (any free one) to 65535.")
    for number in (PREFERRED_PORT, 0) if port is None else (port,):
        try:
            return _bound(host, number)
        except OSError as error:
            if port is None and number == PREFERRED_PORT and error.errno == errno.EADDRINUSE:
                continue
            raise WorkError(
                f"Port {number} of {host} cannot be used: {error.strerror or error}.",
                "Name another one with --port, or none.",
            ) from error
    raise AssertionError("port 0 is always tried")


def _bound(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


async def _serve(command: Sequence[str], listener: socket.socket) -> int:
    host, port = listener.getsockname()[:2]
    server = ConsoleServer(command, host, port)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    runner = web.AppRunner(await server.application(), shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        print(server.address, flush=True)
        print(
            "The console is at this address, for whoever knows it, until Ctrl-C. Runs go on "
            "without it.",
            file=sys.stderr,
            flush=True,
        )
        # textual-serve prints what an app says when it dies; stdout is data.
        with contextlib.redirect_stdout(_Words()):
            await stopped.wait()
            await server.close()
    finally:
        await runner.cleanup()
    return ExitCode.DONE


class _Words(io.TextIOBase):
    """Lines for a person, on stderr, harmless."""

    def write(self, text: str) -> int:
        for line in text.splitlines():
            print(harmless(line), file=sys.stderr)
        return len(text)


class _Session(AppService):
    """One console for one page: started without a shell, ended with its page whatever it does."""

    def __init__(
        self, command: Sequence[str], websocket: web.WebSocketResponse, server: ConsoleServer
    ) -> None:
        super().__init__(
            "",
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=self._close_page,
            download_manager=server.download_manager,
        )
        self._arguments = command
        self._websocket = websocket

    async def _close_page(self) -> None:
        await self._websocket.close()

    async def _open_app_process(
        self, width: int = 80, height: int = 24
    ) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={
                **self._build_environment(width, height),
                "PYTHONPATH": environment_of_child()["PYTHONPATH"],
            },
            # The terminal's Ctrl-C is for the server, which then ends its consoles.
            start_new_session=True,
        )
        self._stdin = self._process.stdin
        return self._process

    async def run(self) -> None:
        """Pass on what the console draws; when it is gone, however it went, tell the page."""
        await super().run()
        await self._close_page()

    async def stop(self, patience_s: float = _GOODBYE_S) -> None:
        """End the console: it is asked, and soon after killed."""
        process = self._process
        if process is None:
            return
        await self._download_manager.cancel_app_downloads(self.app_service_id)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self.send_meta({"type": "quit"})
                    await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class ConsoleServer(Server):
    """textual-serve's pages, for those who hold the token."""

    def __init__(self, command: Sequence[str], host: str, port: int) -> None:
        self._name = f"[{host}]" if ":" in host else host
        super().__init__("", host, port, TITLE, public_url=f"http://{self._name}:{port}")
        self._arguments = command
        self._token = secrets.token_urlsafe()
        # Cookies know no ports: two servers of one machine must not overwrite each other's.
        self._cookie = f"gpubench_token_{port}"
        self._sessions: set[_Session] = set()

    @property
    def address(self) -> str:
        """Return the address that opens the console."""
        return f"{self.public_url}/?{_TOKEN}={self._token}"

    async def application(self) -> web.Application:
        """Return the pages, every one of them guarded."""
        application = await self._make_app()
        application.middlewares.append(self._guard)
        return application

    async def on_startup(self, app: web.Application) -> None:
        """Say nothing: the address alone is printed."""

    async def close(self) -> None:
        """End all consoles."""
        await asyncio.gather(*(session.stop(_GOODBYE_AT_THE_END_S) for session in self._sessions))

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._allowed(request):
            return web.Response(status=403, text=_REFUSED, headers=_HEADERS)
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _allowed(self, request: web.Request) -> bool:
        # A name that somebody else's DNS leads to this machine is not this machine's name.
        names = {f"{name}:{self.port}" for name in (self._name, "localhost")}
        if request.headers.get("Host", "").lower() not in names:
            return False
        # Browsers name the page that opens a websocket, and leave its cookies to the server.
        origin = request.headers.get("Origin")
        own_page = origin == f"http://{request.host.lower()}"
        if not own_page and (origin is not None or request.path == "/ws"):
            return False
        given = request.query.get(_TOKEN) or request.cookies.get(self._cookie, "")
        return hmac.compare_digest(given.encode(errors="replace"), self._token.encode())

    async def handle_index(self, request: web.Request) -> web.Response:
        """Return the page, which asks nobody else for anything."""
        context: dict[str, Any] = {
            "font_size": min(max(to_int(request.query.get("fontsize", ""), 16), 6), 48),
            "app_websocket_url": f"ws://{request.host}/ws",
            "config": {"static": {"url": "/static/"}},
            "application": {"name": self.title},
        }
        page = render_string("app_index.html", request, context)
        page = _FOREIGN_LINK.sub("", page).replace("</head>", _HEAD, 1)
        response = web.Response(text=page, content_type="text/html")
        response.set_cookie(self._cookie, self._token, httponly=True, samesite="Strict")
        return response

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Run a console for this page until one of the two goes away."""
        websocket = web.WebSocketResponse(heartbeat=15, timeout=_CLOSING_S)
        await websocket.prepare(request)
        session = _Session(self._arguments, websocket, self)
        self._sessions.add(session)
        try:
            await session.start(
                min(to_int(request.query.get("width", ""), 80), _LARGEST_SCREEN),
                min(to_int(request.query.get("height", ""), 24), _LARGEST_SCREEN),
            )
            await self._process_messages(websocket, session)
        finally:
            await session.stop()
            self._sessions.discard(session)
        return websocket
