"""GKE's operations: what is at work on a cluster, how far it is, and how it ends."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.cloud.container_v1 import types
from google.rpc import status_pb2

from tests.google.capacity import Shortage
from tests.google.clock import GoogleClock, rfc3339
from tests.google.faults import Fate

Kind = types.Operation.Type
Status = types.Operation.Status
Code = types.StatusCondition.Code

_PENDING_S = 2.0
_STAGES = {
    Kind.CREATE_CLUSTER: (
        ("CLUSTER_CONFIGURING", 12, 0.25),
        ("CLUSTER_DEPLOYING", 9, 0.85),
        ("CLUSTER_HEALTHCHECKING", 3, 1.0),
    ),
    Kind.DELETE_CLUSTER: (("CLUSTER_DELETING", 6, 1.0),),
    Kind.CREATE_NODE_POOL: (("NODES_CREATING", 4, 1.0),),
    Kind.DELETE_NODE_POOL: (("NODES_DELETING", 4, 1.0),),
}
"""Name, steps, and the share of the time at whose end it is done."""

CONDITION_CODES = {
    "GCE_STOCKOUT": (Code.GCE_STOCKOUT, 8),
    "GCE_QUOTA_EXCEEDED": (Code.GCE_QUOTA_EXCEEDED, 8),
}


def condition(shortage: Shortage, project: str) -> types.StatusCondition:
    """How GKE tells of what it cannot get."""
    code, canonical = CONDITION_CODES[shortage.condition]
    return types.StatusCondition(
        code=code,
        message=shortage.message.replace("PROJECT", project),
        canonical_code=canonical,
    )


@dataclass
class Work:
    """One operation."""

    kind: Any
    project: str
    location: str
    target: str
    """Link of the cluster or pool."""
    cluster: str
    duration_s: float
    started: float
    name: str
    fate: Fate = ""
    ended: float | None = None
    cancelling: bool = False
    error: tuple[int, str] | None = None
    cluster_conditions: list[types.StatusCondition] = field(default_factory=list)
    pool_conditions: list[types.StatusCondition] = field(default_factory=list)
    stalled: bool = False
    """It waits for something, and its progress stands still."""
    on_cancel: Callable[[], None] | None = None
    lacks: Callable[[], types.StatusCondition | None] = lambda: None
    """What it cannot get now, as far as Google tells."""

    @property
    def path(self) -> str:
        return f"projects/{self.project}/locations/{self.location}/operations/{self.name}"

    def message(self, now: float) -> types.Operation:
        """As GetOperation tells it."""
        status = Status.RUNNING if now - self.started >= _PENDING_S else Status.PENDING
        if self.cancelling:
            status = Status.ABORTING
        if self.ended is not None:
            status = Status.DONE
        lacking = self.lacks() if self.ended is None else None
        if lacking is not None:
            about_cluster = self.kind == Kind.CREATE_CLUSTER
            self.cluster_conditions = [lacking] if about_cluster else []
            self.pool_conditions = [] if about_cluster else [lacking]
        base = f"https://container.googleapis.com/v1/projects/{self.project}"
        told = types.Operation(
            name=self.name,
            zone=self.location,
            location=self.location,
            operation_type=self.kind,
            status=status,
            self_link=f"{base}/locations/{self.location}/operations/{self.name}",
            target_link=f"{base}/{self.target}",
            start_time=rfc3339(self.started),
            end_time="" if self.ended is None else rfc3339(self.ended),
            cluster_conditions=self.cluster_conditions,
            nodepool_conditions=self.pool_conditions,
        )
        self._tell_progress(told, now)
        if self.error is not None:
            told.error = status_pb2.Status(code=self.error[0], message=self.error[1])
            told.status_message = told.detail = self.error[1]
        return told

    def _tell_progress(self, told: types.Operation, now: float) -> None:
        stages = _STAGES.get(self.kind, ())
        if not stages:
            return
        share = min((now - self.started) / self.duration_s, 0.99) if self.duration_s else 0.99
        if self.stalled or self.fate == "never ends":
            share = min(share, 0.9)
        if self.ended is not None:
            share = 1.0
        progress = types.OperationProgress()
        begins = 0.0
        for name, steps, ends in stages:
            within = min(max((share - begins) / (ends - begins), 0.0), 1.0)
            done = int(within * steps)
            state = Status.DONE if within >= 1 else Status.RUNNING if within > 0 else Status.PENDING
            progress.stages.append(types.OperationProgress(name=name, status=state))
            if within > 0:
                progress.metrics.extend(
                    [
                        types.OperationProgress.Metric(name=name, int_value=done),
                        types.OperationProgress.Metric(name=f"{name}_TOTAL", int_value=steps),
                    ]
                )
            begins = ends
        told.progress = progress


def new_operation(
    clock: GoogleClock,
    kind: Any,
    project: str,
    location: str,
    cluster: str,
    duration_s: float,
    *,
    pool: str = "",
    fate: Fate = "",
) -> Work:
    """An operation that has begun."""
    where = "zones" if location.count("-") == 2 else "locations"
    target = f"{where}/{location}/clusters/{cluster}" + (f"/nodePools/{pool}" if pool else "")
    name = f"operation-{int(clock.now() * 1000)}-{uuid.uuid4()}"
    return Work(kind, project, location, target, cluster, duration_s, clock.now(), name, fate)
