"""A session that can be killed anywhere: the stand-in of Google here, the run in processes of its
own, forked from one that has everything imported.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmark.process import environment_of_child
from core.run.events import Event
from core.run.journal import Journal
from core.run.launch import NewRun, create_run
from core.run.view import RunView
from core.settings import Settings
from core.targets.registry import target_of
from tests.core.runs import small_plan
from tests.google.clock import Durations
from tests.google.faults import Call
from tests.google.sped_up import Anchor
from tests.google.world import PROJECT, GoogleWorld

SHORT = Durations(
    control_plane=20,
    system_nodes=5,
    pool_accepted=2,
    node_boot=5,
    driver=8,
    pool_create=8,
    pool_delete=6,
    cluster_delete=10,
    resize=5,
    settings_change=2,
    stockout_shown=5,
    stockout_fails=120,
    quota_fails=10,
    cancel=4,
    autoscaler=4,
    repository=2,
    zone_operation=2,
    build=15,
    pull=3,
    benchmark=10,
    smoke=2,
)
"""Of a session that takes a minute or two of its own time."""


class Zygote:
    """The process that forks runs; an async context manager."""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "tests.google.zygote"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment_of_child(),
        )
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._pids: asyncio.Queue[int] = asyncio.Queue()
        assert json.loads(await self._line())["ready"]
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reading.cancel()
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def fork(self, order: dict[str, Any]) -> tuple[int, asyncio.Future[int]]:
        """Return the child's pid, and what becomes its exit code: -9 of one that was killed."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()
        pid = await self._pids.get()
        return pid, self._ended[pid]

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        return await self._process.stdout.readline()

    async def _read(self) -> None:
        while line := await self._line():
            answer = json.loads(line)
            if "pid" in answer:
                self._ended[answer["pid"]] = asyncio.get_running_loop().create_future()
                self._pids.put_nowait(answer["pid"])
            else:
                self._ended[answer["ended"]].set_result(answer["status"])


@dataclass(frozen=True)
class Kill:
    """Where a process is killed."""

    what: str
    """``journal``, ``kube`` (a request that changes something) or ``google`` (any call)."""
    at: int
    """Its number, from 1."""
    after: bool = False
    """After what is done there, before its answer is known."""

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.what} {self.at}"


@dataclass
class Session:
    """One run against one stand-in."""

    world: GoogleWorld
    zygote: Zygote
    folder: Path
    build_s: float = 12.0
    run_id: str = ""
    calls: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    _kill: Kill | None = None
    _pid: int = 0

    def create(self, **settings: Any) -> None:
        """Write a run down as ``run`` does."""
        values = {
            "target": "gke",
            "project": PROJECT,
            "credentials": str(self.world.credentials_file),
            "image": "registry.test/benchmark",
            "prices": "shipped",
            "results_dir": self.folder / "results",
            "state_dir": self.folder / "state",
            **settings,
        }
        chosen = Settings.model_validate(values)
        clock = self.anchor().clock()
        with self.journal() as journal:
            run = create_run(
                journal,
                NewRun(
                    target="gke",
                    leg=chosen.leg,
                    plan=small_plan(),
                    stages=target_of(chosen, journal).order,
                    results_dir=chosen.results_dir,
                    command="gpubench-tui --no-ui run",
                    settings=chosen.model_dump(mode="json"),
                ),
                clock,
            )
        self.run_id = run.id

    def journal(self) -> Journal:
        """The session's journal."""
        return Journal(self.folder / "state")

    def anchor(self) -> Anchor:
        """The world's clock, for another process."""
        clock = self.world.clock
        return Anchor(clock.speed, time.monotonic(), clock.now())

    async def do(self, what: str, kill: Kill | None = None, limit_s: float = 120.0) -> int:
        """Have a process ``run`` (or resume) or ``teardown`` the run; return its exit code."""
        self._kill, self.calls = kill, 0
        self.world.on_call = self._on_call
        output = self.folder / f"{what}.out"
        order: dict[str, Any] = {
            "do": what,
            "run": self.run_id,
            "state_dir": str(self.folder / "state"),
            "environment": self.world.environment(),
            "anchor": asdict(self.anchor()),
            "build_s": self.build_s,
            "output": str(output),
        }
        if kill is not None and kill.what != "google":
            order |= {"kill_what": kill.what, "kill_at": kill.at, "kill_after": kill.after}
        self._pid, ended = await self.zygote.fork(order)
        try:
            async with asyncio.timeout(limit_s):
                status = await asyncio.shield(ended)
        except TimeoutError:
            os.kill(self._pid, signal.SIGKILL)
            await ended
            raise AssertionError(f"{what} did not end: {self.last_words(output)}") from None
        counts = output.with_suffix(".counts")
        if counts.exists():
            self.counts = {
                name: int(count)
                for name, _, count in (each.partition("=") for each in counts.read_text().split())
            }
        return status

    def events(self) -> list[Event]:
        """The run's stream."""
        with self.journal() as journal:
            return journal.events(self.run_id)

    def view(self) -> RunView:
        """The run, as its stream tells it."""
        return RunView.of(self.events())

    def last_words(self, output: Path) -> str:
        """What the process said, and the end of its log."""
        log = self.view().folder
        path = Path(log) / "deployment.log"
        tail = path.read_text().splitlines()[-15:] if path.exists() else []
        said = output.read_text()[-3000:] if output.exists() else ""
        return "\n".join([said, *tail])

    async def _on_call(self, call: Call, when: str) -> None:
        if when == "before":
            self.calls += 1
        kill = self._kill
        if kill is None or kill.what != "google" or self.calls != kill.at:
            return
        if kill.after == (when == "after"):
            self._kill = None
            os.kill(self._pid, signal.SIGKILL)


@asynccontextmanager
async def session(
    zygote: Zygote,
    folder: Path,
    *,
    speed: float = 30.0,
    durations: Durations = SHORT,
    **options: Any,
) -> AsyncIterator[Session]:
    """Start a stand-in for one run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "google").mkdir()
    async with GoogleWorld(speed=speed, durations=durations, folder=folder / "google") as world:
        yield Session(world, zygote, folder, **options)
