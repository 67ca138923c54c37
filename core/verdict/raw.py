"""The raw data of a result, held against the figures that are compared.

The figures of a result file could be anything; the raw files beside it show where they are from.
Each is read once: its hash and its counts are checked, the figures are computed again, and what a
plot needs is kept, which is thousands of times less than was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from benchmark.measure import BATCHES_FILE, LATENCIES_FILE
from benchmark.plan import Scenario
from benchmark.raw_files import RawFileChangedError, read_rows
from core.verdict.binning import LatencyHistogram, histogram, pooled, samples_over_time
from core.verdict.raw_figures import batch_problems, latency_problems, query_problems

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.results import MeasurementResult
    from core.verdict.legs import Source

_THROUGHPUT_BINS = 60


@dataclass(frozen=True, slots=True)
class RawFinding:
    """A contradiction between a result file and the raw files beside it."""

    measurement: str
    block: int
    run: str
    problem: str
    """A sentence."""


@dataclass(frozen=True, slots=True)
class BlockThroughput:
    """Samples/s of one block in bins of equal width, from its first batch's start to the end."""

    bin_s: float
    samples_per_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BlockEvidence:
    """What is kept of the raw files of one block of one measurement."""

    run: str
    measurement: str
    block: int
    started_at: datetime
    latencies: LatencyHistogram | None
    """None: the file is not there, or not what the result file says."""
    throughput: BlockThroughput | None


@dataclass(frozen=True, slots=True)
class RawEvidence:
    """What the raw files of one result, or of several, show."""

    blocks: tuple[BlockEvidence, ...]
    """The good ones, in the order of the sources."""
    findings: tuple[RawFinding, ...]
    """Each one is a reason not to believe the figures."""
    notes: tuple[str, ...]
    """Sentences about what could not be checked, because it is not there."""

    def latencies(self, measurement: str) -> LatencyHistogram | None:
        """Return a measurement's latencies, those of all its blocks together."""
        return pooled(
            [
                block.latencies
                for block in self.blocks
                if block.measurement == measurement and block.latencies is not None
            ]
        )

    def throughput(self, measurement: str) -> tuple[BlockThroughput, ...]:
        """Return a measurement's throughput over time, block by block."""
        return tuple(
            block.throughput
            for block in self.blocks
            if block.measurement == measurement and block.throughput is not None
        )


