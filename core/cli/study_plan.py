"""Makes a study's plan from the command line: the shared settings, and each leg's own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from benchmark.validation import sentence_of
from core.cli.compare import target_overhead
from core.cli.parser import Options
from core.errors import SettingsError
from core.run.journal import Journal
from core.settings import Settings, load_settings
from core.targets.planning import plan_of
from core.targets.registry import resolved
from core.verdict.comparison import Request, check_request
from core.verdict.study import (
    Block,
    LegPlan,
    StudyPlan,
    default_looks,
    default_replacements,
    schedule,
)

BLOCKS = 10
CALIBRATION = 5
BASELINE = "baseline"
XEN = "xen"
# Legs that differ in these are no legs of one study.
_SHARED = ("profile", "repeats", "arrival_rates_from", "results_dir", "state_dir")
# A run there begins with a cluster of its own.
_COSTLY_TARGETS = ("gke",)


def study_settings(options: Options) -> tuple[Settings, Settings]:
    """Return the settings of the two legs, baseline first.

    Raises:
        SettingsError: a setting is wrong, unknown, or none that a leg can have for itself.
    """
    if options.flags()["repeats"] is not None:
        raise SettingsError(
            "A study has no repeats: each of its runs is one block.", "Use --blocks."
        )
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
    return load_settings(flags, os.environ, options.config).settings


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
    baseline, xen = (_leg_plan(settings, journal) for settings in legs)
    asked = Request(
        target=target_overhead(options.target_overhead), allow=frozenset(options.allow or ())
    )
    check_request(asked)
    blocks = BLOCKS if options.blocks is None else options.blocks
    values: dict[str, Any] = {
        "id": f"{now:%Y%m%d-%H%M%S}-study-{secrets.token_hex(2)}",
        "created_at": now,
        "baseline": baseline,
        "xen": xen,
        "blocks": blocks,
        "looks": _looks(options.looks, blocks),
        "calibration": CALIBRATION if options.calibration is None else options.calibration,
        "target_overhead": asked.target,
        "allow": tuple(sorted(asked.allow)),
        "interleaved": not any(each.target in _COSTLY_TARGETS for each in legs),
    }
    try:
        plan = StudyPlan.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"That is no study: {sentence_of(error)}.") from error
    runs = sum(isinstance(step, Block) for step in schedule(plan))
    return plan.model_copy(update={"replacements": default_replacements(runs)})


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
