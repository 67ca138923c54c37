"""What can go wrong when telemetry is set up or read back.

TelemetryError
├── NvmlUnavailable     no NVML library, no driver, or no permission to use it
├── GpuNotFound         NVML works, but not with the GPU that was asked for
├── GpuFailed           the driver stopped answering while sampling
└── SamplesUnreadable   a file of samples is not one
"""


class TelemetryError(Exception):
    """Base of the tree: one sentence on what is wrong, and one on what mends it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class NvmlUnavailable(TelemetryError):
    """There is no NVML to ask: library, driver or permission is missing."""


class GpuNotFound(TelemetryError):
    """The GPU that was asked for is not there, is hidden, or is not unambiguous."""


class GpuFailed(TelemetryError):
    """No question was answered any more, for a reason that a working driver does not give."""


class SamplesUnreadable(TelemetryError):
    """A file of samples cannot be read or holds a line that is no sample."""
