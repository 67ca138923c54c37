"""Buckets that are ours, and what is put into them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.gcp import storage
from core.gcp.connection import Google
from core.gcp.errors import DeniedError, ExistsError, GoogleError
from core.gcp.storage import Bucket, OwnBucket
from tests.core.gcp.at_stand_in import connection
from tests.core.gcp.rest_side import RestSide
from tests.google.faults import FaultKind
from tests.google.world import GoogleWorld

NUMBER = "123456789012"
OURS = {"gpubench-run": "r1"}


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with GoogleWorld(speed=600) as world:
        yield world


@pytest.fixture
async def google(world: GoogleWorld) -> AsyncIterator[Google]:
    async with connection(world) as google:
        yield google


async def made(google: Google) -> str:
    bucket = await storage.choose_bucket(google, NUMBER)
    assert await storage.create_bucket(google, bucket.name, "us-central1", OURS, NUMBER) is True
    return bucket.name


async def test_the_bucket_is_gclouds_own(world: GoogleWorld, google: Google) -> None:
    name = f"{world.project.name}_cloudbuild"
    assert await storage.choose_bucket(google, NUMBER) == Bucket(name, exists=False)
    assert await storage.bucket_labels(google, name) is None

    assert await made(google) == name

    assert await storage.choose_bucket(google, NUMBER) == Bucket(name, exists=True)
    assert await storage.bucket_labels(google, name) == OURS
    assert await storage.buckets(google) == (OwnBucket(name, "us-central1", OURS),)


async def test_a_bucket_that_others_took_is_not_used(world: GoogleWorld, google: Google) -> None:
    world.storage.foreign.add(f"{world.project.name}_cloudbuild")
    assert await storage.choose_bucket(google, NUMBER) == Bucket(
        f"gpubench-build-{NUMBER}", exists=False
    )


async def test_a_readable_bucket_of_another_project_is_not_used_either(tmp_path: Path) -> None:
    async with RestSide(tmp_path) as side:
        theirs = {"name": "test-project_cloudbuild", "projectNumber": "666"}
        side.answer("GET", "/storage/v1/b/test-project_cloudbuild", theirs)
        bucket = await storage.choose_bucket(side.google, NUMBER)
        assert bucket.name == f"gpubench-build-{NUMBER}"

        side.answer("GET", f"/storage/v1/b/gpubench-build-{NUMBER}", theirs)
        with pytest.raises(DeniedError, match="no bucket for builds that project test-project"):
            await storage.choose_bucket(side.google, NUMBER)


async def test_a_bucket_is_private_and_forgets_what_was_forgotten(tmp_path: Path) -> None:
    async with RestSide(tmp_path) as side:
        side.answer("POST", "/storage/v1/b", {})
        await storage.create_bucket(side.google, "bucket", "us-central1", OURS, NUMBER)

        (request,) = side.requests
        assert request.query == {"project": "test-project"}
        access = request.body["iamConfiguration"]
        assert access["publicAccessPrevention"] == "enforced"
        assert access["uniformBucketLevelAccess"] == {"enabled": True}
        (rule,) = request.body["lifecycle"]["rule"]
        assert rule["condition"]["age"] == 1
        assert rule["condition"]["matchesPrefix"] == [storage.FOLDER, storage.LOGS]


@pytest.mark.parametrize("kind", ["unavailable", "cut before", "cut after"])
async def test_a_bucket_whose_answer_was_lost_is_ours(
    world: GoogleWorld, google: Google, kind: FaultKind
) -> None:
    world.faults.add("storage.buckets.insert", kind)
    await made(google)
    assert not world.ledger.doubles()


async def test_a_bucket_of_an_earlier_run_is_not_ours(google: Google) -> None:
    name = await made(google)
    other = {"gpubench-run": "r2"}
    assert await storage.create_bucket(google, name, "us-central1", other, NUMBER) is False


async def test_a_name_that_others_took_is_refused(world: GoogleWorld, google: Google) -> None:
    world.storage.foreign.add("taken")
    with pytest.raises(ExistsError, match="creating bucket taken"):
        await storage.create_bucket(google, "taken", "us-central1", OURS, NUMBER)


async def test_objects_come_and_go(world: GoogleWorld, google: Google) -> None:
    name = await made(google)
    await storage.upload(google, name, "gpubench/r1.tar.gz", b"\x1f\x8b source")
    await storage.upload(google, name, "other/thing", b"x")

    assert world.storage.read(name, "gpubench/r1.tar.gz") == b"\x1f\x8b source"
    assert await storage.objects(google, name, "gpubench/") == ("gpubench/r1.tar.gz",)
    assert await storage.delete_object(google, name, "gpubench/r1.tar.gz") is True
    assert await storage.delete_object(google, name, "gpubench/r1.tar.gz") is False
    assert await storage.objects(google, name, "gpubench/") == ()
    assert await storage.objects(google, "no-such-bucket", "") == ()


async def test_an_object_is_read_from_where_it_was_read_to(google: Google) -> None:
    name = await made(google)
    assert await storage.read_from(google, name, "log", 0) == b""
    await storage.upload(google, name, "log", b"one\ntwo\n")
    assert await storage.read_from(google, name, "log", 0) == b"one\ntwo\n"
    assert await storage.read_from(google, name, "log", 4) == b"two\n"
    assert await storage.read_from(google, name, "log", 8) == b""


async def test_a_bucket_goes_only_when_it_is_empty(world: GoogleWorld, google: Google) -> None:
    name = await made(google)
    await storage.upload(google, name, "gpubench/x", b"x")
    with pytest.raises(GoogleError, match="not empty"):
        await storage.delete_bucket(google, name)
    await storage.delete_object(google, name, "gpubench/x")

    assert await storage.delete_bucket(google, name) is True
    assert await storage.delete_bucket(google, name) is False
    assert not world.ledger.standing()
