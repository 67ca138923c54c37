"""A console over a journal of the test's own, driven without a terminal."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from core.console_settings import ConsoleSettings
from tests.core.conftest import CommandLine, command_line, results, state
from tui.app import Console

__all__ = ["CommandLine", "command_line", "results", "state"]

# A little after the recorded runs.
NOW = datetime.fromisoformat("2026-11-22T23:59:00+00:00")

Driver = Pilot[int]
OpenConsole = Callable[..., AbstractAsyncContextManager[Driver]]


class SetClock:
    """A clock that stands still until it is set."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def screen_text(pilot: Driver) -> str:
    """What a person sees, line by line; nothing before the first page is there."""
    if not pilot.app.screen_stack:
        return ""
    return "\n".join(
        "".join(segment.text for segment in strip).rstrip()
        for strip in pilot.app.screen._compositor.render_strips()
    )


async def until(pilot: Driver, condition: Callable[[], object], *, turns: int = 3000) -> None:
    """Go on until a condition holds; fails with what is on screen."""
    for _ in range(turns):
        await pilot.pause()
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"It did not happen. On screen:\n{screen_text(pilot)}")


async def until_shown(pilot: Driver, *texts: str) -> None:
    """Go on until all of these texts are on screen."""
    await until(pilot, lambda: all(text in screen_text(pilot) for text in texts))


@pytest.fixture
def clock() -> SetClock:
    """The console's clock."""
    return SetClock()


@pytest.fixture
def open_console(
    state: Path, results: Path, tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> OpenConsole:
    """Open a console over the test's journal."""
    for name in os.environ:
        if name.startswith(("GPUBENCH_", "XDG_", "NO_COLOR", "KUBECONFIG", "DOCKER_HOST")):
            monkeypatch.delenv(name)
    # What the console starts works in the test's own folder.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    @asynccontextmanager
    async def opened(
        size: tuple[int, int] = (120, 40),
        settings: ConsoleSettings | None = None,
        **environment: Any,
    ) -> AsyncIterator[Driver]:
        app = Console(
            settings or ConsoleSettings(),
            {
                "HOME": str(tmp_path),
                "PATH": os.environ["PATH"],
                "GPUBENCH_STATE_DIR": str(state),
                "GPUBENCH_RESULTS_DIR": str(results),
                **environment,
            },
            clock,
            poll_s=0.02,
        )
        async with app.run_test(size=size, notifications=True) as pilot:
            yield pilot

    return opened
