"""Two legs whose truth is known: results of a GPU that was never there, with chosen figures.

``a_result`` is one run, ``a_leg`` one or several pooled, ``legs`` both sides of a comparison:

    first, second = legs([100.0] * 10, [93.0] * 10)          # blocks alternate: paired
    first, second = legs(..., interleaved=False)              # one leg after the other: Welch
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any

from benchmark.attestation.model import Hypervisor
from benchmark.environment import GpuInfo
from benchmark.loadgen_log import LoadgenVerdict
from benchmark.model import WeightsRecord
from benchmark.percentiles import REPORTED, percentile_name, queries_needed
from benchmark.plan import Execution, Plan, Scenario, make_plan
from benchmark.results import (
    BatchSizes,
    Latency,
    MeasurementResult,
    Percentile,
    RawFile,
    Result,
    seal,
)
from core.verdict.legs import Source
from tests.core.verdict.machine import (
    DURATION_S,
    attested,
    boot_of,
    configuration,
    environment,
    identity,
    telemetry,
)

STARTED = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
BLOCK = timedelta(minutes=2)
"""From the start of one block to the start of the next."""
ARRIVAL_RATE = 50.0
QUERIES = {Scenario.SERVER: 1000, Scenario.SINGLE_STREAM: 500}
NAME = "singlestream-b1"
"""The measurement that plain sequences of values are for."""

# How far a percentile lies above p50.
_SHAPE = {0.50: 1.0, 0.90: 1.1, 0.95: 1.15, 0.99: 1.3, 0.999: 1.5}

Values = Sequence[float] | Mapping[str, Sequence[float]]
"""A value for each block; by measurement name (``offline-b8``, ``server-b8``, ``singlestream-b1``)
or of NAME alone."""


def plan_of(names: Sequence[str], **changes: Any) -> Plan:
    """Return a plan of these measurements."""
    scenarios = []
    for name in names:
        scenario, batch_size = _named(name)
        entry: dict[str, Any] = {"scenario": str(scenario), "batch_sizes": [batch_size]}
        if scenario is Scenario.OFFLINE:
            entry["duration_s"] = DURATION_S
        else:
            entry["query_count"] = QUERIES[scenario]
        scenarios.append(entry)
    values = {"profile": "scene", "scenarios": scenarios}
    return make_plan({**values, **changes}, "the scene's plan")


def a_measurement(
    name: str,
    throughput: float,
    *,
    p50_ms: float | None = None,
    block: int = 1,
    started_at: datetime = STARTED,
    **changes: Any,
) -> MeasurementResult:
    """Return one block of a measurement. Unless ``p50_ms`` says otherwise its latencies are the
    reciprocal of its throughput, so that an overhead of the one is that of the other as well.
    """
    scenario, batch_size = _named(name)
    offline = scenario is Scenario.OFFLINE
    # Offline's samples are a whole number of batches that take the plan's time at least.
    batches = max(1, ceil(throughput * DURATION_S / batch_size))
    samples = batches * batch_size if offline else QUERIES[scenario]
    count = batches if offline else samples
    values: dict[str, Any] = {
        "name": name,
        "scenario": scenario,
        "batch_size": batch_size,
        "block": block,
        "execution": Execution.GRAPH,
        "host_to_device": True,
        "started_at": started_at,
        "duration_s": samples / throughput,
        "void": bool(changes.get("void_reasons")),
        "void_reasons": (),
        "remarks": (),
        "loadgen": LoadgenVerdict(version="6.0.17", valid=True, summary={"validity": "VALID"}),
        "queries": 1 if offline else samples,
        "samples": samples,
        "throughput_samples_per_s": throughput,
        "latency": a_latency(
            1000.0 * batch_size / throughput if p50_ms is None else p50_ms,
            count,
            "batch" if offline else "query",
        ),
        "arrival_rate_qps": ARRIVAL_RATE if scenario is Scenario.SERVER else None,
        "batch_sizes": BatchSizes(
            count=count if offline else samples, mean=float(batch_size), largest=batch_size
        ),
        "telemetry": telemetry(),
        "raw_files": (a_raw_file(name, block, started_at),),
    }
    return MeasurementResult(**{**values, **changes})


def a_raw_file(name: str, block: int, started_at: datetime) -> RawFile:
    """Return what a result says of a file that never was; no two blocks have the same."""
    digest = sha256(f"{name} {block} {started_at}".encode()).hexdigest()
    path = f"measurements/{name}-block{block}/latencies.npy"
    return RawFile(path=path, sha256=digest, bytes=12_128, holds="rows")


def a_latency(p50_ms: float, count: int, of: Any = "query") -> Latency:
    """Return latencies of a fixed shape around their median."""
    return Latency(
        of=of,
        count=count,
        minimum_ms=p50_ms * 0.9,
        mean_ms=p50_ms * 1.02,
        maximum_ms=p50_ms * 2,
        percentiles=tuple(
            Percentile(
                name=percentile_name(percentile),
                milliseconds=p50_ms * _SHAPE[percentile],
                supported=count >= queries_needed(percentile),
                queries_needed=queries_needed(percentile),
            )
            for percentile in REPORTED
        ),
    )


def a_result(
    throughput: Values = (100.0,) * 10,
    *,
    p50_ms: Values | None = None,
    leg: str = "baseline",
    hypervisor: Hypervisor | None = None,
    run_id: str | None = None,
    started_at: datetime = STARTED,
    between: timedelta = BLOCK,
    void: Mapping[tuple[str, int], str] | Mapping[int, str] | None = None,
    measured: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Result:
    """Return one sealed run.

    Args:
        throughput: samples/s of each block.
        p50_ms: median latency of each block in ms; default: the reciprocal of the throughput.
        leg: its label.
        hypervisor: what it is attested to have run under; default: Xen HVM for the label ``xen``,
            else bare metal.
        run_id: default: of the leg and the time.
        started_at: when its first block began.
        between: from the start of one block to that of the next.
        void: why blocks are void: by number of the block (1 for the first, every measurement), or
            by measurement and number.
        measured: changes of every block's fields.
        changes: of the result's own fields; ``gpu``, ``environment``, ``configuration`` and
            ``plan`` also take a dictionary of changes.
    """
    rates = _by_name(throughput)
    latencies = _by_name(p50_ms) if p50_ms is not None else {}
    entries = []
    for number in range(max(map(len, rates.values()))):
        start = started_at + number * between
        for place, (name, values) in enumerate(rates.items()):
            if number >= len(values):
                continue
            reason = _reason(void or {}, name, number + 1)
            entries.append(
                a_measurement(
                    name,
                    values[number],
                    p50_ms=latencies[name][number] if name in latencies else None,
                    block=number + 1,
                    started_at=start + place * timedelta(seconds=30),
                    **{**({"void_reasons": (reason,)} if reason else {}), **(measured or {})},
                )
            )
    blocks = max(map(len, rates.values()))
    if hypervisor is None:
        hypervisor = Hypervisor.XEN_HVM if leg == "xen" else Hypervisor.BARE_METAL
    fields: dict[str, Any] = {
        "run_id": run_id or f"{started_at:%Y%m%d-%H%M%S}-{leg}",
        "leg": leg,
        "timestamp": started_at + blocks * between,
        "started_at": started_at,
        "complete": True,
        "device": "cuda",
        "gpu_info": GpuInfo(name="Tesla T4", cuda_version="12.8", total_memory_gb=15.0),
        "plan": plan_of(list(rates), **{"repeats": blocks, **_changes(changes, "plan")}),
        "configuration": configuration(**_changes(changes, "configuration")),
        "weights": WeightsRecord(origin="random", trained=False, path=None, sha256="1" * 64),
        "environment": environment(
            **{"boot_id": boot_of(hypervisor), **_changes(changes, "environment")}
        ),
        "gpu": identity(**_changes(changes, "gpu")),
        "attestation": attested(hypervisor),
        "benchmarks": tuple(entries),
    }
    return seal(fields | changes)


def a_leg(
    throughput: Values = (100.0,) * 10,
    *,
    runs: int = 1,
    p50_ms: Values | None = None,
    leg: str = "baseline",
    started_at: datetime = STARTED,
    between: timedelta = BLOCK,
    boots: Sequence[str] = (),
    folder: Path | None = None,
    **changes: Any,
) -> tuple[Source, ...]:
    """Return one leg: its blocks, in order, spread evenly over ``runs`` results.

    ``boots`` are the boot ids of the runs, taken in turn; ``void`` counts blocks over the whole
    leg. Everything else: see ``a_result``.
    """
    rates = _by_name(throughput)
    latencies = _by_name(p50_ms) if p50_ms is not None else None
    blocks = max(map(len, rates.values()))
    each = -(-blocks // runs)
    void = changes.pop("void", None) or {}
    sources = []
    for number, start in enumerate(range(0, blocks, each)):
        part = slice(start, start + each)
        own = dict(changes)
        if boots:
            own["environment"] = {
                **own.get("environment", {}),
                "boot_id": boots[number % len(boots)],
            }
        own["void"] = {_earlier(key, start): reason for key, reason in void.items()}
        result = a_result(
            {name: values[part] for name, values in rates.items()},
            p50_ms={name: values[part] for name, values in latencies.items()}
            if latencies is not None
            else None,
            leg=leg,
            started_at=started_at + start * between,
            between=between,
            **own,
        )
        sources.append(Source(result, folder))
    return tuple(sources)


def legs(
    first: Values = (100.0,) * 10,
    second: Values = (100.0,) * 10,
    *,
    interleaved: bool = True,
    labels: tuple[str, str] = ("baseline", "xen"),
    of_first: Mapping[str, Any] | None = None,
    of_second: Mapping[str, Any] | None = None,
    **both: Any,
) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Return both sides of a comparison, comparable but for the layer.

    Interleaved: one run a block, and each block of the second leg starts half a ``BLOCK`` after its
    partner. Otherwise one run a leg, the second on the day after. ``of_first`` and ``of_second``
    are changes of one leg (see ``a_leg``), ``both`` of both.
    """
    if interleaved:
        shape: dict[str, Any] = {"between": 2 * BLOCK}
        lengths = [max(map(len, _by_name(values).values())) for values in (first, second)]
        later = BLOCK
    else:
        shape, lengths, later = {}, [1, 1], timedelta(days=1)
    return (
        a_leg(
            first,
            **{**shape, "runs": lengths[0], "leg": labels[0], **both, **(of_first or {})},
        ),
        a_leg(
            second,
            **{
                **shape,
                "runs": lengths[1],
                "leg": labels[1],
                "started_at": STARTED + later,
                **both,
                **(of_second or {}),
            },
        ),
    )


def resealed(result: Result, **changes: Any) -> Result:
    """Return a result with changed fields and a hash that fits, as a forger would leave it."""
    fields = {name: getattr(result, name) for name in Result.model_fields}
    del fields["content_sha256"]
    return seal(fields | changes)


def _changes(changes: dict[str, Any], name: str) -> dict[str, Any]:
    """Take changes of a field's own fields out of ``changes``."""
    return dict(changes.pop(name)) if isinstance(changes.get(name), dict) else {}


def _earlier(key: int | tuple[str, int], blocks: int) -> int | tuple[str, int]:
    """Return the same block counted from so many blocks later."""
    return key - blocks if isinstance(key, int) else (key[0], key[1] - blocks)


def _by_name(values: Values) -> dict[str, Sequence[float]]:
    return dict(values) if isinstance(values, Mapping) else {NAME: values}


def _named(name: str) -> tuple[Scenario, int]:
    scenario, _, batch_size = name.partition("-b")
    found = next(each for each in Scenario if str(each).lower() == scenario)
    return found, int(batch_size)


def _reason(void: Mapping[Any, str], name: str, block: int) -> str:
    return void.get((name, block)) or void.get(block) or ""
