"""The log panel at 200x60: what lines cost, what opening a large log costs, and how soon a key is
answered meanwhile. The figures are absolute, so they want a quiet machine.

The application writes to a driver of its own that throws the bytes away: everything up to the
terminal is real.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from textual import events
from textual.app import App, ComposeResult
from textual.drivers.headless_driver import HeadlessDriver

from tests.performance.pairs import Outcome
from tui.log.panel import LogPanel

_LINES = 1_000_000
_BATCH = 1_000
_LINES_A_SECOND = 2_000
_QUIET_S = 10.0
_PRESSES = 150


class _Terminal(HeadlessDriver):
    """Takes everything, and tells when."""

    on_write: Callable[[], None] | None = None

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        if self.on_write is not None:
            self.on_write()


class _PanelApp(App[None]):
    def compose(self) -> ComposeResult:
        yield LogPanel()


def check() -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.log"
        with large.open("wb") as stream:
            for number in range(0, _LINES, _BATCH):
                stream.write(_lines(number, _BATCH))
        for part in (_opening, _searching):
            yield from asyncio.run(part(large))
        for number, part in enumerate((_appending, _following)):
            yield from asyncio.run(part(Path(folder) / f"{number}.log"))


def _lines(first: int, count: int) -> bytes:
    """Lines of 120 characters."""
    head = "2026-05-04T12:00:00.000+00:00 [pod/gpu-benchmark] step"
    return b"".join(
        f"{head} {number} loss 0.{number % 9973}".ljust(119, "-").encode() + b"\n"
        for number in range(first, first + count)
    )


@asynccontextmanager
async def _running() -> AsyncIterator[tuple[_PanelApp, LogPanel]]:
    app = _PanelApp(driver_class=_Terminal)
    ready = asyncio.Event()
    task = asyncio.create_task(app.run_async(headless=False, size=(200, 60)))
    app.call_later(ready.set)
    await ready.wait()
    panel = app.query_one(LogPanel)
    panel.view.focus()
    await asyncio.sleep(0.5)
    # As the console does when its first page is complete.
    gc.freeze()
    yield app, panel
    app.exit()
    await task


async def _read_up_to(panel: LogPanel, lines: int) -> None:
    while panel.feed is None or panel.feed.index.count < lines:
        await asyncio.sleep(0.002)


def _resident_mib() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def _opening(large: Path) -> list[Outcome]:
    async with _running() as (app, panel):
        before, cpu, started = _resident_mib(), time.process_time(), time.perf_counter()
        panel.open(large, "large")
        await _read_up_to(panel, _LINES)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        await asyncio.sleep(1)
        grown = _resident_mib() - before
        panel.open(large, "large")
        waits = await _press_while(app, panel, lambda: not _is_read(panel))
    return [
        Outcome("opening a million lines, s", seconds, most=3, details=f"{cpu:.2f} CPU-s"),
        Outcome("memory that it adds, MiB", grown, most=60),
        *_answers(waits, "while it opens"),
    ]


def _is_read(panel: LogPanel) -> bool:
    return panel.feed is not None and panel.feed.index.count >= _LINES


async def _searching(large: Path) -> list[Outcome]:
    outcomes = []
    async with _running() as (app, panel):
        panel.open(large, "large")
        await _read_up_to(panel, _LINES)
        for pattern in (r"77\b", r"^step .*[13579] loss", "x*", r"loss.{40}q"):
            await _type(app, panel, "slash")
            cpu = time.process_time()
            started = time.perf_counter()
            for character in pattern:
                app.post_message(events.Key(character, character))
            app.post_message(events.Key("ctrl+f", None))
            app.post_message(events.Key("enter", "\r"))
            while not panel.view.has_focus:
                await asyncio.sleep(0.002)

            def is_searching() -> bool:
                search = panel.feed.search if panel.feed else None
                return search is not None and not search.done

            waits = await _press_while(app, panel, is_searching)
            seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
            assert panel.feed is not None
            assert panel.feed.search is not None
            found = len(panel.feed.search.matches)
            name = f"filtering a million lines by {pattern} ({found} match)"
            outcomes.append(
                Outcome(f"{name}, s beside key presses", seconds, details=f"{cpu:.2f} CPU-s")
            )
            outcomes += _answers(waits, f"while filtering by {pattern}", longest=100)
            await _type(app, panel, "escape")
            await asyncio.sleep(0.3)
    return outcomes


async def _type(app: _PanelApp, panel: LogPanel, key: str) -> None:
    app.post_message(events.Key(key, "/" if key == "slash" else None))
    await asyncio.sleep(0.1)


async def _appending(path: Path) -> list[Outcome]:
    batches = [_lines(number, _BATCH) for number in range(0, _LINES, _BATCH)]
    path.touch()
    async with _running() as (_app, panel):
        panel.open(path, "growing")
        with path.open("ab", buffering=0) as stream:
            cpu, wall = time.process_time(), time.perf_counter()
            for batch in batches:
                stream.write(batch)
                await asyncio.sleep(0.002)
            await _read_up_to(panel, _LINES)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    details = f"{_LINES} lines, {cpu:.2f} CPU-s, {wall:.1f} s"
    return [Outcome("lines per CPU-second", _LINES / cpu, least=400_000, details=details)]


async def _following(path: Path) -> list[Outcome]:
    path.touch()
    async with _running() as (app, panel):
        panel.open(path, "growing")
        writer = asyncio.create_task(_write_on(path))
        await asyncio.sleep(1)
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.sleep(_QUIET_S)
        share = (time.process_time() - cpu) / (time.perf_counter() - wall)
        presses = iter(range(_PRESSES))
        waits = await _press_while(app, panel, lambda: next(presses, None) is not None)
        writer.cancel()
    name = f"at {_LINES_A_SECOND} lines/s"
    return [
        Outcome(f"{name}, part of a core", share, most=0.25),
        *_answers(waits, name, median=100, longest=250),
    ]


async def _write_on(path: Path) -> None:
    """Write as a busy pod does; a late turn makes up for it."""
    started, written = time.perf_counter(), 0
    with path.open("ab", buffering=0) as stream:
        while True:
            due = int((time.perf_counter() - started) * _LINES_A_SECOND) - written
            stream.write(_lines(written, due))
            written += due
            await asyncio.sleep(0.02)


async def _press_while(
    app: _PanelApp, panel: LogPanel, go_on: Callable[[], bool]
) -> list[tuple[float, float]]:
    """Toggle wrapping at random instants; return the ms until each showed on the terminal, and
    the ms of CPU, which other work on the machine does not lengthen.
    """
    order = random.Random(1)
    waits: list[tuple[float, float]] = []
    terminal = app._driver
    assert isinstance(terminal, _Terminal)
    while go_on():
        answered, wanted = asyncio.Event(), not panel.view.wrap

        def look(wanted: bool = wanted, answered: asyncio.Event = answered) -> None:
            if panel.view.wrap == wanted:
                answered.set()

        terminal.on_write = look
        started, cpu = time.perf_counter(), time.process_time()
        app.post_message(events.Key("w", "w"))
        await answered.wait()
        wait, cpu = time.perf_counter() - started, time.process_time() - cpu
        waits.append((wait * 1000, cpu * 1000))
        terminal.on_write = None
        await asyncio.sleep(order.uniform(0.01, 0.08))
    return waits


def _answers(
    waits: list[tuple[float, float]],
    when: str,
    *,
    median: float | None = None,
    longest: float | None = None,
) -> list[Outcome]:
    wall = sorted(wait for wait, _cpu in waits) or [0.0]
    cpu = sorted(cpu for _wait, cpu in waits) or [0.0]
    place = min(len(wall) - 1, int(len(wall) * 0.99))
    details = f"{statistics.median(cpu):.1f} ms of CPU"
    return [
        Outcome(
            f"key to repaint {when}, ms median",
            statistics.median(wall),
            most=median,
            details=details,
        ),
        Outcome(
            f"key to repaint {when}, ms p99",
            wall[place],
            most=longest,
            details=f"{cpu[place]:.1f} ms of CPU; longest of {len(wall)}: {wall[-1]:.1f} ms",
        ),
    ]
