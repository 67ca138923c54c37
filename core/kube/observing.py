"""A Job, its pod and what the cluster says of both, as they change."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from core.kube.cluster import Cluster, JsonObject
from core.kube.reading import container_statuses, mapping, name_of, words
from core.kube.watching import watch


@dataclass(slots=True)
class Observation:
    """What is known now. Read it when it is given: it goes on changing."""

    job: JsonObject | None = None
    pod: JsonObject | None = None
    """The newest pod of the Job."""
    events: list[JsonObject] = field(default_factory=list)
    """Of the Job and of the pod, in no particular order."""
    was_there: bool = False
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
async def observing(cluster: Cluster, job: str) -> AsyncIterator[AsyncIterator[Observation]]:
    """Watch a Job by name: gives an observation at once for what is there, and after each change.

    Raises (while it is read): ClusterError.
    """
    watcher = _Watcher(cluster, job)
    try:
        yield watcher.observations()
    finally:
        await watcher.close()


class _Watcher:
    """Several watches that feed one observation."""

    def __init__(self, cluster: Cluster, job: str) -> None:
        self._cluster = cluster
        self._base = f"/api/v1/namespaces/{cluster.namespace}"
        self._seen = Observation()
        self._events: dict[str, list[JsonObject]] = {}
        self._changed = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._watched_pod = ""
        jobs = f"/apis/batch/v1/namespaces/{cluster.namespace}/jobs"
        self._start("job", self._follow_job(jobs, job))
        self._start("pods", self._follow_pods(job))
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
            for task in self._tasks.values():
                if task.done():
                    # A watch ends by nothing but an error.
                    task.result()
            if self._changed.is_set():
                self._changed.clear()
                yield self._seen

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _start(self, name: str, work: object) -> None:
        self._tasks[name] = asyncio.ensure_future(work)  # type: ignore[call-overload]

    async def _follow_job(self, path: str, job: str) -> None:
        query = {"fieldSelector": f"metadata.name={job}"}
        async for found in watch(self._cluster, path, query=query):
            self._seen.job = found.get(job)
            self._changed.set()

    async def _follow_pods(self, job: str) -> None:
        query = {"labelSelector": f"job-name={job}"}
        async for pods in watch(self._cluster, f"{self._base}/pods", query=query):
            self._seen.pod = _newest(pods)
            self._seen.was_there = self._seen.was_there or bool(pods)
            name = self._seen.pod_name
            if name and name != self._watched_pod:
                if old := self._tasks.pop("events of pod", None):
                    old.cancel()
                self._watched_pod = name
                self._start("events of pod", self._follow_events(name))
            self._changed.set()

    async def _follow_events(self, name: str) -> None:
        query = {"fieldSelector": f"involvedObject.name={name}"}
        async for events in watch(self._cluster, f"{self._base}/events", query=query):
            self._events[name] = list(events.values())
            self._seen.events = [event for each in self._events.values() for event in each]
            self._changed.set()


def _newest(pods: Mapping[str, JsonObject]) -> JsonObject | None:
    return max(
        pods.values(),
        key=lambda pod: words(pod, "metadata", "creationTimestamp"),
        default=None,
    )
