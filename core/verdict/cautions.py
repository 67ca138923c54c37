"""The soft keys and circumstances: no reason to refuse, and what a sceptic would ask about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from benchmark.results import Result
from core.verdict.draws import Draws
from core.verdict.legs import Block, Leg, labels
from core.verdict.model import FEWEST_BLOCKS

Reader = Callable[[Result], object]

_MEMORY_TOLERANCE = 0.05
_CLOCK_TOLERANCE = 0.02
_STEAL_LIMIT_PERCENT = 5.0
_LONGEST_SHOWN = 120


def _gpu(name: str) -> Reader:
    return lambda result: getattr(result.gpu, name) if result.gpu is not None else None


SOFT_KEYS: tuple[tuple[str, Reader], ...] = (
    ("The kernel", lambda result: result.environment.kernel),
    ("The operating system", lambda result: result.environment.operating_system),
    ("The CPU governor", lambda result: result.environment.cpu.governor),
    ("The microcode", lambda result: result.environment.cpu.microcode),
    ("SMT", lambda result: result.environment.cpu.smt),
    ("The CPU instructions that PyTorch uses", lambda result: result.environment.cpu_library),
    ("The build of PyTorch", lambda result: result.environment.torch_build),
    ("Python", lambda result: result.environment.python),
    ("LoadGen", lambda result: result.environment.loadgen),
    ("The container runtime", lambda result: str(result.attestation.container)),
    ("Persistence mode", _gpu("persistence_mode")),
    ("The GPU's compute mode", _gpu("compute_mode")),
)
"""What may matter, by what it is called in a sentence."""


def cautions(
    first: Leg, second: Leg, measured: Sequence[tuple[str, Draws]], *, is_noise: bool
) -> list[str]:
    """Return every warning that lies in the machines, the runs and the order of the blocks.

    ``measured`` are the units of each measurement by its name. ``is_noise``: equal legs, so what
    changes between them is part of what is asked.
    """
    called = labels(first, second)
    return [
        *_incomplete(first, second, called),
        *_soft(first, second),
        *_mitigations(first, second),
        *_memory(first, second),
        *_machine(first, second),
        *_order([draws for _, draws in measured], called),
        *_boots(first, second, [draws for _, draws in measured]),
        *_left_over(measured),
        *_blocks(first, called[0]),
        *_blocks(second, called[1]),
        *_clocks(first, second),
        *([] if is_noise else _labels(first, second)),
        *_dataset(first),
    ]


def _incomplete(first: Leg, second: Leg, called: tuple[str, str]) -> list[str]:
    found = []
    for label, leg in zip(called, (first, second), strict=True):
        runs = [result.run_id for result in leg.results if not result.complete]
        if runs:
            found.append(
                f"Not everything that was planned was measured in {len(runs)} of "
                f"{len(leg.results)} run(s) of {label}; the first is {runs[0]}."
            )
    return found


def _soft(first: Leg, second: Leg) -> list[str]:
    found = []
    for what, read in SOFT_KEYS:
        values = [dict.fromkeys(map(read, leg.results)) for leg in (first, second)]
        if len({*values[0], *values[1]}) > 1:
            shown = [" and ".join(map(_shown, each)) for each in values]
            found.append(f"{what} is not the same: {shown[0]}; {shown[1]}.")
    return found


def _shown(value: object) -> str:
    text = "not known" if value is None else str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _mitigations(first: Leg, second: Leg) -> list[str]:
    both = [leg.results[0].environment.cpu.mitigations for leg in (first, second)]
    differing = [name for name in sorted({*both[0], *both[1]}) if _differ(both, name)]
    if not differing:
        return []
    name = differing[0]
    more = f", and {len(differing) - 1} more" if len(differing) > 1 else ""
    return [
        f"The CPU's mitigations are not the same: {name}: {_shown(both[0].get(name))}; "
        f"{_shown(both[1].get(name))}{more}."
    ]


def _differ(both: Sequence[dict[str, str]], name: str) -> bool:
    return both[0].get(name) != both[1].get(name)


def _memory(first: Leg, second: Leg) -> list[str]:
    sizes = [leg.results[0].environment.memory_bytes for leg in (first, second)]
    one, other = sizes
    if one is None or other is None or abs(one - other) <= _MEMORY_TOLERANCE * max(one, other):
        return []
    return [f"The memory is not the same: {one / 2**30:.1f} and {other / 2**30:.1f} GiB."]


def _machine(first: Leg, second: Leg) -> list[str]:
    """A GPU has a UUID that shows that it is one machine; a CPU has nothing of the kind."""
    hosts = [
        dict.fromkeys(result.environment.hostname for result in leg.results)
        for leg in (first, second)
    ]
    if first.results[0].device == "cuda" or hosts[0].keys() == hosts[1].keys():
        return []
    names = [", ".join(map(_shown, each)) for each in hosts]
    return [
        f"Whether both legs ran on one machine is not proved: host names {names[0]}; {names[1]}. "
        "What differs between two machines cannot be told from what the layer costs."
    ]


def _order(measured: Sequence[Draws], called: tuple[str, str]) -> list[str]:
    if not measured:
        return []
    if any(not draws.paired for draws in measured):
        apart = [
            draws
            for draws in measured
            if draws.first and draws.second and (_before(draws) or _before(_swapped(draws)))
        ]
        if apart:
            return [
                "The legs were measured one after the other: what drifts with time (heat, other "
                "tenants) cannot be told from what the layer costs. Interleaved blocks can."
            ]
        return ["The legs' blocks do not alternate, so they are compared without pairs."]
    if all(draws.one_order and len(draws.first) >= FEWEST_BLOCKS for draws in measured):
        ahead = called[measured[0].first[0].started_at > measured[0].second[0].started_at]
        return [
            f"In every pair {ahead} was measured first: an effect of the order would look like an "
            "overhead."
        ]
    return []


def _before(draws: Draws) -> bool:
    """Whether the first leg's blocks had all started before the second's."""
    return max(unit.started_at for unit in draws.first) < min(
        unit.started_at for unit in draws.second
    )


def _swapped(draws: Draws) -> Draws:
    return Draws(draws.unit, draws.paired, draws.second, draws.first)


def _boots(first: Leg, second: Leg, measured: Sequence[Draws]) -> list[str]:
    boots = [
        {result.environment.boot_id for result in leg.results if result.environment.boot_id}
        for leg in (first, second)
    ]
    if boots[0] == boots[1] or any(draws.unit == "boot" for draws in measured):
        return []
    return [
        f"The legs ran in different boots, {len(boots[0])} and {len(boots[1])} of them: what "
        f"changes from boot to boot is not in the interval (it is from {FEWEST_BLOCKS} boots of "
        "each leg on)."
    ]


def _left_over(measured: Sequence[tuple[str, Draws]]) -> list[str]:
    found = [(name, draws.left_over) for name, draws in measured if draws.left_over is not None]
    if not found:
        return []
    name, unit = found[0]
    more = f", and of {len(found) - 1} more measurement(s)" if len(found) > 1 else ""
    label = unit.label if unit is not None else ""
    return [f"The last block has no partner and is not compared: {label} of {name}{more}."]


def _blocks(leg: Leg, label: str) -> list[str]:
    good = [block for name in leg.measurements() for block in leg.blocks(name) if block.good]
    found = []
    for count, words in (
        (sum(_unsettled(block) for block in good), "throughput had not settled before them"),
        (
            sum(_stolen(block) for block in good),
            f"the hypervisor gave more than {_STEAL_LIMIT_PERCENT:g} % of the CPUs' time to others",
        ),
    ):
        if count:
            found.append(f"In {count} of {len(good)} good blocks of {label} {words}.")
    return found


def _unsettled(block: Block) -> bool:
    warm_up = block.measurement.warm_up
    return warm_up is not None and not warm_up.settled


def _stolen(block: Block) -> bool:
    summary = block.measurement.telemetry
    stolen = summary.steal_percent if summary is not None else None
    return stolen is not None and stolen.mean > _STEAL_LIMIT_PERCENT


def _clocks(first: Leg, second: Leg) -> list[str]:
    """NVML has no question for clocks locked with ``nvidia-smi -lgc``: they show under load."""
    clocks = [_clock(leg) for leg in (first, second)]
    one, other = clocks
    if one is None or other is None or abs(one - other) <= _CLOCK_TOLERANCE * max(one, other):
        return []
    return [
        f"The GPU's SM clock under load was not the same: {one:,.0f} and {other:,.0f} MHz, so it "
        "may have been locked or limited differently."
    ]


def _clock(leg: Leg) -> float | None:
    found = [
        entry.telemetry.sm_clock_mhz.median
        for result in leg.results
        for entry in result.benchmarks
        if entry.telemetry is not None and entry.telemetry.sm_clock_mhz is not None
    ]
    return median(found) if found else None


def _labels(first: Leg, second: Leg) -> list[str]:
    if first.name != second.name:
        return []
    return [f"Both legs are labelled {first.name}."]


def _dataset(first: Leg) -> list[str]:
    dataset = first.results[0].plan.dataset
    if dataset == "synthetic":
        return []
    return [f"Whether the images in {_shown(dataset)} were the same is not recorded."]
