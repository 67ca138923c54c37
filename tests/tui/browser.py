"""A headless Chromium, driven over its own protocol: opens pages, reads screens, clicks cells."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_PATIENCE_S = 30.0

# The page keeps its terminal to itself; whatever is stored under that name is noted.
_NOTE_TERMINAL = """
Object.defineProperty(Object.prototype, "terminal", {configurable: true, set(value) {
    window.noted = value;
    Object.defineProperty(this, "terminal", {value, writable: true, configurable: true});
}});
"""
_SCREEN = """
(() => {
    const terminal = window.noted;
    if (!terminal) return null;
    const lines = [];
    for (let row = 0; row < terminal.rows; row++)
        lines.push(terminal.buffer.active.getLine(row)?.translateToString(true) ?? "");
    const box = document.querySelector(".xterm-screen").getBoundingClientRect();
    return {lines, left: box.left, top: box.top,
            width: box.width / terminal.cols, height: box.height / terminal.rows};
})()
"""
# Looks again at every frame, in the page.
_WAIT = """
new Promise((resolve) => {
    const look = () => {
        const screen = %s;
        if (screen && screen.lines.some((line) => line.includes(%s))) resolve(screen);
        else setTimeout(look, 20);
    };
    look();
})
"""


class Page:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: str) -> None:
        self._socket = socket
        self._session = session
        self._numbers = itertools.count(1000)
        self.requested: list[str] = []
        """The address of everything that the page asked for."""

    async def open(self, address: str) -> None:
        """Go to an address; what is asked for on the way is noted."""
        await self.send("Network.enable")
        await self.send("Page.enable")
        await self.send("Page.addScriptToEvaluateOnNewDocument", source=_NOTE_TERMINAL)
        await self.send("Page.navigate", url=address)

    async def screen_with(self, text: str) -> dict[str, Any]:
        """Wait until the terminal shows a text and return its screen."""
        screen: dict[str, Any] = await self.evaluate(_WAIT % (_SCREEN, json.dumps(text)))
        return screen

    async def click(self, text: str) -> None:
        """Click the middle of a text of the terminal, as a mouse does."""
        screen = await self.screen_with(text)
        row, line = next((row, line) for row, line in enumerate(screen["lines"]) if text in line)
        x = screen["left"] + (line.index(text) + len(text) / 2) * screen["width"]
        y = screen["top"] + (row + 0.5) * screen["height"]
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.send(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )

    async def type(self, text: str) -> None:
        """Type a text on the keyboard."""
        for character in text:
            await self.send("Input.dispatchKeyEvent", type="keyDown", key=character, text=character)
            await self.send("Input.dispatchKeyEvent", type="keyUp", key=character)

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        answer = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def picture(self, path: Path) -> None:
        """Store what the page looks like."""
        answer = await self.send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return the answer."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        await self._socket.send_json({**message, "sessionId": self._session})
        return await _answer(self._socket, number, self.requested)


@contextlib.asynccontextmanager
async def new_page(profile: Path) -> AsyncIterator[Page]:
    """Start a browser with an empty profile and give its page."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-dev-shm-usage", "--window-size=1200,800", "--remote-debugging-port=0"),
        *(f"--user-data-dir={profile}", "about:blank"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_PATIENCE_S):
            address = await _debugger(process)
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(address, max_msg_size=0) as socket,
        ):
            yield await _attach(socket)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _debugger(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    while line := (await process.stderr.readline()).decode(errors="replace"):
        if line.startswith("DevTools listening on "):
            return line.split()[-1]
    raise AssertionError("the browser ended before it could be driven")


async def _attach(socket: aiohttp.ClientWebSocketResponse) -> Page:
    await socket.send_json(
        {"id": 1, "method": "Target.createTarget", "params": {"url": "about:blank"}}
    )
    target = (await _answer(socket, 1, []))["targetId"]
    await socket.send_json(
        {
            "id": 2,
            "method": "Target.attachToTarget",
            "params": {"targetId": target, "flatten": True},
        }
    )
    return Page(socket, (await _answer(socket, 2, []))["sessionId"])


async def _answer(
    socket: aiohttp.ClientWebSocketResponse, number: int, requested: list[str]
) -> dict[str, Any]:
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            message = await socket.receive_json()
            if message.get("method") == "Network.requestWillBeSent":
                requested.append(message["params"]["request"]["url"])
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                result: dict[str, Any] = message["result"]
                return result
