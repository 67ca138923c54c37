"""How the session and its child processes talk: a folder with a spec and an outcome, JSON lines on
the child's stdout, and two counters in shared memory.
"""

from __future__ import annotations

import json
import mmap
import struct
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from benchmark.configuration import Configuration
from benchmark.environment import Environment
from benchmark.model import WeightsRecord
from benchmark.plan import Measurement, Plan
from benchmark.probes.model import ProbeResult
from benchmark.validation import Record

SPEC_FILE = "spec.json"
OUTCOME_FILE = "outcome.json"
PROGRESS_FILE = ".progress"
_PROGRESS = struct.Struct("<qq")


class PrepareSpec(Record):
    """What ``prepare`` is asked."""

    task: Literal["prepare"] = "prepare"
    plan: Plan


class Prepared(Record):
    """What ``prepare`` found; the same for every measurement of the session."""

    configuration: Configuration
    environment: Environment
    weights: WeightsRecord


class MeasureSpec(Record):
    """What one measurement process is asked."""

    task: Literal["measure"] = "measure"
    plan: Plan
    configuration: Configuration
    weights: WeightsRecord
    measurement: Measurement
    arrival_rate: float | None
    """Server: queries/s; null means the plan's load times the rate seen in the warm-up."""


class ProbeSpec(Record):
    """What the process that runs a block's probes is asked."""

    task: Literal["probe"] = "probe"
    plan: Plan
    configuration: Configuration
    block: int


class Probed(Record):
    """What the probes of a block found."""

    probes: tuple[ProbeResult, ...]


Spec = PrepareSpec | MeasureSpec | ProbeSpec

SPEC: TypeAdapter[Spec] = TypeAdapter(Annotated[Spec, Field(discriminator="task")])


class ProgressFile:
    """Two counters in shared memory: the parent reads them without disturbing the measurement."""

    def __init__(self, path: Path, *, create: bool) -> None:
        if create:
            path.write_bytes(bytes(_PROGRESS.size))
        with path.open("r+b") as stream:
            self._memory = mmap.mmap(stream.fileno(), _PROGRESS.size)
        self._done = 0

    def count(self, samples: int, nanoseconds: int) -> None:
        """Add finished samples and note the last batch's time."""
        self._done += samples
        _PROGRESS.pack_into(self._memory, 0, self._done, nanoseconds)

    def reset(self) -> None:
        """Start again at zero."""
        self._done = 0
        _PROGRESS.pack_into(self._memory, 0, 0, 0)

    def read(self) -> tuple[int, int]:
        """Return (samples done, the last batch's nanoseconds)."""
        done, nanoseconds = _PROGRESS.unpack_from(self._memory, 0)
        return done, nanoseconds

    def close(self) -> None:
        """Give the mapping back."""
        self._memory.close()


class Parent:
    """The line to the parent process."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def say(self, kind: str, **fields: Any) -> None:
        """Send one message."""
        self._stream.write(json.dumps({"kind": kind, **fields}) + "\n")
        self._stream.flush()
