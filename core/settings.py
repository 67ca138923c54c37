"""Settings: from flags, ``GPUBENCH_...`` variables and a TOML file, in that order.

A setting becomes part of the plan (``core.targets``) or says where things lie. Every value
remembers where it came from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from benchmark.plan import LEG_PATTERN, Allocator, Execution, MemoryFormat, Precision
from benchmark.validation import Record, findings, validate_typed
from core.config_file import CONSOLE_TABLE, find_config, read_config
from core.errors import SettingsError

ENVIRONMENT_PREFIX = "GPUBENCH_"


def _usable_text(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character")
    return text


def _usable_folder(folder: Path) -> Path:
    """Make a path mean the same to the run's own process, wherever it works."""
    _usable_text(str(folder))
    try:
        whole = folder.expanduser().absolute()
    except RuntimeError as error:
        raise ValueError("names a home folder that is not known") from error
    try:
        str(whole).encode()
    except UnicodeEncodeError as error:
        raise ValueError("is not UTF-8 text") from error
    return whole


# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = r"^[0-9]{1,12}(\.[0-9]{1,9})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"

Text = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_usable_text)]
Folder = Annotated[Path, AfterValidator(_usable_folder)]


class Settings(Record):
    """Every setting; the docstring under each is its line in the reference (`config reference`)."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )

    target: Literal["local", "kubernetes"] = "local"
    """Where the benchmark runs: `local` is this machine, `kubernetes` a cluster that you have."""
    leg: str = Field(default="baseline", pattern=LEG_PATTERN)
    """Which side of a comparison the run belongs to: baseline, xen or any other label."""
    profile: Text = "quick"
    """What is measured: reference, quick or a TOML file."""
    repeats: int | None = Field(default=None, ge=1, le=1000)
    """Blocks: each measurement runs in this many fresh processes. Default: the profile's."""
    device: str | None = Field(default=None, pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$")
    """auto (a GPU if there is one), cpu, cuda or cuda:N."""
    precision: Precision | None = None
    """fp32, tf32, fp16, bf16 or auto (the fastest that the device computes natively)."""
    memory_format: MemoryFormat | None = None
    """channels_last, contiguous or auto."""
    execution: Execution | None = None
    """eager, jit, graph (CUDA graphs), compile (Inductor) or auto."""
    allocator: Allocator | None = None
    """On a CPU: retain keeps freed memory in the process, system is the C library's default."""
    threads: int | None = Field(default=None, ge=0, le=1024)
    """CPU threads of the model; 0 means one for each usable CPU."""
    weights: Text | None = None
    """A state_dict file, pretrained, random (fixed seed) or auto (pretrained if it can be had)."""
    dataset: Text | None = None
    """synthetic or a folder of images."""
    arrival_rates_from: Text = "auto"
    """Whose Server arrival rates to use: a run, a leg, a result file or `none`. auto: `none` for
    the leg baseline, the latest good baseline with the same Server measurements for any other."""
    context: Text | None = None
    """kubernetes: the kubeconfig's context. Default: its current one."""
    kubeconfig: Text | None = None
    """kubernetes: the kubeconfig file, or several joined by colons. Default: $KUBECONFIG, else
    ~/.kube/config."""
    namespace: str | None = Field(default=None, pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    """kubernetes: the namespace in which everything is created; it must exist. Default: the
    context's, else `default`."""
    image: Text | None = None
    """kubernetes: REGISTRY/REPOSITORY to build into and push to; with a tag or a digest an image
    that is there already."""
    base_image: Text | None = None
    """kubernetes: what the image is built on, any Debian or Ubuntu with Python 3.11. Default:
    CUDA's."""
    gpus: int = Field(default=1, ge=0, le=64)
    """kubernetes: how many nvidia.com/gpu the pod asks for; 0 measures on the node's CPU."""
    cpus: str | None = Field(default=None, pattern=_QUANTITY)
    """kubernetes: CPUs that the pod asks for and is limited to, in Kubernetes' notation (4, 500m).
    Default: no request."""
    memory: str | None = Field(default=None, pattern=_QUANTITY)
    """kubernetes: memory that the pod asks for and is limited to (8Gi). Default: no request."""
    node_selector: Text | None = None
    """kubernetes: labels that the node must have, KEY=VALUE joined by commas."""
    tolerations: Text | None = None
    """kubernetes: taints to tolerate, KEY[=VALUE][:EFFECT] joined by commas. The GPU's own is
    tolerated always."""
    runtime_class: str | None = Field(
        default=None, pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
    )
    """kubernetes: the pod's runtimeClassName, as a Xen-based runtime needs it."""
    pull_secret: str | None = Field(default=None, pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
    """kubernetes: the Secret with which the node pulls the image, where it needs one."""
    install_drivers: Text | None = None
    """kubernetes: install NVIDIA's driver where nodes lack it: gke-cos, gke-ubuntu, or a file or
    https address of a manifest with a DaemonSet."""
    start_minutes: int = Field(default=20, ge=1, le=1440)
    """kubernetes: how long to wait for drivers, and then for the pod to start."""
    name_suffix: str | None = Field(default=None, pattern=r"^[a-z0-9]([a-z0-9-]{0,24}[a-z0-9])?$")
    """kubernetes: added to the Job's name and to the results' folder, so that several runs of one
    leg can stand side by side."""
    job_minutes: int | None = Field(default=None, ge=1, le=10080)
    """kubernetes: how long the benchmark may take in its pod. Default: three times what the plan
    takes, and 10 more."""
    hold_minutes: int = Field(default=30, ge=1, le=1440)
    """kubernetes: how long the pod keeps results that could not be collected."""
    keep: Literal["nothing", "failed", "everything"] = "nothing"
    """kubernetes: what stays on the cluster when the run ends by itself: nothing, the Job if it
    failed, or everything until its TTL. A run that is stopped leaves nothing."""
    results_dir: Folder = Path("results")
    """Where results go, relative to the working directory."""
    state_dir: Folder = Path("~/.local/state/gpubench-tui")
    """Where the journal is. Default: $XDG_STATE_HOME/gpubench-tui."""


def published_as(leg: str, name_suffix: str | None) -> str:
    """Return the folder, beside the runs, of a leg's latest good results."""
    return f"{leg}-{name_suffix}" if name_suffix else leg


def differing(settings: Settings) -> dict[str, Any]:
    """Return the settings that are not as they are by default, by name."""
    return {
        name: value
        for name, field in Settings.model_fields.items()
        if (value := getattr(settings, name)) != field.get_default()
    }


@dataclass(frozen=True)
class Loaded:
    """Settings and where each came from: ``default``, ``flag --x``, ``GPUBENCH_X`` or a file."""

    settings: Settings
    origins: Mapping[str, str]


def load_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], config_file: str | None = None
) -> Loaded:
    """Return the settings, each from the first source that has it.

    ``config_file`` (the --config flag) comes before ``GPUBENCH_CONFIG``, ``./gpubench.toml`` and
    ``$XDG_CONFIG_HOME/gpubench-tui/config.toml``; only one of them is read.

    Raises:
        SettingsError: names every value that is wrong, with its source.
    """
    sources: list[tuple[dict[str, Any], dict[str, str]]] = []
    given = {name: value for name, value in flags.items() if value is not None}
    sources.append((given, {name: f"flag --{name.replace('_', '-')}" for name in given}))
    variables = _from_environment(environment)
    sources.append((variables, {name: f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in variables}))
    path = find_config(config_file, environment)
    wrong: dict[str, str] = {}
    if path is not None:
        values = read_config(path)
        # The console reads its own table, without loading all this.
        values.pop(CONSOLE_TABLE, None)
        wrong = _wrong_types(values, path)
        sources.append((values, dict.fromkeys(values, str(path))))
    sources.append(_state_default(environment))
    merged: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, "default")
    for values, names in reversed(sources):
        merged.update(values)
        origins.update(names)
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise _wrong_settings(_sentences(error, origins) | wrong) from error
    if wrong:
        raise _wrong_settings(wrong)
    return Loaded(settings, origins)


def _wrong_types(values: dict[str, Any], path: Path) -> dict[str, str]:
    try:
        validate_typed(Settings, values)
    except ValidationError as error:
        found = _sentences(error, dict.fromkeys(values, str(path)))
        # Defaults are checked along, and a path's default is no text of the file.
        return {field: text for field, text in found.items() if field.partition(".")[0] in values}
    return {}


def _wrong_settings(sentences: Mapping[str, str]) -> SettingsError:
    return SettingsError(f"Wrong settings: {'; '.join(sentences.values())}.")


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: environment[variable]
        for name in Settings.model_fields
        # An empty variable is an unset one, as shells and other programs have it.
        if environment.get(variable := f"{ENVIRONMENT_PREFIX}{name.upper()}")
    }


def _state_default(environment: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    home = environment.get("XDG_STATE_HOME")
    if not home:
        return {}, {}
    return {"state_dir": os.path.join(home, "gpubench-tui")}, {"state_dir": "XDG_STATE_HOME"}


def _sentences(error: ValidationError, origins: Mapping[str, str]) -> dict[str, str]:
    """Return a sentence for each field, which names where its value came from."""
    return {
        field: f"{origins.get(field.partition('.')[0], 'default')}: {field} {what}"
        for field, what in findings(error)
    }
