"""Compute Engine's own operations, zonal and regional."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.google.clock import Durations, GoogleClock, rfc3339
from tests.google.faults import Fate, Gate
from tests.google.refusals import Refusal
from tests.google.rest import Asked, Json, Route

_LONGEST_WAIT_S = 120.0
_LOOK_EVERY_S = 5.0


@dataclass
class _Operation:
    name: str
    scope: str
    target: str
    started: float
    ends: float
    fate: Fate


class ComputeOperations:
    """Those of one project."""

    def __init__(self, project: str, clock: GoogleClock, durations: Durations, gate: Gate) -> None:
        self._project = project
        self._clock = clock
        self._durations = durations
        self._gate = gate
        self._operations: dict[str, _Operation] = {}

    def routes(self, zone: str, region: str) -> list[Route]:
        """``zone``, ``region``: the patterns of their scopes."""
        return [
            Route(
                method, f"{base}/operations/{{name}}{verb}", f"compute.{kind}Operations.{call}", act
            )
            for base, kind in ((zone, "zone"), (region, "region"))
            for method, verb, call, act in (
                ("GET", "", "get", self._get),
                ("POST", "/wait", "wait", self._wait),
            )
        ]

    def begin(self, asked: Asked, what: str, act: Callable[[], Any]) -> Json:
        """Delete what the path names after a while, unless the test wants it otherwise."""
        parts = asked.path
        scope = f"zones/{parts['zone']}" if "zone" in parts else f"regions/{parts['region']}"
        now = self._clock.now()
        operation = _Operation(
            name=f"operation-{int(now * 1000)}-{secrets.token_hex(8)}",
            scope=scope,
            target=f"{scope}/{what}/{parts['name']}",
            started=now,
            ends=now + self._durations.zone_operation,
            fate=self._gate.fate,
        )
        self._operations[operation.name] = operation
        if not operation.fate:
            self._clock.later(self._durations.zone_operation, act)
        return self._told(operation)

    def _get(self, asked: Asked) -> Json:
        found = self._operations.get(asked.path["name"])
        if found is None or asked.path["project"] != self._project:
            path = f"projects/{asked.path['project']}/operations/{asked.path['name']}"
            raise Refusal("NOT_FOUND", f"The resource '{path}' was not found")
        return self._told(found)

    async def _wait(self, asked: Asked) -> Json:
        """Answer at the operation's end, or after two minutes."""
        told, ends = self._get(asked), self._clock.now() + _LONGEST_WAIT_S
        while told["status"] != "DONE" and self._clock.now() < ends:
            await self._clock.sleep(_LOOK_EVERY_S)
            told = self._get(asked)
        return told

    def _told(self, operation: _Operation) -> Json:
        done = self._clock.now() >= operation.ends and operation.fate != "never ends"
        base = f"https://www.googleapis.com/compute/v1/projects/{self._project}"
        kind, place = operation.scope.split("/")
        told: Json = {
            "kind": "compute#operation",
            "name": operation.name,
            "operationType": "delete",
            "status": "DONE" if done else "RUNNING",
            "progress": 100 if done else 0,
            kind.removesuffix("s"): f"{base}/{kind}/{place}",
            "targetLink": f"{base}/{operation.target}",
            "selfLink": f"{base}/{operation.scope}/operations/{operation.name}",
            "insertTime": rfc3339(operation.started),
        }
        if done and operation.fate == "fails":
            text = "Internal error. Please try again or contact Google Support."
            told["error"] = {"errors": [{"code": "INTERNAL_ERROR", "message": text}]}
            told["httpErrorStatusCode"] = 503
        return told
