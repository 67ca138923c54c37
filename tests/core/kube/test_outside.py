"""What a cluster holds elsewhere is given up before the cluster goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.kube.cluster import Cluster
from core.kube.errors import DeniedError
from core.kube.outside import Balancer, balancers, let_go
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_store import RESOURCES, Resource

SERVICES = RESOURCES.setdefault(("", "services"), Resource("", "v1", "services", "Service"))
CLAIMS = RESOURCES["", "persistentvolumeclaims"]
VOLUMES = RESOURCES.setdefault(
    ("", "persistentvolumes"),
    Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False),
)


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with StandIn() as server:
        yield server


@pytest.fixture
async def cluster(stand_in: StandIn, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(stand_in.access(tmp_path)) as connection:
        yield connection


def add_service(stand_in: StandIn, name: str, kind: str, namespace: str = "default") -> str:
    status = {"loadBalancer": {"ingress": [{"ip": "34.1.2.3"}, {"hostname": "elsewhere"}]}}
    document = {"metadata": {"name": name}, "spec": {"type": kind}, "status": status}
    return str(stand_in.put(SERVICES, document, namespace)["metadata"]["uid"])


def add_volume(stand_in: StandIn, name: str, policy: str) -> None:
    spec = {"persistentVolumeReclaimPolicy": policy}
    stand_in.put(VOLUMES, {"metadata": {"name": name}, "spec": spec})


async def test_load_balancers_of_every_namespace_are_found(
    stand_in: StandIn, cluster: Cluster
) -> None:
    add_service(stand_in, "inside", "ClusterIP")
    uid = add_service(stand_in, "web", "LoadBalancer", "kube-system")
    (found,) = await balancers(cluster)
    assert found == Balancer("kube-system", "web", uid, ("34.1.2.3", ""))
    assert found.rule == f"a{uid.replace('-', '')}"[:32]


async def test_services_and_claims_are_deleted_and_other_services_stay(
    stand_in: StandIn, cluster: Cluster
) -> None:
    add_service(stand_in, "inside", "ClusterIP")
    add_service(stand_in, "web", "LoadBalancer")
    stand_in.put(CLAIMS, {"metadata": {"name": "data"}, "spec": {}}, "default")
    await let_go(cluster, await balancers(cluster), 30)
    assert [each["metadata"]["name"] for each in stand_in.store.list(SERVICES)] == ["inside"]
    assert stand_in.store.list(CLAIMS) == []


async def test_a_claims_volume_is_waited_for_and_a_retained_one_is_not(
    stand_in: StandIn, cluster: Cluster
) -> None:
    stand_in.put(CLAIMS, {"metadata": {"name": "data"}, "spec": {}}, "default")
    add_volume(stand_in, "kept", "Retain")
    add_volume(stand_in, "pvc-1", "Delete")

    async def provider() -> None:
        while stand_in.store.list(CLAIMS):
            await asyncio.sleep(0)
        stand_in.store.remove(VOLUMES, "", "pvc-1")

    work = asyncio.create_task(provider())
    await let_go(cluster, (), 30)
    assert work.done()
    assert [each["metadata"]["name"] for each in stand_in.store.list(VOLUMES)] == ["kept"]


async def test_patience_ends(stand_in: StandIn, cluster: Cluster) -> None:
    stand_in.put(CLAIMS, {"metadata": {"name": "data"}, "spec": {}}, "default")
    add_volume(stand_in, "pvc-1", "Delete")
    await let_go(cluster, (), 0)
    assert len(stand_in.store.list(VOLUMES)) == 1


async def test_a_cluster_with_nothing_elsewhere_is_asked_once(
    stand_in: StandIn, cluster: Cluster
) -> None:
    await let_go(cluster, (), 30)
    assert [asked.path for asked in stand_in.asked] == ["/api/v1/persistentvolumeclaims"]


async def test_a_refusal_is_an_error(stand_in: StandIn, cluster: Cluster) -> None:
    stand_in.fail(403)
    with pytest.raises(DeniedError):
        await balancers(cluster)
