"""A pod of the stand-in: its states, logs and commands, each step at the test's word."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.core.kube.stand_in_store import PODS, Object, rfc3339

if TYPE_CHECKING:
    from tests.core.kube.stand_in_controllers import Controllers

Frames = AsyncIterator[tuple[int, bytes] | int]
"""Output of a command: (channel, bytes) of each frame, 1 stdout and 2 stderr, at last the exit
code."""
Executor = Callable[[Sequence[str]], Frames]


def answering(stdout: bytes = b"", stderr: bytes = b"", exit_code: int = 0) -> Executor:
    """A command that says always the same."""

    async def execute(_command: Sequence[str]) -> Frames:
        for start in range(0, len(stdout), 32768):
            yield 1, stdout[start : start + 32768]
        if stderr:
            yield 2, stderr
        yield exit_code

    return execute


def run_locally(
    folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> Executor:
    """Run the command as a process of this machine; ``python``, ``python3`` are this Python."""

    async def execute(command: Sequence[str]) -> Frames:
        pipe = asyncio.subprocess.PIPE
        program = sys.executable if command[0] in ("python", "python3") else command[0]
        process = await asyncio.create_subprocess_exec(
            program, *command[1:], stdout=pipe, stderr=pipe, cwd=folder, env=environment
        )
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.ensure_future(process.stderr.read())
        try:
            while chunk := await process.stdout.read(32768):
                yield 1, chunk
            if said := await errors:
                yield 2, said
            code = await process.wait()
            yield code if code >= 0 else 128 - code
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            await asyncio.gather(errors, return_exceptions=True)

    return execute


@dataclass
class ContainerLog:
    """What one start of one container wrote."""

    lines: list[tuple[int, bytes]] = field(default_factory=list)
    """Nanoseconds since 1970 and the line with its end."""
    ended: bool = False
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, moment_ns: int, line: bytes) -> None:
        self.lines.append((moment_ns, line))
        self.wake()

    def end(self) -> None:
        self.ended = True
        self.wake()

    def wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()

    async def more(self) -> None:
        await self._more.wait()


def with_timestamp(moment_ns: int, line: bytes) -> bytes:
    seconds, rest = divmod(moment_ns, 1_000_000_000)
    day = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{day}.{rest:09d}Z ".encode() + line


def condition(kind: str, true: bool, since: str, reason: str = "", message: str = "") -> Object:
    said = {"reason": reason, "message": message}
    return {
        **{"type": kind, "status": str(true), "lastProbeTime": None, "lastTransitionTime": since},
        **{key: value for key, value in said.items() if value},
    }


class Pod:
    """A pod, moved through its states by the test."""

    def __init__(self, controllers: Controllers, namespace: str, name: str) -> None:
        self._controllers = controllers
        self._store = controllers.store
        self.namespace = namespace
        self.name = name
        self.executor: Executor = answering()
        self.logs: dict[str, list[ContainerLog]] = {}
        """The starts of each container, the last one last."""

    @property
    def document(self) -> Object:
        return self._store.get(PODS, self.namespace, self.name)

    @property
    def containers(self) -> list[str]:
        return [str(each["name"]) for each in self.document["spec"]["containers"]]

    def unschedulable(self, message: str, reason: str = "Unschedulable") -> None:
        self._status(conditions=[condition("PodScheduled", False, self._now(), reason, message)])
        self.event("FailedScheduling", message, kind="Warning")

    def schedule(self, node: str = "gpu-node-1") -> None:
        now = self._now()
        document = self._store.update(PODS, self.namespace, self.name, {"spec": {"nodeName": node}})
        self._status(
            conditions=[
                condition("Initialized", True, now),
                condition("Ready", False, now, "ContainersNotReady"),
                condition("PodScheduled", True, now),
            ],
            hostIP="10.99.0.1",
            startTime=now,
            containerStatuses=[
                self._container(each, {"waiting": {"reason": "ContainerCreating"}})
                for each in document["spec"]["containers"]
            ],
        )
        self.event("Scheduled", f"Successfully assigned {self.namespace}/{self.name} to {node}")

    def wait_for(self, reason: str, message: str = "", container: str = "") -> None:
        """A container waits: ErrImagePull, CreateContainerConfigError, CrashLoopBackOff ..."""
        self._state({"waiting": {"reason": reason, "message": message}}, container, started=False)

    def start(self, container: str = "") -> None:
        """Start (or start again) the container; without a node, the pod is scheduled first."""
        if not self.document["spec"].get("nodeName"):
            self.schedule()
        for name in [container] if container else self.containers:
            earlier = self.logs.setdefault(name, [])
            for log in earlier:
                log.end()
            earlier.append(ContainerLog())
        again = max(len(each) for each in self.logs.values()) - 1
        self._state({"running": {"startedAt": self._now()}}, container, True, again)
        self._status(phase="Running", podIP="10.244.0.9")
        self.event("Started", f"Started container {container or self.containers[0]}")

    def log(self, *lines: str | bytes, container: str = "", at_ns: int | None = None) -> None:
        """Write lines; ``at_ns``: their time instead of now."""
        log = self.logs[container or self.containers[0]][-1]
        for line in lines:
            raw = line if isinstance(line, bytes) else f"{line}\n".encode()
            log.write(self._controllers.now_ns() if at_ns is None else at_ns, raw)

    def finish(
        self, exit_code: int = 0, *, reason: str = "", message: str = "", container: str = ""
    ) -> None:
        """End the container; with the last one the pod ends, and with it, perhaps, its Job."""
        for name in [container] if container else self.containers:
            self.logs.setdefault(name, [ContainerLog()])[-1].end()
        state = {
            "exitCode": exit_code,
            "reason": reason or ("Error" if exit_code else "Completed"),
            "finishedAt": self._now(),
            **({"message": message} if message else {}),
        }
        self._state({"terminated": state}, container, started=False)
        states = [each["state"] for each in self.document["status"]["containerStatuses"]]
        if all("terminated" in each for each in states):
            failed = any(each["terminated"]["exitCode"] for each in states)
            self._status(phase="Failed" if failed else "Succeeded")
            self._controllers.pod_ended(self)

    def crash(self, exit_code: int = 1, *, container: str = "") -> None:
        """End a container that will be started again after a while."""
        for name in [container] if container else self.containers:
            self.logs[name][-1].end()
        ended = {"exitCode": exit_code, "reason": "Error", "finishedAt": self._now()}
        self._state({"terminated": ended}, container, started=False)
        self.wait_for("CrashLoopBackOff", "back-off restarting failed container", container)

    def oom(self, container: str = "") -> None:
        self.finish(137, reason="OOMKilled", container=container)

    def evict(self, message: str = "The node was low on resource: memory. ") -> None:
        for log in itertools.chain.from_iterable(self.logs.values()):
            log.end()
        self._status(phase="Failed", reason="Evicted", message=message)
        self.event("Evicted", message, kind="Warning")
        self._controllers.pod_ended(self)

    def gone(self) -> None:
        """Remove the object, as the kubelet does when its containers have ended."""
        for log in itertools.chain.from_iterable(self.logs.values()):
            log.end()
        self._controllers.remove_pod(self)

    def event(self, reason: str, message: str, *, kind: str = "Normal") -> Object:
        return self._controllers.event(self.document, reason, message, kind=kind)

    def _now(self) -> str:
        return rfc3339(self._controllers.now_ns() / 1e9)

    def _status(self, **fields: Any) -> None:
        self._store.update(PODS, self.namespace, self.name, {"status": fields})

    def _state(
        self, state: Object, container: str, started: bool, restarts: int | None = None
    ) -> None:
        statuses = []
        for each in self.document["status"].get("containerStatuses", []):
            changed = dict(each)
            if container in ("", each["name"]):
                if "terminated" in each["state"]:
                    changed["lastState"] = each["state"]
                changed |= {"state": state, "started": started, "ready": started}
                if restarts is not None:
                    changed["restartCount"] = restarts
            statuses.append(changed)
        self._status(containerStatuses=statuses)

    @staticmethod
    def _container(container: Object, state: Object) -> Object:
        image = {"image": container.get("image", ""), "imageID": ""}
        return {
            **{"name": container["name"], "state": state, "lastState": {}, "ready": False},
            **{"restartCount": 0, **image, "started": False},
        }
