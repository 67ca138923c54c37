"""The objects of the stand-in cluster: versions, selectors, validation, history for watches."""

from __future__ import annotations

import asyncio
import copy
import re
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
    " and must start and end with an alphanumeric character"
)
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True)
class Resource:
    """One kind of object."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    fields: tuple[str, ...] = ()
    """Field selectors beside metadata.name and metadata.namespace."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def plural_and_group(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def kind_and_group(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind

    def details(self, name: str, *, kind: bool = False) -> Object:
        details = {"name": name, "group": self.group, "kind": self.kind if kind else self.plural}
        return {key: value for key, value in details.items() if value}


RESOURCES = {
    (resource.group, resource.plural): resource
    for resource in (
        Resource("", "v1", "namespaces", "Namespace", namespaced=False),
        Resource("", "v1", "nodes", "Node", namespaced=False, fields=("spec.unschedulable",)),
        Resource("", "v1", "pods", "Pod", fields=("spec.nodeName", "status.phase")),
        Resource(
            *("", "v1", "events", "Event"),
            fields=(
                *("involvedObject.kind", "involvedObject.name", "involvedObject.namespace"),
                *("involvedObject.uid", "reason", "type"),
            ),
        ),
        Resource("", "v1", "configmaps", "ConfigMap"),
        Resource("", "v1", "secrets", "Secret"),
        Resource("", "v1", "serviceaccounts", "ServiceAccount"),
        Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
        Resource("", "v1", "resourcequotas", "ResourceQuota"),
        Resource("batch", "v1", "jobs", "Job", fields=("status.successful",)),
        Resource("apps", "v1", "daemonsets", "DaemonSet"),
        Resource("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", namespaced=False),
    )
}
PODS, JOBS = RESOURCES["", "pods"], RESOURCES["batch", "jobs"]


