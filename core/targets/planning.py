"""Makes the plan that a run stores from the settings that a person gave."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmark.errors import ResultFileError
from benchmark.plan import Plan, Scenario, load_profile, make_plan
from benchmark.results import RESULT_FILE, Result, read_result
from core.errors import SettingsError
from core.run.journal import Journal
from core.run.locate import locate_result
from core.settings import Settings, published_as

_OVERRIDES = (
    "repeats",
    "probes",
    "device",
    "precision",
    "memory_format",
    "execution",
    "allocator",
    "threads",
    "weights",
    "dataset",
)


def plan_of(settings: Settings, journal: Journal) -> tuple[Plan, str]:
    """Return the plan and a sentence on where its Server arrival rates come from, if from anywhere.

    Raises:
        PlanError: the profile cannot be read or run.
        SettingsError: the arrival rates cannot be taken from where they should be.
    """
    profile = load_profile(settings.profile)
    values: dict[str, Any] = profile.model_dump()
    for name in _OVERRIDES:
        given = getattr(settings, name)
        if given is not None:
            # Paths must mean the same to the run's own process.
            values[name] = _absolute(given) if name in ("weights", "dataset") else given
    if settings.target in ("kubernetes", "gke") and values["device"] == "auto":
        # Who asks for a GPU must not be given a CPU's figures because a driver was missing.
        values["device"] = "cuda" if settings.gpus else "cpu"
    plan = make_plan(values, f"profile {settings.profile}")
    rates, note = _arrival_rates(settings, plan, journal)
    if rates:
        server = {**plan.server.model_dump(), "arrival_rates": rates}
        plan = make_plan({**plan.model_dump(), "server": server}, f"profile {settings.profile}")
    return plan, note


def _absolute(value: str) -> str:
    if value in ("auto", "random", "pretrained", "synthetic"):
        return value
    return str(Path(os.path.expanduser(value)).absolute())


def _arrival_rates(
    settings: Settings, plan: Plan, journal: Journal
) -> tuple[dict[str, float], str]:
    wanted = settings.arrival_rates_from
    needed = {
        measurement.name
        for measurement in plan.measurements()
        if measurement.scenario is Scenario.SERVER
    }
    if wanted == "none" or not needed or plan.server.arrival_rates:
        return {}, ""
    if wanted == "auto":
        if settings.leg == "baseline":
            return {}, ""
        return _rates_of_baseline(settings, needed)
    result = read_result(locate_result(wanted, settings.results_dir, journal).path)
    rates = _needed_rates(result, needed)
    missing = sorted(needed - rates.keys())
    if missing:
        raise SettingsError(
            f"{wanted} has no arrival rate for {', '.join(missing)}, which the plan measures.",
            "Name a run of the same profile, or use --arrival-rates-from none.",
        )
    return rates, f"Server arrival rates are those of run {result.run_id} ({result.leg})."


def _rates_of_baseline(settings: Settings, needed: set[str]) -> tuple[dict[str, float], str]:
    folder = published_as("baseline", settings.name_suffix)
    path = settings.results_dir / folder / RESULT_FILE
    if not path.exists():
        return {}, "There is no baseline yet: Server arrival rates come from this run's own rates."
    try:
        result = read_result(path)
    except ResultFileError as error:
        raise SettingsError(
            f"The baseline's arrival rates cannot be taken over: {error.sentence}",
            "Measure the baseline again, or use --arrival-rates-from none.",
        ) from error
    rates = _needed_rates(result, needed)
    if rates.keys() != needed:
        return {}, (
            "The baseline has other Server measurements: arrival rates come from this run's own "
            "rates, and the two legs cannot be compared there."
        )
    return rates, f"Server arrival rates are those of the baseline, run {result.run_id}."


def _needed_rates(result: Result, needed: set[str]) -> dict[str, float]:
    return {name: rate for name, rate in result.arrival_rates().items() if name in needed}
