"""All probes of a block, in order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from benchmark.configuration import Configuration
from benchmark.probes.device import CudaDevice, Device, absent_device_probes, device_probes
from benchmark.probes.memory import memory_probes
from benchmark.probes.model import ProbeResult
from benchmark.probes.processor import processor_probes
from benchmark.probes.steal import ReadStat, StealProbe, read_stat
from benchmark.probes.switches import switch_probes
from benchmark.probes.timing import Timer


def run_probes(
    configuration: Configuration,
    block: int,
    *,
    timer: Timer | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    open_device: Callable[[], Device] | None = None,
    stat: ReadStat = read_stat,
) -> tuple[ProbeResult, ...]:
    """Run every probe on the configuration's device. Takes 3 to 5 s; never raises for a probe.

    The CPU's come first: torch, which the GPU's need, starts threads.
    """
    timer = timer or Timer()
    steal = StealProbe(stat)
    opening = open_device or partial(CudaDevice, configuration.device)
    probes = (
        *processor_probes(),
        *switch_probes(),
        *memory_probes(),
        *(
            device_probes(opening)
            if configuration.on_gpu
            else absent_device_probes("the model runs on the CPU")
        ),
        steal.probe(),
    )
    return tuple(probe.run(timer, block, now()) for probe in probes)
