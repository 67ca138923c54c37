"""Which blocks are void: by their mark, and by what their own record says.

The mark is the benchmark's judgement at the time (benchmark.telemetry.void, benchmark.judge). A
mark is a word in a file, and one that is taken away makes a result better; so whatever of its
evidence the same record keeps is weighed once more, and a record without it is no better. What only
the samples beside the result show (a foreign process, an Xid error, a lost GPU) rests on the mark
and on its reasons.
"""

from __future__ import annotations

from benchmark.plan import Measurement
from benchmark.results import MeasurementResult
from benchmark.telemetry import TelemetrySummary

# NVML's names of slowdowns whose cause is heat or the machine's power brake.
_HEAT = ("hw_thermal_slowdown", "sw_thermal_slowdown")
_BRAKE = "hw_power_brake_slowdown"
_SLOWDOWN = "hw_slowdown"
# The GPU is asked five times a second, so a shorter measurement may lie between two answers.
_SAMPLED_S = 1.0
# LoadGen holds Offline's duration to a millisecond; samples divided by their rate, to a digit less.
_SHORTER = 0.01


def void_evidence(
    entry: MeasurementResult, device: str, planned: Measurement | None = None
) -> tuple[str, ...]:
    """Return why a measurement must not be used, as clauses; empty when nothing speaks against it.

    Args:
        entry: what was measured.
        device: the result's, ``cpu`` or ``cuda``.
        planned: what the plan asks for under its name; None: how long it is is not looked at.
    """
    if entry.void_reasons:
        return entry.void_reasons
    found = [*_by_loadgen(entry), *_by_figures(entry)]
    if planned is not None and (short := shortness(entry, planned)):
        found.append(f"it {short}")
    found += _by_telemetry(entry, device)
    if not entry.raw_files:
        found.append("it names no raw file, which every measurement leaves")
    if entry.void and not found:
        found.append("it is marked void, without a reason")
    return tuple(found)


def shortness(entry: MeasurementResult, planned: Measurement) -> str:
    """Return in what a measurement falls short of the plan's length, as a clause without a subject;
    empty where it does not. LoadGen issues exactly the plan's queries, and Offline runs for the
    plan's time at least.
    """
    wanted, least_s = planned.query_count, planned.duration_s
    if wanted is not None and entry.queries != wanted:
        count = "no" if entry.queries is None else f"{entry.queries:,}"
        return f"has {count} queries, and the plan asks for {wanted:,}"
    if least_s is not None and (entry.duration_s or 0.0) < (1 - _SHORTER) * least_s:
        return f"lasted {entry.duration_s or 0.0:g} s, and the plan asks for {least_s:g} s"
    return ""


def _by_telemetry(entry: MeasurementResult, device: str) -> list[str]:
    summary = entry.telemetry
    if device != "cuda":
        return _by_cpu(summary) if summary is not None else []
    sampled = summary is not None and summary.gpu_sample_count > 0
    if summary is None or not (sampled or (entry.duration_s or 0.0) < _SAMPLED_S):
        return ["no telemetry of the GPU says that nothing disturbed it"]
    return _by_gpu(summary)


def _by_loadgen(entry: MeasurementResult) -> list[str]:
    verdict = entry.loadgen
    if verdict is None:
        return ["there is no verdict of LoadGen"]
    said = verdict.summary.get("validity", "VALID")
    if verdict.valid and not verdict.invalid_reasons and said == "VALID":
        return []
    why = "; ".join(verdict.invalid_reasons) or "it gave no reason"
    return [f"LoadGen called it INVALID: {why}"]


def _by_figures(entry: MeasurementResult) -> list[str]:
    found = []
    if not entry.throughput_samples_per_s:
        found.append("it has no throughput")
    if entry.latency is None or not entry.latency.count:
        found.append("it has no latencies")
    correctness = entry.correctness
    if correctness is not None and not correctness.relative_error <= correctness.tolerance:
        found.append("its configuration computes something else than fp32 eager")
    return found


def _by_gpu(summary: TelemetrySummary) -> list[str]:
    seen = summary.throttle_reason_samples
    total = summary.gpu_sample_count
    found = []
    # A sample may show both kinds of heat, so their sum could count it twice.
    if heat := max(seen.get(name, 0) for name in _HEAT):
        found.append(f"the GPU was slowed by heat in {heat} of {total} samples")
    if brake := seen.get(_BRAKE, 0):
        found.append(
            f"the GPU was slowed by the power brake of the machine in {brake} of {total} samples"
        )
    slowdowns = seen.get(_SLOWDOWN, 0)
    # The bit alone may show for one sample; in more than half of all, two stand in a row.
    if not heat and not brake and slowdowns > (total + 1) // 2:
        found.append(
            "the GPU's hardware cut its clocks for a reason the driver does not name in "
            f"{slowdowns} of {total} samples"
        )
    if summary.ecc_uncorrected:
        found.append(f"the GPU's count of uncorrected ECC errors grew by {summary.ecc_uncorrected}")
    return found


def _by_cpu(summary: TelemetrySummary) -> list[str]:
    times = summary.thermal_throttle_count
    return [f"the CPU was slowed by heat ({times} times)"] if times else []
