"""Sees within seconds that Google has no such node to give, long before Google's own operation or
the pod's deadline would say so: in the instance group's errors and in the autoscaler's events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from core.gcp.clusters import Clusters
from core.gcp.compute import group_errors
from core.gcp.errors import GoogleError, QuotaError, StockoutError
from core.gcp.said import Said
from core.gcp.shortages import shortage
from core.kube.cluster import JsonObject
from core.kube.errors import ClusterError
from core.kube.objects import run_selector
from core.kube.reading import moment, objects, words
from core.targets.gke.deployment import GkeDeployment
from core.text import harmless

_LOOK_EVERY_S = 8.0
_LOOKS_FOR_MORE = 3
# Errors of an earlier try are kept for a while; clocks of two machines differ a little.
_SKEW = timedelta(seconds=5)
# The autoscaler says this for any reason; the group's own errors tell which, if they come.
_BACKOFF_S = 45.0
_BACKOFF = "in backoff after failed scale-up"


@dataclass
class ShortageWatch:
    """Watches one pool while a pod waits for its first node."""

    deployment: GkeDeployment
    what: str
    """``1 x nvidia-tesla-t4 in us-central1-a``"""
    since: datetime = field(init=False)
    _backoff_since: float | None = None

    def __post_init__(self) -> None:
        self.since = self.deployment.clock() - _SKEW

    async def found(self) -> StockoutError | QuotaError:
        """Return what is short; never, while nothing is."""
        while True:
            try:
                if (problem := await self._look()) is not None:
                    return problem
            except (GoogleError, ClusterError):
                # What cannot be asked just now is asked again; the stage has its own deadline.
                pass
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self) -> StockoutError | QuotaError | None:
        if (problem := await self._of_groups()) is not None:
            return problem
        if (said := await self._of_autoscaler()) is None:
            return None
        # It says neither which quota nor which zones have some; the group's own errors do, and may
        # be a moment later.
        for _ in range(_LOOKS_FOR_MORE):
            if (problem := await self._of_groups()) is not None:
                return problem
            await asyncio.sleep(_LOOK_EVERY_S / 2)
        return said

    async def _of_groups(self) -> StockoutError | QuotaError | None:
        deployment = self.deployment
        google = deployment.google()
        where = (deployment.location, deployment.cluster, deployment.pool)
        pool = await Clusters(google).pool(*where)
        for url in pool.instance_group_urls if pool is not None else ():
            for error in await group_errors(google, url):
                fresh = error.time is None or error.time >= self.since
                if fresh and isinstance(error.problem, StockoutError | QuotaError):
                    return error.problem
        return None

    async def _of_autoscaler(self) -> StockoutError | QuotaError | None:
        deployment = self.deployment
        async with deployment.kube.connect(deployment.kube.access) as cluster:
            path = f"/api/v1/namespaces/{cluster.namespace}"
            events = await cluster.request("GET", f"{path}/events", patience_s=5.0)
            query = {"labelSelector": run_selector(deployment.run_id)}
            pods = await cluster.request("GET", f"{path}/pods", query=query, patience_s=5.0)
        # Others' pods may wait in the same cluster for what is short elsewhere.
        own = {words(pod, "metadata", "name") for pod in objects(pods, "items")}
        recent = [
            event
            for event in objects(events, "items")
            if words(event, "involvedObject", "name") in own and self._is_recent(event)
        ]
        for event in recent:
            if words(event, "reason") == "FailedScaleUp":
                said = Said(message=harmless(words(event, "message")))
                if (problem := shortage(said, self.what, deployment.project)) is not None:
                    return problem
        return self._of_backoff(recent)

    def _of_backoff(self, events: Iterable[JsonObject]) -> StockoutError | None:
        now = asyncio.get_running_loop().time()
        if not any(_BACKOFF in words(event, "message") for event in events):
            self._backoff_since = None
            return None
        if self._backoff_since is None:
            self._backoff_since = now
        if now - self._backoff_since < _BACKOFF_S:
            return None
        return StockoutError(
            f"The autoscaler could not add {self.what} and pauses; Google does not say why.",
            "Choose another zone or another GPU, or try again later.",
        )

    def _is_recent(self, event: JsonObject) -> bool:
        if words(event, "involvedObject", "kind") != "Pod":
            return False
        when = moment(event, "lastTimestamp") or moment(event, "metadata", "creationTimestamp")
        # Kubernetes' events have whole seconds.
        return when is None or when.astimezone(UTC) >= self.since - timedelta(seconds=1)
