"""What the device and the host did while a measurement ran.

    with NvmlSource.open() as gpu, Sampler(gpu, HostSource(), path=file) as sampler:
        ...                                     # the measurement, a child process
    telemetry = sampler.stop()                  # with a sample after the end, for the counters
    window = Window(start_s=..., end_s=...)     # time.monotonic() around what counts
    telemetry.summary(window), void_reasons(telemetry, window), remarks(telemetry, window)

Sampling runs on a thread of the process that orchestrates, not of the one that is measured.
"""

from benchmark.telemetry.errors import (
    GpuFailed,
    GpuNotFound,
    NvmlUnavailable,
    SamplesUnreadable,
    TelemetryError,
)
from benchmark.telemetry.host import HostSource
from benchmark.telemetry.lines import read_telemetry
from benchmark.telemetry.model import (
    GpuIdentity,
    GpuSample,
    HostSample,
    SourceFailure,
    Statistics,
    Telemetry,
    TelemetrySummary,
    Window,
)
from benchmark.telemetry.nvml import NvmlSource
from benchmark.telemetry.sampler import Latest, Sampler
from benchmark.telemetry.selection import visible_devices
from benchmark.telemetry.settle import settled
from benchmark.telemetry.summary import summarize
from benchmark.telemetry.void import remarks, void_reasons

__all__ = [
    "GpuFailed",
    "GpuIdentity",
    "GpuNotFound",
    "GpuSample",
    "HostSample",
    "HostSource",
    "Latest",
    "NvmlSource",
    "NvmlUnavailable",
    "Sampler",
    "SamplesUnreadable",
    "SourceFailure",
    "Statistics",
    "Telemetry",
    "TelemetryError",
    "TelemetrySummary",
    "Window",
    "read_telemetry",
    "remarks",
    "settled",
    "summarize",
    "visible_devices",
    "void_reasons",
]
