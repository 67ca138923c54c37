"""``serve``: the console in a browser, and nobody in it who was not asked in."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from core.errors import InputError, WorkError
from core.run.liveness import identify
from tests.core.runs import ROOT
from tests.tui.browser import CHROMIUM, new_page
from tests.tui.conftest import CommandLine
from tests.tui.recorded import replay
from tui.serve import PREFERRED_PORT, serve

# They share a server, and the one port that is preferred.
pytestmark = pytest.mark.xdist_group("browser")

APP = """
import os, sys
from pathlib import Path
from textual.app import App
from textual.widgets import Button, Input, Static

class Trial(App):
    def compose(self):
        yield Static("the app is here")
        yield Button("Press me")
        yield Input(placeholder="type here")

    def on_button_pressed(self):
        self.query_one(Static).update("it was pressed")

    def on_input_changed(self, changed):
        self.query_one(Static).update(f"it reads: {changed.value}")

Path(sys.argv[1]).write_text(str(os.getpid()))
Trial().run()
"""
DEAF = (
    "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (2, 15)]"
    + """
import os, sys
from pathlib import Path
Path(sys.argv[1]).write_text(str(os.getpid()))
print("__GANGLION__")
sys.stdout.write("D\\0\\0\\0\\5hello")
sys.stdout.flush()
time.sleep(1000)
"""
)
NO_APP = "import sys; sys.exit('this is \\x1b[31mno app')"


@dataclass(frozen=True)
class Served:
    """A server process, its address, and where its app notes its process id."""

    process: subprocess.Popen[str]
    address: str
    noted: Path

    @property
    def base(self) -> str:
        return self.address.partition("/?")[0]

    @property
    def token(self) -> str:
        return self.address.partition("token=")[2]

    def app(self) -> int:
        return int(self.noted.read_text())


def start(folder: Path, app: str, *, port: int | None = 0) -> Served:
    script, noted = folder / "app.py", folder / "pid"
    script.write_text(app)
    command = [sys.executable, "-P", str(script), str(noted)]
    program = f"import sys; from tui.serve import serve; sys.exit(serve({command!r}, port={port}))"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    return Served(process, process.stdout.readline().strip(), noted)


def stop(served: Served) -> None:
    served.process.kill()
    served.process.communicate()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """The trial app, served."""
    found = start(tmp_path, APP)
    yield found
    stop(found)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all who are refused; no app is ever started."""
    found = start(tmp_path_factory.mktemp("guarded"), APP)
    yield found
    assert not found.noted.exists(), "somebody got in"
    stop(found)


@asynccontextmanager
async def websocket(
    served: Served, **headers: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A page's connection to its console, as the page makes it."""
    given = {"Origin": served.base, "Cookie": f"{cookie_name(served)}={served.token}", **headers}
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
        client.ws_connect(f"{served.base}/ws", headers=given) as connected,
    ):
        yield connected


def cookie_name(served: Served) -> str:
    return f"gpubench_token_{urlsplit(served.base).port}"


async def first_bytes(connected: aiohttp.ClientWebSocketResponse) -> bytes:
    async with asyncio.timeout(60):
        return await connected.receive_bytes()


async def get(served: Served, path: str, **headers: str) -> tuple[int, str, aiohttp.ClientResponse]:
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
        client.get(f"{served.base}{path}", headers=headers) as answer,
    ):
        return answer.status, await answer.text(errors="replace"), answer


