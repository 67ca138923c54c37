"""The two servers that must behave alike, and how a pod is moved on each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from core.kube.cluster import Cluster, JsonObject, Query
from tests.cluster_kit import SMALL_IMAGE, TOLERATE_ALL
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_pods import run_locally


def pod_spec(command: Sequence[str], **more: Any) -> JsonObject:
    container = {
        **{"name": "main", "image": SMALL_IMAGE, "imagePullPolicy": "IfNotPresent"},
        "command": list(command),
    }
    return {
        **{"restartPolicy": "Never", "terminationGracePeriodSeconds": 0},
        **{"tolerations": TOLERATE_ALL, "containers": [container]},
        **more,
    }


def pod_body(name: str, command: Sequence[str] = ("sleep", "600"), **more: Any) -> JsonObject:
    return {
        **{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}},
        "spec": pod_spec(command, **more),
    }


def job_body(name: str, command: Sequence[str] = ("sleep", "600"), **more: Any) -> JsonObject:
    template = {"metadata": {"labels": {"side": "job"}}, "spec": pod_spec(command)}
    return {
        **{"apiVersion": "batch/v1", "kind": "Job"},
        "metadata": {"name": name, "labels": {"kind": "test", "name": name}},
        "spec": {"backoffLimit": 0, "template": template, **more},
    }


class Side:
    """One of the two servers, reached through the real client."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.core = f"/api/v1/namespaces/{cluster.namespace}"
        self.pods = f"{self.core}/pods"
        self.jobs = f"/apis/batch/v1/namespaces/{cluster.namespace}/jobs"

    async def create_pod(self, name: str, command: Sequence[str], **more: Any) -> JsonObject:
        return await self.cluster.request("POST", self.pods, body=pod_body(name, command, **more))

    async def create_job(self, name: str, **more: Any) -> JsonObject:
        return await self.cluster.request("POST", self.jobs, body=job_body(name, **more))

    async def running(self, pod: str, lines: Sequence[str] = ()) -> None:
        """Get the container of a pod running; its command begins with these lines."""
        raise NotImplementedError

    async def waiting(self, pod: str) -> None:
        """Get a pod onto a node, its image not there."""
        raise NotImplementedError

    async def said_and_ended(
        self, pod: str, lines: Sequence[str], exit_code: int, *, wait: bool = True
    ) -> None:
        """Get the pod to its end (``wait``: be there); its command says these lines before and
        exits so."""
        raise NotImplementedError

    async def crashed(self, pod: str, lines: Sequence[str], exit_code: int) -> None:
        """Get a container that says these lines and exits to wait for its second restart."""
        raise NotImplementedError

    async def out_of_memory(self, pod: str) -> None:
        """Let the pod use more memory than it may."""
        raise NotImplementedError

    async def over_deadline(self, job: str) -> None:
        """Let the Job's deadline pass."""
        raise NotImplementedError

    def end_slowly(self) -> None:
        """From now on containers that are told to end do not at once."""
        raise NotImplementedError

    def forget_history(self) -> None:
        """Let the versions so far be too old for a watch, where that can be had."""
        raise NotImplementedError

    async def until(self, path: str, condition: str, wanted: Any) -> JsonObject:
        """Follow one object until a field of it (``status.phase``) is as wanted."""
        where, name = path.rsplit("/", 1)
        selector = f"metadata.name={name}"
        query: Query = {"watch": True, "fieldSelector": selector, "timeoutSeconds": 90}
        async with self.cluster.stream(where, query=query) as lines:
            while line := await lines.readline():
                document: Any = json.loads(line)["object"]
                value: Any = document
                for part in condition.split("."):
                    value = (value or {}).get(part)
                if value == wanted:
                    return dict(document)
        raise AssertionError(f"{path}: {condition} never became {wanted}")

    @asynccontextmanager
    async def watching(self, path: str, **query: Any) -> AsyncIterator[AsyncIterator[Any]]:
        """The events of a watch, parsed."""
        asked = {"watch": True, "timeoutSeconds": 60, **query}
        async with self.cluster.stream(path, query=asked) as content:

            async def events() -> AsyncIterator[Any]:
                while line := await content.readline():
                    yield json.loads(line)

            yield events()

    async def events(self, path: str, count: int, **query: Any) -> list[Any]:
        """The first so many events of a watch, at most a minute's."""
        async with asyncio.timeout(60), self.watching(path, **query) as events:
            found: list[Any] = []
            async for event in events:
                found.append(event)
                if len(found) == count:
                    break
            return found


class StandInSide(Side):
    def __init__(self, cluster: Cluster, server: StandIn) -> None:
        super().__init__(cluster)
        self.server = server

    async def running(self, pod: str, lines: Sequence[str] = ()) -> None:
        handle = self.server.pod(pod)
        handle.executor = run_locally()
        handle.start()
        handle.log(*lines)

    async def waiting(self, pod: str) -> None:
        handle = self.server.pod(pod)
        handle.schedule()
        handle.wait_for("ImagePullBackOff")

    async def said_and_ended(
        self, pod: str, lines: Sequence[str], exit_code: int, *, wait: bool = True
    ) -> None:
        handle = self.server.pod(pod)
        if not handle.logs:
            handle.start()
        handle.log(*lines)
        handle.finish(exit_code)

    async def crashed(self, pod: str, lines: Sequence[str], exit_code: int) -> None:
        handle = self.server.pod(pod)
        for _ in range(2):
            handle.start()
            handle.log(*lines)
            handle.crash(exit_code)

    async def out_of_memory(self, pod: str) -> None:
        handle = self.server.pod(pod)
        handle.start()
        handle.oom()

    async def over_deadline(self, job: str) -> None:
        self.server.controllers.exceed_deadline(self.cluster.namespace, job)

    def end_slowly(self) -> None:
        self.server.controllers.hold_deletions = True

    def forget_history(self) -> None:
        self.server.store.forget_history()


class RealSide(Side):
    async def running(self, pod: str, lines: Sequence[str] = ()) -> None:
        await self.until(f"{self.pods}/{pod}", "status.phase", "Running")

    async def waiting(self, pod: str) -> None:
        while True:
            document = await self.cluster.request("GET", f"{self.pods}/{pod}")
            for each in document["status"].get("containerStatuses", []):
                if "Image" in each["state"].get("waiting", {}).get("reason", ""):
                    return
            await asyncio.sleep(0.1)

    async def said_and_ended(
        self, pod: str, lines: Sequence[str], exit_code: int, *, wait: bool = True
    ) -> None:
        end = "Failed" if exit_code else "Succeeded"
        if wait:
            await self.until(f"{self.pods}/{pod}", "status.phase", end)

    async def crashed(self, pod: str, lines: Sequence[str], exit_code: int) -> None:
        async with self.watching(self.pods, fieldSelector=f"metadata.name={pod}") as events:
            async for event in events:
                for each in event["object"]["status"].get("containerStatuses", []):
                    waits = each["state"].get("waiting", {}).get("reason")
                    if waits == "CrashLoopBackOff" and each["restartCount"] == 1:
                        return

    async def out_of_memory(self, pod: str) -> None:
        await self.until(f"{self.pods}/{pod}", "status.phase", "Failed")

    async def over_deadline(self, job: str) -> None:
        async with self.watching(self.jobs, fieldSelector=f"metadata.name={job}") as events:
            async for event in events:
                if event["object"].get("status", {}).get("conditions"):
                    return

    def end_slowly(self) -> None:
        """As the first process of a container ``sleep`` does not hear SIGTERM."""

    def forget_history(self) -> None:
        """A server that has worked for some minutes has forgotten its first versions."""
