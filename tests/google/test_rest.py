"""The stand-in's REST half, asked as Google's documentation says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.google.client import ZONE, Client
from tests.google.prices import COMPUTE, KUBERNETES
from tests.google.world import GoogleWorld

P = "/compute/v1/projects/stand-in-project"
V1 = "/v1/projects/stand-in-project"


async def test_instances_and_disks_are_found_by_label(world: GoogleWorld, client: Client) -> None:
    await client.create_cluster(resource_labels={"gpubench-run": "r1", "gpubench-owner": "me"})
    await world.clock.advance(361)
    for text in ("labels.gpubench-run=r1", "labels.gpubench-run:* AND labels.gpubench-owner=me"):
        found = (await client.get(f"{P}/aggregated/instances", filter=text)).json()["items"]
        (instance,) = found[f"zones/{ZONE}"]["instances"]
        assert instance["machineType"].endswith("/e2-standard-2")
        assert found["zones/us-east1-b"]["warning"]["code"] == "NO_RESULTS_ON_PAGE"
    disks = (await client.get(f"{P}/zones/{ZONE}/disks", filter="labels.gpubench-run=r1")).json()
    assert disks["items"][0]["sizeGb"] == "30"
    other = (await client.get(f"{P}/zones/{ZONE}/disks", filter="labels.gpubench-run=r2")).json()
    assert "items" not in other


async def test_quotas_tell_what_is_in_use(world: GoogleWorld, client: Client) -> None:
    await client.ready()
    await client.create_pool()
    await world.clock.advance(71)
    region = (await client.get(f"{P}/regions/us-central1")).json()
    quotas = {each["metric"]: each for each in region["quotas"]}
    assert (quotas["NVIDIA_T4_GPUS"]["usage"], quotas["CPUS"]["usage"]) == (1.0, 6.0)
    project = (await client.get(P)).json()
    assert project["quotas"] == [{"metric": "GPUS_ALL_REGIONS", "limit": 16.0, "usage": 1.0}]


async def test_a_disk_in_use_stays_and_a_forgotten_one_can_be_deleted(
    world: GoogleWorld, client: Client
) -> None:
    await client.ready()
    (boot,) = world.fleet.disks
    refused = await client.rest.delete(f"{P}/zones/{ZONE}/disks/{boot}")
    assert refused.status_code == 400
    assert "already being used" in refused.json()["error"]["message"]
    world.fleet.add_disk("pvc-1", ZONE, "pd-balanced", 10, {"gpubench-run": "r1"})
    operation = (await client.rest.delete(f"{P}/zones/{ZONE}/disks/pvc-1")).json()
    assert operation["status"] == "RUNNING"
    await world.clock.advance(5)
    path = f"{P}/zones/{ZONE}/operations/{operation['name']}"
    assert (await client.get(path)).json()["status"] == "DONE"
    assert [entry.name for entry in world.ledger.standing() if entry.kind == "disk"] == [boot]


async def test_lists_come_in_pages(world: GoogleWorld, client: Client) -> None:
    for number in range(5):
        world.fleet.add_disk(f"disk-{number}", ZONE, "pd-ssd", 10, {})
    names: list[str] = []
    token = ""
    for _ in range(3):
        page = (await client.get(f"{P}/zones/{ZONE}/disks", maxResults=2, pageToken=token)).json()
        names += [item["name"] for item in page["items"]]
        token = page.get("nextPageToken", "")
    assert (names, token) == ([f"disk-{number}" for number in range(5)], "")


async def test_what_the_catalog_says_is_what_the_ledger_bills(
    world: GoogleWorld, client: Client
) -> None:
    listed: list[dict[str, Any]] = []
    token = ""
    while True:
        query = {"pageSize": 50, "pageToken": token}
        page = (await client.get(f"/v1/services/{COMPUTE}/skus", **query)).json()
        listed += page["skus"]
        token = page["nextPageToken"]
        if not token:
            break
    fees = (await client.get(f"/v1/services/{KUBERNETES}/skus")).json()["skus"]
    assert len({sku["skuId"] for sku in listed}) == len(listed)

    def usd(words: str) -> float:
        (sku,) = [each for each in (*listed, *fees) if each["description"] == words]
        price = sku["pricingInfo"][0]["pricingExpression"]["tieredRates"][-1]["unitPrice"]
        return int(price["units"]) + float(price["nanos"]) / 1e9

    await client.ready()
    await client.create_pool(config={**_spot_config()})
    await world.clock.advance(71)
    billed = {entry.detail: entry.usd_per_hour for entry in world.ledger.standing()}
    where = "running in Americas"
    assert billed["n1-standard-4 1xnvidia-tesla-t4"] == pytest.approx(
        4 * usd(f"Spot Preemptible N1 Predefined Instance Core {where}")
        + 15 * usd(f"Spot Preemptible N1 Predefined Instance Ram {where}")
        + usd(f"Nvidia Tesla T4 GPU attached to Spot Preemptible VMs {where}")
    )
    assert billed["pd-balanced 30"] == pytest.approx(30 * usd("Balanced PD Capacity") / 730)
    assert billed[""] in (usd("Zonal Kubernetes Clusters"), 0.0)


def _spot_config() -> dict[str, Any]:
    from tests.google.client import GPU_POOL

    return {**GPU_POOL["config"], "spot": True}


async def test_project_permissions_services_and_billing(world: GoogleWorld, client: Client) -> None:
    world.project.missing_permissions.add("container.clusters.create")
    asked = ["container.clusters.create", "container.clusters.get"]
    answer = await client.rest.post(
        "/v3/projects/stand-in-project:testIamPermissions", json={"permissions": asked}
    )
    assert answer.json() == {"permissions": ["container.clusters.get"]}
    world.project.services.discard("cloudbuild.googleapis.com")
    names = [
        f"projects/stand-in-project/services/{api}.googleapis.com"
        for api in ("compute", "cloudbuild")
    ]
    batch = (await client.rest.get(f"{V1}/services:batchGet", params={"names": names})).json()
    assert [each["state"] for each in batch["services"]] == ["ENABLED", "DISABLED"]
    world.project.billing_enabled = False
    assert "billingEnabled" not in (await client.get(f"{V1}/billingInfo")).json()
    refused = (await client.get(f"{P}/regions")).json()["error"]
    assert refused["details"][0]["reason"] == "BILLING_DISABLED"
    unknown = await client.get("/v3/projects/somebody-elses")
    assert (unknown.status_code, unknown.json()["error"]["status"]) == (403, "PERMISSION_DENIED")


async def test_impersonation_gives_a_token_of_the_other_account(
    world: GoogleWorld, client: Client
) -> None:
    other = "bench@stand-in-project.iam.gserviceaccount.com"
    path = f"/v1/projects/-/serviceAccounts/{other}:generateAccessToken"
    assert (await client.rest.post(path, json={})).status_code == 403
    world.project.accounts.add(other)
    token = (await client.rest.post(path, json={"lifetime": "600s"})).json()["accessToken"]
    client.rest.headers["Authorization"] = f"Bearer {token}"
    await client.get(f"{V1}/billingInfo")
    assert world.calls[-1].account == other


async def test_a_build_needs_its_source_takes_its_time_and_leaves_an_image(
    world: GoogleWorld, client: Client
) -> None:
    location = f"{V1}/locations/us-central1"
    made = await client.rest.post(
        f"{location}/repositories?repositoryId=bench", json={"format": "DOCKER"}
    )
    await world.clock.advance(5)
    operation = (await client.get(f"/v1/{made.json()['name']}")).json()
    assert operation["response"]["name"].endswith("/repositories/bench")
    image = "us-central1-docker.pkg.dev/stand-in-project/bench/benchmark:1f0c"
    order: dict[str, Any] = {
        "source": {"storageSource": {"bucket": "src", "object": "a/b.tar.gz"}},
        "steps": [{"name": "gcr.io/cloud-builders/docker", "args": ["build", "."]}],
        "images": [image],
        "tags": ["r1"],
        "logsBucket": "gs://src",
    }
    refused = await client.rest.post(f"{V1}/builds", json=order)
    assert "object doesn't exist" in refused.json()["error"]["message"]
    await client.rest.post("/storage/v1/b", json={"name": "src"})
    await client.rest.post(
        "/upload/storage/v1/b/src/o?uploadType=media&name=a/b.tar.gz", content=b"x"
    )
    build = (await client.rest.post(f"{V1}/builds", json=order)).json()["metadata"]["build"]
    await world.clock.advance(239)
    assert (await client.get(f"{V1}/builds/{build['id']}")).json()["status"] == "WORKING"
    await world.clock.advance(2)
    done = (await client.get(f"{V1}/builds/{build['id']}")).json()
    assert (done["status"], done["results"]["images"][0]["name"]) == ("SUCCESS", image)
    (stored,) = (await client.get(f"{location}/repositories/bench/dockerImages")).json()[
        "dockerImages"
    ]
    assert stored["tags"] == ["1f0c"]
    log = await client.rest.get(
        f"/storage/v1/b/src/o/log-{build['id']}.txt?alt=media", headers={"Range": "bytes=0-13"}
    )
    assert (log.status_code, log.text) == (206, "starting build")
    await client.rest.delete("/storage/v1/b/src/o/a%2Fb.tar.gz")
    assert (await client.get("/storage/v1/b/src/o/a%2Fb.tar.gz")).status_code == 404
    assert world.ledger.is_empty()
    assert [entry.kind for entry in world.ledger.standing(apart=True)] == [
        *("repository", "bucket", "object", "image")
    ]


async def test_a_build_can_fail_and_be_cancelled(world: GoogleWorld, client: Client) -> None:
    order = {"steps": [{"name": "gcr.io/cloud-builders/docker"}]}
    world.faults.add("cloudbuild.builds.create", "operation fails")
    failing = (await client.rest.post(f"{V1}/builds", json=order)).json()["metadata"]["build"]
    cut = (await client.rest.post(f"{V1}/builds", json=order)).json()["metadata"]["build"]
    await client.rest.post(f"{V1}/builds/{cut['id']}:cancel", json={})
    await world.clock.advance(241)
    told = (await client.get(f"{V1}/builds/{failing['id']}")).json()
    assert (told["status"], told["failureInfo"]["type"]) == ("FAILURE", "USER_BUILD_STEP")
    assert (await client.get(f"{V1}/builds/{cut['id']}")).json()["status"] == "CANCELLED"


async def test_nobody_comes_in_without_a_token(client: Client) -> None:
    del client.rest.headers["Authorization"]
    for path in (P, f"{V1}/billingInfo", f"/v1/services/{COMPUTE}/skus", "/storage/v1/b"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, 401)
