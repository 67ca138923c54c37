"""Repositories of images: made, found and deleted, once and whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.gcp.artifacts import (
    ImagePlace,
    create_repository,
    delete_image,
    delete_repository,
    find_repository,
    image_place,
    images,
    repositories,
)
from core.gcp.connection import Google
from core.gcp.errors import DeniedError, GoogleError, UnavailableError
from tests.core.gcp.at_stand_in import connection
from tests.core.gcp.rest_side import PROJECT, Cut, Refused, RestSide
from tests.google.faults import FaultKind
from tests.google.world import GoogleWorld

REGION = "us-central1"
OURS = {"gpubench-run": "r1"}
DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with GoogleWorld(speed=600) as world:
        yield world


@pytest.fixture
async def google(world: GoogleWorld) -> AsyncIterator[Google]:
    async with connection(world) as google:
        yield google


@pytest.mark.parametrize("suffix", ["", ":tag", f"@sha256:{'a' * 64}", f":1@sha256:{'a' * 64}"])
@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("p/repo/bench", ImagePlace(REGION, "p", "repo", "bench")),
        ("p/repo/more/bench", ImagePlace(REGION, "p", "repo", "more/bench")),
        # A project of a domain.
        ("example.com/p/r/i", ImagePlace(REGION, "example.com:p", "r", "i")),
    ],
)
def test_an_image_is_named_by_region_project_and_repository(
    name: str, place: ImagePlace, suffix: str
) -> None:
    whole = f"us-central1-docker.pkg.dev/{name}"
    assert image_place(f"{whole}{suffix}") == place
    assert place.name == whole


@pytest.mark.parametrize(
    "name", ["ghcr.io/a/b/c", "us-docker.pkg.dev/p/r", "us-docker.pkg.dev", ""]
)
def test_an_image_elsewhere_has_no_place_there(name: str) -> None:
    assert image_place(name) is None


async def test_a_repository_is_there_once_it_was_created(
    world: GoogleWorld, google: Google
) -> None:
    assert await find_repository(google, REGION, "bench") is None
    assert await create_repository(google, REGION, "bench", OURS) is True

    found = await find_repository(google, REGION, "bench")
    assert found is not None
    assert (found.name, found.region, found.format) == ("bench", REGION, "DOCKER")
    assert found.labels == OURS
    assert await repositories(google, REGION) == (found,)
    assert await repositories(google, "us-east1") == ()


async def test_a_repository_of_others_is_not_taken_for_ours(google: Google) -> None:
    await create_repository(google, REGION, "bench", {"gpubench-run": "r2"})
    assert await create_repository(google, REGION, "bench", OURS) is False


@pytest.mark.parametrize("kind", ["unavailable", "cut before", "cut after"])
async def test_a_lost_answer_makes_no_second_repository(
    world: GoogleWorld, google: Google, kind: FaultKind
) -> None:
    world.faults.add("artifactregistry.repositories.create", kind)
    assert await create_repository(google, REGION, "bench", OURS) is True
    assert not world.ledger.doubles()
    assert len(await repositories(google, REGION)) == 1


async def test_a_repository_that_is_being_made_is_not_asked_for_again(tmp_path: Path) -> None:
    folder = f"/v1/projects/{PROJECT}/locations/{REGION}/repositories"
    made = {"name": f"{folder[4:]}/bench", "format": "DOCKER", "labels": OURS}
    missing = Refused(404, "NOT_FOUND")
    async with RestSide(tmp_path) as side:
        side.answer("POST", folder, Cut())
        side.answer("GET", f"{folder}/bench", made)
        assert await create_repository(side.google, REGION, "bench", OURS) is True
        assert len(side.asked("POST", folder)) == 1

        side.answer("GET", f"{folder}/bench", missing)
        with pytest.raises(UnavailableError, match="creating repository bench"):
            await create_repository(side.google, REGION, "bench", OURS)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("permission", DeniedError),
        ("operation fails", GoogleError),
        ("operation never ends", UnavailableError),
    ],
)
async def test_a_repository_that_cannot_be_made_is_one_sentence(
    world: GoogleWorld, google: Google, kind: FaultKind, error: type[GoogleError]
) -> None:
    world.faults.add("artifactregistry.repositories.create", kind, times=-1)
    with pytest.raises(error, match="creating repository bench"):
        await create_repository(google, REGION, "bench", OURS)


async def test_images_are_listed_and_deleted_with_their_tags(
    world: GoogleWorld, google: Google
) -> None:
    await create_repository(google, REGION, "bench", OURS)
    world.artifacts.push(REGION, "bench", "gpubench", DIGEST, ("latest", "v1"), size=123)

    (image,) = await images(google, REGION, "bench")
    assert (image.name, image.digest, image.size_bytes) == ("gpubench", DIGEST, 123)
    assert set(image.tags) == {"latest", "v1"}

    assert await delete_image(google, REGION, "bench", "gpubench", DIGEST) is True
    assert await images(google, REGION, "bench") == ()
    assert await delete_image(google, REGION, "bench", "gpubench", DIGEST) is False


async def test_a_repository_goes_with_all_that_is_in_it(world: GoogleWorld, google: Google) -> None:
    await create_repository(google, REGION, "bench", OURS)
    world.artifacts.push(REGION, "bench", "gpubench", DIGEST, ("latest",))

    assert await delete_repository(google, REGION, "bench") is True
    assert await find_repository(google, REGION, "bench") is None
    assert await images(google, REGION, "bench") == ()
    assert await delete_repository(google, REGION, "bench") is False
    assert not world.ledger.standing()


async def test_a_deletion_that_fails_is_no_deletion(world: GoogleWorld, google: Google) -> None:
    await create_repository(google, REGION, "bench", OURS)
    world.faults.add("artifactregistry.repositories.delete", "operation fails")
    with pytest.raises(GoogleError, match="deleting repository bench"):
        await delete_repository(google, REGION, "bench")
    assert await find_repository(google, REGION, "bench") is not None


async def test_a_list_that_is_refused_is_no_empty_one(world: GoogleWorld, google: Google) -> None:
    world.faults.add("artifactregistry.dockerImages.list", "permission")
    with pytest.raises(DeniedError):
        await images(google, REGION, "bench")
