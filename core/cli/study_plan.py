"""Makes a study's plan from the command line: the shared settings, and each leg's own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from benchmark.plan import Plan
from benchmark.validation import sentence_of
from core.cli.compare import target_overhead
from core.cli.parser import Options
from core.errors import SettingsError
from core.run.journal import Journal
from core.settings import Settings, load_settings
from core.targets.planning import plan_of
from core.targets.registry import resolved
from core.verdict.comparison import Request, check_request
from core.verdict.model import FEWEST_BLOCKS
from core.verdict.plans import RESOLVED, deciding
from core.verdict.study import (
    Block,
    LegPlan,
    StudyPlan,
    default_looks,
    default_replacements,
    drawn,
    schedule,
)

BLOCKS = 10
PROFILE = "reference"
BASELINE = "baseline"
XEN = "xen"
# Legs that differ in these are no legs of one study.
_SHARED = ("profile", "arrival_rates_from", "results_dir", "state_dir")
# A run there begins with a cluster of its own.
_COSTLY_TARGETS = ("gke",)


def study_settings(options: Options) -> tuple[Settings, Settings]:
    """Return the settings of the two legs, baseline first.

    Raises:
        SettingsError: a setting is wrong, unknown, or none that a leg can have for itself.
    """
    legs = _leg(options, BASELINE, options.baseline), _leg(options, XEN, options.xen)
    if legs[0].leg == legs[1].leg:
        raise SettingsError(
            f"The two legs of a study have names of their own, and both are called {legs[0].leg}.",
            "Type --xen leg=NAME with another name.",
        )
    return legs


def _leg(options: Options, name: str, given: Sequence[str] | None) -> Settings:
    own = _own_settings(name, given or ())
    flags = {**options.flags(), "leg": name, **own}
    loaded = load_settings(flags, os.environ, options.config)
    if loaded.origins["profile"] == "default":
        loaded = load_settings({**flags, "profile": PROFILE}, os.environ, options.config)
    return loaded.settings


def _own_settings(leg: str, given: Sequence[str]) -> dict[str, str]:
    own: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not value:
            raise SettingsError(f"--{leg} {text} names no value.", f"Type --{leg} NAME=VALUE.")
        if name not in Settings.model_fields:
            raise SettingsError(
                f"--{leg} {text}: there is no setting {name}.",
                "`gpubench-tui --no-ui config reference` lists them.",
            )
        if name == "repeats":
            raise SettingsError(
                "A study has no repeats: each of its runs is one block.", "Use --blocks."
            )
        if name in _SHARED:
            raise SettingsError(
                f"--{leg} {text}: both legs of a study have the same {name}.",
                f"Give --{name.replace('_', '-')} for both.",
            )
        own[name] = value
    return own


def study_plan(
    options: Options, legs: tuple[Settings, Settings], journal: Journal, now: datetime
) -> StudyPlan:
    """Return the plan that these options ask for; nothing is changed by it.

    Raises:
        InputError: the legs cannot be run, or not as a study.
    """
    for settings in legs:
        _refuse_kept(settings)
        _refuse_new_gpus(settings, options)
    baseline, xen = (_leg_plan(settings, journal) for settings in legs)
    asked = Request(
        target=target_overhead(options.target_overhead), allow=frozenset(options.allow or ())
    )
    check_request(asked)
    _refuse_unlike(baseline.plan, xen.plan, asked.allow)
    blocks = BLOCKS if options.blocks is None else options.blocks
    calibration = blocks if options.calibration is None else options.calibration
    values: dict[str, Any] = {
        "id": f"{now:%Y%m%d-%H%M%S}-study-{secrets.token_hex(2)}",
        "created_at": now,
        "baseline": baseline,
        "xen": xen,
        "blocks": blocks,
        "looks": _looks(options.looks, blocks),
        "calibration": calibration,
        "calibration_looks": default_looks(calibration) if calibration >= FEWEST_BLOCKS else (),
        "target_overhead": asked.target,
        "allow": tuple(sorted(asked.allow)),
        "interleaved": not any(each.target in _COSTLY_TARGETS for each in legs),
    }
    try:
        plan = StudyPlan.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"That is no study: {sentence_of(error)}.") from error
    runs = sum(isinstance(step, Block) for step in schedule(plan))
    return drawn(plan.model_copy(update={"replacements": default_replacements(runs)}))


def _refuse_kept(settings: Settings) -> None:
    if settings.keep != "nothing":
        raise SettingsError(
            f"A study has many runs, and keep {settings.keep} would keep something of each.",
            "Leave --keep out.",
        )


def _refuse_new_gpus(settings: Settings, options: Options) -> None:
    """Each run there gets a node of its own, and another GPU with it."""
    if settings.target == "gke" and settings.gpus and "gpu_uuid" not in (options.allow or ()):
        raise SettingsError(
            "On gke each run gets a node of its own with another GPU, so its runs could never be "
            "compared.",
            "Use a cluster that stays: one that `run --target gke --keep everything` left, or any "
            "that you have, with `study --target kubernetes`.",
        )


def _refuse_unlike(first: Plan, second: Plan, allow: frozenset[str]) -> None:
    """Raise SettingsError where the legs are to be measured in ways that are certainly refused."""
    plans = first, second
    unlike = {
        name: (str(getattr(first, name)), str(getattr(second, name)))
        for name in RESOLVED
        if len({_certain(name, plan) for plan in plans} - {None}) > 1
    }
    fields = [deciding(plan, without=RESOLVED) for plan in plans]
    if names := [name for name in fields[0] if fields[0][name] != fields[1].get(name)]:
        unlike["plan"] = tuple(  # type: ignore[assignment]
            ", ".join(f"{name} {each[name]}" for name in names) for each in fields
        )
    if left := [key for key in unlike if key not in allow]:
        key = left[0]
        raise SettingsError(
            f"The legs could never be compared: {key} is {unlike[key][0]} in one and "
            f"{unlike[key][1]} in the other.",
            f"Give both the same, or --allow {key}, which never yields within target.",
        )


def _certain(name: str, plan: Plan) -> str | None:
    """Return what a result's configuration will surely say; None: that turns out where it runs."""
    value = getattr(plan, name)
    if value in (None, "auto", 0):
        return None
    if name == "device":
        return str(value).partition(":")[0]
    # Two files may hold the same weights.
    return str(value) if name != "weights" or value in ("random", "pretrained") else None