class Refused(Exception):
    """An answer that is a Status object."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Object | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.headers = dict(headers or {})
        self.status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            **({"details": details} if details else {}),
            "code": code,
        }


def not_found(resource: Resource, name: str) -> Refused:
    return Refused(
        404, "NotFound", f'{resource.plural_and_group} "{name}" not found', resource.details(name)
    )


def invalid(resource: Resource, name: str, problems: list[tuple[str, str, str]]) -> Refused:
    """``problems``: field, reason and message of each."""
    said = [f"{where}: {message}" for where, _, message in problems]
    causes = [{"reason": why, "message": text, "field": where} for where, why, text in problems]
    return Refused(
        422,
        "Invalid",
        f'{resource.kind_and_group} "{name}" is invalid: '
        + (said[0] if len(said) == 1 else f"[{', '.join(said)}]"),
        {**resource.details(name, kind=True), "causes": causes},
    )


def rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def suffix() -> str:
    return "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(5))


@dataclass(frozen=True)
class Change:
    """One change of one object, for the watches."""

    version: int
    kind: str
    before: Object | None
    now: Object


@dataclass
class _Shelf:
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    forgotten: int = 0
    """Changes up to this version are no longer known."""


class Store:
    """All objects, and what happened to them. Objects given out are not to be changed."""

    def __init__(self) -> None:
        self.version = 100
        self._shelves = {key: _Shelf() for key in RESOURCES}
        self._changed = asyncio.Event()

    def shelf(self, resource: Resource) -> _Shelf:
        return self._shelves[resource.group, resource.plural]

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        found = self.shelf(resource).objects.get((namespace, name))
        if found is None:
            raise not_found(resource, name)
        return found

    def list(self, resource: Resource, namespace: str = "") -> list[Object]:
        objects = self.shelf(resource).objects
        return [each for key, each in sorted(objects.items()) if namespace in ("", key[0])]

    def create(
        self,
        resource: Resource,
        namespace: str,
        body: Object,
        now: float,
        *,
        complete: Callable[[Object], None] = lambda _: None,
        dry_run: bool = False,
    ) -> Object:
        """Add an object; ``complete`` sets what needs its uid.

        Raises: Refused (404, 409, 422).
        """
        document = copy.deepcopy(body)
        metadata = document.setdefault("metadata", {})
        if "name" not in metadata and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName']}{suffix()}"
        name = str(metadata.get("name") or "")
        _validate_metadata(resource, name, metadata)
        if resource.namespaced:
            self.get(RESOURCES["", "namespaces"], "", namespace)
            metadata["namespace"] = namespace
        if (namespace, name) in self.shelf(resource).objects:
            raise Refused(
                409,
                "AlreadyExists",
                f'{resource.plural_and_group} "{name}" already exists',
                resource.details(name),
            )
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = rfc3339(now)
        document = {"kind": resource.kind, "apiVersion": resource.api_version, **document}
        complete(document)
        if dry_run:
            return document
        return self._put(resource, "ADDED", None, document)

    def replace(self, resource: Resource, document: Object) -> Object:
        """Store a changed copy; a ``resourceVersion`` that is not the present one conflicts."""
        metadata = document["metadata"]
        name = metadata["name"]
        before = self.get(resource, metadata.get("namespace", ""), name)
        asked = metadata.get("resourceVersion")
        if asked and asked != before["metadata"]["resourceVersion"]:
            raise Refused(
                409,
                "Conflict",
                f'Operation cannot be fulfilled on {resource.plural_and_group} "{name}": the object'
                " has been modified; please apply your changes to the latest version and try again",
                resource.details(name),
            )
        return self._put(resource, "MODIFIED", before, copy.deepcopy(document))

    def update(self, resource: Resource, namespace: str, name: str, patch: Object) -> Object:
        """Apply a merge patch."""
        return self.replace(resource, merged(self.get(resource, namespace, name), patch))

    def remove(self, resource: Resource, namespace: str, name: str) -> Object:
        before = self.get(resource, namespace, name)
        self._put(resource, "DELETED", before, copy.deepcopy(before))
        return self.shelf(resource).objects.pop((namespace, name))

    def forget_history(self) -> None:
        """Every version known so far becomes too old for a watch."""
        self.version += 1
        for shelf in self._shelves.values():
            shelf.changes.clear()
            shelf.forgotten = self.version
        self.wake()

    async def changed(self) -> None:
        """Wait for the next change of anything."""
        await self._changed.wait()

    def _put(
        self, resource: Resource, kind: str, before: Object | None, document: Object
    ) -> Object:
        self.version += 1
        metadata = document["metadata"]
        metadata["resourceVersion"] = str(self.version)
        shelf = self.shelf(resource)
        shelf.objects[metadata.get("namespace", ""), metadata["name"]] = document
        shelf.changes.append(Change(self.version, kind, before, document))
        self.wake()
        return document

    def wake(self) -> None:
        """Let everybody who waits for a change look again."""
        self._changed.set()
        self._changed = asyncio.Event()


class Selection:
    """Which objects a list, a watch or a delete of a collection means.

    Raises: Refused (400).
    """

    def __init__(
        self, resource: Resource, namespace: str, labels: str = "", fields: str = ""
    ) -> None:
        self.namespace = namespace
        self._labels = list(_label_terms(labels))
        self._fields = list(_field_terms(resource, fields))

    def __contains__(self, document: object) -> bool:
        assert isinstance(document, dict)
        metadata = document["metadata"]
        if self.namespace and metadata.get("namespace") != self.namespace:
            return False
        labels = metadata.get("labels") or {}
        for key, operator, values in self._labels:
            if operator in ("in", "notin"):
                if (labels.get(key) in values) != (operator == "in"):
                    return False
            elif (key in labels) != (operator == "exists"):
                return False
        return all((_at(document, path) == value) == equal for path, equal, value in self._fields)


def merged(document: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _label_terms(text: str) -> Iterator[tuple[str, str, set[str]]]:
    key_pattern = r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?"
    for term in filter(None, (part.strip() for part in re.split(r",(?![^(]*\))", text))):
        several = re.fullmatch(rf"({key_pattern})\s+(in|notin)\s+\(([^()]*)\)", term)
        one = re.fullmatch(rf"({key_pattern})\s*(!=|==|=)\s*([-A-Za-z0-9_.]*)", term)
        bare = re.fullmatch(rf"(!?)\s*({key_pattern})", term)
        if several:
            values = {value.strip() for value in several[4].split(",")}
            yield several[1], several[3], values
        elif one:
            yield one[1], "notin" if one[3] == "!=" else "in", {one[4]}
        elif bare:
            yield bare[2], "absent" if bare[1] else "exists", set()
        else:
            raise Refused(400, "BadRequest", f"unable to parse requirement: {term}")


def _field_terms(resource: Resource, text: str) -> Iterator[tuple[str, bool, str]]:
    for term in filter(None, text.split(",")):
        found = re.fullmatch(r"([A-Za-z.]+)(!=|==|=)(.*)", term)
        if not found:
            raise Refused(400, "BadRequest", f"invalid field selector: {term}")
        if found[1] not in ("metadata.name", "metadata.namespace", *resource.fields):
            raise Refused(400, "BadRequest", f"field label not supported: {found[1]}")
        yield found[1], found[2] != "!=", found[3]


def _at(document: Object, path: str) -> str:
    value: Any = document
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else str(value)


def _validate_metadata(resource: Resource, name: str, metadata: Object) -> None:
    problems = []
    if not name:
        problems.append(
            (
                "metadata.name",
                "FieldValueRequired",
                "Required value: name or generateName is required",
            )
        )
    elif not _NAME.fullmatch(name) or len(name) > 253:
        problems.append(
            ("metadata.name", "FieldValueInvalid", f'Invalid value: "{name}": {_NAME_RULE}')
        )
    rule = "a valid label must be an empty string or consist of alphanumeric characters"
    problems += [
        ("metadata.labels", "FieldValueInvalid", f'Invalid value: "{value}": {rule}')
        for value in (metadata.get("labels") or {}).values()
        if not isinstance(value, str) or len(value) > 63 or not _LABEL_VALUE.fullmatch(value)
    ]
    if problems:
        raise invalid(resource, name, problems)
