"""What is asked of Google: a cluster, a pool of nodes. Names, sizes and labels; no client types."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

RUN_LABEL = "gpubench-run"
EXPIRES_LABEL = "gpubench-expires"
"""Unix time in seconds after which nobody needs it any more."""
OWNER_LABEL = "gpubench-owner"
KEEP_LABEL = "gpubench-keep"
"""``yes``: its run meant it to stay, and later runs of the same owner may use it."""

_LONGEST_LABEL = 63

DriverVersion = Literal["default", "latest", "disabled"]


def label_value(text: str) -> str:
    """Return a text as the value of a label: in lower case where that can be one, else its
    beginning and hash. What is one already stays as it is.

    https://cloud.google.com/resource-manager/docs/labels-overview#requirements
    """
    plain = label_beginning(text)
    if plain == text.lower() and len(plain) <= _LONGEST_LABEL:
        return plain
    return f"{plain[:54].strip('-_')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def label_beginning(text: str) -> str:
    """Return how the value begins of the label of every short text that begins so."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A pool of nodes."""

    name: str
    machine: str
    nodes: int
    """At its creation."""
    zones: tuple[str, ...]
    most_nodes: int = 0
    """Above 0: the autoscaler may have between none and this many."""
    gpu: str = ""
    """Accelerator type (``nvidia-tesla-t4``); empty: none."""
    gpus: int = 0
    """Of each node."""
    driver: DriverVersion = "default"
    """Which driver GKE installs by itself."""
    spot: bool = False
    disk_gb: int = 50
    disk_type: str = "pd-balanced"
    longest_s: int | None = None
    """Google ends each node after this many seconds, whatever happens to us."""
    service_account: str = ""
    """Of the nodes; empty: the project's default one."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of Google's resources (nodes, disks), not Kubernetes'."""


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """A cluster with its first pool, which has no GPU and carries the system's own pods."""

    name: str
    location: str
    """A zone, or a region for a regional cluster."""
    pool: PoolSpec
    labels: Mapping[str, str]
    more_pools: tuple[PoolSpec, ...] = ()
    """Created with it; those of GPUs without a node yet."""
    release_channel: Literal["rapid", "regular", "stable"] = "regular"
    network: str = ""
    subnetwork: str = ""
    """Empty: the project's ``default``."""
