"""Which cluster is meant: the kubeconfig's current context and its namespace, made explicit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.kube.cluster import Access
from core.kube.errors import KubeconfigError
from core.text import harmless

_REMEDY = "kubectl config get-contexts lists what there is; name one with --context."


def resolve_access(
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    environment: Mapping[str, str],
) -> Access:
    """Return the access with nothing left to what is current: it may be used much later.

    Raises:
        KubeconfigError: there is no kubeconfig, or no such context in it.
    """
    paths = kubeconfig or environment.get("KUBECONFIG") or _default(environment)
    files = [Path(part).expanduser().absolute() for part in paths.split(os.pathsep) if part]
    there = [file for file in files if file.exists()]
    if not there:
        raise KubeconfigError(
            f"There is no kubeconfig at {harmless(paths)}.",
            "Name one with --kubeconfig, or make it as your cluster's guide says.",
        )
    documents = [_read(file) for file in there]
    # The first file that says it wins, as in kubectl.
    name = context or next(filter(None, (_text(each, "current-context") for each in documents)), "")
    if not name:
        raise KubeconfigError(f"{harmless(paths)} has no current context.", _REMEDY)
    found = _context(documents, name)
    if found is None:
        raise KubeconfigError(f"{harmless(paths)} has no context {harmless(name)}.", _REMEDY)
    return Access(
        kubeconfig=os.pathsep.join(map(str, there)),
        context=name,
        namespace=namespace or _text(found, "namespace") or "default",
    )


def _default(environment: Mapping[str, str]) -> str:
    return os.path.join(environment.get("HOME") or "~", ".kube", "config")


def _read(file: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = harmless(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise KubeconfigError(
            f"{file} cannot be read as a kubeconfig: {reason}.",
            "Mend it, or name another with --kubeconfig.",
        ) from error
    if not isinstance(document, dict):
        raise KubeconfigError(
            f"{file} is no kubeconfig: it holds no mapping.", "Name another with --kubeconfig."
        )
    return document


def _context(documents: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    for document in documents:
        contexts = document.get("contexts")
        for entry in contexts if isinstance(contexts, list) else []:
            if isinstance(entry, dict) and entry.get("name") == name:
                context = entry.get("context")
                return context if isinstance(context, dict) else {}
    return None


def _text(mapping: dict[str, Any], key: str) -> str:
    value = mapping.get(key)
    return value if isinstance(value, str) else ""