class TestGuard:
    """Every way in needs the token, this machine's name, and no page of somebody else."""

    @pytest.mark.parametrize(
        "path",
        [
            *("/", "/?token=", "/?token=wrong", "/?token=%00%ff", "/ws", "/download/key"),
            *("/static/js/textual.js", "/static/", "/nothing"),
        ],
    )
    async def test_without_the_token_there_is_one_sentence(
        self, guarded: Served, path: str
    ) -> None:
        status, text, _answer = await get(guarded, path)
        assert status == 403
        assert text.count("\n") == 1
        assert "gpubench-tui serve" in text
        assert guarded.token not in text

    @pytest.mark.parametrize(
        ("header", "value"),
        [
            ("Host", "attacker.example"),
            ("Host", "attacker.example:{port}"),
            ("Host", "127.0.0.1"),
            ("Host", "127.0.0.1.attacker.example:{port}"),
            ("Origin", "http://attacker.example"),
            ("Origin", "http://127.0.0.1:1"),
            ("Origin", "https://127.0.0.1:{port}"),
            ("Origin", "null"),
        ],
    )
    @pytest.mark.parametrize("path", ["/?token={token}", "/ws?token={token}"])
    async def test_a_foreign_name_or_page_is_refused_even_with_it(
        self, guarded: Served, path: str, header: str, value: str
    ) -> None:
        port = str(urlsplit(guarded.base).port)
        headers = {header: value.replace("{port}", port)}
        status, _text, _answer = await get(guarded, path.format(token=guarded.token), **headers)
        assert status == 403

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://attacker.example"},
            {"Origin": ""},
            {"Cookie": "gpubench_token_1=x"},
            {"Host": "attacker.example"},
        ],
    )
    async def test_a_websocket_of_another_page_is_refused(
        self, guarded: Served, headers: dict[str, str]
    ) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with websocket(guarded, **headers):
                pass
        assert refused.value.status == 403

    async def test_a_websocket_without_an_origin_is_refused(self, guarded: Served) -> None:
        status, _text, _answer = await get(guarded, f"/ws?token={guarded.token}")
        assert status == 403

    async def test_the_page_gives_a_cookie_that_opens_the_rest(self, guarded: Served) -> None:
        status, _text, answer = await get(guarded, f"/?token={guarded.token}")
        assert status == 200
        cookie = SimpleCookie(answer.headers["Set-Cookie"])[cookie_name(guarded)]
        assert cookie.value == guarded.token
        assert (cookie["samesite"], cookie["httponly"]) == ("Strict", True)
        carried = {"Cookie": f"{cookie.key}={cookie.value}"}
        for path in ("/", "/static/js/textual.js"):
            assert (await get(guarded, path, **carried))[0] == 200
        assert (await get(guarded, "/download/key", **carried))[0] == 404

    async def test_no_other_page_may_frame_it_or_learn_its_address(self, guarded: Served) -> None:
        _status, _text, answer = await get(guarded, f"/?token={guarded.token}")
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Referrer-Policy"] == "no-referrer"

    async def test_the_page_asks_nobody_else_for_anything(self, guarded: Served) -> None:
        _status, text, answer = await get(guarded, f"/?token={guarded.token}")
        named = {urlsplit(url).hostname for url in re.findall(r"(?:https?:)?//[^\s\"'<>)]+", text)}
        assert named <= {"127.0.0.1", "www.w3.org"}, "w3.org names SVG and is not fetched"
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        for path in re.findall(r"/static/[\w./-]+\.\w+", text):
            carried = {"Cookie": f"{cookie_name(guarded)}={guarded.token}"}
            assert (await get(guarded, path, **carried))[0] == 200, path


