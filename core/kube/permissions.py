"""What a run may have to do on a cluster: what is missing of it, and the Role that grants it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from core.kube.cluster import Cluster, JsonObject

Place = Literal["namespace", "system", "cluster"]
"""``namespace``: where the Jobs are; ``system``: where drivers are; ``cluster``: above them all."""

SYSTEM_NAMESPACE = "kube-system"
_ROLE = "gpubench-tui"
_ASKED_AT_ONCE = 8
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a run does."""

    verbs: tuple[str, ...]
    group: str
    """API group; empty for the core one."""
    resource: str
    """With its subresource: ``pods/log``."""
    place: Place
    purpose: str
    required: bool = True
    """Without it a run fails; without the others it only says less."""
    only_for: Literal["", "gpus", "drivers"] = ""
    """Only where GPUs are asked for, or drivers are to be installed."""
    since: tuple[int, int] = (1, 0)
    """The first Kubernetes version that asks for it."""


NEEDS = (
    Need(("create", "get", "list", "watch", "delete"), "batch", "jobs", "namespace", "the Job"),
    Need(("get", "list", "watch"), "", "pods", "namespace", "how its pod is"),
    Need(("delete",), "", "pods", "namespace", "ending a pod so that its results stay"),
    Need(("create",), "", "pods", "namespace", "the pod that tries the GPU", only_for="gpus"),
    Need(("get",), "", "pods/log", "namespace", "the benchmark's log"),
    # A websocket begins as GET. From 1.35 on the server asks for create too (kubernetes#134577).
    Need(("get",), "", "pods/exec", "namespace", "fetching the results"),
    Need(("create",), "", "pods/exec", "namespace", "fetching the results", since=(1, 35)),
    Need(("list", "watch"), "", "events", "namespace", "why a pod waits"),
    Need(("get", "list", "watch"), "", "nodes", "cluster", "nodes and their GPUs", required=False),
    Need(
        *(("get", "list", "watch"), "apps", "daemonsets", "system", "how the drivers come up"),
        required=False,
        only_for="gpus",
    ),
    Need(
        *(("list", "watch"), "", "pods", "system", "how the drivers come up"),
        required=False,
        only_for="gpus",
    ),
    Need(
        *(("get",), "", "pods/log", "system", "why a driver was not installed"),
        required=False,
        only_for="gpus",
    ),
    Need(
        *(("list", "watch"), "", "events", "system", "why a driver does not come up"),
        required=False,
        only_for="gpus",
    ),
    Need(
        *(("create", "get", "delete"), "apps", "daemonsets", "system", "installing the drivers"),
        only_for="drivers",
    ),
)


@dataclass(frozen=True, slots=True)
class Missing:
    """Verbs of one need that are not allowed."""

    need: Need
    verbs: tuple[str, ...]
    namespace: str
    """Empty: the whole cluster."""

    @property
    def required(self) -> bool:
        """Without it a run fails; else it only says less."""
        return self.need.required

    @property
    def sentence(self) -> str:
        """Such as ``create and watch jobs.batch in namespace x: the Job``."""
        *first, last = self.verbs
        verbs = f"{', '.join(first)} and {last}" if first else last
        what = f"{self.need.resource}.{self.need.group}" if self.need.group else self.need.resource
        where = f"in namespace {self.namespace}" if self.namespace else "of the cluster"
        return f"{verbs} {what} {where}: {self.need.purpose}"


async def missing_permissions(
    cluster: Cluster, *, gpus: bool, install_drivers: bool
) -> list[Missing]:
    """Return what the credentials do not allow of what a run needs; creates nothing.

    Raises:
        ClusterError: see its classes.
    """
    version = _version(await cluster.request("GET", "/version"))
    needs = [need for need in _needs(gpus, install_drivers) if need.since <= version]
    turn = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def denied(need: Need, verb: str) -> bool:
        async with turn:
            return not await _allowed(cluster, need, verb)

    found = []
    for need, answers in zip(
        needs,
        await asyncio.gather(
            *(asyncio.gather(*(denied(need, verb) for verb in need.verbs)) for need in needs)
        ),
        strict=True,
    ):
        verbs = tuple(verb for verb, no in zip(need.verbs, answers, strict=True) if no)
        if verbs:
            found.append(Missing(need, verbs, _namespace(need, cluster.namespace)))
    return found


