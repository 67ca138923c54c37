"""The project: there or not, what may be done in it, and who pays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.gcp.connection import Google
from core.gcp.errors import ApiDisabledError, GoogleError, NotFoundError
from core.gcp.projects import (
    Billing,
    Project,
    billing,
    enabled,
    held,
    project,
    service_account_exists,
)
from tests.core.gcp.at_stand_in import connection
from tests.core.gcp.rest_side import PROJECT, Refused, RestSide
from tests.google.world import GoogleWorld

WANTED = ("container.clusters.create", "container.clusters.delete", "compute.instances.list")


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with GoogleWorld(speed=600) as world:
        yield world


@pytest.fixture
async def google(world: GoogleWorld) -> AsyncIterator[Google]:
    async with connection(world) as google:
        yield google


async def test_the_project_is_told_with_its_number(world: GoogleWorld, google: Google) -> None:
    name = world.project.name
    assert await project(google) == Project(name, world.project.number, name, is_active=True)


async def test_a_project_that_is_being_deleted_is_not_active(
    world: GoogleWorld, google: Google
) -> None:
    world.project.state = "DELETE_REQUESTED"
    assert (await project(google)).is_active is False


@pytest.mark.parametrize("refused", [Refused(403, "PERMISSION_DENIED"), Refused(404, "NOT_FOUND")])
async def test_a_project_that_is_none_or_hidden_is_one_sentence(
    tmp_path: Path, refused: Refused
) -> None:
    async with RestSide(tmp_path) as side:
        side.answer("GET", f"/v3/projects/{PROJECT}", refused)
        with pytest.raises(NotFoundError) as caught:
            await project(side.google)
        assert caught.value.sentence == (
            f"There is no project {PROJECT}, or tester@{PROJECT}.iam.gserviceaccount.com may not "
            "see it."
        )
        assert "gcloud projects list" in caught.value.remedy


async def test_permissions_that_are_missing_are_not_held(
    world: GoogleWorld, google: Google
) -> None:
    world.project.missing_permissions.add("container.clusters.delete")
    assert await held(google, WANTED) == {WANTED[0], WANTED[2]}


async def test_no_permission_at_all_is_an_empty_answer(world: GoogleWorld, google: Google) -> None:
    world.project.missing_permissions.update(WANTED)
    assert await held(google, WANTED) == frozenset()


async def test_many_permissions_are_asked_for_a_hundred_at_a_time(tmp_path: Path) -> None:
    path = f"/v3/projects/{PROJECT}:testIamPermissions"
    many = [f"compute.things.verb{number}" for number in range(230)]
    async with RestSide(tmp_path) as side:
        side.answer("POST", path, lambda request: {"permissions": request.body["permissions"]})
        assert await held(side.google, [*many, *many]) == set(many)
        assert [len(each.body["permissions"]) for each in side.requests] == [100, 100, 30]


async def test_enabled_apis_are_told(world: GoogleWorld, google: Google) -> None:
    world.project.services.discard("cloudbuild.googleapis.com")
    found = await enabled(google)
    assert "container.googleapis.com" in found
    assert "cloudbuild.googleapis.com" not in found


async def test_an_api_that_is_not_enabled_says_how_to(world: GoogleWorld, google: Google) -> None:
    world.project.services.discard("serviceusage.googleapis.com")
    with pytest.raises(ApiDisabledError, match=r"gcloud services enable serviceusage\."):
        await enabled(google)


async def test_who_pays_is_told(world: GoogleWorld, google: Google) -> None:
    assert await billing(google) == Billing(True, "billingAccounts/000000-AAAAAA-111111")
    world.project.billing_enabled = False
    assert await billing(google) == Billing(False, "")


async def test_a_service_account_is_there_or_not(world: GoogleWorld, google: Google) -> None:
    email = min(world.project.accounts)
    assert await service_account_exists(google, email) is True
    assert await service_account_exists(google, f"nobody-{email}") is False


async def test_a_disabled_service_account_does_not_count(tmp_path: Path) -> None:
    async with RestSide(tmp_path) as side:
        path = f"/v1/projects/{PROJECT}/serviceAccounts/a%40b.iam.gserviceaccount.com"
        side.answer("GET", path, {"email": "a", "disabled": True})
        assert await service_account_exists(side.google, "a@b.iam.gserviceaccount.com") is False


@pytest.mark.parametrize("call", ["projects.get", "projects.testIamPermissions"])
async def test_what_cannot_be_asked_is_an_error(
    world: GoogleWorld, google: Google, call: str
) -> None:
    world.faults.add(f"cloudresourcemanager.{call}", "internal", times=-1)
    with pytest.raises(GoogleError):
        await (project(google) if call == "projects.get" else held(google, WANTED))
