"""Results with raw files beside them that say the same, to the last digit."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from benchmark.measure import BATCHES_FILE, LATENCIES_FILE, summarize_latencies
from benchmark.plan import Scenario
from benchmark.results import RESULT_FILE, BatchSizes, MeasurementResult, RawFile, write_result
from core.verdict.legs import Source
from tests.core.verdict.scene import BLOCK, NAME, STARTED, a_measurement, a_result

SERVER_GAP_NS = 1_000_000
"""From one arrival to the next; a real Server's arrivals are random, which changes nothing here."""
START_NS = 2_000
"""From SingleStream's answer to the next query."""

Rows = NDArray[numpy.int64]


def raw_source(
    folder: Path,
    latencies: Sequence[Rows],
    name: str = NAME,
    leg: str = "baseline",
    *,
    started_at: datetime = STARTED,
    between: timedelta = BLOCK,
    **changes: Any,
) -> Source:
    """Write one run whose blocks have these latencies in ns (Offline: of batches), its raw files
    included, and return it. ``changes`` are of every measurement's fields.
    """
    blocks = [
        raw_block(
            folder, column, name, block, started_at=started_at + (block - 1) * between, **changes
        )
        for block, column in enumerate(latencies, start=1)
    ]
    planned: dict[str, Any] = {
        "scenario": blocks[0].scenario,
        "batch_sizes": [blocks[0].batch_size],
    }
    if blocks[0].scenario is Scenario.OFFLINE:
        planned["duration_s"] = min(block.duration_s or 0.0 for block in blocks)
    else:
        planned["query_count"] = blocks[0].queries
    result = a_result(
        {name: [1.0] * len(blocks)},
        leg=leg,
        started_at=started_at,
        benchmarks=tuple(blocks),
        plan={"scenarios": [planned]},
    )
    write_result(result, folder / RESULT_FILE)
    return Source(result, folder)


def raw_block(
    folder: Path, latencies: Rows, name: str = NAME, block: int = 1, **changes: Any
) -> MeasurementResult:
    """Write one block's raw files and return the block, its figures computed from them."""
    scenario = Scenario(
        {"offline": "Offline", "server": "Server"}.get(name.split("-")[0], "SingleStream")
    )
    offline, size = scenario is Scenario.OFFLINE, int(name.split("-b")[1])
    queries, batches, throughput = raw_rows(scenario, latencies, size)
    place = f"measurements/{name}-block{block}"
    raw = [stored(folder, f"{place}/{BATCHES_FILE}", saved(batches))]
    if queries is not None:
        raw.append(stored(folder, f"{place}/{LATENCIES_FILE}", saved(queries)))
    sizes = batches[:, 2]
    values: dict[str, Any] = {
        "block": block,
        "queries": 1 if offline else len(latencies),
        "samples": int(sizes.sum()),
        "duration_s": int(sizes.sum()) / throughput,
        "latency": summarize_latencies(latencies, offline=offline),
        "batch_sizes": BatchSizes(
            count=len(batches), mean=float(sizes.mean()), largest=int(sizes.max())
        ),
        "raw_files": tuple(raw),
    }
    return a_measurement(name, throughput, **{**values, **changes})


def raw_rows(scenario: Scenario, latencies: Rows, size: int) -> tuple[Rows | None, Rows, float]:
    """Return the rows of queries and of batches that such latencies have, and LoadGen's rate."""
    count = len(latencies)
    if scenario is Scenario.OFFLINE:
        ends = latencies.cumsum()
        batches = numpy.stack([ends - latencies, ends, numpy.full(count, size)], axis=1)
        return None, batches, count * size / (int(ends[-1]) / 1e9)
    if scenario is Scenario.SERVER:
        due = numpy.arange(count, dtype=numpy.int64) * SERVER_GAP_NS
        seconds = int((due + latencies).max()) / 1e9
        starts = due[::size]
        sizes = numpy.full(len(starts), size)
        sizes[-1] = count - size * (len(starts) - 1)
        # A batch is on its way from the first arrival in it to the last answer.
        ends = numpy.maximum.reduceat(due + latencies, numpy.arange(0, count, size))
        batches = numpy.stack([starts, ends, sizes], axis=1)
    else:
        due = numpy.concatenate(([0], (latencies + START_NS).cumsum()[:-1]))
        seconds = int(due[-1]) / 1e9
        batches = numpy.stack([due, due + latencies, numpy.ones_like(due)], axis=1)
    queries = numpy.stack([due, numpy.full(count, 1500), latencies], axis=1)
    return queries, batches, (count - 1) / seconds


def saved(rows: Any, **options: Any) -> bytes:
    """Return the bytes of a .npy file."""
    stream = io.BytesIO()
    numpy.save(stream, rows, **options)
    return stream.getvalue()


def stored(folder: Path, path: str, data: bytes) -> RawFile:
    """Write a raw file and return what a result file says about it."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)
    return raw_file_of(path, data)


def raw_file_of(path: str, data: bytes) -> RawFile:
    """Return what a result file says about these bytes."""
    return RawFile(path=path, sha256=sha256(data).hexdigest(), bytes=len(data), holds="rows")
