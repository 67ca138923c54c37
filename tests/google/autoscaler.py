"""The cluster autoscaler: nodes for pods that have none, and none for nobody."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from tests.core.kube.stand_in_pods import Pod as KubePod
from tests.core.kube.stand_in_store import RESOURCES, Object, Refused
from tests.google.clock import Durations, GoogleClock
from tests.google.clusters import GkeCluster, Pool
from tests.google.kubernetes import ApiServer, node_document
from tests.google.machines import Fleet, Group, Instance
from tests.google.scheduling import GPU, is_over, obstacle

_BACKOFF_S = 300.0


class Autoscaler:
    """Of one cluster; told of pods that wait."""

    def __init__(
        self,
        server: ApiServer,
        cluster: GkeCluster,
        clock: GoogleClock,
        durations: Durations,
        fleet: Fleet,
        choose: Callable[[Object], str | None],
    ) -> None:
        """``choose``: the scheduler's, a node for a pod."""
        self._server = server
        self._cluster = cluster
        self._clock = clock
        self._durations = durations
        self._fleet = fleet
        self._choose = choose
        self._looking: set[str] = set()
        """Pods (uid) that are being looked after."""
        self._idle_since: dict[str, float] = {}
        self._backoff_until: dict[str, float] = {}

    def waits(self, pod: KubePod) -> None:
        """No node takes a pod."""
        uid = pod.document["metadata"]["uid"]
        if uid not in self._looking and any(map(_scales, self._cluster.pools.values())):
            self._looking.add(uid)
            self._clock.later(self._durations.autoscaler, lambda: self._look(pod, uid))

    def watch_idle(self, node: str, busy: bool) -> None:
        """Take a node away that had nothing to do for long enough."""
        if busy:
            self._idle_since.pop(node, None)
        elif node not in self._idle_since:
            since = self._idle_since[node] = self._clock.now()
            self._clock.later(
                self._durations.autoscaler_idle, lambda: self._remove_idle(node, since)
            )

    def _look(self, pod: KubePod, uid: str) -> None:
        self._looking.discard(uid)
        document = self._waiting(pod, uid)
        if document is None or self._choose(document) is not None:
            return
        for pool in self._cluster.pools.values():
            if _scales(pool) and self._helps(document, pool):
                self._scale_up(pod, uid, pool)
                return
        text = "pod didn't trigger scale-up: 1 max node group size reached"
        pod.event("NotTriggerScaleUp", text)
        self._again(pod, uid, 60.0)

    def _is_ready(self, instance: Instance) -> bool:
        with contextlib.suppress(Refused):
            node = self._server.store.get(RESOURCES["", "nodes"], "", instance.name)
            return not instance.shape.gpu or GPU in node["status"]["allocatable"]
        return False

    def _helps(self, document: Object, pool: Pool) -> bool:
        if len(pool.instances) >= _most(pool) and all(map(self._is_ready, pool.instances)):
            return False
        if self._clock.now() < self._backoff_until.get(pool.name, 0.0):
            return False
        node = node_document("node-to-be", pool.groups[0].zone, pool, has_others=True)
        return not obstacle(document, node, pool.shape.gpus)

    def _scale_up(self, pod: KubePod, uid: str, pool: Pool) -> None:
        group = min(pool.groups, key=lambda each: len(each.instances))
        if not all(map(self._is_ready, group.instances)) or len(group.instances) < group.target:
            # One is on its way already: without its GPU a node counts as not ready.
            self._again(pod, uid, self._durations.autoscaler)
            return
        url = f"https://www.googleapis.com/compute/v1/instanceGroups/{group.name}"
        target = group.target + 1
        pod.event(
            "TriggeredScaleUp",
            f"pod triggered scale-up: [{{{url} {group.target}->{target} (max: {_most(pool)})}}]",
        )
        errors = len(group.errors)
        self._fleet.resize(group, target)
        wait = self._durations.stockout_shown + 1.0
        self._clock.later(wait, lambda: self._judge(pod, uid, pool, group, errors))

    def _judge(self, pod: KubePod, uid: str, pool: Pool, group: Group, errors: int) -> None:
        """See whether the scale-up got what it asked for."""
        if len(group.errors) > errors:
            reason = "out of resources" if "POOL" in group.errors[-1].code else "quota exceeded"
            self._fleet.resize(group, len(group.instances))
            self._backoff_until[pool.name] = self._clock.now() + _BACKOFF_S
            if self._waiting(pod, uid) is not None:
                pod.event(
                    "FailedScaleUp",
                    f"Node scale up in zones {group.zone} associated with this pod failed: GCE "
                    f"{reason}. Pod is at risk of not being scheduled.",
                    kind="Warning",
                )
        self._again(pod, uid, _BACKOFF_S)

    def _again(self, pod: KubePod, uid: str, seconds: float) -> None:
        if self._waiting(pod, uid) is not None and uid not in self._looking:
            self._looking.add(uid)
            self._clock.later(seconds, lambda: self._look(pod, uid))

    def _waiting(self, pod: KubePod, uid: str) -> Object | None:
        """The pod's object while it is the same one and still has no node."""
        with contextlib.suppress(Refused):
            document = pod.document
            same = document["metadata"]["uid"] == uid
            if same and not document["spec"].get("nodeName") and not is_over(document):
                return document
        return None

    def _remove_idle(self, node: str, since: float) -> None:
        if self._idle_since.get(node) != since:
            return
        for pool in self._cluster.pools.values():
            instance = next((each for each in pool.instances if each.name == node), None)
            least = pool.message.autoscaling.min_node_count
            if instance is None or not _scales(pool) or len(pool.instances) <= least:
                continue
            del self._idle_since[node]
            instance.group.target -= 1
            self._fleet.remove(instance)
            return


def _scales(pool: Pool) -> bool:
    return bool(pool.message.autoscaling.enabled)


def _most(pool: Pool) -> int:
    scaling = pool.message.autoscaling
    return int(scaling.total_max_node_count or scaling.max_node_count * len(pool.groups))
