"""What a path of the stand-in means, and who may do what with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from tests.core.kube.stand_in_store import RESOURCES, Object, Refused, Resource

ADMIN, VIEWER = "admin-token", "viewer-token"


@dataclass(frozen=True)
class Action:
    """What somebody wants to do."""

    verb: str
    group: str
    resource: str
    """With its subresource: ``pods/log``."""
    namespace: str
    name: str = ""


Policy = Callable[[Action], bool]


@dataclass(frozen=True)
class Account:
    """Who a token stands for."""

    name: str
    allows: Policy


def may_view(action: Action) -> bool:
    """The policy of the cluster role ``view``."""
    reads = action.verb in ("get", "list", "watch")
    hidden = action.resource in ("nodes", "secrets", "pods/exec")
    return reads and not hidden and bool(action.namespace)


@dataclass(frozen=True)
class Target:
    resource: Resource
    namespace: str
    name: str
    part: str


def target_of(path: str) -> Target | None:
    parts = [part for part in path.split("/") if part]
    if parts[:2] == ["api", "v1"]:
        group, parts = "", parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3 and parts[2] == "v1":
        group, parts = parts[1], parts[3:]
    else:
        return None
    namespace = ""
    if len(parts) > 2 and parts[0] == "namespaces" and (group, parts[2]) in RESOURCES:
        namespace, parts = parts[1], parts[2:]
    resource = RESOURCES.get((group, parts[0])) if parts else None
    if resource is None or len(parts) > 3:
        return None
    name, part = [*parts[1:], "", ""][:2]
    return Target(resource, namespace, name, part)


def authorize(account: Account, request: web.Request, target: Target) -> None:
    watching = request.query.get("watch") in ("true", "1")
    verb = {
        "GET": "get" if target.name else "watch" if watching else "list",
        **{"POST": "create", "PUT": "update", "PATCH": "patch"},
        "DELETE": "delete" if target.name else "deletecollection",
    }.get(request.method, request.method.lower())
    plural = "/".join(part for part in (target.resource.plural, target.part) if part)
    action = Action(verb, target.resource.group, plural, target.namespace, target.name)
    if account.allows(action):
        return
    what = target.resource.plural_and_group + (f' "{target.name}"' if target.name else "")
    where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
    raise Refused(
        403,
        "Forbidden",
        f'{what} is forbidden: User "{account.name}" cannot {verb} resource "{plural}" in API group'
        f' "{action.group}" {where}',
        target.resource.details(target.name),
    )


def reviewed(account: Account, body: Object) -> Object:
    asked = body["spec"]["resourceAttributes"]
    plural = "/".join(filter(None, (asked.get("resource"), asked.get("subresource"))))
    action = Action(
        *(asked.get("verb", ""), asked.get("group", ""), plural),
        *(asked.get("namespace", ""), asked.get("name", "")),
    )
    return {**body, "status": {"allowed": account.allows(action)}}
