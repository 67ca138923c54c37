"""Whether two legs differ in the layer alone: every hard key, the plan, the load, and whether they
are two measurements at all.

Results pooled into one leg must agree among themselves in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from benchmark.plan import Plan, Scenario
from benchmark.results import Result
from core.verdict.descriptions import path_text
from core.verdict.keys import SETUP_KEYS, HardKey
from core.verdict.legs import Block, Leg, labels
from core.verdict.model import Question, Refusal
from core.verdict.plans import RESOLVED, deciding

# LoadGen and the journal keep a rate as the same binary number; a file written by hand may not.
_SAME_RATE = 1e-9
# Of the keys that are no GPU's the others are there wherever they are set at all.
_PROCESSOR = "cpu"
_MOST_SHOWN = 3
_NOWHERE = "on one machine, where they disturb each other, or on two machines"
_LONGEST_SHOWN = 160


def refusals(first: Leg, second: Leg, question: Question) -> list[Refusal]:
    """Return every reason not to compare that lies in what was measured, the gravest first."""
    found = []
    if question is Question.OVERHEAD:
        found += _roles(first, second)
    found += _same_run(first, second)
    found += _overlap(first, second)
    found += conduct_refusals(first, second)
    return found


def conduct_refusals(first: Leg, second: Leg) -> list[Refusal]:
    """Return what of device, software, configuration, plan, paths and load is not the same."""
    called = labels(first, second)
    found = [
        refusal for key in _keys(first, second) for refusal in _setup(key, first, second, called)
    ]
    found += _plan(first, second, called)
    for name in dict.fromkeys((*first.measurements(), *second.measurements())):
        blocks = first.blocks(name), second.blocks(name)
        found += _paths(name, *blocks)
        found += _rates(name, *blocks, called)
    return found


def unchecked(first: Leg, second: Leg) -> list[str]:
    """Return a warning that names the processors' hard keys which neither leg knows."""
    unknown = [
        key.what
        for key in _keys(first, second)
        if (key.gpu_only or key.name == _PROCESSOR)
        and {*_values(key, first), *_values(key, second)} == {None}
    ]
    if not unknown:
        return []
    return [f"Not known of either leg, so it could not be compared: {_listed(unknown)}."]


def _keys(first: Leg, second: Leg) -> Iterator[HardKey]:
    on_gpu = all(result.device == "cuda" for result in (*first.results, *second.results))
    return (key for key in SETUP_KEYS if on_gpu or not key.gpu_only)


def _values(key: HardKey, leg: Leg) -> tuple[str | None, ...]:
    """Return the different values of a key in a leg, in time order."""
    return tuple(dict.fromkeys(key.value(result) for result in leg.results))


def _setup(key: HardKey, first: Leg, second: Leg, called: tuple[str, str]) -> list[Refusal]:
    values = _values(key, first), _values(key, second)
    shown = _several(values[0]), _several(values[1])
    several = [label for label, each in zip(called, values, strict=True) if len(each) > 1]
    if several:
        return [
            Refusal(
                key.name,
                f"{key.what} is not the same in all runs of {label}: {shown[called.index(label)]}.",
                *shown,
            )
            for label in several
        ]
    if values[0] == values[1]:
        return []
    sentence = f"{key.what} is not the same: {shown[0]} and {shown[1]}."
    if None in (values[0][0], values[1][0]):
        sentence = (
            f"{key.what} is known of one leg only: {called[0]}: {shown[0]}; "
            f"{called[1]}: {shown[1]}."
        )
    elif key.name == "gpu_uuid":
        sentence += (
            " With one GPU a leg, what differs between the two cannot be told from what the layer "
            "costs."
        )
    return [Refusal(key.name, sentence, *shown)]


def _shown(value: object) -> str:
    text = "not known" if value is None else str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _several(values: Iterable[object]) -> str:
    return " and ".join(map(_shown, values))


def _listed(words: Sequence[str]) -> str:
    """Return ``the driver, the CUDA version, MIG``: a sentence's beginnings inside of one."""
    return ", ".join(word.replace("The ", "the ", 1) for word in words)


def _roles(first: Leg, second: Leg) -> list[Refusal]:
    found = []
    for leg in (first, second):
        runs = [result.leg for result in leg.results]
        if len(set(runs)) > 1:
            sentence = f"Runs of different legs are given as one: {', '.join(dict.fromkeys(runs))}."
            found.append(Refusal("leg", sentence, first.name, second.name))
    if second.name.startswith("baseline") and not first.name.startswith("baseline"):
        found.append(
            Refusal(
                "order",
                f"The baseline is given second: the overhead would be what it costs against "
                f"{first.name}, and a layer that costs much would look like a gain.",
                first.name,
                second.name,
            )
        )
    return found


def _same_run(first: Leg, second: Leg) -> list[Refusal]:
    runs = [[result.run_id for result in leg.results] for leg in (first, second)]
    twice = [
        *(run for run in runs[0] if run in runs[1]),
        *(run for each in runs for run in dict.fromkeys(each) if each.count(run) > 1),
    ]
    if twice:
        sentence = (
            f"The same run is there twice: {_first_of(twice)}. One measurement in two places says "
            "nothing about how two differ."
        )
        return [Refusal("same_run", sentence, _first_of(runs[0]), _first_of(runs[1]))]
    return _copied(chain(first.results, second.results))


