"""A benchmark that measures nothing: it says what a recorded one said, and leaves its results."""

from __future__ import annotations

import asyncio
import fcntl
import functools
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmark import keeper
from benchmark.errors import ProblemError
from benchmark.results import content_sha256
from core.kube.objects import PLAN_ANNOTATION
from tests.core.kube.stand_in_pods import Frames
from tests.core.kube.stand_in_store import Object

RECORDED = Path(__file__).parents[1] / "tui" / "recorded"
_CHUNK = 32768
_SPOKEN = ("benchmark_", "measurement_", "remarked")


@dataclass(frozen=True)
class Order:
    """What the Job's arguments ask for."""

    run_id: str
    leg: str
    plan: Any


def order_of(pod: Object) -> Order | None:
    """Read it from a pod; None where the pod is no benchmark."""
    for container in pod["spec"]["containers"]:
        words = [*(container.get("command") or []), *(container.get("args") or [])]
        if "--run-id" in words and "--leg" in words:
            annotations = pod["metadata"].get("annotations") or {}
            return Order(
                words[words.index("--run-id") + 1],
                words[words.index("--leg") + 1],
                json.loads(annotations.get(PLAN_ANNOTATION) or "null"),
            )
    return None


@functools.cache
def _recording() -> tuple[tuple[float, str], ...]:
    """What the recorded benchmark said, and when, as a share of its time."""
    events = [
        json.loads(line)
        for line in (RECORDED / "baseline" / "events.jsonl").read_text().splitlines()
    ]
    spoken = [each for each in events if each["event"].startswith(_SPOKEN)]
    times = [datetime.fromisoformat(each["time"]).timestamp() for each in spoken]
    length = times[-1] - times[0]
    dropped = ("sequence", "run", "time", "stage", "log_position")
    return tuple(
        (
            (time - times[0]) / length,
            json.dumps({k: v for k, v in each.items() if k not in dropped}),
        )
        for time, each in zip(times, spoken, strict=True)
    )


def spoken_lines(order: Order) -> list[tuple[float, str]]:
    """The lines of one run's benchmark: share of its time, JSON."""
    lines = []
    for share, line in _recording():
        document = json.loads(line.replace("@FOLDER@", "/results/run"))
        if document["event"] == "benchmark_started" and order.plan:
            document["plan"] = order.plan
        lines.append((share, json.dumps(document)))
    return lines


class Volume:
    """The folder that the pod's two containers share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: Any = None

    def begin(self) -> None:
        """As the keeper's ``run`` does: the lock is held until the end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / ".lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        (self.folder / ".started").touch()

    def end(self) -> None:
        """The benchmark has ended, well or not."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def leave_results(self, order: Order) -> None:
        """The recorded results, as if this run had measured them."""
        into = self.folder / keeper.RESULTS
        shutil.copytree(RECORDED / "baseline" / "folder", into, dirs_exist_ok=True)
        # That log was written by the run process, not in the pod.
        (into / "deployment.log").unlink()
        path = into / "benchmark_results.json"
        document = json.loads(path.read_text())
        document |= {"run_id": order.run_id, "leg": order.leg}
        document["content_sha256"] = content_sha256(document)
        path.write_text(json.dumps(document, indent=1))

    def remove(self) -> None:
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)


def keeper_executor(
    folder: Path, released: Callable[[], None]
) -> Callable[[Sequence[str]], Frames]:
    """Run the keeper's commands with its own code, in this process: it is asked often."""

    async def execute(command: Sequence[str]) -> Frames:
        words = list(command)
        if words[1:3] != ["-m", "benchmark.keeper"]:
            yield 2, f"{words[0]}: the stand-in runs the keeper only\n".encode()
            yield 127
            return
        action = words[3]
        try:
            if action == "bundle":
                yield 1, (await asyncio.to_thread(keeper.bundle, folder) + "\n").encode()
            elif action == "send":
                start = int(words[words.index("--from") + 1]) if "--from" in words else 0
                content = await asyncio.to_thread((folder / ".bundle").read_bytes)
                for at in range(start, len(content), _CHUNK):
                    yield 1, content[at : at + _CHUNK]
            elif action == "release":
                keeper.release(folder)
                released()
            else:
                yield 2, f"invalid choice: {action!r}\n".encode()
                yield 2
                return
        except ProblemError as problem:
            yield 2, f"{problem}\n".encode()
            yield problem.exit_code
            return
        yield 0

    return execute
