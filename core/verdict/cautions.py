"""The soft keys and circumstances: no reason to refuse, and what a sceptic would ask about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median

from benchmark.results import Result
from core.verdict.comparability import known_gpu
from core.verdict.draws import Draws
from core.verdict.legs import Block, Leg, labels
from core.verdict.model import FEWEST_BLOCKS

Reader = Callable[[Result], object]
Called = tuple[str, str]
"""What both legs are called."""

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
        *_machine(first, second, called),
        *_order([draws for _, draws in measured], called),
        *_boots(first, second, [draws for _, draws in measured], called),
        *_alone(measured),
        *_blocks(first, called[0]),
        *_blocks(second, called[1]),
        *_clocks(first, second),
        *_probes(first, second, called),
        *([] if is_noise else _labels(first, second)),
        *_dataset(first),
    ]


def _incomplete(first: Leg, second: Leg, called: Called) -> list[str]:
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


def _machine(first: Leg, second: Leg, called: Called) -> list[str]:
    """A GPU has a UUID that shows that it is one machine, and so has one boot of a kernel; a CPU
    has nothing of the kind.
    """
    results = (*first.results, *second.results)
    boots = {result.environment.boot_id for result in results}
    if all(known_gpu(result) for result in results) or (len(boots) == 1 and None not in boots):
        return []
    hosts = [
        ", ".join(dict.fromkeys(_shown(result.environment.hostname) for result in leg.results))
        for leg in (first, second)
    ]
    found = [
        f"Whether both legs ran on one machine is not proved: host names {hosts[0]}; {hosts[1]}. "
        "What differs between two machines cannot be told from what the layer costs."
    ]
    if _alive_at_once(results):
        found.append(
            f"Runs of {called[0]} and {called[1]} alternate, each in a boot of its own, so two "
            "kernels were alive at once: guests of one machine, or two machines."
        )
    return found


def _alive_at_once(results: Sequence[Result]) -> bool:
    """Whether a run of one boot lies between two of another boot."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for result in results:
        boot = result.environment.boot_id
        if boot is not None:
            known = spans.get(boot, (result.started_at, result.started_at))
            spans[boot] = min(known[0], result.started_at), max(known[1], result.timestamp)
    ordered = sorted(spans.values())
    return any(later[0] < earlier[1] for earlier, later in pairwise(ordered))


def _order(measured: Sequence[Draws], called: Called) -> list[str]:
    if not measured:
        return []
    if any(not draws.paired for draws in measured):
        if any(map(apart, measured)):
            return [
                "The legs were measured one after the other: what drifts with time (heat, other "
                "tenants) cannot be told from what the layer costs. Interleaved blocks can."
            ]
        return [
            "The legs' blocks do not alternate close in time, so they are compared without pairs."
        ]
    if all(draws.one_order and len(draws.first) >= FEWEST_BLOCKS for draws in measured):
        ahead = called[measured[0].first[0].started_at > measured[0].second[0].started_at]
        return [
            f"In every pair {ahead} was measured first: an effect of the order would look like an "
            "overhead."
        ]
    return []


def apart(draws: Draws) -> bool:
    """Whether one leg's units had all started before the other's first."""
    if not draws.first or not draws.second:
        return False
    times = [[unit.started_at for unit in units] for units in (draws.first, draws.second)]
    return max(times[0]) < min(times[1]) or max(times[1]) < min(times[0])


def _boots(first: Leg, second: Leg, measured: Sequence[Draws], called: Called) -> list[str]:
    if any(draws.unit == "boot" for draws in measured):
        return []
    known = boots_of(first), boots_of(second)
    unknown = [label for label, boots in zip(called, known, strict=True) if boots is None]
    if unknown:
        return [
            f"The boots that {' and '.join(unknown)} ran in are not known: what changes from boot "
            "to boot may be in the difference, and is not in the interval."
        ]
    if known[0] == known[1]:
        return []
    counts = [len(boots or ()) for boots in known]
    return [
        f"The legs ran in different boots, {counts[0]} and {counts[1]} of them: what changes from "
        f"boot to boot is not in the interval (it is from {FEWEST_BLOCKS} boots of each leg on)."
    ]


def boots_of(leg: Leg) -> set[str] | None:
    """Return the boots of a kernel that a leg was measured in; None: not known of all its runs."""
    boots = {result.environment.boot_id for result in leg.results}
    known = {boot for boot in boots if boot}
    return known if len(known) == len(boots) else None


def _alone(measured: Sequence[tuple[str, Draws]]) -> list[str]:
    found = [f"{unit.label} of {name}" for name, draws in measured for unit in draws.alone]
    if not found:
        return []
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return [
        "A block that has no partner of the other leg close to it in time is not compared: "
        f"{found[0]}{more}."
    ]


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
    one, other = _clock(first), _clock(second)
    if one is None or other is None or abs(one - other) <= _CLOCK_TOLERANCE * max(one, other):
        return []
    return [
        f"The GPU's SM clock under load was not the same: {one:,.0f} and {other:,.0f} MHz, so it "
        "may have been locked or limited differently."
    ]


def faster_clock(first: Leg, second: Leg, *, either: bool) -> list[str]:
    """Return a sentence where the second leg's GPU ran faster, which hides what a layer costs.
    ``either``: neither leg's may.
    """
    one, other = _clock(first), _clock(second)
    if one is None or other is None:
        return []
    faster = max(one, other) / min(one, other) if either else other / one
    if faster <= 1 + _CLOCK_TOLERANCE:
        return []
    called = labels(first, second)
    return [
        f"The GPU's SM clock under load was {one:,.0f} MHz in {called[0]} and {other:,.0f} MHz in "
        f"{called[1]}: what the faster one gained is part of the difference."
    ]


def _clock(leg: Leg) -> float | None:
    found = [
        entry.telemetry.sm_clock_mhz.median
        for result in leg.results
        for entry in result.benchmarks
        if entry.telemetry is not None and entry.telemetry.sm_clock_mhz is not None
    ]
    known = median(found) if found else None
    return known or None


def _probes(first: Leg, second: Leg, called: Called) -> list[str]:
    probed = [
        any(result.probes or result.plan.probes for result in leg.results)
        for leg in (first, second)
    ]
    if probed[0] == probed[1]:
        return []
    return [
        f"Probes ran in {called[probed[1]]} alone: nothing tells where an overhead comes from, and "
        "its blocks had more before them than the other leg's."
    ]


def _labels(first: Leg, second: Leg) -> list[str]:
    if first.name != second.name:
        return []
    return [f"Both legs are labelled {first.name}."]


def _dataset(first: Leg) -> list[str]:
    dataset = first.results[0].plan.dataset
    if dataset == "synthetic":
        return []
    return [f"Whether the images in {_shown(dataset)} were the same is not recorded."]
