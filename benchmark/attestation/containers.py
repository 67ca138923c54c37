"""Which container runtime, if any, the evidence shows."""

from __future__ import annotations

from typing import Final

from benchmark.attestation.model import ContainerRuntime, EvidenceStatus
from benchmark.attestation.signs import Signs

_BY_TOOL: Final = {
    "docker": ContainerRuntime.DOCKER,
    "podman": ContainerRuntime.PODMAN,
    "none": ContainerRuntime.NONE,
}
_BY_CGROUP: Final = (
    ("kubepods", ContainerRuntime.KUBERNETES),
    ("libpod", ContainerRuntime.PODMAN),
    ("docker", ContainerRuntime.DOCKER),
    ("containerd", ContainerRuntime.CONTAINERD),
    ("lxc", ContainerRuntime.OTHER),
)


def container_runtime(signs: Signs) -> ContainerRuntime:
    """Name the outermost thing that contains the process: Kubernetes before what it runs on.

    A container's own view of its control group can be empty (a namespace of its own), so an empty
    one proves nothing; then the root filesystem and systemd-detect-virt speak.
    """
    cgroup = signs.said("/proc/self/cgroup")
    if (
        _is_there(signs, "environment KUBERNETES_SERVICE_HOST")
        or _is_there(signs, "/var/run/secrets/kubernetes.io")
        or "kubepods" in (cgroup or "")
    ):
        return ContainerRuntime.KUBERNETES
    if _is_there(signs, "/run/.containerenv"):
        return ContainerRuntime.PODMAN
    if _is_there(signs, "/.dockerenv"):
        return ContainerRuntime.DOCKER
    for part, runtime in _BY_CGROUP:
        # A service such as containerd.service is no container; a scope or a plain path is one.
        if any(part in line and f"{part}.service" not in line for line in (cgroup or "").split()):
            return runtime
    tool = signs.said("systemd-detect-virt --container")
    if tool:
        return _BY_TOOL.get(tool, ContainerRuntime.OTHER)
    root = _root_filesystem(signs)
    if root is None:
        return ContainerRuntime.UNKNOWN
    return ContainerRuntime.OTHER if root == "overlay" else ContainerRuntime.NONE


def _is_there(signs: Signs, source: str) -> bool:
    return signs.status(source) is EvidenceStatus.PRESENT


def _root_filesystem(signs: Signs) -> str | None:
    found = None
    for line in (signs.said("/proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        columns = before.split(" ")
        if len(columns) > 4 and columns[4] == "/" and after:
            found = after.split(" ")[0]
    return found
