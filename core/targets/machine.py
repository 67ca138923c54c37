"""What this machine is, asked without loading anything heavy: what the console's first page and
``machine`` say before anything was measured.
"""

from __future__ import annotations

import http.client
import importlib.util
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.targets.local import NEEDED_MODULES
from core.text import harmless

_PATIENCE_S = 2.0
_NVIDIA = "0x10de"
_DISPLAY_CLASSES = ("0x0300", "0x0302")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is there or not."""

    name: str
    found: bool
    detail: str
    remedy: str = ""


def findings(
    environment: Mapping[str, str],
    root: Path = Path("/"),
    hypervisor: Callable[[], str] | None = None,
) -> tuple[Finding, ...]:
    """Return what was found: benchmark, GPU, hypervisor, container engine, cluster access.

    Takes up to some seconds; never raises for what it finds. ``root`` stands for / when files are
    read; ``hypervisor`` answers what this machine runs under, by default the attestation.
    """
    return (
        _benchmark(),
        _gpu(root),
        _hypervisor(hypervisor or _attested),
        _engine(environment),
        _cluster_access(environment),
    )


def _benchmark() -> Finding:
    missing = [name for name in NEEDED_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        return Finding(
            "benchmark",
            False,
            f"not installed: {', '.join(missing)}",
            "pip install -e '.[local]' in a clone makes this machine able to measure.",
        )
    return Finding("benchmark", True, "installed: PyTorch, torchvision, LoadGen")


def _gpu(root: Path) -> Finding:
    names = []
    for file in sorted(root.glob("proc/driver/nvidia/gpus/*/information")):
        found = re.search(r"^Model:[ \t]*(\S.*)$", _text(file), re.MULTILINE)
        names.append(harmless(found[1].strip()) if found else "NVIDIA GPU of unknown model")
    if names:
        return Finding("GPU", True, ", ".join(names))
    for device in sorted(root.glob("sys/bus/pci/devices/*")):
        is_display = _text(device / "class").startswith(_DISPLAY_CLASSES)
        if _text(device / "vendor").strip() == _NVIDIA and is_display:
            return Finding(
                "GPU",
                False,
                f"an NVIDIA device ({device.name}) without a driver",
                "Install the NVIDIA driver; until then everything is measured on the CPU.",
            )
    return Finding("GPU", False, "none: everything is measured on the CPU, and says so")


def _attested() -> str:
    from benchmark.attestation import collect

    return str(collect().hypervisor)


def _hypervisor(ask: Callable[[], str]) -> Finding:
    kind = ask()
    return Finding("hypervisor", kind not in ("unknown", "bare-metal"), kind)


def _engine(environment: Mapping[str, str]) -> Finding:
    address = environment.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not address.startswith("unix://"):
        return Finding("container engine", True, f"{harmless(address)} (not asked)")
    path = address.removeprefix("unix://")
    try:
        version = _engine_version(path)
    except (OSError, http.client.HTTPException):
        return Finding("container engine", False, f"none answers at {harmless(path)}")
    return Finding("container engine", True, f"{harmless(version)} at {harmless(path)}")


def _engine_version(path: str) -> str:
    connection = http.client.HTTPConnection("localhost", timeout=_PATIENCE_S)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.sock.settimeout(_PATIENCE_S)
        connection.sock.connect(path)
        connection.request("GET", "/_ping")
        answer = connection.getresponse()
        return answer.getheader("Server") or "an engine"
    finally:
        connection.close()


def _cluster_access(environment: Mapping[str, str]) -> Finding:
    given = environment.get("KUBECONFIG")
    home = environment.get("HOME", "~")
    places = given.split(os.pathsep) if given else [os.path.join(home, ".kube", "config")]
    for place in places:
        # An empty value must not take the next line for the context; a comment is none.
        found = re.search(
            r"^current-context:[ \t]+['\"]?([^'\"\n]+)", _text(Path(place)), re.MULTILINE
        )
        context = found[1].partition(" #")[0].strip() if found else ""
        if context and not context.startswith("#"):
            return Finding("cluster access", True, f"context {harmless(context)}")
    return Finding("cluster access", False, "no kubeconfig with a current context")


def _text(file: Path) -> str:
    try:
        # A pipe would hold this up, and be read empty for whoever it is meant for.
        if not file.is_file():
            return ""
        with file.open(encoding="utf-8", errors="backslashreplace") as stream:
            return stream.read(2**20)
    except (OSError, ValueError):
        return ""
