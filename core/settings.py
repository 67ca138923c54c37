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

    target: Literal["local", "kubernetes", "gke"] = "local"
    """Where the benchmark runs: `local` is this machine, `kubernetes` a cluster that you have,
    `gke` one that is created on Google Cloud for the run and removed after it."""
    leg: str = Field(default="baseline", pattern=LEG_PATTERN)
    """Which side of a comparison the run belongs to: baseline, xen or any other label."""
    profile: Text = "quick"
    """What is measured: reference, quick or a TOML file."""
    repeats: int | None = Field(default=None, ge=1, le=1000)
    """Blocks: each measurement runs in this many fresh processes. Default: the profile's."""
    probes: bool | None = None
    """Whether launches, copies, page faults and their like are timed alone before each block, so
    that a comparison can say what got dearer: yes or no. Default: the profile's."""
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
    """kubernetes: what stays when the run ends by itself: nothing, everything if it failed, or
    everything until its time is over. On gke the GPU nodes go in any case. A run that is stopped
    leaves nothing."""
    project: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")
    """gke: the Google Cloud project. Default: the credentials' own, or $GOOGLE_CLOUD_PROJECT."""
    credentials: Text | None = None
    """gke: a key file, of a service account for instance. Default: the application default
    credentials."""
    impersonate: str | None = Field(default=None, pattern=r"^[a-z0-9._-]+@[a-z0-9.-]+$")
    """gke: the service account to act as."""
    zone: str = Field(default="us-central1-a", pattern=r"^[a-z]+-[a-z]+[0-9]+-[a-z]$")
    """gke: where the cluster is created, and where GPUs are asked for first."""
    zones: Text | None = None
    """gke: where else GPUs may be asked for when there are none: zones joined by commas, `region`
    (all of the region that offer them) or `none`. Default: region."""
    regions: Text | None = None
    """gke: other regions that may be tried after that, joined by commas. Default: none."""
    cluster_name: str = Field(
        default="gpu-benchmark-cluster", pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"
    )
    """gke: the cluster's name; `--name-suffix` is added to it."""
    reuse: Literal["never", "ours", "any"] = "ours"
    """gke: which cluster of that name may be used if it is there already: none, one that a run of
    the same owner kept, or any that fits. It is then not removed, only what the run adds to it."""
    machine: str = Field(default="n1-standard-4", pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)+$")
    """gke: the GPU nodes' machine type."""
    gpu: str = Field(default="nvidia-tesla-t4", pattern=r"^nvidia-[a-z0-9-]{2,40}$")
    """gke: the accelerator's type: nvidia-tesla-t4, nvidia-l4, nvidia-tesla-a100 ..."""
    most_nodes: int = Field(default=2, ge=1, le=16)
    """gke: how many GPU nodes the autoscaler may have; it begins with one and may go to none."""
    spot: bool = False
    """gke: spot GPU nodes: cheaper, and Google may take them away at any time."""
    driver: Literal["default", "latest", "disabled"] = "default"
    """gke: which NVIDIA driver Google installs; disabled: `--install-drivers gke-cos` does it."""
    disk_gb: int = Field(default=60, ge=20, le=2000)
    """gke: size of a GPU node's disk in GB; the image must fit."""
    system_machine: str = Field(default="e2-medium", pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)+$")
    """gke: machine type of the one small node for the cluster's own pods."""
    network: str | None = Field(default=None, pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")
    """gke: the network. Default: the project's `default`."""
    subnetwork: str | None = Field(default=None, pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")
    """gke: the subnetwork. Default: the network's own in the region."""
    node_account: str | None = Field(default=None, pattern=r"^[a-z0-9._-]+@[a-z0-9.-]+$")
    """gke: the nodes' service account. Default: the project's default one, with narrow scopes."""
    release_channel: Literal["rapid", "regular", "stable"] = "regular"
    """gke: Kubernetes' release channel."""
    endpoint: Literal["dns", "ip"] = "dns"
    """gke: by which of the control plane's addresses it is reached."""
    budget: float = Field(default=5.0, gt=0, le=100_000, allow_inf_nan=False)
    """gke: what the run may cost in dollars, teardown included; it is stopped before that."""
    deadline_minutes: int = Field(default=120, ge=5, le=10_080)
    """gke: when the run is stopped and torn down at the latest."""
    prices: Literal["live", "shipped"] = "live"
    """gke: prices from the Cloud Billing Catalog, else from the table that ships with the program;
    or from that table at once."""
    remove_image: bool = False
    """gke: remove the image from its registry at the end too."""
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
