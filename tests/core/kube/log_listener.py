"""Somebody who follows a pod's log and remembers what he was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from core.kube.cluster import Cluster
from core.kube.errors import NotFoundError
from core.kube.logs import LogLine, follow_log
from tests.core.kube import clocks
from tests.core.kube.sides import pod_body
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_pods import Pod


class Clock(clocks.Clock):
    on_pause: Callable[[int], None] = staticmethod(lambda _count: None)
    """Told at each pause how many there were."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.on_pause(len(self.pauses))


@dataclass
class Listener:
    """Follows the log of one pod and remembers what it was told."""

    cluster: Cluster
    pod: str = "measured"
    clock: Clock = field(default_factory=Clock)
    lines: list[LogLine] = field(default_factory=list)
    breaks: list[str] = field(default_factory=list)
    resumes: list[float] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def ended(self) -> bool:
        path = f"/api/v1/namespaces/{self.cluster.namespace}/pods/{self.pod}"
        try:
            document = await self.cluster.request("GET", path)
        except NotFoundError:
            return True
        return document["status"]["phase"] in ("Succeeded", "Failed")

    async def follow(self, **options: Any) -> list[str]:
        async for batch in follow_log(
            self.cluster,
            self.pod,
            "main",
            **{
                "ended": self.ended,
                "on_break": self.breaks.append,
                "on_resume": self.resumes.append,
                "on_gap": self.gaps.append,
                "sleep": self.clock.sleep,
                "monotonic": self.clock.monotonic,
                **options,
            },
        ):
            assert batch
            self.lines += batch
            self.arrived.set()
        return self.texts

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.lines]

    @asynccontextmanager
    async def following(self, **options: Any) -> AsyncIterator[asyncio.Task[list[str]]]:
        task = asyncio.create_task(self.follow(**options))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, text: str) -> None:
        """Wait until a line with this text was delivered."""
        async with asyncio.timeout(20):
            while text not in self.texts:
                self.arrived.clear()
                await self.arrived.wait()


async def started_pod(stand_in: StandIn, cluster: Cluster, *, start: bool = True) -> Pod:
    path = f"/api/v1/namespaces/{cluster.namespace}/pods"
    await cluster.request("POST", path, body=pod_body("measured"))
    pod = stand_in.pod("measured")
    if start:
        pod.start()
    return pod
