"""Whether what happened meanwhile spoils a measurement. Pure functions.

``void_reasons`` says why a measurement must not be used; ``remarks`` says what a reader should
know, which includes what could not be checked. Both return plain sentences for a report.
"""

from collections.abc import Sequence
from itertools import pairwise

from benchmark.telemetry.model import GpuSample, HostSample, Telemetry, TelemetrySummary, Window
from benchmark.telemetry.settle import settled
from benchmark.telemetry.summary import View, growth, summarize, view

_HEAT = frozenset({"hw_thermal_slowdown", "sw_thermal_slowdown"})
_BRAKE = frozenset({"hw_power_brake_slowdown"})
_NAMED = _HEAT | _BRAKE
_STEAL_LIMIT_PERCENT = 5.0
_CLOCK_TOLERANCE = 0.05
# Fewer clock readings than this say nothing about rest.
_CLOCK_READINGS = 5
_GAP_LIMIT_INTERVALS = 5
_GAP_LIMIT_S = 1.0


def void_reasons(telemetry: Telemetry, window: Window | None = None) -> tuple[str, ...]:
    """Why the measurement made in ``window`` is void; empty when nothing speaks against it.

    States (clocks held down, processes) count by the samples inside the window; events and counters
    (Xid, ECC, a lost GPU, the kernel's heat counter) also by the sample on either side, so one that
    fell between two samples is not missed.
    """
    seen = view(telemetry, window)
    if not telemetry.gpu_watched:
        return _cpu_reasons(seen)
    reasons = [
        _in_samples("the GPU was slowed by heat", _showing(seen.gpu, _HEAT), len(seen.gpu)),
        _in_samples(
            "the GPU was slowed by the power brake of the machine",
            _showing(seen.gpu, _BRAKE),
            len(seen.gpu),
        ),
        _in_samples(
            "the GPU's hardware cut its clocks for a reason the driver does not name",
            _lasting_slowdowns(seen.gpu)[0],
            len(seen.gpu),
        ),
        _foreign_processes(seen.gpu),
        _ecc_errors(seen.gpu_around),
        _xid_errors(seen),
        _lost(seen.gpu_around),
    ]
    return tuple(reason for reason in reasons if reason)


def remarks(telemetry: Telemetry, window: Window | None = None) -> tuple[str, ...]:
    """What does not void the measurement made in ``window`` but belongs beside its numbers."""
    seen = view(telemetry, window)
    summary = summarize(telemetry, window)
    notes = [*_host_remarks(telemetry, seen, summary)]
    if telemetry.gpu_watched:
        notes += _setting_remarks(telemetry, summary)
        notes += _clock_remarks(seen, summary)
        notes += _process_remarks(seen.gpu)
        notes += _blind_spots(seen)
    notes += _recording_remarks(telemetry, seen)
    return tuple(note for note in notes if note)


def _in_samples(what: str, count: int, total: int) -> str:
    return f"{what} in {count} of {total} samples" if count else ""


def _showing(samples: Sequence[GpuSample], reasons: frozenset[str]) -> int:
    return sum(not reasons.isdisjoint(sample.throttle_reasons or ()) for sample in samples)


def _lasting_slowdowns(samples: Sequence[GpuSample]) -> tuple[int, int]:
    """Samples with a hardware slowdown that has no named cause: in a row, and alone.

    NVML documents that the bit may also show during an ordinary change of clocks, which does not
    last from one sample to the next.
    """
    bare = [
        "hw_slowdown" in (sample.throttle_reasons or ())
        and _NAMED.isdisjoint(sample.throttle_reasons or ())
        for sample in samples
    ]
    padded = [False, *bare, False]
    alone = sum(
        here and not before and not after
        for before, here, after in zip(padded, bare, padded[2:], strict=False)
    )
    return sum(bare) - alone, alone


def _foreign_processes(samples: Sequence[GpuSample]) -> str:
    pids = sorted({pid for sample in samples for pid in sample.foreign_processes or ()})
    if not pids:
        return ""
    count = sum(bool(sample.foreign_processes) for sample in samples)
    what = "a foreign process (pid" if len(pids) == 1 else f"{len(pids)} foreign processes (pids"
    verb = "was" if len(pids) == 1 else "were"
    numbers = ", ".join(map(str, pids))
    return f"{what} {numbers}) {verb} on the GPU in {count} of {len(samples)} samples"


def _ecc_errors(samples: Sequence[GpuSample]) -> str:
    errors = growth(sample.ecc_uncorrected for sample in samples)
    return f"the GPU's count of uncorrected ECC errors grew by {errors}" if errors else ""


def _xid_errors(seen: View) -> str:
    # The sample before the window reports what happened before the window.
    errors = [
        error
        for sample in seen.gpu_around
        if sample.time_s >= seen.start_s
        for error in sample.xid_errors or ()
    ]
    if not errors:
        return ""
    numbers = ", ".join(map(str, sorted(set(errors))))
    return f"the driver reported {len(errors)} Xid error{'s' * (len(errors) > 1)} ({numbers})"


