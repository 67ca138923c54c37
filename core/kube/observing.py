"""A Job, its pod and what the cluster says of both, as they change."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.kube.cluster import Cluster, JsonObject, Query
from core.kube.errors import DeniedError
from core.kube.reading import container_statuses, mapping, name_of, words
from core.kube.watching import watch

PATIENCE_S = 900.0
"""A control plane that is upgraded is away for minutes; what runs on the nodes goes on."""


@dataclass(slots=True)
class Observation:
    """What is known now. Read it when it is given: it goes on changing."""

    job: JsonObject | None = None
    pod: JsonObject | None = None
    """The Job's first pod; None before it is there and when it is gone."""
    events: list[JsonObject] = field(default_factory=list)
    """Of the Job and of the pod, in no particular order."""
    node_object: JsonObject | None = None
    """The pod's node; None while it is not known, or may not be looked at."""
    had_job: bool = False
    """The Job was seen at some time."""
    had_pod: bool = False
    """A pod was seen at some time."""

    def container(self, name: str) -> JsonObject:
        """Return a container's status; empty while there is none."""
        statuses = container_statuses(self.pod)
        return next((each for each in statuses if words(each, "name") == name), {})

    def terminated(self, name: str) -> JsonObject | None:
        """Return how a container ended; None while it has not."""
        return mapping(self.container(name), "state", "terminated") or None

    def started(self, name: str) -> bool:
        """Return whether a container runs or has run."""
        state = mapping(self.container(name), "state")
        return bool(state.keys() & {"running", "terminated"})

    @property
    def pod_name(self) -> str:
        """Its name; empty while there is none."""
        return name_of(self.pod)

    @property
    def node(self) -> str:
        """The node on which the pod is; empty while it is on none."""
        return words(self.pod, "spec", "nodeName")


@contextlib.asynccontextmanager
async def observing(
    cluster: Cluster, job: str, selector: str, *, patience_s: float = PATIENCE_S
) -> AsyncIterator[AsyncIterator[Observation]]:
    """Watch a Job by name: gives an observation at once for what is there, and after each change.

    ``selector`` is what its pods' labels have that no other Job's have: a pod of an earlier Job of
    this name may still be there. ``patience_s``: how long the API server may be away.

    Raises (while it is read): ClusterError.
    """
    watcher = _Watcher(cluster, job, selector, patience_s)
    try:
        yield watcher.observations()
    finally:
        await watcher.close()


class _Watcher:
    """Several watches that feed one observation."""

    def __init__(self, cluster: Cluster, job: str, selector: str, patience_s: float) -> None:
        self._cluster = cluster
        self._patience_s = patience_s
        self._base = f"/api/v1/namespaces/{cluster.namespace}"
        self._seen = Observation()
        self._events: dict[str, list[JsonObject]] = {}
        self._changed = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._watched: dict[str, str] = {}
        self._first_pod = ""
        jobs = f"/apis/batch/v1/namespaces/{cluster.namespace}/jobs"
        self._start("job", self._follow_job(jobs, job))
        self._start("pods", self._follow_pods(f"job-name={job},{selector}"))
        self._start("events of job", self._follow_events(job))

    async def observations(self) -> AsyncIterator[Observation]:
        while True:
            changed = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait(
                    {changed, *self._tasks.values()}, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                changed.cancel()
            for name, task in list(self._tasks.items()):
                if task.done():
                    task.result()
                    # Left in, one that has ended would keep this from waiting.
                    del self._tasks[name]
            if self._changed.is_set():
                self._changed.clear()
                yield self._seen

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[name] = asyncio.create_task(work)

    def _watch(self, path: str, query: Query) -> AsyncIterator[Mapping[str, JsonObject]]:
        return watch(self._cluster, path, query=query, patience_s=self._patience_s)

    async def _follow_job(self, path: str, job: str) -> None:
        query = {"fieldSelector": f"metadata.name={job}"}
        async for found in self._watch(path, query):
            self._seen.job = found.get(job)
            self._seen.had_job = self._seen.had_job or job in found
            self._changed.set()

    async def _follow_pods(self, selector: str) -> None:
        async for pods in self._watch(f"{self._base}/pods", {"labelSelector": selector}):
            # The first it is: where a pod is deleted, the Job controller starts another one, which
            # would measure anew.
            self._first_pod = self._first_pod or _oldest(pods)
            self._seen.pod = pods.get(self._first_pod)
            self._seen.had_pod = bool(self._first_pod)
            self._follow_also("events of pod", self._seen.pod_name, self._follow_events)
            self._follow_also("node", self._seen.node, self._follow_node)
            self._changed.set()

    def _follow_also(
        self, what: str, name: str, follow: Callable[[str], Coroutine[Any, Any, None]]
    ) -> None:
        """Follow something of the pod, once it is known and anew when it is another one."""
        if not name or self._watched.get(what) == name:
            return
        if old := self._tasks.pop(what, None):
            old.cancel()
        self._watched[what] = name
        self._start(what, follow(name))

    async def _follow_node(self, name: str) -> None:
        query = {"fieldSelector": f"metadata.name={name}"}
        # Who may only work in a namespace sees no nodes: reasons then say less.
        with contextlib.suppress(DeniedError):
            async for nodes in self._watch("/api/v1/nodes", query):
                self._seen.node_object = nodes.get(name)
                self._changed.set()

    async def _follow_events(self, name: str) -> None:
        query = {"fieldSelector": f"involvedObject.name={name}"}
        async for events in self._watch(f"{self._base}/events", query):
            self._events[name] = list(events.values())
            self._seen.events = [event for each in self._events.values() for event in each]
            self._changed.set()


def _oldest(pods: Mapping[str, JsonObject]) -> str:
    return min(
        pods, key=lambda name: words(pods[name], "metadata", "creationTimestamp"), default=""
    )
