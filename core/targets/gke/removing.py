"""Removes a run's clusters and node pools at Google: waits for what is at work on them, follows
what it began, and tries again what failed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from core.errors import ProblemError, WorkError
from core.gcp import gcloud, inventory
from core.gcp.answers import moment
from core.gcp.clusters import Clusters
from core.gcp.errors import (
    ApiDisabledError,
    BillingDisabledError,
    BusyError,
    DeniedError,
    GoogleError,
    NoProjectError,
    NotFoundError,
    OperationError,
)
from core.gcp.inventory import Resource
from core.gcp.operations import OperationSeen
from core.gcp.specs import EXPIRES_LABEL, RUN_LABEL
from core.kube.outside import balancers, let_go
from core.targets.gke import leftovers
from core.targets.gke.leftovers import CLUSTER_MARK, LOCATION_MARK, POOL_MARK, Marks
from core.targets.gke.reaching import cluster_at
from core.text import harmless

if TYPE_CHECKING:
    from google.cloud import container_v1

    from core.gcp.connection import Google

_ROUNDS = 3
_PAUSE_S = 10.0
_EVERY_S = 5.0
# Deletions take 2 to 10 minutes. What asks for machines is given up by Google itself after 35.
DELETION_S = 20 * 60.0
_CREATION_S = 45 * 60.0
_EMPTYING_S = 30.0
_GETS_MACHINES = ("CREATE_", "SET_NODE_POOL_SIZE")
# Another try changes nothing about these.
_FINAL = (DeniedError, ApiDisabledError, BillingDisabledError, NoProjectError)
_EMPTIABLE = ("RUNNING", "RECONCILING", "DEGRADED")


class EndlessError(OperationError):
    """An operation was waited for long enough: no further try is made after it."""


@dataclass
class Memory:
    """What one teardown has learned, kept from one step to the next."""

    endless: set[str] = field(default_factory=set)
    """Operations that were waited for long enough."""
    awaited: set[tuple[str, str]] = field(default_factory=set)
    """Kind and name of what was intended, not known to be created, and given time to appear."""
    marks: dict[tuple[str, str], Marks] = field(default_factory=dict)
    """By location and name of clusters that were seen."""
    emptied: set[tuple[str, str]] = field(default_factory=set)
    """Clusters that were asked to give up what they hold elsewhere."""
    unread: set[tuple[str, str]] = field(default_factory=set)
    """Those of them that did not say which load balancers they had."""


@dataclass
class Removing:
    """Removes by one connection. ``run`` is the value of the run's label."""

    google: Google
    run: str
    clock: Callable[[], datetime]
    memory: Memory = field(default_factory=Memory)
    since: datetime | None = None
    """When the run began, where that is known."""
    dns: bool | None = None
    """By which of a control plane's addresses it is reached, see ``cluster_at``."""
    deletion_s: float = DELETION_S
    """How long one operation is waited for."""

    @property
    def clusters(self) -> Clusters:
        """GKE's API."""
        return Clusters(self.google)

    async def found_cluster(self, location: str, name: str) -> container_v1.Cluster | None:
        """Return a cluster; None: Google does not list it, or says that it is not there where it
        lists none. Either answer does when the other cannot be had.

        Raises:
            CredentialsError, GoogleError: neither can, see core.gcp.errors.
        """
        refused: GoogleError | None = None
        try:
            found = await self.clusters.get(location, name)
        except GoogleError as error:
            found, refused = None, error
        if found is not None:
            return found
        try:
            # What is said not to be there, and is, would cost money for ever.
            listed = await self.clusters.find({}, location)
        except GoogleError:
            if refused is not None:
                raise refused from None
            return None
        return next((each for each in listed if each.name == name), None)

    async def found_pool(
        self, location: str, cluster: str, name: str
    ) -> container_v1.NodePool | None:
        """Return a node pool; None: its cluster has none such, or is not there; raises as
        :meth:`found_cluster`.
        """
        with contextlib.suppress(GoogleError):
            found = await self.clusters.pool(location, cluster, name)
            if found is not None:
                return found
        holder = await self.found_cluster(location, cluster)
        pools = holder.node_pools if holder is not None else ()
        return next((pool for pool in pools if pool.name == name), None)

    async def cluster(self, location: str, name: str) -> None:
        """Delete a cluster if it is this run's, and what it leaves.

        Raises:
            WorkError: it, or something of it, stays.
            CredentialsError, GoogleError: see core.gcp.errors.
        """
        problem: GoogleError | None = None
        for left in range(_ROUNDS, -1, -1):
            found = await self.found_cluster(location, name)
            if found is None:
                break
            if not self.is_ours(found.resource_labels):
                return
            if not left:
                raise problem or self._still_there(f"cluster {name} in {location}")
            self._demand_no_guests(found)
            self._learn(location, found)
            await self._empty(location, found)
            problem = await self._tried(
                location,
                name,
                f"deleting cluster {name} in {location}",
                lambda: self.clusters.delete(location, name),
                lambda _each: True,
            )
        await leftovers.clear(self.google, self.marks(location, name))

    async def pool(self, location: str, cluster: str, name: str) -> None:
        """Delete a node pool if it is this run's.

        Raises:
            WorkError: it stays.
            CredentialsError, GoogleError: see core.gcp.errors.
        """
        problem: GoogleError | None = None
        for left in range(_ROUNDS, -1, -1):
            found = await self.found_pool(location, cluster, name)
            if found is None:
                break
            if not self.is_ours(found.config.resource_labels):
                return
            if not left:
                raise problem or self._still_there(f"node pool {name} of cluster {cluster}")
            problem = await self._tried(
                location,
                cluster,
                f"deleting node pool {name} of cluster {cluster}",
                lambda: self.clusters.delete_pool(location, cluster, name),
                await self._ends_what(location, cluster, name),
            )
        await leftovers.delete_all(
            self.google,
            lambda: self.pool_instances(cluster, location, name),
            f"Node pool {name} of cluster {cluster} has left behind",
        )

    async def _ends_what(
        self, location: str, cluster: str, pool: str
    ) -> Callable[[OperationSeen], bool]:
        """Return which operations on a cluster may be ended because a pool of it is to go."""
        holder = await self.found_cluster(location, cluster)
        # In somebody else's cluster what others do is not ended.
        is_ours = holder is not None and self.is_ours(holder.resource_labels)

        def is_own(each: OperationSeen) -> bool:
            return each.target == pool or (is_ours and each.kind == "CREATE_CLUSTER")

        return is_own

    async def creation_at_work(self, location: str, cluster: str) -> bool:
        """Return whether something is being created under this cluster's name just now."""
        running = await self.clusters.operations(location, cluster)
        return any(each.kind.startswith("CREATE_") for each in running)

    async def pool_instances(self, cluster: str, location: str, pool: str) -> list[Resource]:
        """Return the machines that the run's pool has in Compute Engine."""
        found = await inventory.instances(self.google, {RUN_LABEL: self.run, POOL_MARK: pool})
        where = (cluster, location)
        return [
            each
            for each in found
            if (
                each.labels.get(CLUSTER_MARK, cluster),
                each.labels.get(LOCATION_MARK, location),
            )
            == where
        ]

    async def demand_no_doubt(self, location: str, name: str) -> None:
        """Raises WorkError when a load balancer may be a deleted cluster's and nobody can tell."""
        if (location, name) not in self.memory.unread:
            return
        found = await leftovers.doubtful(self.google, self.marks(location, name))
        if found:
            things = "; ".join(
                f"{leftovers.described(each)} "
                f"({gcloud.shown(leftovers.deletion(self.google.project, each))})"
                for each in found
            )
            raise WorkError(
                f"Cluster {name} did not say which load balancers were its own before it was "
                f"deleted, and these may be: {things}.",
                "Delete those that nobody needs.",
            )

    def is_ours(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels say that something is this run's."""
        return labels.get(RUN_LABEL) == self.run

    def marks(self, location: str, name: str) -> Marks:
        """Return by what the leftovers of a cluster are known."""
        known = self.memory.marks.get((location, name))
        return known or Marks(self.run, name, location, self.since)

    def _learn(self, location: str, found: container_v1.Cluster) -> None:
        key = (location, found.name)
        known = self.marks(*key)
        born = moment({"created": found.create_time}, "created")
        self.memory.marks[key] = replace(known, born=born or known.born)

    def _demand_no_guests(self, found: container_v1.Cluster) -> None:
        """Raises WorkError while another run still works in this one's cluster."""
        now = self.clock().timestamp()
        for pool in found.node_pools:
            run = pool.config.resource_labels.get(RUN_LABEL, "")
            expires = pool.config.resource_labels.get(EXPIRES_LABEL, "")
            if run not in ("", self.run) and expires.isdecimal() and int(expires) > now:
                raise WorkError(
                    f"Cluster {harmless(found.name)} in {harmless(found.location)} has node pool "
                    f"{harmless(pool.name)} of run {harmless(run)}, which still needs it.",
                    f"gpubench-tui --no-ui teardown {harmless(run)}, where that run was started, "
                    "ends it first.",
                )

    async def _empty(self, location: str, found: container_v1.Cluster) -> None:
        """Have the cluster itself give up its load balancers and disks; what it does not is found
        in Compute Engine afterwards.
        """
        key = (location, found.name)
        if key in self.memory.emptied or found.status.name not in _EMPTIABLE:
            return
        self.memory.emptied.add(key)
        self.memory.unread.add(key)
        with contextlib.suppress(ProblemError, TimeoutError):
            async with asyncio.timeout(_EMPTYING_S):
                async with cluster_at(self.google, found, dns=self.dns) as cluster:
                    seen = await balancers(cluster)
                    self.memory.marks[key] = replace(self.marks(*key), balancers=seen)
                    self.memory.unread.discard(key)
                    await let_go(cluster, seen, _EMPTYING_S)

    async def _tried(
        self,
        location: str,
        cluster: str,
        what: str,
        begin: Callable[[], Awaitable[str | None]],
        is_own: Callable[[OperationSeen], bool],
    ) -> GoogleError | None:
        """Have a deletion carried out once; return why it failed where another try may help."""
        try:
            operation = await self._begun(location, cluster, begin, is_own)
            if operation:
                await self._followed(location, operation, what)
        except (*_FINAL, EndlessError):
            raise
        except GoogleError as error:
            await asyncio.sleep(_PAUSE_S)
            return error
        return None

    async def _begun(
        self,
        location: str,
        cluster: str,
        begin: Callable[[], Awaitable[str | None]],
        is_own: Callable[[OperationSeen], bool],
    ) -> str | None:
        """Begin as soon as nothing else is at work on the cluster."""
        for _ in range(_ROUNDS):
            try:
                return await begin()
            except BusyError:
                await self._idle(location, cluster, is_own)
        return await begin()

    async def _idle(
        self, location: str, cluster: str, is_own: Callable[[OperationSeen], bool]
    ) -> None:
        """Wait until nothing is at work on a cluster; what only makes more of what is to go is
        asked to stop.
        """
        now = asyncio.get_running_loop().time
        began = now()
        asked: set[str] = set()
        while running := await self.clusters.operations(location, cluster):
            for each in running:
                making = each.kind.startswith(_GETS_MACHINES)
                limit = _CREATION_S if making else self.deletion_s
                if each.name in self.memory.endless or now() - began > limit:
                    raise self._endless(location, each.name, f"{each.kind} of {each.target}", limit)
                if making and is_own(each) and each.name not in asked:
                    asked.add(each.name)
                    await self._cancel(location, each.name)
            await asyncio.sleep(_EVERY_S)
        # Said to be busy, and nothing is at work: its last operation has only just ended.
        await asyncio.sleep(_EVERY_S)

    async def _cancel(self, location: str, operation: str) -> None:
        # Google cancels some kinds and refuses others, which are waited for.
        name = f"projects/{self.google.project}/locations/{location}/operations/{operation}"
        with contextlib.suppress(GoogleError):
            await self.google.cluster_call(
                "cancel_operation", {"name": name}, asked=f"cancelling operation {operation}"
            )

    async def _followed(self, location: str, operation: str, what: str) -> None:
        try:
            async with asyncio.timeout(self.deletion_s):
                async for _seen in self.clusters.follow(location, operation, every_s=_EVERY_S):
                    pass
        except NotFoundError:
            # Forgotten by Google: whether it did its work is looked at.
            return
        except TimeoutError as error:
            raise self._endless(location, operation, what, self.deletion_s) from error

    def _endless(self, location: str, operation: str, what: str, limit_s: float) -> EndlessError:
        self.memory.endless.add(operation)
        command = gcloud.describe_operation(self.google.project, location, operation)
        return EndlessError(
            f"Google has not ended {what} within {limit_s / 60:.0f} minutes (operation "
            f"{operation}).",
            f"{gcloud.shown(command)} shows what it does.",
        )

    def _still_there(self, what: str) -> GoogleError:
        return OperationError(f"Google says that it has deleted {what}, and lists it still.")
