"""Clusters and pools, asked of the stand-in through GKE's own client."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from google.cloud import container_v1 as gke

from core.gcp.clusters import Clusters, endpoint_of
from core.gcp.connection import Google
from core.gcp.errors import (
    ApiDisabledError,
    BillingDisabledError,
    BusyError,
    CredentialsError,
    DeniedError,
    ExistsError,
    GoogleError,
    InvalidError,
    NotFoundError,
    QuotaError,
    UnavailableError,
)
from core.gcp.operations import OperationSeen
from tests.core.gcp.asked_for import GPU, SPEC
from tests.google.faults import FaultKind
from tests.google.world import GoogleWorld

ZONE = "us-central1-a"
T4 = dataclasses.replace(GPU, service_account="", most_nodes=0)


@pytest.fixture
def clusters(cloud: Google) -> Clusters:
    return Clusters(cloud)


async def ended(clusters: Clusters, operation: str | None, every_s: float = 5.0) -> OperationSeen:
    """Follow an operation to its end."""
    assert operation is not None
    seen = [each async for each in clusters.follow(ZONE, operation, every_s=every_s)]
    return seen[-1]


async def made(clusters: Clusters) -> None:
    """A cluster as it is asked for."""
    await ended(clusters, await clusters.create(SPEC))


async def test_a_cluster_comes_with_progress_and_goes_without_a_trace(
    world: GoogleWorld, clusters: Clusters
) -> None:
    assert await clusters.get(ZONE, "c") is None
    operation = await clusters.create(SPEC)
    seen = [each async for each in clusters.follow(ZONE, operation)]
    assert {each.kind for each in seen} == {"CREATE_CLUSTER"}
    assert seen[-1].status == "DONE"
    assert not seen[-1].running
    shares = [each.done / each.total for each in seen if each.done is not None and each.total]
    assert len(shares) > 20
    assert all(0 <= share <= 1 for share in shares)
    assert seen[-1].done == seen[-1].total
    assert ("CLUSTER_DEPLOYING", "RUNNING") in {stage for each in seen for stage in each.stages}
    found = await clusters.get(ZONE, "c")
    assert found is not None
    assert found.status.name == "RUNNING"
    assert dict(found.resource_labels) == dict(SPEC.labels)

    await ended(clusters, await clusters.delete(ZONE, "c"))
    assert await clusters.get(ZONE, "c") is None
    assert await clusters.delete(ZONE, "c") is None
    assert world.ledger.standing() == []


async def test_a_gpu_pool_is_added_resized_and_deleted(
    world: GoogleWorld, clusters: Clusters
) -> None:
    await made(clusters)
    assert await clusters.pool(ZONE, "c", "gpu") is None
    seen = await ended(clusters, await clusters.create_pool(ZONE, "c", T4))
    assert (seen.kind, seen.target) == ("CREATE_NODE_POOL", "gpu")
    pool = await clusters.pool(ZONE, "c", "gpu")
    assert pool is not None
    assert pool.status.name == "RUNNING"
    assert pool.instance_group_urls
    await ended(clusters, await clusters.resize_pool(ZONE, "c", "gpu", 0))
    await ended(clusters, await clusters.delete_pool(ZONE, "c", "gpu"))
    assert await clusters.pool(ZONE, "c", "gpu") is None
    assert await clusters.delete_pool(ZONE, "c", "gpu") is None
    assert not [each for each in world.ledger.standing() if "gpu" in str(each)]


async def test_clusters_are_found_by_their_labels_wherever_they_are(clusters: Clusters) -> None:
    await clusters.create(SPEC)
    elsewhere = dataclasses.replace(
        SPEC,
        location="us-west1-b",
        pool=dataclasses.replace(SPEC.pool, zones=("us-west1-b",)),
        labels={"gpubench-run": "other"},
    )
    await clusters.create(elsewhere)
    assert {each.location for each in await clusters.find({"gpubench-run": None})} == {
        ZONE,
        "us-west1-b",
    }
    assert [each.location for each in await clusters.find({"gpubench-run": "r"})] == [ZONE]
    assert await clusters.find({"gpubench-run": "r", "gpubench-keep": None}) == []
    assert len(await clusters.find({})) == 2


async def test_a_name_that_is_taken_is_told(clusters: Clusters) -> None:
    await clusters.create(SPEC)
    with pytest.raises(ExistsError, match="creating cluster c in us-central1-a"):
        await clusters.create(SPEC)


@pytest.mark.parametrize("kind", ["cut after", "cut before", "unavailable", "internal"])
async def test_a_create_is_carried_out_once_whatever_its_answer(
    world: GoogleWorld, clusters: Clusters, kind: FaultKind
) -> None:
    fault = world.faults.add("container.CreateCluster", kind)
    try:
        await clusters.create(SPEC)
        told = True
    except ExistsError:
        told = False
    assert fault.met == 1
    assert told is (kind != "cut after")
    found = await clusters.get(ZONE, "c")
    assert found is not None
    assert found.resource_labels["gpubench-run"] == "r"
    assert not world.ledger.doubles()


@pytest.mark.parametrize("kind", ["cut after", "cut before", "unavailable", "internal"])
async def test_a_delete_whose_answer_is_lost_ends_in_nothing_left(
    world: GoogleWorld, clusters: Clusters, kind: FaultKind
) -> None:
    await made(clusters)
    world.faults.add("container.DeleteCluster", kind)
    try:
        await ended(clusters, await clusters.delete(ZONE, "c"))
    except BusyError:
        await clusters.wait_idle(ZONE, "c")
        assert await clusters.delete(ZONE, "c") is None
    assert world.ledger.standing() == []


async def test_what_is_busy_is_waited_for_and_taken_up(
    world: GoogleWorld, clusters: Clusters
) -> None:
    operation = await clusters.create(SPEC)
    with pytest.raises(BusyError, match=operation):
        await clusters.create_pool(ZONE, "c", T4)
    (at_work,) = await clusters.operations(ZONE, "c")
    assert (at_work.name, at_work.kind) == (operation, "CREATE_CLUSTER")
    assert await clusters.operations(ZONE, "another") == []
    began = world.clock.now()
    await clusters.wait_idle(ZONE, "c")
    assert 300 < world.clock.now() - began < 400
    assert await clusters.operations(ZONE, "c") == []
    assert await clusters.create_pool(ZONE, "c", T4)


async def test_the_operations_of_a_pool_are_its_clusters_too(clusters: Clusters) -> None:
    await made(clusters)
    operation = await clusters.create_pool(ZONE, "c", T4)
    assert [each.name for each in await clusters.operations(ZONE, "c")] == [operation]


async def test_a_cluster_of_a_similar_name_is_another(clusters: Clusters) -> None:
    await clusters.create(dataclasses.replace(SPEC, name="c-2"))
    assert await clusters.operations(ZONE, "c") == []


REFUSED = [
    ("permission", DeniedError),
    ("not found", NotFoundError),
    ("already exists", ExistsError),
]


@pytest.mark.parametrize(("kind", "error"), REFUSED)
async def test_a_refusal_keeps_its_kind_through_the_client(
    world: GoogleWorld, clusters: Clusters, kind: FaultKind, error: type[GoogleError]
) -> None:
    world.faults.add("container.CreateCluster", kind)
    with pytest.raises(error, match="creating cluster c"):
        await clusters.create(SPEC)


@pytest.mark.parametrize("kind", ["unavailable", "resource exhausted", "internal", "cut before"])
async def test_patience_ends_in_one_sentence(
    world: GoogleWorld, clusters: Clusters, kind: FaultKind
) -> None:
    fault = world.faults.add("container.ListClusters", kind, times=-1)
    began = world.clock.now()
    with pytest.raises(UnavailableError, match="listing the clusters"):
        await clusters.find({})
    assert 30 < world.clock.now() - began <= 61
    assert fault.met > 5


async def test_an_answer_that_does_not_come_is_asked_for_again(
    world: GoogleWorld, cloud: Google
) -> None:
    world.faults.add("container.GetCluster", "deadline")
    with pytest.raises(NotFoundError):
        await cloud.cluster_call(
            "get_cluster",
            {"name": f"projects/{cloud.project}/locations/{ZONE}/clusters/c"},
            timeout_s=0.3,
        )
    assert [call.name for call in world.calls].count("container.GetCluster") == 2


async def test_a_token_that_was_revoked_is_renewed(world: GoogleWorld, clusters: Clusters) -> None:
    await clusters.find({})
    world.tokens.expire()
    assert await clusters.find({}) == []
    world.tokens.expire()
    world.tokens.refuse = "invalid_grant"
    with pytest.raises(CredentialsError):
        await clusters.find({})


async def test_what_the_project_lacks_is_told_with_the_command(
    world: GoogleWorld, clusters: Clusters
) -> None:
    world.project.missing_permissions.add("container.clusters.create")
    with pytest.raises(DeniedError, match=r"container\.clusters\.create") as denied:
        await clusters.create(SPEC)
    assert "roles/container.admin" in denied.value.remedy
    world.project.missing_permissions.clear()
    world.project.billing_enabled = False
    with pytest.raises(BillingDisabledError):
        await clusters.create(SPEC)
    world.project.billing_enabled = True
    world.project.services.discard("container.googleapis.com")
    with pytest.raises(ApiDisabledError) as disabled:
        await clusters.create(SPEC)
    assert "gcloud services enable container.googleapis.com" in disabled.value.remedy


async def test_a_quota_that_is_too_small_is_refused_as_one(
    world: GoogleWorld, clusters: Clusters
) -> None:
    await made(clusters)
    world.capacity.quotas["us-central1", "PREEMPTIBLE_NVIDIA_T4_GPUS"] = 0
    with pytest.raises(QuotaError) as caught:
        await ended(clusters, await clusters.create_pool(ZONE, "c", T4))
    assert caught.value.metric == "PREEMPTIBLE_NVIDIA_T4_GPUS"
    assert not caught.value.is_global


class LeavesZonesOut:
    """A connection whose listings lack a zone."""

    project = "p"

    async def cluster_call(self, name: str, request: Any, *, asked: str = "") -> Any:
        if name == "list_clusters":
            return gke.ListClustersResponse(missing_zones=["us-east1-b"])
        return gke.ListOperationsResponse(missing_zones=["us-east1-b"])


async def test_a_zone_that_a_listing_leaves_out_makes_it_no_proof() -> None:
    clusters = Clusters(LeavesZonesOut())  # type: ignore[arg-type]
    with pytest.raises(UnavailableError, match="leaves out us-east1-b"):
        await clusters.find({})
    with pytest.raises(UnavailableError, match="leaves out us-east1-b"):
        await clusters.operations(ZONE, "c")


def of_address(**fields: Any) -> gke.Cluster:
    return gke.Cluster(name="c", location=ZONE, **fields)


async def test_an_api_server_is_found_by_its_address_with_its_own_authority(
    clusters: Clusters,
) -> None:
    await made(clusters)
    found = await clusters.get(ZONE, "c")
    assert found is not None
    endpoint = endpoint_of(found)
    assert endpoint.host_url.startswith("https://127.0.0.1:")
    assert endpoint.ca_pem is not None
    assert endpoint.ca_pem.startswith("-----BEGIN CERTIFICATE-----")
    by_name = endpoint_of(found, dns=True)
    assert by_name.host_url.startswith("https://")
    assert by_name.ca_pem is None


@pytest.mark.parametrize(
    "cluster",
    [
        of_address(),
        of_address(endpoint="192.0.2.1"),
        of_address(endpoint="192.0.2.1", master_auth={"cluster_ca_certificate": "no base64"}),
        of_address(endpoint="192.0.2.1", master_auth={"cluster_ca_certificate": "/////w=="}),
    ],
)
def test_a_cluster_without_a_good_address_is_told(cluster: gke.Cluster) -> None:
    with pytest.raises(GoogleError, match="Cluster c has"):
        endpoint_of(cluster)


@pytest.mark.parametrize("is_open", [True, False])
def test_a_dns_endpoint_must_be_open_to_traffic_from_here(is_open: bool) -> None:
    dns = {"endpoint": "gke-1.us-central1-a.gke.goog", "allow_external_traffic": is_open}
    cluster = of_address(control_plane_endpoints_config={"dns_endpoint_config": dns})
    if is_open:
        endpoint = endpoint_of(cluster, dns=True)
        assert endpoint.host_url == "https://gke-1.us-central1-a.gke.goog"
    else:
        with pytest.raises(InvalidError) as caught:
            endpoint_of(cluster, dns=True)
        assert "--enable-dns-access" in caught.value.remedy


async def test_several_connections_at_once_are_told_apart(
    world: GoogleWorld, cloud: Google
) -> None:
    several = [Clusters(cloud) for _ in range(10)]
    specs = [dataclasses.replace(SPEC, name=f"c-{number}") for number in range(10)]
    operations = await asyncio.gather(
        *(each.create(spec) for each, spec in zip(several, specs, strict=True))
    )
    assert len({*operations}) == 10
    assert len(await several[0].find({})) == 10
