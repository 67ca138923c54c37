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
    """``own`` (ours), ``describe``, ``system pods``, ``log`` or ``delete``."""
    command: tuple[str, ...]


def equivalents(view: RunView) -> tuple[Equivalent, ...]:
    """Return the commands for a run, those for what exists only while it does."""
    found = []
    if view.command:
        found.append(Equivalent("start it again", "own", _words(view.command)))
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
    return Equivalent(label, "own", ("gpubench-tui", "--no-ui", verb, view.id))


def _of_resource(resource: ResourceView) -> list[Equivalent]:
    kind, name = resource.intended.kind, resource.intended.name
    where = resource.intended.location
    found = []
    match kind:
        case "cluster":
            place = ("--zone", where) if where else ()
            found += [
                Equivalent(
                    f"describe cluster {name}",
                    "describe",
                    ("gcloud", "container", "clusters", "describe", name, *place),
                ),
                Equivalent(
                    "NVIDIA pods of kube-system",
                    "system pods",
                    (
                        *("kubectl", "get", "pods", "--namespace", "kube-system"),
                        *("--output", "wide", "--selector", _NVIDIA_PODS),
                    ),
                ),
            ]
        case "job" | "pod":
            place = ("--namespace", where) if where else ()
            found += [
                Equivalent(
                    f"describe {kind} {name}",
                    "describe",
                    ("kubectl", "describe", kind, name, *place),
                ),
                Equivalent(
                    f"log of {kind} {name}",
                    "log",
                    ("kubectl", "logs", "--follow", "--timestamps", f"{kind}/{name}", *place),
                ),
            ]
            if kind == "job":
                found.append(
                    Equivalent(
                        f"describe the pods of job {name}",
                        "describe",
                        ("kubectl", "describe", "pods", "--selector", f"job-name={name}", *place),
                    )
                )
        case "process":
            pid = resource.identity.partition(":")[0]
            if pid:
                found.append(
                    Equivalent(
                        f"describe process {name}",
                        "describe",
                        ("ps", "-o", "pid,ppid,stat,etime,time,rss,args", "-s", pid),
                    )
                )
        case _:
            pass
    if resource.intended.delete_command:
        found.append(
            Equivalent(
                f"remove {kind} {name} by hand",
                "delete",
                _words(resource.intended.delete_command),
            )
        )
    return found


def _words(command: str) -> tuple[str, ...]:
    """Return a command's words; one that no shell could read is a single word."""
    try:
        return tuple(shlex.split(command))
    except ValueError:
        return (command,)
