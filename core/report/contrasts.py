"""What speaks against comparing two results, as sentences. It warns; refusing is the verdict's."""

from __future__ import annotations

from typing import Any

from benchmark.attestation.model import Hypervisor
from benchmark.results import Result
from benchmark.validation import Record

# LoadGen and the journal keep a rate as the same binary number; a file written by hand may not.
_SAME_RATE = 1e-9


def contrasts(first: Result, second: Result) -> tuple[str, ...]:
    """Return the warnings of two results, the gravest first."""
    warnings = []
    if first.run_id == second.run_id:
        warnings.append(f"Both are the same run, {first.run_id}.")
    for result in (first, second):
        warnings += _attested(result)
        if not result.complete:
            warnings.append(f"{_named(result)} did not measure everything it had planned.")
    warnings += _devices(first, second)
    warnings += _differing(
        "configuration", _fields(first.configuration), _fields(second.configuration)
    )
    if first.weights.sha256 != second.weights.sha256:
        warnings.append(
            f"The weights are not the same: {first.weights.origin} and {second.weights.origin}."
        )
    warnings += _differing("plan", _plan(first), _plan(second))
    warnings += _rates(first, second)
    warnings += _paths(first, second)
    return tuple(warnings)


def _named(result: Result) -> str:
    return f"{result.leg} (run {result.run_id})"


def _attested(result: Result) -> list[str]:
    hypervisor = result.attestation.hypervisor
    if result.leg == "xen" and not hypervisor.is_xen:
        return [f"{_named(result)} is not attested as Xen: it ran under {hypervisor}."]
    if result.leg == "baseline" and hypervisor.is_xen:
        return [f"{_named(result)} ran under Xen ({hypervisor}), so it is no baseline."]
    if hypervisor is Hypervisor.UNKNOWN:
        return [f"{_named(result)} does not know which hypervisor it ran under."]
    return []


def _devices(first: Result, second: Result) -> list[str]:
    names = (first.gpu_info.name, second.gpu_info.name)
    if first.device != second.device or names[0] != names[1]:
        return [f"The devices are not the same: {names[0]} and {names[1]}."]
    return []


def _fields(record: Record) -> dict[str, Any]:
    return record.model_dump(mode="json")


def _plan(result: Result) -> dict[str, Any]:
    """Return what decides the measurements: the second leg takes over the first's arrival rates,
    and a profile's name says nothing about its content.
    """
    plan = _fields(result.plan)
    for name in ("profile", "description"):
        del plan[name]
    server = plan.pop("server")
    del server["arrival_rates"]
    return plan | {f"server.{name}": value for name, value in server.items()}


def _differing(what: str, first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    found = []
    for name, value in first.items():
        other = second.get(name)
        if value == other:
            continue
        if isinstance(value, list | dict) or isinstance(other, list | dict):
            found.append(name)
        else:
            found.append(f"{name} {_shown(value)} and {_shown(other)}")
    return [f"The {what} is not the same: {'; '.join(found)}."] if found else []


def _shown(value: object) -> str:
    return "not set" if value is None else str(value)


def _rates(first: Result, second: Result) -> list[str]:
    rates, others = first.arrival_rates(), second.arrival_rates()
    return [
        f"{name}: the arrival rates are not the same: {rates[name]:,.2f} and {others[name]:,.2f} "
        "queries/s."
        for name in rates
        if name in others
        and abs(rates[name] - others[name]) > _SAME_RATE * max(rates[name], others[name])
    ]


def _paths(first: Result, second: Result) -> list[str]:
    paths = [
        {entry.name: (str(entry.execution), entry.host_to_device) for entry in result.benchmarks}
        for result in (first, second)
    ]
    differing: dict[str, list[str]] = {}
    for name, path in paths[0].items():
        other = paths[1].get(name, path)
        if other != path:
            differing.setdefault(f"{_path(*path)} and {_path(*other)}", []).append(name)
    return [
        f"Measured along another path ({both}): {', '.join(names)}."
        for both, names in differing.items()
    ]


def _path(execution: str, host_to_device: bool) -> str:
    return execution if host_to_device else f"{execution}, resident"