@dataclass(frozen=True, slots=True)
class RawEvidenceOfLegs:
    """What the raw files of two legs show."""

    first: RawEvidence
    second: RawEvidence

    @property
    def findings(self) -> tuple[RawFinding, ...]:
        """Those of both legs."""
        return self.first.findings + self.second.findings

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of both legs."""
        return self.first.notes + self.second.notes


def examine(source: Source) -> RawEvidence:
    """Hold one result against the raw files beside it.

    Raises:
        ResultFileError: a raw file that cannot be read, is too large, lies outside the result's
            folder, or holds what no benchmark writes.
    """
    (evidence,) = examine_all([source])
    return evidence


def examine_all(sources: Sequence[Source], threads: int = 2) -> tuple[RawEvidence, ...]:
    """Hold each result against the raw files beside it; one :class:`RawEvidence` for each source.
    A thread has one file in memory at a time, and lets the others go on while it reads, hashes and
    selects.

    Raises:
        ResultFileError: see :func:`examine`.
    """
    jobs = [
        (place, source, measurement)
        for place, source in enumerate(sources)
        for measurement in source.result.benchmarks
        # What is void or came to nothing has no figure that is compared.
        if not measurement.void and measurement.throughput_samples_per_s is not None
    ]
    with ThreadPoolExecutor(max(1, threads)) as pool:
        examined = list(pool.map(lambda job: _examine_block(job[1], job[2]), jobs))
    found: list[list[_Examined]] = [[] for _ in sources]
    for (place, _, _), block in zip(jobs, examined, strict=True):
        found[place].append(block)
    return tuple(_evidence(source, blocks) for source, blocks in zip(sources, found, strict=True))


def examine_legs(
    first: Sequence[Source], second: Sequence[Source], threads: int = 2
) -> RawEvidenceOfLegs:
    """Do the same for two legs.

    Raises:
        ResultFileError: see :func:`examine`.
    """
    evidence = examine_all([*first, *second], threads)
    return RawEvidenceOfLegs(_merged(evidence[: len(first)]), _merged(evidence[len(first) :]))


@dataclass(frozen=True, slots=True)
class _Examined:
    """One block, examined."""

    evidence: BlockEvidence
    findings: tuple[RawFinding, ...]
    missing: bool


def _examine_block(source: Source, measurement: MeasurementResult) -> _Examined:
    run = source.result.run_id
    offline = measurement.scenario is Scenario.OFFLINE
    examination = _Examination(source, measurement)
    latencies = None
    if not offline and (rows := examination.rows(LATENCIES_FILE)) is not None:
        examination.hold(query_problems(measurement, rows))
        latencies = examination.latencies(rows[:, 2])
        # Two files of a million rows each need not be in memory together.
        del rows
    throughput = None
    if (rows := examination.rows(BATCHES_FILE)) is not None:
        examination.hold(batch_problems(measurement, rows))
        if offline:
            latencies = examination.latencies(rows[:, 1] - rows[:, 0])
        throughput = _throughput(rows)
    return _Examined(
        BlockEvidence(
            run=run,
            measurement=measurement.name,
            block=measurement.block,
            started_at=measurement.started_at,
            latencies=latencies,
            throughput=throughput,
        ),
        tuple(
            RawFinding(measurement.name, measurement.block, run, problem)
            for problem in examination.problems
        ),
        examination.missing,
    )


class _Examination:
    """The files of one block while they are read, and what was found wrong so far."""

    def __init__(self, source: Source, measurement: MeasurementResult) -> None:
        self._source = source
        self._measurement = measurement
        self.problems: list[str] = []
        self.missing = False

    def rows(self, name: str) -> NDArray[Any] | None:
        """Return a file's rows; None where it is not there, or not the one that was measured."""
        if self._source.folder is None:
            self.missing = True
            return None
        try:
            rows = read_rows(self._source.folder, self._measurement, name)
        except RawFileChangedError as error:
            self.problems.append(error.sentence)
            return None
        self.missing = self.missing or rows is None
        return rows

    def hold(self, problems: Iterable[str]) -> None:
        """Keep what was found."""
        self.problems += problems

    def latencies(self, column: NDArray[Any]) -> LatencyHistogram:
        """Check latencies in ns and count them. ``column`` is reordered."""
        counted = histogram(
            "batch" if self._measurement.scenario is Scenario.OFFLINE else "query", column
        )
        self.hold(latency_problems(self._measurement, column))
        return counted


def _throughput(rows: NDArray[Any]) -> BlockThroughput | None:
    try:
        bin_s, samples = samples_over_time(rows, _THROUGHPUT_BINS)
    except ValueError:
        return None
    return BlockThroughput(bin_s, tuple(count / bin_s for count in samples))


def _evidence(source: Source, blocks: Sequence[_Examined]) -> RawEvidence:
    missing = sum(block.missing for block in blocks)
    notes = []
    if missing:
        notes.append(
            f"The raw files of {missing} of {len(blocks)} good blocks of run "
            f"{source.result.run_id} are not beside its result file, so their figures could not "
            "be checked against them."
        )
    return RawEvidence(
        tuple(block.evidence for block in blocks),
        tuple(finding for block in blocks for finding in block.findings),
        tuple(notes),
    )


def _merged(evidence: Iterable[RawEvidence]) -> RawEvidence:
    parts = tuple(evidence)
    return RawEvidence(
        tuple(block for part in parts for block in part.blocks),
        tuple(finding for part in parts for finding in part.findings),
        tuple(note for part in parts for note in part.notes),
    )
