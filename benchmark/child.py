"""The child processes: ``prepare`` looks at the machine once, ``measure`` is one measurement.

``python -m benchmark.child FOLDER`` reads ``FOLDER/spec.json`` and writes ``FOLDER/outcome.json``.
It talks to its parent by JSON lines on stdout; whatever libraries print goes to stderr.
"""

from __future__ import annotations

import ctypes
import gc
import json
import mmap
import os
import signal
import struct
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from benchmark.configuration import Configuration, detect_hardware, resolve, resolve_execution
from benchmark.environment import Environment, collect_environment
from benchmark.errors import MeasurementError, ProblemError
from benchmark.files import write_atomically
from benchmark.model import WeightsRecord
from benchmark.parenthood import die_with_parent
from benchmark.plan import Allocator, Execution, Measurement, Plan
from benchmark.validation import Record

if TYPE_CHECKING:
    import torch

SPEC_FILE = "spec.json"
OUTCOME_FILE = "outcome.json"
PROGRESS_FILE = ".progress"
_PROGRESS = struct.Struct("<qq")

# malloc.h: without these two, eager batch 32 on a CPU takes about 700,000 page faults a forward
# pass and measures malloc rather than the model (FACTS.md section 9).
_M_MMAP_MAX = -4
_M_TRIM_THRESHOLD = -1


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


_SPEC: TypeAdapter[PrepareSpec | MeasureSpec] = TypeAdapter(
    Annotated[PrepareSpec | MeasureSpec, Field(discriminator="task")]
)


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


def retain_memory() -> None:
    """Keep freed memory in the process (glibc): see the constants above."""
    library = ctypes.CDLL(None)
    library.mallopt(_M_MMAP_MAX, 0)
    library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def main(arguments: list[str]) -> int:
    """Do what ``spec.json`` in the folder says."""
    die_with_parent(signal.SIGKILL)
    folder = Path(arguments[0])
    # Libraries print to stdout; the parent's line must hold nothing else.
    line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    parent = Parent(line)
    try:
        spec = _SPEC.validate_json((folder / SPEC_FILE).read_bytes())
        outcome: Record
        if spec.task == "prepare":
            outcome = _prepare(spec, parent)
        else:
            from benchmark.measure import measure

            outcome = measure(spec, folder, parent)
        write_atomically(folder / OUTCOME_FILE, outcome.model_dump_json(indent=1))
    except ProblemError as error:
        parent.say(
            "failed",
            sentence=error.sentence,
            remedy=error.remedy,
            exit_code=error.exit_code,
            this_only=isinstance(error, MeasurementError),
        )
        return error.exit_code
    parent.say("done")
    return 0


def _prepare(spec: PrepareSpec, parent: Parent) -> Prepared:
    from benchmark.dataset import check_dataset
    from benchmark.model import find_weights

    parent.say("phase", phase="loading")
    configuration = resolve(spec.plan, detect_hardware())
    check_dataset(spec.plan.dataset, spec.plan.sample_count)
    weights, _path = find_weights(spec.plan.weights, spec.plan.seeds.data)
    return Prepared(
        configuration=configuration,
        environment=collect_environment(configuration),
        weights=weights,
    )


def settle_process(configuration: Configuration) -> None:
    """Set allocator and threads as the configuration says. Call before tensors are made."""
    import torch

    if configuration.allocator is Allocator.RETAIN:
        retain_memory()
    torch.set_num_threads(configuration.threads)


def execution_of(spec: MeasureSpec) -> Execution:
    """Return the execution path of one measurement, ``auto`` resolved."""
    if spec.measurement.execution is spec.plan.execution:
        return spec.configuration.execution
    return resolve_execution(
        spec.measurement.execution, spec.configuration.on_gpu, detect_hardware()
    )


def load_model(spec: MeasureSpec) -> torch.nn.Module:
    """Build the session's model and make sure that it is the one that was prepared.

    Raises:
        MeasurementError: the weights changed since.
    """
    from benchmark.model import build, weights_sha256

    path = Path(spec.weights.path) if spec.weights.path else None
    model = build(path, spec.plan.seeds.data)
    if weights_sha256(model) != spec.weights.sha256:
        raise MeasurementError(
            "The weights changed while the benchmark ran.", "Leave the weights file alone."
        )
    return model


def quiet_collector() -> None:
    """Keep Python's garbage collector out of the timed part."""
    gc.collect()
    gc.freeze()
    gc.disable()


def monotonic() -> float:
    """Return CLOCK_MONOTONIC in seconds, the same for the parent's telemetry."""
    return time.monotonic()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
