"""Reading an API object's plain JSON: what is missing, null or of another type reads as empty."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from core.kube.cluster import JsonObject

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([a-zA-Z]{0,2})")
_SCALES = {
    "": 1.0,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    **{name: 1000.0**power for power, name in enumerate("kMGTPE", 1)},
    **{f"{name}i": 1024.0**power for power, name in enumerate("KMGTPE", 1)},
}
_NEVER = datetime.min.replace(tzinfo=UTC)


def mapping(document: object, *path: str) -> JsonObject:
    """Return the object at ``path``; empty where there is none."""
    found = _at(document, path)
    return found if isinstance(found, dict) else {}


def objects(document: object, *path: str) -> list[JsonObject]:
    """Return the objects of the list at ``path``; whatever else is in it is left out."""
    found = _at(document, path)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def words(document: object, *path: str) -> str:
    """Return the text at ``path``; empty where there is none."""
    found = _at(document, path)
    return found if isinstance(found, str) else ""


def whole(document: object, *path: str) -> int | None:
    """Return the whole number at ``path``; None where there is none."""
    found = _at(document, path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def texts(document: object, *path: str) -> dict[str, str]:
    """Return a map of text to text such as labels."""
    return {
        str(name): value
        for name, value in mapping(document, *path).items()
        if isinstance(value, str)
    }


def name_of(document: object) -> str:
    """Return ``metadata.name``."""
    return words(document, "metadata", "name")


def quantity(value: object) -> float:
    """Return an amount such as ``1``, ``"500m"`` or ``"16Gi"``; 0 for what is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else 0.0
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) and len(value) < 40 else None
    return float(match[1]) * _SCALES.get(match[2], 0.0) if match else 0.0


def moment(document: object, *path: str) -> datetime | None:
    """Return the time at ``path``; None where there is none."""
    try:
        found = datetime.fromisoformat(words(document, *path))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def condition(document: object, kind: str) -> JsonObject:
    """Return the condition of ``status.conditions`` with this type; empty where there is none."""
    for each in objects(document, "status", "conditions"):
        if words(each, "type") == kind:
            return each
    return {}


def holds(document: object, kind: str) -> bool:
    """Return whether the condition with this type is True."""
    return words(condition(document, kind), "status") == "True"


def event_time(event: JsonObject) -> datetime | None:
    """Return when an event was last seen."""
    seen = [
        moment(event, "series", "lastObservedTime"),
        moment(event, "lastTimestamp"),
        moment(event, "eventTime"),
        moment(event, "firstTimestamp"),
    ]
    known = [each for each in seen if each is not None]
    return max(known) if known else moment(event, "metadata", "creationTimestamp")


def event_count(event: JsonObject) -> int:
    """Return how often an event was seen."""
    return max(1, whole(event, "count") or 0, whole(event, "series", "count") or 0)


def oldest_first(events: Sequence[JsonObject]) -> list[JsonObject]:
    """Return events in the order in which they were last seen."""
    return sorted(events, key=_event_order)


def events_about(kind: str, about: object, events: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the events of one object, oldest first."""
    name, uid = name_of(about), words(about, "metadata", "uid")
    return oldest_first(
        [
            event
            for event in events
            if isinstance(event, dict)
            and words(event, "involvedObject", "kind") == kind
            and words(event, "involvedObject", "name") == name
            # A Job of the same name may have been there before.
            and (words(event, "involvedObject", "uid") or uid) in (uid, "")
        ]
    )


def newest(events: Sequence[JsonObject], *reasons: str) -> JsonObject | None:
    """Return the last of oldest-first ``events`` that has one of the reasons."""
    return next((each for each in reversed(events) if words(each, "reason") in reasons), None)


def container_statuses(pod: object) -> list[JsonObject]:
    """Return the status of every container, those that prepare the pod first."""
    return [
        *objects(pod, "status", "initContainerStatuses"),
        *objects(pod, "status", "containerStatuses"),
    ]


def requested(pod: object, resource: str) -> float:
    """Return how much of a resource the pod's containers ask for."""
    total = 0.0
    for container in objects(pod, "spec", "containers"):
        limits = mapping(container, "resources", "limits")
        requests = mapping(container, "resources", "requests")
        total += quantity(requests.get(resource, limits.get(resource)))
    return total


def _at(document: object, path: Sequence[str]) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _event_order(event: JsonObject) -> tuple[datetime, int]:
    version = words(event, "metadata", "resourceVersion")
    # Times have whole seconds; the version tells apart what happened within one.
    return (event_time(event) or _NEVER, int(version) if version.isdecimal() else 0)
