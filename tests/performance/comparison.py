"""``compare`` on two legs of 20 blocks with a million raw latencies each: seconds and memory."""

from __future__ import annotations

import hashlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy

from tests.core.verdict.raw_scene import raw_source
from tests.core.verdict.scene import STARTED
from tests.performance.pairs import Outcome, spread

_BLOCKS = 20
_LATENCIES = 1_000_000
_ROUNDS = 5
_MOST_SECONDS = 2.0
_MOST_MIB = 500.0
_PROGRAM = Path(sys.executable).with_name("gpubench-tui")
# Server's batches of eight are few; SingleStream's record of batches is as long as its latencies.
_MEASUREMENTS = ("server-b8", "singlestream-b1")
# Linux counts what the parent had resident before exec as the child's, and this one holds arrays.
_LAUNCHER = """
import resource, subprocess, sys, time
started = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
seconds = time.perf_counter() - started
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""


@dataclass(frozen=True)
class Figures:
    """What one child process took."""

    seconds: float
    processor_seconds: float
    """Of both CPUs: what a busy machine changes least."""
    mebibytes: float
    """The most that was resident at once."""


def check() -> Iterator[Outcome]:
    for name in _MEASUREMENTS:
        with TemporaryDirectory() as folder:
            yield from _compared(name, Path(folder))


def _compared(name: str, folder: Path) -> Iterator[Outcome]:
    for number, leg in enumerate(("baseline", "xen")):
        generator = numpy.random.default_rng(number)
        blocks = [
            generator.lognormal(numpy.log(12e6 * (1 + 0.03 * number)), 0.15, _LATENCIES)
            for _ in range(_BLOCKS)
        ]
        raw_source(
            folder / leg,
            [block.astype(numpy.int64) for block in blocks],
            name,
            leg,
            # A million queries take hours, and two processes of one run never overlap.
            started_at=STARTED + number * timedelta(hours=4),
            between=timedelta(hours=8),
        )
    reference, taken = [], []
    for _ in range(_ROUNDS):
        reference.append(_hashed(folder))
        taken.append(_run(folder))
    seconds = [each.seconds for each in taken]
    processor = [each.processor_seconds for each in taken]
    yield Outcome(
        f"compare 2 x {_BLOCKS} blocks of {name}, {_LATENCIES:,} latencies each, seconds",
        statistics.median(seconds),
        most=_MOST_SECONDS,
        details=f"{spread(seconds, 's')}, of both CPUs {spread(processor, 's')}; one thread that "
        f"only reads and hashes the raw files: {spread(reference, 's')}",
    )
    yield Outcome(
        f"the same, MiB of memory at its peak ({name})",
        max(each.mebibytes for each in taken),
        most=_MOST_MIB,
    )


def _hashed(folder: Path) -> float:
    """Return the seconds that reading and hashing alone take; also fills the file cache."""
    started = time.perf_counter()
    for path in sorted(folder.rglob("*.npy")):
        with path.open("rb") as stream:
            hashlib.file_digest(stream, "sha256")
    return time.perf_counter() - started


def _run(folder: Path) -> Figures:
    command = [
        *(str(_PROGRAM), "--no-ui", "compare", str(folder / "baseline"), str(folder / "xen")),
        "--quiet",
        *("--results-dir", str(folder / "results"), "--state-dir", str(folder / "state")),
    ]
    said = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, *command], check=True, stdout=subprocess.PIPE, text=True
    )
    code, seconds, processor_seconds, kibibytes = map(float, said.stdout.split())
    if code not in (0, 3, 4):
        raise RuntimeError(f"{' '.join(command)} ended with {code:g}")
    return Figures(seconds, processor_seconds, kibibytes / 1024)
