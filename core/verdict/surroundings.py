"""What decides a run's figures and was chosen, and what may change around it by itself.

Of the hard keys of a comparison (core/verdict/keys.py) the chosen ones make a run another
measurement; the others, and what only warns in a comparison, are told beside the run.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.results import Result
from core.verdict.keys import SETUP_KEYS, HardKey

UNKNOWN = "not known"

_CHOSEN = {
    *("device", "gpu", "precision", "memory_format", "execution", "allocator", "threads"),
    *("denormals", "wait_policy", "weights"),
}
# Rates of runs that set their own differ a little each time; this much is another load.
_SAME_RATE = 0.01


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is another in a later run."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name} {self.before} -> {self.after}"


def what_differs(one: Result, other: Result) -> tuple[Difference, ...]:
    """Return what was chosen otherwise, so that the two runs are not the same measurement."""
    return tuple(
        Difference(key.what.removeprefix("The "), _text(key, one), _text(key, other))
        for key in SETUP_KEYS
        if _is_chosen(key, one) and key.value(one) != key.value(other)
    )


def differences(before: Result, after: Result) -> tuple[Difference, ...]:
    """Return what else is another in the later of two runs."""
    earlier, later = _surroundings(before), _surroundings(after)
    found = [
        Difference(name, earlier.get(name, UNKNOWN), later.get(name, UNKNOWN))
        for name in dict.fromkeys((*later, *earlier))
        if earlier.get(name, UNKNOWN) != later.get(name, UNKNOWN)
    ]
    return (*found, *_rates(before, after))


def _is_chosen(key: HardKey, result: Result) -> bool:
    # Without a GPU the CPU is the device.
    return key.name in _CHOSEN or (key.name == "cpu" and result.device == "cpu")


def _text(key: HardKey, result: Result) -> str:
    return key.value(result) or UNKNOWN


def _surroundings(result: Result) -> dict[str, str]:
    """Return what surrounded a run, by its name; what is not known has no entry."""
    keys = {key.name: key.value(result) for key in SETUP_KEYS if not _is_chosen(key, result)}
    environment, cpu = result.environment, result.environment.cpu
    persistence = result.gpu.persistence_mode if result.gpu else None
    found = {
        **keys,
        "kernel": environment.kernel,
        "host": environment.hostname,
        "boot": environment.boot_id[:8] if environment.boot_id else None,
        "hypervisor": result.attestation.hypervisor,
        "xen": result.attestation.xen_version,
        "clocksource": result.attestation.clocksource,
        "operating system": environment.operating_system,
        "loadgen": environment.loadgen,
        "python": environment.python,
        "cpu library": environment.cpu_library,
        "governor": cpu.governor,
        "microcode": cpu.microcode,
        "smt": cpu.smt,
        "persistence": None if persistence is None else "on" if persistence else "off",
        **{f"mitigation of {name}": text for name, text in cpu.mitigations.items()},
    }
    return {name: str(value) for name, value in found.items() if value is not None}


def _rates(before: Result, after: Result) -> list[Difference]:
    rates, others = before.arrival_rates(), after.arrival_rates()
    return [
        Difference(
            f"arrival rate of {name}",
            f"{rates[name]:,.2f} queries/s",
            f"{others[name]:,.2f} queries/s",
        )
        for name in rates
        if name in others
        and abs(rates[name] - others[name]) > _SAME_RATE * max(rates[name], others[name])
    ]
