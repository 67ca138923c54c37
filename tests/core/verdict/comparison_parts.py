"""The parts of a comparison made by hand. Intervals and p-values are those that Student's t gives
to their standard errors; the second leg's figures belong to the overhead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from scipy.special import stdtr, stdtrit

from core.verdict.model import (
    METRICS,
    TARGET_OVERHEAD,
    BlockPoint,
    Comparison,
    Endpoint,
    Estimate,
    LegFigure,
    LegSummary,
    MeasurementComparison,
    Method,
    Metric,
    MetricName,
    Question,
    Span,
    Verdict,
)

STARTED = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
NOTICE = "ResNet-50 v1.5; scenario names borrowed from MLPerf(R) Inference; not an MLPerf result."
BASELINE_RUN = "20260504-120000-kubernetes-baseline-aaaa"
XEN_RUN = "20260504-120000-kubernetes-xen-bbbb"
_BY_NAME: Mapping[MetricName, Metric] = {metric.name: metric for metric in METRICS}
_FIRST_FIGURES: Mapping[MetricName, float] = {
    "throughput": 1200.0,
    "p50": 4.0,
    "p90": 5.0,
    "p99": 6.5,
}


def estimate(
    name: MetricName,
    overhead: float,
    noise: float = 1.0,
    *,
    blocks: int = 10,
    method: Method = "paired t",
    target: float = TARGET_OVERHEAD,
    alpha: float = 0.05,
) -> Estimate:
    """An overhead in per cent over ``blocks`` pairs (or of each leg) that differ by ``noise`` per
    cent, with the interval that Student's t gives.
    """
    metric = _BY_NAME[name]
    mean = math.log(_ratio(metric, overhead))
    paired = method == "paired t"
    error = noise / 100 * math.sqrt((1 if paired else 2) / blocks)
    freedom = float(blocks - 1 if paired else 2 * blocks - 2)

    def span(level: float) -> Span:
        reach = float(-stdtrit(freedom, level)) * error
        return Span(math.exp(mean - reach), math.exp(mean + reach))

    def percent(ratios: Span) -> Span:
        ends = sorted(_overhead(metric, ratio) for ratio in (ratios.low, ratios.high))
        return Span(*ends)

    margin = math.log(_ratio(metric, 100 * target))
    worse = 1 if metric.percentile is not None else -1
    distance = worse * (mean - margin)
    p_within = float(stdtr(freedom, distance / error)) if error else float(distance >= 0)
    return Estimate(
        method=method,
        ratio=math.exp(mean),
        ratio_interval=span(0.05),
        overhead_percent=overhead,
        interval_percent=percent(span(0.05)),
        decision_percent=percent(span(alpha)),
        standard_error=error,
        degrees_of_freedom=freedom,
        noise_percent=noise,
        bootstrap_percent=percent(span(0.06)),
        p_within=p_within,
        p_exceeds=1 - p_within,
    )


def endpoint(
    name: MetricName,
    overhead: float,
    noise: float = 1.0,
    *,
    blocks: int = 10,
    method: Method = "paired t",
    target: float = TARGET_OVERHEAD,
    alpha: float = 0.05,
    advisory: str = "",
    further: int | None = None,
) -> Endpoint:
    """One metric with its figures, its verdict by its own decision interval, and its blocks."""
    found = estimate(
        name, overhead, noise, blocks=blocks, method=method, target=target, alpha=alpha
    )
    metric, first = _BY_NAME[name], _FIRST_FIGURES[name]
    verdict = Verdict.INCONCLUSIVE
    if found.decision_percent.high < 100 * target:
        verdict = Verdict.WITHIN
    elif found.decision_percent.low > 100 * target:
        verdict = Verdict.EXCEEDS
    return Endpoint(
        metric=name,
        unit=metric.unit,
        first=_figure(first, noise, blocks),
        second=_figure(first * found.ratio, noise, blocks),
        gating=not advisory,
        advisory=advisory,
        estimate=found,
        verdict=verdict,
        further_blocks=further if verdict is Verdict.INCONCLUSIVE else None,
        points=_points(metric, overhead, noise, blocks, method),
    )


def measurement(
    name: str = "singlestream-b1",
    scenario: str = "SingleStream",
    batch_size: int = 1,
    overheads: Mapping[MetricName, float] | float = 1.0,
    noise: float = 1.0,
    *,
    blocks: int = 10,
    verdict: Verdict | None = Verdict.WITHIN,
    queries: int | None = 500,
    void: tuple[str, ...] = (),
    method: Method = "paired t",
    **values: Any,
) -> MeasurementComparison:
    """All four metrics of one measurement; p99 is advisory."""
    each = (
        overheads if isinstance(overheads, Mapping) else dict.fromkeys(_BY_NAME, overheads)  # type: ignore[arg-type]
    )
    return MeasurementComparison(
        name=name,
        scenario=scenario,
        batch_size=batch_size,
        path="graph",
        latency_of="batch" if scenario == "Offline" else "query",
        queries=queries,
        paired=method == "paired t",
        unit="block",
        void=void,
        endpoints=tuple(
            endpoint(
                metric,
                overhead,
                noise,
                blocks=blocks,
                method=method,
                advisory="fewer than 10,000 queries" if metric == "p99" else "",
                **values,
            )
            for metric, overhead in each.items()
        ),
        verdict=verdict,
    )


def leg(name: str, **values: Any) -> LegSummary:
    """A leg of ten blocks on one Tesla T4."""
    is_xen = name == "xen"
    summary = LegSummary(
        name=name,
        label=name,
        runs=(XEN_RUN if is_xen else BASELINE_RUN,),
        device="Tesla T4",
        hypervisor="xen-hvm" if is_xen else "bare-metal",
        evidence="/sys/hypervisor/type says xen and CPUID leaf 0x40000000 says XenVMMXenVMM."
        if is_xen
        else "CPUID has no hypervisor bit, and systemd-detect-virt says none.",
        configuration="fp16, channels_last, graph, file weights",
        software="driver 550.90.07, CUDA 12.4, torch 2.6.0",
        hosts=("gpu-host-1",),
        boots=1,
        blocks=10,
        started_at=STARTED,
        ended_at=STARTED + timedelta(minutes=50),
        seconds_per_block=150.0,
    )
    return replace(summary, **values)


def comparison(
    verdict: Verdict,
    reason: str,
    measurements: Sequence[MeasurementComparison] = (),
    **values: Any,
) -> Comparison:
    """Baseline against xen."""
    found = Comparison(
        question=Question.OVERHEAD,
        target_percent=100 * TARGET_OVERHEAD,
        first=leg("baseline"),
        second=leg("xen"),
        verdict=verdict,
        reason=reason,
        conditions=(),
        refusals=(),
        warnings=(),
        measurements=tuple(measurements),
        noise=None,
        look=None,
        mechanisms=(),
        causes=(),
        further=None,
        notice=NOTICE,
    )
    return replace(found, **values)


def _ratio(metric: Metric, overhead: float) -> float:
    return 1 - overhead / 100 if metric.percentile is None else 1 + overhead / 100


def _overhead(metric: Metric, ratio: float) -> float:
    return 100 * (1 - ratio if metric.percentile is None else ratio - 1)


def _figure(value: float, noise: float, blocks: int) -> LegFigure:
    spread = noise / 100
    return LegFigure(
        value, value * (1 - spread / 50), value * (1 - spread), value * (1 + spread), blocks
    )


def _points(
    metric: Metric, overhead: float, noise: float, blocks: int, method: Method
) -> tuple[BlockPoint, ...]:
    # Sines are as scattered as is needed, and the same whenever they are asked for.
    scatter = [math.sqrt(2) * noise * math.sin(2.4 * number) for number in range(1, blocks + 1)]
    if method == "paired t":
        return tuple(
            BlockPoint("pair", str(number), overhead + each)
            for number, each in enumerate(scatter, 1)
        )
    return tuple(
        BlockPoint(which, f"{run} block {number}", level + each)
        for which, run, level in (
            ("first", BASELINE_RUN, 0.0),
            ("second", XEN_RUN, overhead),
        )
        for number, each in enumerate(scatter, 1)
    )