def layer_problem(plan: StudyPlan) -> str:
    """Return why the legs would be refused for their layer, as a clause; empty: nobody knows."""
    targets = {leg.settings.get("target") for leg in (plan.baseline, plan.xen)}
    if targets != {"local"} or "layer" in plan.allow:
        return ""
    return "both legs would run on this machine and so under the same layer"


def _leg_plan(settings: Settings, journal: Journal) -> LegPlan:
    # The first baseline run measures its own rates; a stale baseline's are nobody's here.
    rates = "none" if settings.arrival_rates_from == "auto" else settings.arrival_rates_from
    one_block = settings.model_copy(update={"repeats": 1, "arrival_rates_from": rates})
    whole = resolved(one_block, os.environ)
    plan, _note = plan_of(whole, journal)
    return LegPlan(settings=whole.model_dump(mode="json"), plan=plan)


def _looks(text: str | None, blocks: int) -> tuple[int, ...]:
    if text is None:
        return default_looks(blocks)
    try:
        looks = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise SettingsError(
            f"--looks {text} is no list of whole numbers.", "Type --looks 5,10, for instance."
        ) from error
    return looks if looks[-1:] == (blocks,) or max(looks) > blocks else (*looks, blocks)


def differences(plan: StudyPlan) -> Mapping[str, tuple[Any, Any]]:
    """Return the settings in which the legs differ, baseline's value first; not their labels."""
    first, second = plan.baseline.settings, plan.xen.settings
    return {
        name: (first.get(name), second.get(name))
        for name in sorted(first.keys() | second.keys())
        if name != "leg" and first.get(name) != second.get(name)
    }
