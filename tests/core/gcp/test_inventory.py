"""What is left in a project: all of it, or an error; and its removal."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.gcp.connection import Google
from core.gcp.errors import BusyError, DeniedError, GoogleError, UnavailableError
from core.gcp.inventory import (
    LabelFilter,
    Resource,
    addresses,
    delete,
    disks,
    forwarding_rules,
    instances,
)
from tests.core.gcp.at_stand_in import connection
from tests.core.gcp.rest_side import PROJECT, Refused, RestSide
from tests.google.machines import NodeShape
from tests.google.world import GoogleWorld

OURS = {"gpubench-run": "r1", "gpubench-owner": "me"}
ZONE = "us-central1-a"
BASE = f"/compute/v1/projects/{PROJECT}"
DISKS = f"{BASE}/aggregated/disks"
Lister = Callable[[Google, LabelFilter], Awaitable[tuple[Resource, ...]]]
LISTERS: dict[str, Lister] = {
    "instances": instances,
    "disks": disks,
    "forwardingRules": forwarding_rules,
    "addresses": addresses,
}


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with GoogleWorld(speed=600) as world:
        yield world


@pytest.fixture
async def google(world: GoogleWorld) -> AsyncIterator[Google]:
    async with connection(world) as google:
        yield google


def leave(world: GoogleWorld) -> None:
    """Leave something of ours and something of another run's of every kind."""
    for labels, word in ((OURS, "ours"), ({"gpubench-run": "r2"}, "other")):
        world.fleet.add_disk(f"disk-{word}", ZONE, "pd-balanced", 50, labels)
        world.fleet.add_disk(f"disk-{word}-far", "europe-west4-a", "pd-ssd", 10, labels)
        world.fleet.add_load_balancer(f"rule-{word}", "us-east1", labels)
        world.fleet.add_address(f"address-{word}", "us-central1", labels)
        shape = NodeShape("n1-standard-4", "nvidia-tesla-t4", 1, True, "pd-standard", 100, labels)
        group = world.fleet.add_group(f"gke-{word}", ZONE, shape, lambda _: None, lambda _: None)
        world.fleet.resize(group, 1)


async def names(found: Awaitable[tuple[Resource, ...]]) -> list[str]:
    return sorted(each.name for each in await found)


async def test_what_a_run_left_is_found_in_all_zones_and_of_no_other_run(
    world: GoogleWorld, google: Google
) -> None:
    leave(world)
    having = {"gpubench-run": "r1"}

    (instance,) = await instances(google, having)
    assert instance.name.startswith("gke-ours-")
    assert await names(disks(google, having)) == sorted(
        ["disk-ours", "disk-ours-far", instance.name]
    )
    assert await names(forwarding_rules(google, having)) == ["rule-ours"]
    assert await names(addresses(google, having)) == ["address-ours"]


async def test_an_instance_says_what_it_is_and_since_when(
    world: GoogleWorld, google: Google
) -> None:
    leave(world)
    (instance,) = await instances(google, OURS)

    assert (instance.zone, instance.machine) == (ZONE, "n1-standard-4")
    assert (instance.gpu, instance.gpus, instance.spot) == ("nvidia-tesla-t4", 1, True)
    assert instance.disks == (instance.name,)
    assert instance.labels == OURS
    assert instance.created is not None
    assert abs(instance.created - world.clock.datetime()) < timedelta(minutes=10)


async def test_a_disk_says_its_type_size_and_user(world: GoogleWorld, google: Google) -> None:
    leave(world)
    found = {disk.name: disk for disk in await disks(google, OURS)}
    (instance,) = await instances(google, OURS)

    assert (found["disk-ours"].type, found["disk-ours"].gb) == ("pd-balanced", 50)
    assert found["disk-ours"].users == ()
    assert found["disk-ours-far"].zone == "europe-west4-a"
    assert found[instance.name].users == (instance.name,)


async def test_several_labels_must_all_be_there_and_one_may_have_any_value(
    world: GoogleWorld, google: Google
) -> None:
    leave(world)
    assert await names(addresses(google, {"gpubench-run": None})) == [
        "address-other",
        "address-ours",
    ]
    assert await names(addresses(google, {"gpubench-run": None, "gpubench-owner": "me"})) == [
        "address-ours"
    ]
    assert await addresses(google, {"gpubench-run": "r2", "gpubench-owner": "me"}) == ()


async def test_without_labels_everything_is_listed(world: GoogleWorld, google: Google) -> None:
    leave(world)
    assert len(await forwarding_rules(google, {})) == 2


