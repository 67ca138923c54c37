"""The form's fields, made of the settings that a run's command line has, and their check."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from benchmark.plan import SHIPPED_PROFILES
from core.cli.flags import RUN_FLAGS
from core.cli.parser import build_parser
from core.gcp.offers import GPUS
from core.settings import Settings

if TYPE_CHECKING:
    from core.targets.expectation import Expectation

# What most people set, in this order; the rest is a key away.
_COMMON = (
    *("target", "context", "namespace", "project", "zone", "machine", "gpu", "spot"),
    *("budget", "deadline_minutes", "image", "gpus"),
    *("leg", "profile", "repeats", "device", "weights"),
)
# What a cluster that is yours needs of the settings that are Kubernetes': one that is created
# has no kubeconfig yet.
_YOUR_CLUSTER = ("context", "kubeconfig")
# Of what most people set: what those of a target seldom do.
_SELDOM = {"gke": ("namespace",)}
_SWITCH = ("yes", "no")
# Shown although they are the defaults: one wants to see what will run.
_SHOWN = ("target", "leg", "profile")
_SUGGESTIONS = {
    "leg": ("baseline", "xen"),
    "profile": SHIPPED_PROFILES,
    "device": ("auto", "cpu", "cuda"),
    "weights": ("auto", "pretrained", "random"),
    "dataset": ("synthetic",),
    "arrival_rates_from": ("auto", "none"),
    "zone": ("us-central1-a", "us-east1-c", "us-west1-b", "europe-west4-a", "asia-east1-a"),
    "zones": ("region", "none"),
    "machine": tuple(
        dict.fromkeys(
            machine
            for gpu in GPUS.values()
            for count in gpu.counts()
            for machine in gpu.machines_with(count)
        )
    ),
    "gpu": tuple(GPUS),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One setting of the form."""

    name: str
    label: str
    help: str
    choices: tuple[str, ...]
    """Empty: any text."""
    suggestions: tuple[str, ...]
    placeholder: str
    """What it is when it is left empty."""
    common: bool
    targets: tuple[str, ...]
    """The targets that it is a setting of; empty: of all."""

    def concerns(self, target: str) -> bool:
        """Return whether a run on this target heeds it."""
        return not self.targets or target in self.targets

    def is_common(self, target: str) -> bool:
        """Return whether most runs on this target set it."""
        return self.common and self.name not in _SELDOM.get(target, ())


@dataclass(frozen=True, slots=True)
class Check:
    """What a check of the form found."""

    problem: str = ""
    note: str = ""
    expectation: Expectation | None = None

    def names(self, field: str) -> bool:
        """Return whether the problem is this field's."""
        flag = field.replace("_", "-")
        return bool(re.search(rf"--{flag}(?![\w-])| {field} ", self.problem))


def _choices(annotation: Any) -> tuple[str, ...]:
    if annotation is bool:
        return _SWITCH
    if get_origin(annotation) is Literal:
        return tuple(map(str, get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return tuple(annotation)
    if get_origin(annotation) is UnionType:
        return next(filter(None, map(_choices, get_args(annotation))), ())
    return ()


_TARGETS = _choices(Settings.model_fields["target"].annotation)


def _targets_of(name: str) -> tuple[str, ...]:
    """Return the targets that heed a setting: its docstring names one before its first colon."""
    first = (Settings.model_fields[name].description or "").partition(":")[0]
    if first == "kubernetes" and name not in _YOUR_CLUSTER:
        return ("kubernetes", "gke")
    return (first,) if first in _TARGETS else ()


def _placeholder(name: str, default: Any) -> str:
    if default is not None:
        return _text(default)
    # The setting's docstring ends with it where it is not the profile's.
    said = (Settings.model_fields[name].description or "").partition("Default: ")[2]
    text = " ".join(said.split()).removesuffix(".")
    return text or ("" if _targets_of(name) else "the profile's")


def _text(value: object) -> str:
    """Return a value as the command line takes it."""
    if isinstance(value, bool):
        return _SWITCH[not value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _field(name: str, text: str) -> Field:
    setting = Settings.model_fields[name]
    default = setting.get_default()
    return Field(
        name=name,
        label=name.replace("_", " "),
        help=text,
        choices=_choices(setting.annotation),
        suggestions=_SUGGESTIONS.get(name, ()),
        placeholder=_placeholder(name, default),
        common=name in _COMMON,
        targets=_targets_of(name),
    )


FIELDS = tuple(
    _field(name, RUN_FLAGS[name])
    for name in (*_COMMON, *(name for name in RUN_FLAGS if name not in _COMMON))
)


def usual_values(settings: Settings) -> dict[str, str]:
    """Return what stands in each field at first: what these settings would run."""
    usual = {}
    for field in FIELDS:
        value = getattr(settings, field.name)
        plain = value == Settings.model_fields[field.name].get_default()
        usual[field.name] = "" if plain and field.name not in _SHOWN else _text(value)
    return usual


def fields_of_command(command: str) -> dict[str, str]:
    """Return the settings that a headless ``run`` command gives; none of one that is no such."""
    try:
        words = shlex.split(command)
        if len(words) < 2 or "run" not in words:
            return {}
        options = build_parser().parse_args(words[1:])
    except (ValueError, SystemExit):
        return {}
    values = {name: getattr(options, name, None) for name in RUN_FLAGS}
    return {name: _text(value) for name, value in values.items() if value is not None}


def check_form(
    values: Mapping[str, Any], environment: Mapping[str, str], config_file: str | None
) -> Check:
    """Check settings as ``run`` would, and say what a run of them takes. Changes nothing."""
    import tempfile
    from pathlib import Path

    from core.errors import ProblemError
    from core.run.journal import Journal
    from core.settings import load_settings
    from core.targets.expectation import expect
    from core.targets.planning import plan_of
    from core.targets.registry import resolved

    try:
        settings = resolved(load_settings(values, environment, config_file).settings, environment)
        journal = Journal.to_read(settings.state_dir)
        if journal is None:
            with tempfile.TemporaryDirectory() as folder, Journal(Path(folder)) as empty:
                plan, note = plan_of(settings, empty)
            return Check(note=note, expectation=expect(settings, plan, None))
        with journal:
            plan, note = plan_of(settings, journal)
            return Check(note=note, expectation=expect(settings, plan, journal))
    except ProblemError as problem:
        return Check(problem=str(problem))
