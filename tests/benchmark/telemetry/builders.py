"""Short ways to recordings and windows."""

from collections.abc import Iterable
from typing import Any

from benchmark.telemetry import GpuIdentity, GpuSample, HostSample, Telemetry, Window

STARTED_S = 1000.0


def gpu_samples(count: int, interval_s: float = 0.2, **values: Any) -> list[GpuSample]:
    """A healthy GPU at work; ``values`` are the same in every sample."""
    healthy: dict[str, Any] = {
        "sm_clock_mhz": 1590,
        "throttle_reasons": (),
        "foreign_processes": (),
        "unidentified_processes": 0,
        "process_count": 1,
        "xid_errors": (),
        "ecc_uncorrected": 0,
    }
    return [GpuSample(time_s=index * interval_s, **(healthy | values)) for index in range(count)]


def changed(samples: list[GpuSample], indices: Iterable[int], **values: Any) -> list[GpuSample]:
    """The samples with some of them changed."""
    where = set(indices)
    return [
        sample.model_copy(update=values) if index in where else sample
        for index, sample in enumerate(samples)
    ]


def host_samples(count: int, interval_s: float = 0.2, **values: Any) -> list[HostSample]:
    """A quiet host."""
    return [HostSample(time_s=index * interval_s, **values) for index in range(count)]


def recording(
    gpu: Iterable[GpuSample] = (),
    host: Iterable[HostSample] = (),
    *,
    gpu_watched: bool = True,
    identity: GpuIdentity | None = None,
    **values: Any,
) -> Telemetry:
    """A recording that began at ``STARTED_S``."""
    return Telemetry(
        started_monotonic_s=STARTED_S,
        interval_s=0.2,
        gpu_watched=gpu_watched,
        identity=identity,
        gpu=tuple(gpu),
        host=tuple(host),
        **values,
    )


def window(start_s: float, end_s: float) -> Window:
    """A window by its seconds into the recording."""
    return Window(start_s=STARTED_S + start_s, end_s=STARTED_S + end_s)
