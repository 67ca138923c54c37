"""What a person would type for what the console shows: kubectl, gcloud and the like, made of the
resources that the run wrote down.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from core.run.view import ResourceView, RunView

_NVIDIA_PODS = "k8s-app in (nvidia-driver-installer, nvidia-gpu-device-plugin)"


@dataclass(frozen=True, slots=True)
class Equivalent:
    """One command."""

    label: str
    kind: str
    """``own``, ``describe``, ``system pods``, ``log`` or ``delete``."""
    command: tuple[str, ...]
    """Of our own only the words after ``--no-ui``: the caller knows which journal it is about."""


def equivalents(view: RunView) -> tuple[Equivalent, ...]:
    """Return the commands for a run, those for what exists only while it does."""
    found = []
    if view.command:
        words = _words(view.command)
        start = words.index("run") if "run" in words else 0
        found.append(Equivalent("start it again", "own", words[start:]))
    found += [
        _own("follow it", "follow", view),
        _own("its results", "show", view),
        _own("its log", "logs", view),
        Equivalent("its log as it grows", "log", ("tail", "-F", f"{view.folder}/deployment.log")),
        _own("stop it", "stop", view),
        _own("remove what it left", "teardown", view),
    ]
    for resource in view.resources.values():
        if resource.exists:
            found += _of_resource(resource)
    return tuple(found)


def _own(label: str, verb: str, view: RunView) -> Equivalent:
    return Equivalent(label, "own", (verb, view.id))


def _of_resource(resource: ResourceView) -> list[Equivalent]:
    intended = resource.intended
    match intended.kind:
        case "cluster":
            found = _of_cluster(intended.name, intended.location)
        case "job" | "pod":
            found = _of_workload(intended.kind, intended.name, intended.location)
        case "process":
            found = _of_process(intended.name, resource.identity.partition(":")[0])
        case _:
            found = []
    if intended.delete_command:
        label = f"remove {intended.kind} {intended.name} by hand"
        found.append(Equivalent(label, "delete", _words(intended.delete_command)))
    return found


def _of_cluster(name: str, zone: str) -> list[Equivalent]:
    place = ("--zone", zone) if zone else ()
    describe = ("gcloud", "container", "clusters", "describe", name, *place)
    pods = ("kubectl", "get", "pods", "--namespace", "kube-system", "--output", "wide")
    return [
        Equivalent(f"describe cluster {name}", "describe", describe),
        Equivalent(
            "NVIDIA pods of kube-system", "system pods", (*pods, "--selector", _NVIDIA_PODS)
        ),
    ]


def _of_workload(kind: str, name: str, namespace: str) -> list[Equivalent]:
    place = ("--namespace", namespace) if namespace else ()
    log = ("kubectl", "logs", "--follow", "--timestamps", f"{kind}/{name}", *place)
    found = [
        Equivalent(
            f"describe {kind} {name}", "describe", ("kubectl", "describe", kind, name, *place)
        ),
        Equivalent(f"log of {kind} {name}", "log", log),
    ]
    if kind == "job":
        pods = ("kubectl", "describe", "pods", "--selector", f"job-name={name}", *place)
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
