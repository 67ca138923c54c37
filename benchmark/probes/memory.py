"""Page faults and the first touch of memory: where a hypervisor's second page table is walked."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.probes.probe import Probe
from benchmark.probes.timing import CannotProbeError, Timer

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

_FAULT_BYTES = 2**20
_ALLOCATION_BYTES = 8 * 2**20
_VALUES = 200


def memory_probes() -> tuple[Probe, ...]:
    """Return the probes of host memory."""
    pages = _FAULT_BYTES // mmap.PAGESIZE
    return (
        Probe("page-fault", "minor page fault", "ns", _page_fault, {"operations": pages}),
        Probe(
            "host-allocation",
            "allocation and first touch, host, 8 MiB",
            "us",
            _host_allocation,
            {"bytes": _ALLOCATION_BYTES},
        ),
    )


def _page_fault(timer: Timer) -> list[float]:
    """A byte written into each page of fresh anonymous memory without huge pages: the fault, the
    kernel's zeroing of the page, and a few ns of numpy's strided loop. Mapping and unmapping are
    outside of the timed part. Each value is the mean over all pages of one mapping.
    """
    if not hasattr(mmap, "MADV_NOHUGEPAGE"):
        raise CannotProbeError("this system cannot turn huge pages off")
    fresh: list[NDArray[numpy.uint8]] = []

    def make() -> None:
        memory = _anonymous(_FAULT_BYTES)
        try:
            memory.madvise(mmap.MADV_NOHUGEPAGE)
        except OSError as error:
            # EINVAL: a kernel without transparent huge pages has none to turn off.
            if error.errno != errno.EINVAL:
                raise
        fresh.append(_bytes_of(memory))

    pages = _FAULT_BYTES // mmap.PAGESIZE
    found = timer.each(lambda: _touch(fresh[0]), before=make, after=fresh.clear, most=_VALUES)
    return [value / pages for value in found]


def _host_allocation(timer: Timer) -> Sequence[float]:
    """mmap of anonymous memory, a byte written into each page, and munmap, with huge pages where
    the system has them on: what a program without a caching allocator pays for a large buffer.
    """
    return timer.each(lambda: _touch(_bytes_of(_anonymous(_ALLOCATION_BYTES))), most=_VALUES)


def _anonymous(size: int) -> mmap.mmap:
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _bytes_of(memory: mmap.mmap) -> NDArray[numpy.uint8]:
    import numpy

    return numpy.frombuffer(memory, dtype=numpy.uint8)


def _touch(data: NDArray[numpy.uint8]) -> None:
    data[:: mmap.PAGESIZE] = 1
