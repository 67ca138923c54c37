"""Which blocks are void: by their mark, and by what their own record says.

The mark is the benchmark's judgement at the time (benchmark.telemetry.void, benchmark.judge). A
mark is a word in a file, and one that is taken away makes a result better; so whatever of its
evidence the same record keeps is weighed once more. What only the samples beside the result show
(a foreign process, an Xid error, a lost GPU) rests on the mark and on its reasons.
"""

from __future__ import annotations

from benchmark.results import MeasurementResult
from benchmark.telemetry import TelemetrySummary

# NVML's names of slowdowns whose cause is heat or the machine's power brake.
_HEAT = ("hw_thermal_slowdown", "sw_thermal_slowdown")
_BRAKE = "hw_power_brake_slowdown"
_SLOWDOWN = "hw_slowdown"


def void_evidence(entry: MeasurementResult, device: str) -> tuple[str, ...]:
    """Return why a measurement must not be used, as clauses; empty when nothing speaks against it.

    ``device`` is the result's, ``cpu`` or ``cuda``.
    """
    if entry.void_reasons:
        return entry.void_reasons
    found = [*_by_loadgen(entry), *_by_figures(entry)]
    if entry.telemetry is not None:
        found += _by_gpu(entry.telemetry) if device == "cuda" else _by_cpu(entry.telemetry)
    if entry.void and not found:
        found.append("it is marked void, without a reason")
    return tuple(found)


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
