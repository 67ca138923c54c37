"""One leg in a few words: what it is, where and when it was measured, how long a block took."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from statistics import median

from benchmark.results import Result
from core.verdict.attested import Layers, evidence_text, layer_text
from core.verdict.descriptions import configuration_text
from core.verdict.legs import Leg
from core.verdict.model import LegSummary


def summary(leg: Leg, layers: Layers, label: str) -> LegSummary:
    """Return a leg in a few words; ``label`` is what its column is called."""
    results = leg.results
    boots = {each.environment.boot_id for each in results}
    return LegSummary(
        name=leg.name,
        label=label,
        runs=tuple(result.run_id for result in results),
        device=_each(result.gpu_info.name for result in results),
        hypervisor=layer_text(layers),
        evidence=evidence_text(layers),
        configuration=_each(map(configuration_text, results)),
        software=_each(map(_software, results)),
        hosts=tuple(dict.fromkeys(result.environment.hostname for result in results)),
        boots=0 if None in boots else len(boots),
        blocks=max(
            (sum(block.good for block in leg.blocks(name)) for name in leg.measurements()),
            default=0,
        ),
        started_at=results[0].started_at,
        ended_at=max(result.timestamp for result in results),
        seconds_per_block=median(
            seconds for result in results for seconds in block_seconds(result)
        ),
    )


def block_seconds(result: Result) -> list[float]:
    """Return how long each block of a run took, all its measurements together: until the next one
    began, or the result was written. What was prepared before the first belongs to it, so a run of
    one block counts whole.
    """
    begun: dict[int, datetime] = {}
    for entry in result.benchmarks:
        begun[entry.block] = min(begun.get(entry.block, entry.started_at), entry.started_at)
    times = [result.started_at, *sorted(begun.values())[1:], result.timestamp]
    return [max(0.0, (end - start).total_seconds()) for start, end in pairwise(times)]


def _each(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def _software(result: Result) -> str:
    versions = (
        ("driver", result.gpu.driver_version if result.gpu is not None else None),
        ("CUDA", result.environment.cuda if result.device == "cuda" else None),
        ("cuDNN", result.environment.cudnn),
        ("torch", result.environment.torch),
    )
    return ", ".join(f"{name} {version}" for name, version in versions if version)
