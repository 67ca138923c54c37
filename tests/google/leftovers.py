"""What Kubernetes objects make at Google's, and what stays when only the cluster is deleted."""

from __future__ import annotations

import json
import math
import re

from tests.core.kube.stand_in_store import RESOURCES, Object
from tests.google.clusters import GkeCluster
from tests.google.kubernetes import ApiServer
from tests.google.machines import Fleet

_CLAIMS = RESOURCES["", "persistentvolumeclaims"]
_SERVICES = RESOURCES["", "services"]


class Leftovers:
    """Disks of claims and load balancers of Services: they go with their objects, not with the
    cluster."""

    def __init__(self, server: ApiServer, cluster: GkeCluster, fleet: Fleet) -> None:
        self._server = server
        self._cluster = cluster
        self._fleet = fleet
        self._made: dict[str, str] = {}
        """Uid of the object: name of what it made."""

    def follow(self) -> None:
        """Make what is new, delete what has gone."""
        zone = next(
            (group.zone for pool in self._cluster.pools.values() for group in pool.groups), ""
        )
        claims = self._server.store.list(_CLAIMS)
        services = [
            each
            for each in self._server.store.list(_SERVICES)
            if each["spec"].get("type") == "LoadBalancer"
        ]
        labels = {
            **self._cluster.labels,
            "goog-k8s-cluster-name": self._cluster.name,
            "goog-k8s-cluster-location": self._cluster.location,
        }
        for claim in claims:
            metadata = claim["metadata"]
            if metadata["uid"] in self._made:
                continue
            name = self._made[metadata["uid"]] = f"pvc-{metadata['uid']}"
            described = {
                "kubernetes.io/created-for/pv/name": name,
                "kubernetes.io/created-for/pvc/name": metadata["name"],
                "kubernetes.io/created-for/pvc/namespace": metadata["namespace"],
            }
            self._fleet.add_disk(
                *(name, zone, "pd-balanced", _gb(claim), labels),
                description=json.dumps(described),
            )
        for service in services:
            metadata = service["metadata"]
            if metadata["uid"] in self._made:
                continue
            name = self._made[metadata["uid"]] = f"a{metadata['uid'].replace('-', '')}"
            described = {
                "kubernetes.io/service-name": f"{metadata['namespace']}/{metadata['name']}"
            }
            # Nothing on it tells which cluster it belongs to.
            self._fleet.add_load_balancer(name, zone.rsplit("-", 1)[0], {}, json.dumps(described))
        alive = {each["metadata"]["uid"] for each in (*claims, *services)}
        for uid in set(self._made) - alive:
            self._fleet.delete_disk(self._made[uid])
            self._fleet.delete_forwarding_rule(self._made.pop(uid))


def _gb(claim: Object) -> int:
    """Whole GiB; Google makes no smaller disks."""
    found = re.fullmatch(r"(\d+)(Mi|Gi|Ti)?", claim["spec"]["resources"]["requests"]["storage"])
    assert found is not None
    return math.ceil(int(found[1]) * {"Mi": 2**-10, "Gi": 1, "Ti": 2**10, None: 2**-30}[found[2]])
