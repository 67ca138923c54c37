"""What a result was measured with and along which path, in a few words: the same everywhere."""

from __future__ import annotations

from benchmark.results import MeasurementResult, Result


def configuration_text(result: Result) -> str:
    """Return what a result was measured with: ``fp16, channels_last, graph, file weights``."""
    found = result.configuration
    return (
        f"{found.precision}, {found.memory_format}, {found.execution}, "
        f"{result.weights.origin} weights"
    )


def path_text(entry: MeasurementResult) -> str:
    """Return how the operators reach the device: ``graph`` or ``eager, resident``."""
    return str(entry.execution) if entry.host_to_device else f"{entry.execution}, resident"
