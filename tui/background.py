"""Slow calls off the console's thread, none of which its end waits for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

Value = TypeVar("Value")


async def in_background(work: Callable[[], Value]) -> Value:
    """Return what ``work`` returns, or raise what it raises, from a daemon thread.

    asyncio's own threads are waited for when a program ends; a disk that hangs would hold it.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Value] = loop.create_future()

    def settle(value: Value | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)  # type: ignore[arg-type]

    def call() -> None:
        value, problem = None, None
        try:
            value = work()
        except BaseException as error:
            problem = error
        # The loop is closed when the console has ended meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, value, problem)

    threading.Thread(target=call, daemon=True).start()
    return await future


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answered."""

    code: int
    out: str
    err: str


async def command_answer(command: Sequence[str], patience_s: float | None = None) -> Answer:
    """Run a command in a session of its own and return its answer.

    It goes on when the console ends, and so writes to files: a pipe that nobody reads any more
    would end it in the middle of its work. With ``patience_s`` it is one that only looks: it is
    killed after that time, and when nobody waits for it any more.

    Raises:
        OSError: there is no such program.
        TimeoutError: no answer came within ``patience_s``.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(patience_s):
                code = await process.wait()
        except (TimeoutError, asyncio.CancelledError):
            if patience_s is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            raise
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "backslashreplace"))
        return Answer(code, *texts)


class RunCommand(Protocol):
    """Runs commands: :func:`command_answer`, or a test's own answers."""

    def __call__(
        self, command: Sequence[str], patience_s: float | None = None
    ) -> Awaitable[Answer]:
        """Return a command's answer."""


def headless_command(arguments: Sequence[str]) -> list[str]:
    """Return how this interpreter runs ``gpubench-tui --no-ui`` with these arguments."""
    return [sys.executable, "-P", "-m", "core.cli", "--no-ui", *arguments]