async def test_long_lists_are_read_to_their_last_page(world: GoogleWorld, google: Google) -> None:
    world.compute.page_size = 3
    for number in range(8):
        world.fleet.add_disk(f"pvc-{number}", ZONE, "pd-standard", 1, OURS)
    assert len(await disks(google, OURS)) == 8


@pytest.mark.parametrize("kind", LISTERS)
async def test_a_list_that_is_refused_is_an_error(
    world: GoogleWorld, google: Google, kind: str
) -> None:
    world.faults.add(f"compute.{kind}.aggregatedList", "permission")
    with pytest.raises(DeniedError, match=f"listing the {kind}"):
        await LISTERS[kind](google, OURS)


@pytest.mark.parametrize("kind", LISTERS)
async def test_a_list_survives_a_bad_moment(world: GoogleWorld, google: Google, kind: str) -> None:
    leave(world)
    world.faults.add(f"compute.{kind}.aggregatedList", "unavailable", times=2)
    assert await LISTERS[kind](google, {"gpubench-run": "r1"})


def listed(**fields: Any) -> dict[str, Any]:
    return {
        "kind": "compute#diskAggregatedList",
        "items": {
            "zones/a": {"disks": [{"name": "d", "labels": OURS}]},
            "zones/b": {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": "none"}},
        },
        **fields,
    }


def with_scope(scope: Any) -> dict[str, Any]:
    return listed(items={**listed()["items"], "zones/c": scope})


@pytest.mark.parametrize(
    "answer",
    [
        listed(unreachables=["zones/c"]),
        listed(warning={"code": "UNREACHABLE", "message": "zones/c is not to be reached."}),
        listed(warning={"code": "PARTIAL_SUCCESS", "message": "Some are missing."}),
        with_scope({"warning": {"code": "UNREACHABLE", "message": "Down."}}),
        with_scope({"warning": {"code": "SOMETHING_NEW"}}),
        with_scope({"disks": [], "warning": {"code": "LIST_OVERHEAD_QUOTA_EXCEED"}}),
        with_scope(None),
        with_scope({"disks": "many"}),
        with_scope({"disks": [None]}),
        with_scope({"disks": [{"labels": OURS}]}),
        listed(items=[]),
        {},
    ],
)
async def test_a_list_that_lacks_a_part_is_an_error_and_proves_nothing(
    tmp_path: Path, answer: dict[str, Any]
) -> None:
    async with RestSide(tmp_path) as side:
        side.answer("GET", DISKS, answer)
        with pytest.raises(UnavailableError, match="could not list the disks of"):
            await disks(side.google, OURS)


async def test_a_list_that_lacks_a_part_on_a_later_page_is_an_error_too(tmp_path: Path) -> None:
    async with RestSide(tmp_path) as side:
        side.answer("GET", DISKS, listed(nextPageToken="2"), listed(unreachables=["zones/c"]))
        with pytest.raises(UnavailableError, match="zones/c"):
            await disks(side.google, OURS)


async def test_a_list_that_never_ends_is_an_error(tmp_path: Path) -> None:
    async with RestSide(tmp_path) as side:
        side.answer("GET", DISKS, listed(nextPageToken="again"))
        with pytest.raises(GoogleError):
            await disks(side.google, OURS)
        assert len(side.requests) < 5


async def test_a_harmless_warning_beside_a_list_takes_nothing_from_it(tmp_path: Path) -> None:
    beside = {"disks": [{"name": "e", "labels": OURS}], "warning": {"code": "NOT_CRITICAL_ERROR"}}
    async with RestSide(tmp_path) as side:
        side.answer("GET", DISKS, with_scope(beside))
        assert await names(disks(side.google, OURS)) == ["d", "e"]


async def test_what_comes_beyond_the_filter_is_not_taken_for_ours(tmp_path: Path) -> None:
    others = [{"name": "theirs", "labels": {"gpubench-run": "r2"}}, {"name": "bare"}]
    async with RestSide(tmp_path) as side:
        side.answer("GET", DISKS, with_scope({"disks": others}))
        assert await names(disks(side.google, OURS)) == ["d"]
        (request,) = side.requests
        assert request.query["filter"] == (
            "(labels.gpubench-run=r1) AND (labels.gpubench-owner=me)"
        )


async def test_what_kubernetes_made_says_for_what(tmp_path: Path) -> None:
    claim = {
        "kubernetes.io/created-for/pvc/name": "data",
        "kubernetes.io/created-for/pvc/namespace": "bench",
    }
    made = [
        {
            "name": "pvc-1",
            "description": json.dumps(claim),
            "creationTimestamp": "2026-11-23T05:46",
        },
        {"name": "lb", "description": json.dumps({"kubernetes.io/service-name": "bench/web"})},
        {"name": "lb2", "description": json.dumps({"networking.gke.io/service-name": "bench/w"})},
        {"name": "odd", "description": "{"},
        {"name": "list", "description": "[1]"},
    ]
    async with RestSide(tmp_path) as side:
        side.answer("GET", DISKS, listed(items={"regions/r": {"disks": made}}))
        pvc, balancer, newer, odd, other = await disks(side.google, {})

        assert (pvc.claim, pvc.service, pvc.place) == ("bench/data", "", "r")
        assert pvc.created == datetime(2026, 11, 23, 5, 46, tzinfo=UTC)
        assert (balancer.claim, balancer.service, newer.service) == ("", "bench/web", "bench/w")
        assert (odd.claim, odd.service, other.claim) == ("", "", "")


async def test_everything_that_was_left_can_be_deleted(world: GoogleWorld, google: Google) -> None:
    leave(world)
    having = {"gpubench-run": "r1"}
    for lister in (instances, disks, forwarding_rules, addresses):
        for resource in await lister(google, having):
            assert await delete(google, resource) is True

    for lister in (instances, disks, forwarding_rules, addresses):
        assert await lister(google, having) == ()
        assert await lister(google, {"gpubench-run": "r2"}) != ()


async def test_what_is_gone_already_was_not_there(world: GoogleWorld, google: Google) -> None:
    world.fleet.add_disk("disk", ZONE, "pd-standard", 10, OURS)
    (disk,) = await disks(google, OURS)
    assert await delete(google, disk) is True
    assert await delete(google, disk) is False


async def test_a_deletion_whose_answer_is_lost_was_carried_out(
    world: GoogleWorld, google: Google
) -> None:
    world.fleet.add_disk("disk", ZONE, "pd-standard", 10, OURS)
    (disk,) = await disks(google, OURS)
    world.faults.add("compute.disks.delete", "cut after")
    await delete(google, disk)
    assert await disks(google, OURS) == ()


async def test_a_deletion_that_fails_says_of_what(world: GoogleWorld, google: Google) -> None:
    world.fleet.add_disk("disk", ZONE, "pd-standard", 10, OURS)
    (disk,) = await disks(google, OURS)
    world.faults.add("compute.disks.delete", "operation fails")
    with pytest.raises(GoogleError, match="deleting disk disk in us-central1-a"):
        await delete(google, disk)
    assert await names(disks(google, OURS)) == ["disk"]


async def test_a_deletion_that_never_ends_is_given_up(world: GoogleWorld, google: Google) -> None:
    world.fleet.add_disk("disk", ZONE, "pd-standard", 10, OURS)
    (disk,) = await disks(google, OURS)
    world.faults.add("compute.disks.delete", "operation never ends")
    with pytest.raises(
        UnavailableError, match="has not ended deleting disk disk in us-central1-a in 60 s"
    ):
        await delete(google, disk, patience_s=60)


async def test_a_disk_in_use_is_busy(tmp_path: Path) -> None:
    async with RestSide(tmp_path) as side:
        side.answer("GET", DISKS, listed())
        (disk,) = await disks(side.google, OURS)
        error = {"code": "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "message": "The disk is in use."}
        done = {"name": "operation-1", "status": "DONE", "error": {"errors": [error]}}
        running = {"name": "operation-1", "status": "RUNNING", "zone": "https://x/zones/a"}
        side.answer("DELETE", f"{BASE}/zones/a/disks/d", running)
        side.answer("GET", f"{BASE}/zones/a/operations/operation-1", running, done)
        with pytest.raises(BusyError, match="deleting disk d in a"):
            await delete(side.google, disk)


async def test_an_operation_that_only_has_a_status_of_http_has_failed(tmp_path: Path) -> None:
    async with RestSide(tmp_path) as side:
        side.answer("GET", DISKS, listed())
        (disk,) = await disks(side.google, OURS)
        done = {"name": "operation-1", "status": "DONE", "httpErrorStatusCode": 403}
        side.answer("DELETE", f"{BASE}/zones/a/disks/d", done)
        with pytest.raises(DeniedError):
            await delete(side.google, disk)


async def test_a_deletion_that_is_refused_is_no_deletion(tmp_path: Path) -> None:
    async with RestSide(tmp_path) as side:
        side.answer("GET", DISKS, listed())
        (disk,) = await disks(side.google, OURS)
        side.answer("DELETE", f"{BASE}/zones/a/disks/d", Refused(403, "PERMISSION_DENIED"))
        with pytest.raises(DeniedError):
            await delete(side.google, disk)
