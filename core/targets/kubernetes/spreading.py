"""Several nodes, or kinds of GPU, in one go: a run of its own for each."""

from __future__ import annotations

import os

from core.errors import SettingsError
from core.kube.cluster import Cluster
from core.kube.errors import DeniedError
from core.kube.objects import GPU_RESOURCE
from core.settings import Settings
from core.targets.kubernetes.deployment import access_of, placement_of
from core.text import harmless

_LONGEST_SUFFIX = 26


async def one_for_each(settings: Settings, label: str) -> list[Settings]:
    """Return the settings once for each value that a label has on the nodes which fit.

    Kubernetes places them: each asks for its value by node selector, and stands beside the others
    by a suffix of its name.

    Raises:
        SettingsError: no node that fits has the label.
        ClusterError: the nodes cannot be listed.
    """
    placement = placement_of(settings)
    async with Cluster(access_of(settings, os.environ)) as cluster:
        try:
            answer = await cluster.request("GET", "/api/v1/nodes")
        except DeniedError as error:
            raise SettingsError(
                f"--each looks at the nodes, which this context may not: {error.sentence}",
                "Name them one by one with --node-selector and --name-suffix.",
            ) from error
    values = set()
    for node in answer.get("items") or ():
        labels = (node.get("metadata") or {}).get("labels") or {}
        allocatable = (node.get("status") or {}).get("allocatable") or {}
        fits = all(labels.get(key) == value for key, value in placement.node_selector.items())
        has_gpu = not settings.gpus or str(allocatable.get(GPU_RESOURCE, "0")) != "0"
        if fits and has_gpu and label in labels:
            values.add(str(labels[label]))
    if not values:
        raise SettingsError(
            f"No node that fits has the label {harmless(label)}"
            + (" and an allocatable GPU." if settings.gpus else "."),
            "kubectl get nodes --show-labels lists what they have.",
        )
    suffixes = _suffixes(settings.name_suffix, sorted(values))
    selector = settings.node_selector
    return [
        Settings.model_validate(
            {
                **settings.model_dump(),
                "node_selector": ",".join(filter(None, [selector, f"{label}={value}"])),
                "name_suffix": suffix,
            }
        )
        for value, suffix in suffixes.items()
    ]


def _suffixes(common: str | None, values: list[str]) -> dict[str, str]:
    """Return a name's ending for each value, all different."""
    found: dict[str, str] = {}
    for number, value in enumerate(values, start=1):
        plain = "-".join(filter(None, [common, *_words(value)]))[:_LONGEST_SUFFIX].strip("-")
        if not plain or plain in found.values():
            ending = f"-{number}"
            plain = f"{plain[: _LONGEST_SUFFIX - len(ending)]}{ending}".strip("-")
        found[value] = plain
    return found


def _words(value: str) -> list[str]:
    return "".join(
        letter if letter.isascii() and letter.isalnum() else " " for letter in value.lower()
    ).split()
