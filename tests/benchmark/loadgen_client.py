"""Asks :mod:`tests.benchmark.loadgen_worker` to run loads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmark.loadgen import Load
from benchmark.plan import Scenario, Seeds

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "tests.benchmark.loadgen_worker"]
SAMPLE_COUNT = 50


def offline(batch_size: int, rate: float, duration_s: float) -> Load:
    return Load(
        scenario=Scenario.OFFLINE,
        batch_size=batch_size,
        duration_s=duration_s,
        expected_rate=rate,
        sample_count=SAMPLE_COUNT,
        seeds=Seeds(),
    )


def server(batch_size: int, queries: int, rate: float = 20_000, wait_ms: float = 1) -> Load:
    return Load(
        scenario=Scenario.SERVER,
        batch_size=batch_size,
        query_count=queries,
        arrival_rate=rate,
        latency_bound_ms=1000,
        maximum_wait_ms=wait_ms,
        sample_count=SAMPLE_COUNT,
        seeds=Seeds(),
    )


def single_stream(queries: int) -> Load:
    return Load(
        scenario=Scenario.SINGLE_STREAM,
        batch_size=1,
        query_count=queries,
        sample_count=SAMPLE_COUNT,
        seeds=Seeds(),
    )


def multi_stream(batch_size: int, queries: int) -> Load:
    return Load(
        scenario=Scenario.MULTI_STREAM,
        batch_size=batch_size,
        query_count=queries,
        sample_count=SAMPLE_COUNT,
        seeds=Seeds(),
    )


def request(load: Load, folder: Path, depth: int = 1, fail_at: int | None = None) -> str:
    return json.dumps(
        {
            "load": load.model_dump(mode="json"),
            "folder": str(folder),
            "depth": depth,
            "fail_at": fail_at,
        }
    )


@dataclass(frozen=True)
class Answer:
    """What a load did to the engine."""

    batches: list[list[int]]
    """The sample indices of each batch."""
    most_on_the_way: int
    counted: list[int]
    rows: list[list[int]]


class Worker:
    """One worker process, asked again and again."""

    def __enter__(self) -> Worker:
        self._process = subprocess.Popen(
            COMMAND,
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def run(self, load: Load, folder: Path, depth: int = 1) -> Answer:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(request(load, folder, depth) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the worker died with status {self._process.wait()}"
        return Answer(**json.loads(line))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()


def run_once(load: Load, folder: Path, fail_at: int) -> subprocess.CompletedProcess[str]:
    """Run one load in a process of its own whose engine fails at that batch."""
    return subprocess.run(
        COMMAND,
        cwd=REPOSITORY,
        input=request(load, folder, fail_at=fail_at) + "\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def detail_of(folder: Path) -> dict[str, Any]:
    """Return LoadGen's detail log by key, read without the product's reader."""
    entries: dict[str, Any] = {}
    for line in (folder / "mlperf_log_detail.txt").read_text().splitlines():
        # The rate of a single query is nan or inf, which is not JSON.
        if found := re.search(r'"key": "(\w[\w.]*)", "value": (.*), "time_ms"', line):
            with suppress(json.JSONDecodeError):
                entries[found[1]] = json.loads(found[2])
    return entries