def role_yaml(namespace: str, *, install_drivers: bool, subject: str | None) -> str:
    """Return the roles that a run needs as YAML for ``kubectl apply -f -``.

    ``subject`` is whom to bind them to: a user, or ``NAMESPACE:SERVICEACCOUNT``. Without one there
    are no bindings. Roles of the same name are the same everywhere, and bindings are named after
    whom they bind, so that what is applied for one takes nothing from another.
    """
    import yaml

    documents = []
    for place, kind, name in (
        ("namespace", "Role", _ROLE),
        ("system", "Role", f"{_ROLE}-{'install' if install_drivers else 'see'}-drivers"),
        ("cluster", "ClusterRole", f"{_ROLE}-nodes"),
    ):
        needs = [need for need in _needs(True, install_drivers) if need.place == place]
        where = {"namespace": _namespace(needs[0], namespace)} if kind == "Role" else {}
        documents.append(_role(kind, name, where, needs))
        if subject:
            documents.append(_binding(kind, name, where, subject))
    head = "" if subject else "# Nobody has these rights until bound to them: name a --subject.\n"
    text: str = yaml.safe_dump_all(documents, sort_keys=False, explicit_start=True)
    return head + text


def _needs(gpus: bool, install_drivers: bool) -> Iterator[Need]:
    wanted = {"", "gpus" if gpus else "", "drivers" if install_drivers else ""}
    return (need for need in NEEDS if need.only_for in wanted)


def _namespace(need: Need, namespace: str) -> str:
    return {"namespace": namespace, "system": SYSTEM_NAMESPACE, "cluster": ""}[need.place]


async def _allowed(cluster: Cluster, need: Need, verb: str) -> bool:
    resource, _, subresource = need.resource.partition("/")
    asked = {
        "verb": verb,
        "group": need.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": _namespace(need, cluster.namespace),
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {name: value for name, value in asked.items() if value}},
    }
    answer = await cluster.request("POST", _REVIEWS, body=body)
    return bool((answer.get("status") or {}).get("allowed"))


def _version(answer: JsonObject) -> tuple[int, int]:
    """Read ``/version``; what cannot be read counts as newer than all."""
    parts = [re.match(r"\d+", str(answer.get(name) or "")) for name in ("major", "minor")]
    major, minor = (int(part[0]) if part else 999 for part in parts)
    return major, minor


def _role(kind: str, name: str, where: dict[str, str], needs: Iterable[Need]) -> dict[str, Any]:
    rules: dict[tuple[str, str], list[str]] = {}
    for need in needs:
        verbs = rules.setdefault((need.group, need.resource), [])
        verbs += [verb for verb in need.verbs if verb not in verbs]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, **where},
        "rules": [
            {"apiGroups": [group], "resources": [resource], "verbs": verbs}
            for (group, resource), verbs in rules.items()
        ],
    }


def _binding(kind: str, name: str, where: dict[str, str], subject: str) -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": f"{kind}Binding",
        "metadata": {"name": f"{name}:{subject.replace('/', '-').replace('%', '-')}", **where},
        "roleRef": {"apiGroup": group, "kind": kind, "name": name},
        "subjects": [_subject(subject)],
    }


def _subject(text: str) -> dict[str, str]:
    namespace, colon, account = text.removeprefix("system:serviceaccount:").partition(":")
    if colon and ":" not in account:
        return {"kind": "ServiceAccount", "namespace": namespace, "name": account}
    return {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": text}