def _copied(results: Iterable[Result]) -> list[Refusal]:
    """Latencies in nanoseconds never come out the same twice, so equal raw files are a copy."""
    owners: dict[str, str] = {}
    for result in results:
        for entry in result.benchmarks:
            block = f"{entry.name} block {entry.block} of {result.run_id}"
            for raw in entry.raw_files:
                owner = owners.setdefault(raw.sha256, block)
                if owner != block:
                    sentence = f"The raw latencies of {owner} and of {block} are the same file."
                    return [Refusal("same_run", sentence, owner, block)]
    return []


def _first_of(names: Sequence[str]) -> str:
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"


def _overlap(first: Leg, second: Leg) -> list[Refusal]:
    """Two runs at once on one device disturb each other, whichever legs they belong to. Where
    nothing tells devices apart they are one, or those of two machines: neither can be compared.
    """
    busy: dict[str, list[tuple[datetime, datetime, str, str]]] = {}
    for result in (*first.results, *second.results):
        place = known_gpu(result) or result.device
        for entry in result.benchmarks:
            # The timed part lies inside the process's life, so the process lived at least as long.
            end = entry.started_at + timedelta(seconds=min(entry.duration_s or 0.0, 86_400.0))
            what = f"{entry.name} block {entry.block} of {result.run_id}"
            busy.setdefault(place, []).append((entry.started_at, end, result.run_id, what))
    for place, spans in busy.items():
        _, latest_end, holder, held = min(spans)
        for start, end, run, what in sorted(spans):
            if run != holder and start < latest_end:
                where = _NOWHERE if place in ("cpu", "cuda") else "on the same device"
                sentence = f"{held} and {what} were measured at the same time {where}."
                return [Refusal("overlap", sentence, held, what)]
            if end >= latest_end:
                latest_end, holder, held = end, run, what
    return []


def known_gpu(result: Result) -> str | None:
    """Return what tells the GPU of a result from every other; None: nothing, or it has none."""
    if result.device != "cuda" or result.gpu is None:
        return None
    return result.gpu.mig_uuid or result.gpu.uuid


def _plan(first: Leg, second: Leg, called: tuple[str, str]) -> list[Refusal]:
    found = []
    for label, leg in zip(called, (first, second), strict=True):
        for result in leg.results[1:]:
            if parts := _differing(leg.results[0].plan, result.plan):
                where = f"in all runs of {label}"
                found.append(_plan_refusal(where, parts))
                break
    if not found and (parts := _differing(first.results[0].plan, second.results[0].plan)):
        found.append(_plan_refusal("", parts))
    return found


def _plan_refusal(where: str, parts: Sequence[tuple[str, str, str]]) -> Refusal:
    shown = "; ".join(f"{name}: {one} and {other}" for name, one, other in parts[:_MOST_SHOWN])
    more = f"; and {len(parts) - _MOST_SHOWN} more" if len(parts) > _MOST_SHOWN else ""
    sentence = f"The plan is not the same {where}".rstrip() + f": {shown}{more}."
    values = ["; ".join(f"{part[0]}: {part[place]}" for part in parts) for place in (1, 2)]
    return Refusal("plan", sentence, _shown(values[0]), _shown(values[1]))


def _differing(first: Plan, second: Plan) -> list[tuple[str, str, str]]:
    """Return the fields that differ, with both values."""
    one, other = (dict(_flat(deciding(plan, without=RESOLVED))) for plan in (first, second))
    return [
        (name, _shown(one.get(name)), _shown(other.get(name)))
        for name in dict.fromkeys((*one, *other))
        if one.get(name) != other.get(name)
    ]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every leaf of nested fields by its dotted name, as JSON."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        value = {str(place): item for place, item in enumerate(value, 1)}
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else key)
    else:
        yield name, json.dumps(value)


def _paths(name: str, first: Sequence[Block], second: Sequence[Block]) -> list[Refusal]:
    """How the operators reached the device, and what the engine says it built."""
    found = []
    for sentence, read in (
        (f"{name} was measured along different paths", _path),
        (f"The engine of {name} was not built in the same way", _engine),
    ):
        values = [
            dict.fromkeys(read(block) for block in blocks if block.good)
            for blocks in (first, second)
        ]
        if len({*values[0], *values[1]}) > 1:
            shown = _several(values[0]), _several(values[1])
            found.append(Refusal("execution", f"{sentence}: {shown[0]}; {shown[1]}.", *shown))
    return found


def _path(block: Block) -> str:
    return path_text(block.measurement)


def _engine(block: Block) -> str:
    return json.dumps(block.measurement.engine, sort_keys=True)


def _rates(
    name: str, first: Sequence[Block], second: Sequence[Block], called: tuple[str, str]
) -> list[Refusal]:
    rates = [
        dict.fromkeys(
            block.measurement.arrival_rate_qps
            for block in blocks
            if block.good and block.measurement.scenario is Scenario.SERVER
        )
        for blocks in (first, second)
    ]
    known = [rate for each in rates for rate in each if rate is not None]
    missing = any(None in each for each in rates)
    if not missing and (not known or max(known) - min(known) <= _SAME_RATE * max(known)):
        return []
    shown = _several(map(_rate, rates[0])), _several(map(_rate, rates[1]))
    sentence = (
        f"The arrival rate of {name} is not the same everywhere: {called[0]}: {shown[0]}; "
        f"{called[1]}: {shown[1]}. A leg that is run with --arrival-rates-from takes over the "
        "other's."
    )
    return [Refusal("arrival_rates", sentence, *shown)] if known else []


def _rate(rate: float | None) -> str:
    return "not known" if rate is None else f"{rate:.10g} queries/s"
