"""A pod of the stand-in with results, and somebody who wants them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark import keeper
from core.kube.cluster import Cluster
from core.kube.transfer import Collected, collect
from tests.core.kube.clocks import Clock
from tests.core.kube.sides import pod_body
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_pods import Frames, Pod


def put_results(shared: Path, files: dict[str, bytes], *, started: bool = True) -> None:
    """Lay out what an ended benchmark leaves in the pod's shared folder."""
    for name, content in files.items():
        path = shared / keeper.RESULTS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    shared.mkdir(exist_ok=True)
    if started:
        (shared / ".started").touch()


def found_in(folder: Path) -> dict[str, bytes]:
    """Everything below a folder, hidden files too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def keeper_here(shared: Path, chunk: int = 32768) -> Callable[[Sequence[str]], Frames]:
    """The keeper's container without its processes."""

    async def execute(command: Sequence[str]) -> Frames:
        action = command[3]
        if action == "bundle":
            yield 1, keeper.bundle(shared).encode() + b"\n"
        elif action == "send":
            start = int(command[command.index("--from") + 1])
            data = (shared / ".bundle").read_bytes()[start:]
            for offset in range(0, len(data), chunk):
                yield 1, data[offset : offset + chunk]
        yield 0

    return execute


@dataclass
class Scene:
    """A pod with results, and somebody who wants them."""

    stand_in: StandIn
    cluster: Cluster
    clock: Clock
    pod: Pod
    shared: Path
    destination: Path
    reports: list[tuple[int, int]] = field(default_factory=list)

    async def collect(self, **options: Any) -> Collected:
        return await collect(
            self.cluster,
            "measured",
            self.destination,
            **{
                "container": "main",
                "folder": str(self.shared),
                "report": lambda done, total: self.reports.append((done, total)),
                "sleep": self.clock.sleep,
                "monotonic": self.clock.monotonic,
                **options,
            },
        )

    def sent_from(self) -> list[int]:
        """The offsets at which the archive was asked for."""
        return [
            int(command[command.index("--from") + 1])
            for command in self.commands
            if "--from" in command
        ]

    commands: list[Sequence[str]] = field(default_factory=list)

    def answer(self, executor: Callable[[Sequence[str]], Frames]) -> None:
        def noting(command: Sequence[str]) -> Frames:
            self.commands.append(command)
            return executor(command)

        self.pod.executor = noting


async def set_up(stand_in: StandIn, folder: Path, clock: Clock, cluster: Cluster) -> Scene:
    path = f"/api/v1/namespaces/{cluster.namespace}/pods"
    await cluster.request("POST", path, body=pod_body("measured"))
    pod = stand_in.pod("measured")
    pod.start()
    scene = Scene(stand_in, cluster, clock, pod, folder / "shared", folder / "here")
    scene.answer(keeper_here(scene.shared))
    return scene
