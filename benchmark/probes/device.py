"""Launches, copies and allocations of a GPU, behind one seam: :class:`Device`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from benchmark.probes.model import COPIES, Copy
from benchmark.probes.probe import Probe
from benchmark.probes.timing import CannotProbeError, Operation, Timer

_LAUNCHES = 100
_VALUES = 1000
_COPY_BUDGET_NS = 40_000_000
_ROUSE_NS = 300_000_000
_ALLOCATION_BYTES = 32 * 2**20


class Device(Protocol):
    """What the probes need of a GPU."""

    def launch(self) -> None:
        """Hand a kernel that does nothing over to the GPU, and do not wait for it."""

    def synchronize(self) -> None:
        """Return when everything handed over is done."""

    def copy(self, copy: Copy) -> Operation:
        """Make and touch both buffers; return what copies once and returns when it is done."""

    def allocate(self, size: int) -> None:
        """Allocate ``size`` bytes from the driver, write to all of them, wait, and let them go."""

    def release(self) -> None:
        """Give what is free back to the driver, so that the next allocation asks it again."""


class CudaDevice:
    """The real one, by way of torch. Everything runs on one stream of its own."""

    def __init__(self, name: str) -> None:
        """``name``: ``cuda:0``. Raises torch's errors where there is no such device."""
        import torch

        torch.cuda.set_device(name)
        self._device = torch.device(name)
        self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        torch.cuda.set_stream(self._stream)

    def launch(self) -> None:
        import torch

        # A kernel that spins for that many cycles, launched without torch's dispatcher, whose few
        # microseconds would hide the launch.
        torch.cuda._sleep(0)  # type: ignore[no-untyped-call]

    def synchronize(self) -> None:
        self._stream.synchronize()

    def copy(self, copy: Copy) -> Operation:
        import torch

        host = torch.empty(copy.bytes, dtype=torch.uint8, pin_memory=copy.is_pinned).fill_(1)
        device = torch.ones(copy.bytes, dtype=torch.uint8, device=self._device)
        source, destination = (host, device) if copy.direction == "h2d" else (device, host)
        # The fill runs on this stream, and must be over before the first copy is timed.
        self._stream.synchronize()

        def run() -> None:
            destination.copy_(source, non_blocking=copy.is_pinned)
            self._stream.synchronize()

        return run

    def allocate(self, size: int) -> None:
        import torch

        torch.empty(size, dtype=torch.uint8, device=self._device).fill_(1)
        self._stream.synchronize()

    def release(self) -> None:
        import torch

        torch.cuda.empty_cache()


class _Opening:
    """Opens the device when the first probe asks for it; a failure is remembered for the others."""

    def __init__(self, open_device: Callable[[], Device]) -> None:
        self._open = open_device
        self._device: Device | None = None
        self._failure: Exception | None = None

    def __call__(self, timer: Timer) -> Device:
        if self._failure is not None:
            raise self._failure
        if self._device is None:
            try:
                self._device = self._open()
                _rouse(self._device, timer)
            except Exception as error:  # whatever torch raises, it is each probe's own problem
                self._failure = error
                raise
        return self._device


def device_probes(open_device: Callable[[], Device]) -> tuple[Probe, ...]:
    """Return the probes of a GPU."""
    device = _Opening(open_device)
    return (
        Probe("launch", "kernel launch", "us", partial(_launch, device), {"operations": _LAUNCHES}),
        Probe(
            "launch-wait",
            "kernel launch and waiting for it",
            "us",
            partial(_launch_and_wait, device),
        ),
        *(
            Probe(name, copy.title, "us", partial(_copy, device, copy), {"bytes": copy.bytes})
            for name, copy in COPIES.items()
        ),
        Probe(
            "device-allocation",
            "allocation and first touch, device, 32 MiB",
            "us",
            partial(_allocate, device),
            {"bytes": _ALLOCATION_BYTES},
        ),
    )


def absent_device_probes(reason: str) -> tuple[Probe, ...]:
    """Return the same probes, copies without their sizes, with the reason why none can run."""

    def refuse(_timer: Timer) -> list[float]:
        raise CannotProbeError(reason)

    kinds = {copy.kind: copy.kind_title for copy in COPIES.values()}
    others = {
        "launch": "kernel launch",
        "launch-wait": "kernel launch and waiting for it",
        "device-allocation": "allocation and first touch, device",
    }
    return tuple(Probe(name, title, "us", refuse) for name, title in (others | kinds).items())


def _rouse(device: Device, timer: Timer) -> None:
    """Copy back and forth until clocks and the PCIe link have left their idle states."""
    copy = device.copy(COPIES["h2d-pinned-16mib"])
    timer.each(copy, most=_VALUES, budget_ns=_ROUSE_NS)


def _launch(opening: _Opening, timer: Timer) -> list[float]:
    """Handing over a kernel, without waiting: the CPU's side. Each value is the mean of 100 in a
    row; the interpreter and torch's binding (about 0.3 us) are in it.
    """
    device = opening(timer)

    def run() -> None:
        for _ in range(_LAUNCHES):
            device.launch()

    found = timer.each(run, after=device.synchronize, most=_VALUES)
    return [value / _LAUNCHES for value in found]


def _launch_and_wait(opening: _Opening, timer: Timer) -> list[float]:
    """One kernel from before its launch until the stream is empty again: the way to the GPU and
    back. CUDA waits by spinning where there are CPUs to spare (cudaDeviceScheduleAuto), so no
    interrupt is in it.
    """
    device = opening(timer)

    def run() -> None:
        device.launch()
        device.synchronize()

    return timer.each(run, most=_VALUES)


def _copy(opening: _Opening, copy: Copy, timer: Timer) -> list[float]:
    """One copy from before it is asked for until it is done, as a batch of the model waits for its
    own; torch's share is some microseconds, which is most of what 4 KiB take. Pageable memory goes
    through the driver's own pinned buffers.
    """
    return timer.each(opening(timer).copy(copy), most=_VALUES, budget_ns=_COPY_BUDGET_NS)


def _allocate(opening: _Opening, timer: Timer) -> list[float]:
    """cudaMalloc by way of torch's caching allocator, which was emptied before (outside of the
    timed part), a kernel that writes all of it, and waiting for that.
    """
    device = opening(timer)
    return timer.each(
        lambda: device.allocate(_ALLOCATION_BYTES), before=device.release, most=_VALUES
    )