def _lost(samples: Sequence[GpuSample]) -> str:
    for sample in samples:
        if sample.lost:
            return f"the GPU was lost, {sample.time_s:.1f} s into the recording"
    return ""


def _cpu_heat(samples: Sequence[HostSample]) -> int:
    return growth(sample.thermal_throttle_count for sample in samples) or 0


def _cpu_reasons(seen: View) -> tuple[str, ...]:
    times = _cpu_heat(seen.host_around)
    return (f"the CPU was slowed by heat {_times(times)}",) if times else ()


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _host_remarks(telemetry: Telemetry, seen: View, summary: TelemetrySummary) -> list[str]:
    notes = []
    if summary.steal_percent and summary.steal_percent.mean > _STEAL_LIMIT_PERCENT:
        notes.append(
            f"the hypervisor gave {summary.steal_percent.mean:.1f} % of the allowed CPUs' time"
            " to others"
        )
    heat = _cpu_heat(seen.host_around)
    if telemetry.gpu_watched and heat:
        notes.append(f"the CPU was slowed by heat {_times(heat)}")
    return notes


def _setting_remarks(telemetry: Telemetry, summary: TelemetrySummary) -> list[str]:
    notes = []
    identity = telemetry.identity
    if identity is not None:
        if identity.persistence_mode is False:
            notes.append("persistence mode is off")
        if identity.sees_every_process is False:
            notes.append("on the GPU only this container's own processes may have been visible")
        links = (
            ("generation", summary.pcie_generation, identity.pcie_generation_maximum),
            ("width", summary.pcie_width, identity.pcie_width_maximum),
        )
        for name, used, possible in links:
            if used and possible and used.maximum < possible:
                notes.append(
                    f"the PCIe link reached {name} {used.maximum:.0f} of a possible {possible}"
                )
    if summary.pcie_replays:
        notes.append(f"the PCIe link repeated {summary.pcie_replays} transfers")
    return notes


def _clock_remarks(seen: View, summary: TelemetrySummary) -> list[str]:
    total = len(seen.gpu)
    alone = _lasting_slowdowns(seen.gpu)[1]
    notes = [
        _in_samples(
            "the power limit held the GPU's clocks down",
            _showing(seen.gpu, frozenset({"sw_power_cap"})),
            total,
        ),
        _in_samples("the GPU's hardware cut its clocks for a moment", alone, total),
    ]
    heat_s = (summary.thermal_violation_nanoseconds or 0) / 1e9
    if heat_s and not _showing(seen.gpu, _HEAT):
        notes.append(
            f"the driver counted {heat_s:.3f} s of heat limitation, though no sample shows any"
        )
    clocks = [sample.sm_clock_mhz for sample in seen.gpu if sample.sm_clock_mhz is not None]
    enough = len(clocks) >= _CLOCK_READINGS
    if enough and not settled(clocks, len(clocks), _CLOCK_TOLERANCE):
        notes.append(f"the GPU's clock had not settled: {min(clocks)} to {max(clocks)} MHz (SM)")
    return notes


def _process_remarks(samples: Sequence[GpuSample]) -> list[str]:
    unknown = sum(
        sample.foreign_processes is None or bool(sample.unidentified_processes)
        for sample in samples
    )
    if not unknown:
        return []
    notes = [
        f"whether other processes used the GPU cannot be told from here in {unknown} of"
        f" {len(samples)} samples"
    ]
    counts = [sample.process_count for sample in samples if sample.process_count is not None]
    if counts and min(counts) != max(counts):
        notes.append(
            f"the number of processes on the GPU changed between {min(counts)} and {max(counts)}"
        )
    return notes


def _blind_spots(seen: View) -> list[str]:
    present = [sample for sample in seen.gpu if not sample.lost]
    if not present:
        return []
    notes = []
    if all(sample.throttle_reasons is None for sample in present):
        notes.append("the driver does not say why clocks change, so heat could not be ruled out")
    if all(sample.xid_errors is None for sample in present):
        notes.append("Xid errors could not be watched here")
    return notes


def _recording_remarks(telemetry: Telemetry, seen: View) -> list[str]:
    notes = []
    counted = len(seen.gpu) if telemetry.gpu_watched else len(seen.host)
    if not counted:
        notes.append("no telemetry sample fell into the measuring window")
    times = [sample.time_s for sample in seen.host_around]
    if telemetry.gpu_watched:
        times = [sample.time_s for sample in seen.gpu_around]
    gap = max((after - before for before, after in pairwise(times)), default=0.0)
    if not telemetry.dropped_samples and gap > max(
        _GAP_LIMIT_S, _GAP_LIMIT_INTERVALS * telemetry.interval_s
    ):
        notes.append(f"telemetry has a gap of {gap:.1f} s")
    if telemetry.dropped_samples:
        notes.append(f"{telemetry.dropped_samples} telemetry samples were thinned out")
    notes += [
        f"telemetry: {failure.source} failed {_times(failure.count)}: {failure.message}"
        for failure in telemetry.failures
    ]
    return notes
