"""The DaemonSet that installs a driver: where its manifest comes from, and applying it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.errors import InputError, WorkError
from core.kube.cluster import Cluster, JsonObject
from core.kube.errors import ConflictError
from core.kube.finishing import to_its_end
from core.kube.permissions import SYSTEM_NAMESPACE
from core.kube.reading import mapping, name_of, objects, texts, words
from core.kube.reason import shown

if TYPE_CHECKING:
    import httpx

_REPOSITORY = (
    "https://raw.githubusercontent.com/GoogleCloudPlatform/container-engine-accelerators/master/"
    "nvidia-driver-installer"
)
KNOWN_SOURCES: Mapping[str, str] = {
    "gke-cos": f"{_REPOSITORY}/cos/daemonset-preloaded.yaml",
    "gke-ubuntu": f"{_REPOSITORY}/ubuntu/daemonset-preloaded.yaml",
}
"""Names of manifests that Google keeps for GKE's node images."""

_LONGEST_MANIFEST = 1024 * 1024
_FETCH_TIMEOUT_S = 30.0
_OTHER_SOURCE = "Name another with --install-drivers: gke-cos, gke-ubuntu, a file or an https URL."


class ManifestError(InputError):
    """A driver manifest that cannot be read, or holds what is not applied."""


class ManifestUnreachableError(WorkError):
    """A driver manifest's server gave no usable answer."""


class Installed(NamedTuple):
    """A DaemonSet as it is in the cluster."""

    name: str
    namespace: str
    uid: str
    created: bool
    """False: it was there before, and belongs to somebody else."""


async def driver_manifest(source: str, client: httpx.AsyncClient | None = None) -> list[JsonObject]:
    """Return the DaemonSets of a manifest: a known name, a file, or an https URL.

    Raises:
        ManifestError: not there, unreadable, no YAML, or it holds something else than DaemonSets.
        ManifestUnreachableError: the server cannot be reached or does not answer well.
    """
    address = KNOWN_SOURCES.get(source, source)
    if address.startswith("http://"):
        raise ManifestError(
            f"{shown(source)} is not fetched: what runs with all rights on nodes must come by "
            "https.",
            "Use its https address, or download it, read it and give the file.",
        )
    if address.startswith("https://"):
        text = await _fetch(address, client)
    else:
        text = await asyncio.to_thread(_read, Path(address).expanduser())
    return _daemonsets(await asyncio.to_thread(_documents, text, source), source)


def namespace_of(daemonset: JsonObject) -> str:
    """Return where :func:`install` puts a DaemonSet."""
    return words(daemonset, "metadata", "namespace") or SYSTEM_NAMESPACE


async def install(cluster: Cluster, daemonset: JsonObject, labels: Mapping[str, str]) -> Installed:
    """Create the DaemonSet with ``labels`` added to its own; its pods' are left as they are. One
    that is there already is used as it is.

    Raises:
        ClusterError: see its classes.
    """
    name, namespace = name_of(daemonset), namespace_of(daemonset)
    path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets"
    metadata = {
        "name": name,
        "namespace": namespace,
        "annotations": mapping(daemonset, "metadata", "annotations"),
        "labels": {**texts(daemonset, "metadata", "labels"), **labels},
    }
    body = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata,
        "spec": mapping(daemonset, "spec"),
    }
    try:
        answer = await to_its_end(cluster.request("POST", path, body=body))
        created = True
    except ConflictError:
        answer = await cluster.request("GET", f"{path}/{name}")
        # Of a request that was tried again, the first try may have been the one that made it.
        created = bool(labels) and labels.items() <= texts(answer, "metadata", "labels").items()
    return Installed(name, namespace, words(answer, "metadata", "uid"), created)


async def _fetch(address: str, client: httpx.AsyncClient | None) -> str:
    import httpx

    if client is None:
        async with httpx.AsyncClient(
            follow_redirects=True, timeout=_FETCH_TIMEOUT_S, max_redirects=5
        ) as own:
            return await _fetch(address, own)
    shown_address = shown(address)
    try:
        async with client.stream("GET", address) as answer:
            if answer.url.scheme != "https":
                raise ManifestError(f"{shown_address} leads away from https.", _OTHER_SOURCE)
            if answer.status_code in (404, 410):
                raise ManifestError(
                    f"There is no driver manifest at {shown_address} ({answer.status_code}).",
                    _OTHER_SOURCE,
                )
            if answer.status_code != 200:
                raise ManifestUnreachableError(
                    f"The server of {shown_address} answered {answer.status_code}.",
                    "Try again later, or give the manifest as a file.",
                )
            content = bytearray()
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > _LONGEST_MANIFEST:
                    raise ManifestError(
                        f"{shown_address} is no driver manifest: it is larger than 1 MiB.",
                        _OTHER_SOURCE,
                    )
    except httpx.InvalidURL as error:
        raise ManifestError(f"{shown_address} is no address: {shown(str(error))}.") from error
    except httpx.HTTPError as error:
        said = shown(str(error)) or type(error).__name__
        raise ManifestUnreachableError(
            f"The driver manifest {shown_address} cannot be fetched: {said}.",
            "See that this machine reaches it, or give the manifest as a file.",
        ) from error
    return _decoded(bytes(content), shown_address)


def _read(path: Path) -> str:
    name = shown(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_MANIFEST + 1)
    except OSError as error:
        raise ManifestError(
            f"The driver manifest {name} cannot be read: {error.strerror or error}.",
            _OTHER_SOURCE,
        ) from error
    if len(content) > _LONGEST_MANIFEST:
        raise ManifestError(
            f"{name} is no driver manifest: it is larger than 1 MiB.", _OTHER_SOURCE
        )
    return _decoded(content, name)


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{name} is no driver manifest: it is no UTF-8 text.", _OTHER_SOURCE
        ) from error


def _documents(text: str, source: str) -> list[Any]:
    import yaml

    try:
        return [each for each in yaml.safe_load_all(text) if each is not None]
    # Beside YAMLError: ValueError for an impossible date, RecursionError for absurd nesting.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        problem = shown(getattr(error, "problem", None) or str(error))
        raise ManifestError(
            f"The driver manifest {shown(source)} is no YAML{where}: {problem}.",
            "Mend the file, or name another.",
        ) from error


def _daemonsets(documents: list[Any], source: str) -> list[JsonObject]:
    found: list[JsonObject] = []
    for document in documents:
        items = objects(document, "items") if words(document, "kind").endswith("List") else []
        for each in items or [document]:
            kind = words(each, "kind")
            if kind != "DaemonSet" or words(each, "apiVersion") != "apps/v1":
                version = words(each, "apiVersion")
                what = " ".join(part for part in (version, kind, name_of(each)) if part)
                raise ManifestError(
                    f"The driver manifest {shown(source)} holds {shown(what) or 'no object'}; only "
                    "DaemonSets of apps/v1 are applied.",
                    "Apply the rest with kubectl, and give a file with the DaemonSet alone.",
                )
            if not name_of(each) or not mapping(each, "spec"):
                raise ManifestError(
                    f"The driver manifest {shown(source)} holds a DaemonSet without a name or a "
                    "spec.",
                    "Mend the file, or name another.",
                )
            found.append(each)
    if not found:
        raise ManifestError(
            f"The driver manifest {shown(source)} holds no DaemonSet.", _OTHER_SOURCE
        )
    return found
