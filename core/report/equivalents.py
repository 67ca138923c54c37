"""What a person would type for what the console shows: kubectl, gcloud and the like, made of the
resources that the run wrote down.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.run.view import ResourceView, RunView

_NVIDIA_PODS = "k8s-app in (nvidia-driver-installer, nvidia-gpu-device-plugin)"
_NAMESPACE = re.compile(r"\bnamespace ([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$")


@dataclass(frozen=True, slots=True)
class Equivalent:
    """One command."""

    label: str
    kind: str
    """``run``, ``describe``, ``system pods``, ``log`` or ``delete``."""
    command: tuple[str, ...]
    """Of our own only the words after ``--no-ui``: the caller knows which journal it is about."""
    own: bool = False
    """It is a headless command of ours."""


def equivalents(view: RunView) -> tuple[Equivalent, ...]:
    """Return the commands for a run, those for what exists only while it does."""
    found = []
    if view.command:
        words = _words(view.command)
        start = words.index("run") if "run" in words else 0
        found.append(Equivalent("start one like it", "run", words[start:], own=True))
    found += [
        _own("run it again", "rerun", view),
        _own("follow it", "follow", view),
        _own("its results", "show", view),
        _own("its log", "logs", view),
        Equivalent("its log as it grows", "log", ("tail", "-F", f"{view.folder}/deployment.log")),
        _own("stop it", "stop", view),
        _own("remove what it left", "teardown", view),
    ]
    kubectl = _Kubectl(view.settings)
    if view.target == "kubernetes":
        found += [
            _own("describe it", "describe", view, "describe"),
            _own("collect its results", "collect", view),
            kubectl.nvidia_pods(),
        ]
    for resource in view.resources.values():
        if resource.exists:
            found += _of_resource(resource, kubectl)
    return tuple(found)


def _own(label: str, verb: str, view: RunView, kind: str = "run") -> Equivalent:
    return Equivalent(label, kind, (verb, view.id), own=True)


class _Kubectl:
    """kubectl commands about the cluster that a run's settings name."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        kubeconfig, context = settings.get("kubeconfig"), settings.get("context")
        self._program: tuple[str, ...] = ("kubectl",)
        self._place: tuple[str, ...] = ()
        if kubeconfig and ":" in str(kubeconfig):
            # The flag takes one file only.
            self._program = ("env", f"KUBECONFIG={kubeconfig}", "kubectl")
        elif kubeconfig:
            self._place = ("--kubeconfig", str(kubeconfig))
        if context:
            self._place += ("--context", str(context))
        self._namespace = str(settings.get("namespace") or "")

    def namespace_of(self, location: str) -> str:
        """Return a resource's namespace: what its location says, else the settings'."""
        found = _NAMESPACE.search(location)
        return found[1] if found else self._namespace

    def __call__(self, *words: str, namespace: str) -> tuple[str, ...]:
        where = ("--namespace", namespace) if namespace else ()
        return (*self._program, *words, *where, *self._place)

    def nvidia_pods(self) -> Equivalent:
        """Return what lists the pods that bring drivers and devices."""
        words = ("get", "pods", "--output", "wide", "--selector", _NVIDIA_PODS)
        command = self(*words, namespace="kube-system")
        return Equivalent("NVIDIA pods of kube-system", "system pods", command)


def _of_resource(resource: ResourceView, kubectl: _Kubectl) -> list[Equivalent]:
    intended = resource.intended
    match intended.kind:
        case "cluster":
            found = _of_cluster(intended.name, intended.location, kubectl)
        case "job" | "pod" | "daemonset":
            # A DaemonSet is named with its namespace, which is seldom the run's.
            given, _, name = intended.name.rpartition("/")
            namespace = given or kubectl.namespace_of(intended.location)
            found = _of_workload(intended.kind, name, namespace, kubectl)
        case "process":
            found = _of_process(intended.name, resource.identity.partition(":")[0])
        case _:
            found = []
    if intended.delete_command:
        label = f"remove {intended.kind} {intended.name} by hand"
        found.append(Equivalent(label, "delete", _words(intended.delete_command)))
    return found


def _of_cluster(name: str, zone: str, kubectl: _Kubectl) -> list[Equivalent]:
    place = ("--zone", zone) if zone else ()
    describe = ("gcloud", "container", "clusters", "describe", name, *place)
    return [Equivalent(f"describe cluster {name}", "describe", describe), kubectl.nvidia_pods()]


def _of_workload(kind: str, name: str, namespace: str, kubectl: _Kubectl) -> list[Equivalent]:
    describe = kubectl("describe", kind, name, namespace=namespace)
    log = kubectl("logs", "--follow", "--timestamps", f"{kind}/{name}", namespace=namespace)
    found = [
        Equivalent(f"describe {kind} {name}", "describe", describe),
        Equivalent(f"log of {kind} {name}", "log", log),
    ]
    if kind == "job":
        pods = kubectl("describe", "pods", "--selector", f"job-name={name}", namespace=namespace)
        found.append(Equivalent(f"describe the pods of job {name}", "describe", pods))
    return found


def _of_process(name: str, pid: str) -> list[Equivalent]:
    if not pid:
        return []
    command = ("ps", "-o", "pid,ppid,stat,etime,time,rss,args", "-s", pid)
    return [Equivalent(f"describe process {name}", "describe", command)]


def _words(command: str) -> tuple[str, ...]:
    """Return a command's words; one that no shell could read is a single word."""
    try:
        return tuple(shlex.split(command))
    except ValueError:
        return (command,)