class TestAddress:
    """Where it is served."""

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", "", "\x1b[31m"])
    def test_only_on_this_machine(self, host: str) -> None:
        with pytest.raises(InputError) as refused:
            serve(["never"], host)
        assert "only on this machine" in refused.value.sentence
        assert "ssh -L" in refused.value.remedy
        assert refused.value.sentence.isprintable()

    @pytest.mark.parametrize("port", [-1, 65536])
    def test_a_port_is_a_port(self, port: int) -> None:
        with pytest.raises(InputError):
            serve(["never"], port=port)

    def test_a_port_in_use_is_one_sentence(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(WorkError, match=rf"^Port {port} of 127\.0\.0\.1 .* in use"):
                serve(["never"], port=port)

    def test_where_the_usual_port_is_taken_there_is_another(self, tmp_path: Path) -> None:
        with socket.socket() as holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                holder.bind(("127.0.0.1", PREFERRED_PORT))
                holder.listen()
            except OSError:
                pass  # Somebody else has it, which is as good.
            found = start(tmp_path, APP, port=None)
            assert urlsplit(found.base).port != PREFERRED_PORT
            stop(found)

    def test_every_server_has_a_token_of_its_own(self, tmp_path: Path) -> None:
        tokens = set()
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            found = start(tmp_path / name, APP)
            tokens.add(found.token)
            stop(found)
        assert len(tokens) == 2
        assert min(map(len, tokens)) >= 43


class TestProcesses:
    """A console lives as long as its page and its server."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    async def test_ctrl_c_ends_it_and_leaves_nothing(
        self, served: Served, number: signal.Signals
    ) -> None:
        async with websocket(served) as connected:
            await first_bytes(connected)
            app = served.app()
            assert identify(app) is not None
            served.process.send_signal(number)
            output, words = await asyncio.to_thread(served.process.communicate, timeout=60)
        assert served.process.returncode == 0
        assert identify(app) is None
        assert output == ""
        assert words.count("\n") == 1, words

    async def test_a_console_that_does_not_listen_is_killed(self, tmp_path: Path) -> None:
        found = start(tmp_path, DEAF)
        async with websocket(found) as connected:
            assert await first_bytes(connected) == b"hello"
            app = found.app()
            found.process.send_signal(signal.SIGINT)
            await asyncio.to_thread(found.process.communicate, timeout=60)
        assert found.process.returncode == 0
        assert identify(app) is None

    async def test_a_page_that_goes_away_takes_its_console_along(self, served: Served) -> None:
        async with websocket(served) as connected:
            await first_bytes(connected)
            app = os.pidfd_open(served.app())
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(app, gone.set)
        async with asyncio.timeout(60):
            await gone.wait()
        loop.remove_reader(app)
        os.close(app)
        assert served.process.poll() is None

    async def test_an_app_that_dies_ends_its_page_and_soils_no_data(self, tmp_path: Path) -> None:
        found = start(tmp_path, NO_APP)
        async with websocket(found) as connected, asyncio.timeout(60):
            message = await connected.receive()
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        found.process.send_signal(signal.SIGINT)
        output, words = found.process.communicate(timeout=60)
        assert (found.process.returncode, output) == (0, "")
        assert "this is \\x1b[31mno app" in words


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")
class TestBrowser:
    """A real page in a real browser."""

    async def test_a_click_and_a_key_reach_the_app(self, served: Served, tmp_path: Path) -> None:
        async with new_page(tmp_path / "profile") as page:
            await page.open(served.address)
            await page.screen_with("the app is here")
            await page.click("Press me")
            await page.screen_with("it was pressed")
            await page.click("type here")
            await page.type("abc")
            await page.screen_with("it reads: abc")
            assert {urlsplit(url).netloc for url in page.requested} == {
                urlsplit(served.base).netloc
            }
            fonts = await page.evaluate("Array.from(document.fonts).map((font) => font.status)")
            assert fonts == ["loaded"]
            assert await page.evaluate("[location.href, document.cookie]") == [
                f"{served.base}/",
                "",
            ]

    async def test_another_pages_websocket_is_refused_by_a_real_browser(
        self, guarded: Served, tmp_path: Path
    ) -> None:
        async with new_page(tmp_path / "profile") as page:
            address = f"{guarded.base.replace('http', 'ws')}/ws?token={guarded.token}"
            await page.open("about:blank")
            answer = await page.evaluate(
                "new Promise((resolve) => { const socket = new WebSocket("
                f"{json.dumps(address)}); socket.onopen = () => resolve('open'); "
                "socket.onerror = () => resolve('refused'); })"
            )
            assert answer == "refused"

    async def test_the_console_itself_answers_a_click(
        self, command_line: CommandLine, tmp_path: Path
    ) -> None:
        replay(command_line.state, command_line.results, "baseline")
        run = replay(command_line.state, command_line.results, "xen")
        process = command_line.start("serve", "--port", "0", stdout=subprocess.PIPE)
        assert process.stdout is not None
        try:
            async with new_page(tmp_path / "profile") as page:
                await page.open(process.stdout.readline().strip())
                await page.screen_with(run.id)
                await page.click("Diff")
                await page.screen_with("not attested as Xen")
                await page.click("Back")
                await page.screen_with("2 in the journal")
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        assert process.returncode == 0
