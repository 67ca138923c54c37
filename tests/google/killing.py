"""A session that can be killed anywhere: the stand-in of Google here, the run in processes of its
own, forked from one that has everything imported.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import time
import typing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from benchmark.process import environment_of_child
from core.run.events import Event
from core.run.journal import Journal
from core.run.launch import NewRun, create_run
from core.run.resuming import only_ends
from core.run.view import RunView
from core.settings import Settings
from core.targets.registry import target_of
from tests.core.runs import small_plan
from tests.google.clock import Durations
from tests.google.faults import Call, CutError
from tests.google.kubernetes import ApiServer, ClusterKube
from tests.google.sped_up import Anchor
from tests.google.world import PROJECT, GoogleWorld

SHORT = Durations(
    control_plane=14,
    system_nodes=4,
    pool_accepted=2,
    node_boot=4,
    driver=6,
    pool_create=5,
    pool_delete=6,
    cluster_delete=8,
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
    benchmark=8,
    smoke=2,
)
"""Of a session that takes a minute or two of its own time."""


When = Literal["before", "after", "late"]
_LATE_S = 8.0
"""Of Google's clock."""
_SAYS_EVERY_S = 0.7
"""A benchmark's container, something of no meaning."""


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
    when: When = "before"
    """``before``: it is not carried out any more. ``after``: it was, and its answer is lost.
    ``late``, of Google's calls only: it is under way, and carried out some seconds afterwards."""

    name: str = ""
    """Only what is called so counts, as in ``Session.killed_at``."""

    def __str__(self) -> str:
        return ":".join(filter(None, [self.what, self.name, str(self.at), self.when]))

    @classmethod
    def of(cls, text: str) -> Kill:
        """Read one that was printed."""
        what, *name, at, when = text.split(":")
        assert when in typing.get_args(When)
        return cls(what, int(at), when, *name)  # type: ignore[arg-type]


@dataclass
class Session:
    """One run against one stand-in."""

    world: GoogleWorld
    zygote: Zygote
    folder: Path
    build_s: float = 9.0
    run_id: str = ""
    calls: int = 0
    """Of Google's, that the last process made."""
    counts: dict[str, int] = field(default_factory=dict)
    """What else it did, if it lived."""
    said: list[str] = field(default_factory=list)
    """Lines of the benchmark's container that mean nothing: they are only logged."""
    killed_at: list[str] = field(default_factory=list)
    """What the processes were at that were killed."""
    _kill: Kill | None = None
    _met: int = 0
    _pid: int = 0

    def create(self, **settings: Any) -> None:
        """Write a run down as ``run`` does."""
        values = {
            "target": "gke",
            "project": PROJECT,
            "credentials": str(self.world.credentials_file),
            # Named by its digest: no container engine has to be here.
            "image": "registry.test/benchmark@sha256:" + "0" * 64,
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

    async def resume(self, kill: Kill | None = None, limit_s: float = 240.0) -> int:
        """Take the run up as ``resume`` does, in the process that it starts or is."""
        with self.journal() as journal:
            run = journal.run(self.run_id)
        ends = only_ends(run, self.view())
        return await self.do("end teardown" if ends else "run", kill, limit_s)

    async def sweep(self, kill: Kill | None = None) -> int:
        """Remove all that runs have left, on a machine that never heard of them."""
        shutil.rmtree(self.folder / "state", ignore_errors=True)
        return await self.do("sweep", kill)

    async def do(self, what: str, kill: Kill | None = None, limit_s: float = 240.0) -> int:
        """Have a process ``run`` or ``teardown`` the run, ``end teardown`` as ``resume`` does, or
        ``sweep``; return its exit code.
        """
        self._kill, self._met, self.calls = kill, 0, 0
        self.world.on_call = self._on_call
        output = self.folder / f"{what.replace(' ', '-')}.out"
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
            order |= {
                **{"kill_what": kill.what, "kill_at": kill.at},
                **{"kill_after": kill.when == "after", "kill_name": kill.name},
            }
        self._pid, ended = await self.zygote.fork(order)
        try:
            async with asyncio.timeout(limit_s):
                status = await asyncio.shield(ended)
        except TimeoutError:
            os.kill(self._pid, signal.SIGKILL)
            await ended
            raise AssertionError(f"{what} did not end: {self.last_words(output)}") from None
        killed = output.with_suffix(".killed")
        if killed.exists():
            self.killed_at.append(killed.read_text())
            killed.unlink()
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
        logs = self.folder.glob("results/runs/*/deployment.log")
        tail = [line for log in logs for line in log.read_text().splitlines()[-15:]]
        said = output.read_text()[-3000:] if output.exists() else ""
        return "\n".join([said, *tail])

    async def _on_call(self, call: Call, stage: str) -> None:
        if stage == "before":
            self.calls += 1
        kill = self._kill
        if kill is None or kill.what != "google" or kill.name not in ("", call.name):
            return
        self._met += stage == "before"
        if self._met != kill.at:
            return
        if (kill.when == "after") != (stage == "after"):
            return
        self._kill = None
        self.killed_at.append(call.name)
        os.kill(self._pid, signal.SIGKILL)
        if kill.when == "before":
            raise CutError
        if kill.when == "late":
            await self._through_thick_and_thin(_LATE_S)

    async def _through_thick_and_thin(self, seconds: float) -> None:
        """Wait, also where the server ends the call because its caller is gone: Google's does not
        always.
        """
        until = self.world.clock.now() + seconds
        while (left := until - self.world.clock.now()) > 0:
            with suppress(asyncio.CancelledError):
                await self.world.clock.sleep(left)

    async def chat(self) -> None:
        """Have the benchmark's container say things that are only logged."""
        while True:
            await self.world.clock.sleep(_SAYS_EVERY_S)
            for kube in self._api_servers():
                for pod in kube.controllers.pods.values():
                    if "benchmark" not in pod.containers:
                        continue
                    statuses = pod.document["status"].get("containerStatuses") or []
                    states = {each["name"]: each["state"] for each in statuses}
                    if "running" in states.get("benchmark", {}):
                        self.said.append(f"nothing in particular, number {len(self.said)}")
                        pod.log(self.said[-1], container="benchmark")

    def _api_servers(self) -> list[ApiServer]:
        kubes = [cluster.kube for cluster in self.world.gke.clusters.values()]
        return [kube.server for kube in kubes if isinstance(kube, ClusterKube)]


@asynccontextmanager
async def session(
    zygote: Zygote,
    folder: Path,
    *,
    speed: float = 15.0,
    durations: Durations = SHORT,
    **options: Any,
) -> AsyncIterator[Session]:
    """Start a stand-in for one run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "google").mkdir()
    async with GoogleWorld(speed=speed, durations=durations, folder=folder / "google") as world:
        one = Session(world, zygote, folder, **options)
        chatting = asyncio.create_task(one.chat())
        try:
            yield one
        finally:
            chatting.cancel()
            await asyncio.gather(chatting, return_exceptions=True)
