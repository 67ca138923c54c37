"""GKE's long-running operations: what one shows while it works, and how it ended."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.gcp.errors import GoogleError, UnavailableError
from core.gcp.refusals import Asked, of_failed
from core.gcp.said import from_operation, plain
from core.gcp.shortages import shortage
from core.text import harmless

if TYPE_CHECKING:
    from google.cloud import container_v1

    from core.gcp.connection import Google

_WORDS = {
    "CREATE_CLUSTER": "creating the cluster",
    "DELETE_CLUSTER": "deleting the cluster",
    "CREATE_NODE_POOL": "creating the node pool",
    "DELETE_NODE_POOL": "deleting the node pool",
    "SET_NODE_POOL_SIZE": "resizing the node pool",
    "SET_NODE_POOL_MANAGEMENT": "changing the node pool",
    "UPDATE_CLUSTER": "changing the cluster",
    "REPAIR_CLUSTER": "repairing the cluster",
    "UPGRADE_MASTER": "upgrading the control plane",
    "UPGRADE_NODES": "upgrading the nodes",
    "AUTO_UPGRADE_NODES": "upgrading the nodes",
    "AUTO_REPAIR_NODES": "repairing the nodes",
    "SET_LABELS": "labelling the cluster",
}
_MOST_STAGES = 100
_DEEPEST = 5


@dataclass(frozen=True, slots=True)
class OperationSeen:
    """An operation at one moment."""

    name: str
    kind: str
    """Of google.container.v1's Operation.Type: ``CREATE_CLUSTER``."""
    status: str
    """PENDING, RUNNING, ABORTING or DONE."""
    target: str = ""
    """The last of its target: a cluster's or a pool's name."""
    stages: tuple[tuple[str, str], ...] = ()
    """Name and status of each stage, where it has any."""
    metrics: tuple[tuple[str, float], ...] = ()
    """Google's own names and numbers, those of the stages too."""
    done: float | None = None
    """Of ``total``; None where the metrics tell no progress."""
    total: float | None = None
    message: str = ""
    """What it says, or that Google has given no answer for a while."""
    problem: GoogleError | None = None
    """What keeps it from succeeding, as its conditions already say while it still works."""

    @property
    def running(self) -> bool:
        """It has not ended."""
        return self.status != "DONE"


def seen(operation: container_v1.Operation, project: str) -> OperationSeen:
    """Read an operation as GKE shows it."""
    stages, metrics = _progress(operation.progress)
    done, total = progress_of(metrics)
    return OperationSeen(
        name=harmless(operation.name),
        kind=_name(operation.operation_type),
        status=_name(operation.status),
        target=_target(operation),
        stages=stages,
        metrics=metrics,
        done=done,
        total=total,
        message=plain(operation.detail or operation.status_message),
        problem=_shortage(operation, project),
    )


def progress_of(
    metrics: Iterable[tuple[str, float]],
) -> tuple[float | None, float | None]:
    """Return how much of how much is done by the metrics' names: ``X`` of ``X_TOTAL`` (summed over
    all X), ``nodes done`` of ``nodes total``, or ``percent done``; (None, None) by none of these.
    """
    named: dict[str, float] = {}
    for name, value in metrics:
        key = name.strip().upper().replace(" ", "_")
        named[key] = named.get(key, 0.0) + value
    done = total = 0.0
    for key, whole in named.items():
        what = key.removesuffix("_TOTAL")
        if what == key or whole <= 0:
            continue
        parts = [
            named[each] for each in (what, f"{what}_DONE", f"{what}_COMPLETE") if each in named
        ]
        if parts:
            done += min(max(parts[0], 0.0), whole)
            total += whole
    if total:
        return done, total
    for key, whole in (("PERCENT_DONE", 100.0), ("PROGRESS", named.get("PROGRESS_SCALE", 0.0))):
        if key in named and whole > 0:
            return min(max(named[key], 0.0), whole), whole
    return None, None


async def follow(
    google: Google,
    location: str,
    operation: str,
    *,
    every_s: float = 5.0,
) -> AsyncIterator[OperationSeen]:
    """Yield an operation each time it has been looked at, until it has ended well. While Google
    gives no answer it goes on asking and yields what was seen last, with a message that says so:
    how long to bear it is the caller's affair.

    Raises:
        GoogleError: it failed, see its classes; or it cannot be looked at (DeniedError,
            NotFoundError).
    """
    last = OperationSeen(operation, "", "PENDING")
    path = f"projects/{google.project}/locations/{location}/operations/{operation}"
    while True:
        try:
            found = await google.cluster_call(
                "get_operation", {"name": path}, asked=f"looking at the operation {operation}"
            )
        except UnavailableError as error:
            yield replace(last, message=error.sentence)
        else:
            last = seen(found, google.project)
            if not last.running:
                _raise_if_failed(found, google.project)
                yield replace(last, problem=None)
                return
            yield last
        await google.sleep(every_s)


def _raise_if_failed(operation: container_v1.Operation, project: str) -> None:
    """DONE says that it has ended: well or not is in the error and in the conditions."""
    said = from_operation(operation)
    kind = _name(operation.operation_type)
    failed = operation.error.code or operation.error.message or operation.status_message
    # Conditions are of the cluster: of one that is gone now, or in no hurry.
    mild = kind.startswith("DELETE_") or (said and said.reasons == {"CA_EXPIRING"})
    if said is None or (mild and not failed):
        return
    what = f"{_words(kind)} {_target(operation)}".strip()
    raise of_failed(said, Asked(what, project, "container.googleapis.com"))


def _shortage(operation: container_v1.Operation, project: str) -> GoogleError | None:
    said = from_operation(operation)
    return shortage(said, _words(_name(operation.operation_type)), project) if said else None


def _target(operation: container_v1.Operation) -> str:
    return harmless(operation.target_link.rstrip("/").rsplit("/", 1)[-1])


def _name(value: object) -> str:
    # One that this client's messages do not know yet comes as its number.
    return str(getattr(value, "name", value))


def _words(kind: str) -> str:
    return _WORDS.get(kind, f"the operation {kind}")


def _progress(
    progress: container_v1.OperationProgress, depth: int = 0
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, float], ...]]:
    """Return the stages and the metrics of an operation or a stage, inner ones too."""
    stages: list[tuple[str, str]] = []
    metrics: list[tuple[str, float]] = []
    for metric in progress.metrics:
        value = _number(metric)
        if value is not None:
            metrics.append((harmless(metric.name), value))
    for stage in progress.stages if depth < _DEEPEST else ():
        stages.append((harmless(stage.name), _name(stage.status)))
        inner_stages, inner_metrics = _progress(stage, depth + 1)
        stages += inner_stages
        metrics += inner_metrics
    return tuple(stages[:_MOST_STAGES]), tuple(metrics[:_MOST_STAGES])


def _number(metric: container_v1.OperationProgress.Metric) -> float | None:
    if "int_value" in metric:
        return float(metric.int_value)
    if "double_value" in metric and math.isfinite(metric.double_value):
        return metric.double_value
    return None
