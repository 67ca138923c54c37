"""Cloud Build makes an image once, tells how far it is, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.gcp import storage
from core.gcp.artifacts import ImagePlace, create_repository
from core.gcp.builds import BuildOrder, Builds, BuildSeen, build_request, log_name
from core.gcp.connection import Google
from core.gcp.errors import (
    DeniedError,
    InvalidError,
    NotFoundError,
    OperationError,
    UnavailableError,
)
from tests.core.gcp.at_stand_in import connection
from tests.core.gcp.rest_side import PROJECT, Cut, Refused, RestSide
from tests.google.faults import FaultKind
from tests.google.world import GoogleWorld

NUMBER = "123456789012"
ARCHIVE = b"a tar archive"
DIGEST = f"sha256:{'b' * 64}"
ORDER = BuildOrder("r1", "us-central1-docker.pkg.dev/p/bench/gpubench:abc", "bucket")
BUILDS = f"/v1/projects/{PROJECT}/locations/global/builds"
LOG = f"/storage/v1/b/bucket/o/{log_name('b1')}"


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with GoogleWorld(speed=600) as world:
        yield world


@pytest.fixture
async def google(world: GoogleWorld) -> AsyncIterator[Google]:
    async with connection(world) as google:
        yield google


@pytest.fixture
async def order(google: Google) -> BuildOrder:
    """What is needed for it is there: bucket and repository."""
    bucket = await storage.choose_bucket(google, NUMBER)
    await storage.create_bucket(google, bucket.name, "us-central1", {}, NUMBER)
    await create_repository(google, "us-central1", "bench", {})
    image = ImagePlace("us-central1", google.project, "bench", "gpubench").name
    return BuildOrder("r1", f"{image}:abc", bucket.name, {"BASE_IMAGE": "python:3.11"})


async def followed(builds: Builds, order: BuildOrder, build: str) -> list[BuildSeen]:
    return [seen async for seen in builds.follow(order, build)]


async def test_an_image_is_built_and_pushed_and_its_digest_told(
    world: GoogleWorld, google: Google, order: BuildOrder
) -> None:
    builds = Builds(google)
    build = await builds.start(order, ARCHIVE)

    source = world.storage.read(order.bucket, order.source)
    assert source is not None
    assert gzip.decompress(source) == ARCHIVE

    seen = await followed(builds, order, build)
    statuses = [each.status for each in seen]
    assert list(dict.fromkeys(statuses)) in (
        ["QUEUED", "WORKING", "SUCCESS"],
        ["WORKING", "SUCCESS"],
    )
    assert seen[-1].digest.startswith("sha256:")
    assert all(not each.digest for each in seen[:-1])
    assert seen[-1].steps == (("build", "SUCCESS"),)
    ((_, digest),) = world.artifacts.repositories["us-central1", "bench"].images
    assert digest == seen[-1].digest


async def test_the_log_comes_line_by_line_and_each_line_once(
    google: Google, order: BuildOrder
) -> None:
    builds = Builds(google)
    build = await builds.start(order, ARCHIVE)
    lines = [line for seen in await followed(builds, order, build) for line in seen.lines]

    assert "BUILD" in lines
    assert any("digest: sha256:" in line for line in lines)
    assert lines[-1] == "DONE"
    assert len([line for line in lines if line.startswith("starting build")]) == 1


async def test_nothing_of_a_build_stays_in_the_bucket(
    world: GoogleWorld, google: Google, order: BuildOrder
) -> None:
    builds = Builds(google)
    build = await builds.start(order, ARCHIVE)
    await followed(builds, order, build)
    await builds.clear(order, build)
    assert not world.storage.buckets[order.bucket].objects


@pytest.mark.parametrize("kind", ["unavailable", "cut before", "cut after", "internal"])
async def test_a_lost_answer_builds_nothing_twice(
    world: GoogleWorld, google: Google, order: BuildOrder, kind: FaultKind
) -> None:
    world.faults.add("cloudbuild.builds.create", kind)
    builds = Builds(google)
    build = await builds.start(order, ARCHIVE)
    assert list(world.builds.builds) == [build]


async def test_a_build_that_is_at_work_is_taken_up(
    world: GoogleWorld, google: Google, order: BuildOrder
) -> None:
    first = await Builds(google).start(order, ARCHIVE)
    again = await Builds(google).start(order, ARCHIVE)
    assert again == first
    assert await Builds(google).unfinished(order.key) == (first,)
    assert len(world.builds.builds) == 1


async def test_another_image_of_the_same_run_is_another_build(
    world: GoogleWorld, google: Google, order: BuildOrder
) -> None:
    first = await Builds(google).start(order, ARCHIVE)
    other = replace(order, image=order.image.replace(":abc", ":def"))
    assert await Builds(google).start(other, ARCHIVE) != first
    assert len(world.builds.builds) == 2


async def test_a_failed_build_is_one_sentence_with_its_log_and_is_not_taken_up(
    world: GoogleWorld, google: Google, order: BuildOrder
) -> None:
    world.faults.add("cloudbuild.builds.create", "operation fails")
    builds = Builds(google)
    build = await builds.start(order, ARCHIVE)

    with pytest.raises(OperationError) as caught:
        await followed(builds, order, build)
    assert f"did not build {order.image}: Build failed: build step 0" in caught.value.sentence
    assert "https://console.cloud.google.com/cloud-build/builds/" in caught.value.remedy
    assert await builds.unfinished(order.key) == ()

    second = await builds.start(order, ARCHIVE)
    assert second != build
    assert (await followed(builds, order, second))[-1].digest


async def test_a_push_into_no_repository_is_told(google: Google, order: BuildOrder) -> None:
    builds = Builds(google)
    order = replace(order, image=order.image.replace("/bench/", "/nowhere/"))
    build = await builds.start(order, ARCHIVE)
    with pytest.raises(OperationError, match="pushing image"):
        await followed(builds, order, build)


async def test_a_cancelled_build_ends(
    world: GoogleWorld, google: Google, order: BuildOrder
) -> None:
    builds = Builds(google)
    build = await builds.start(order, ARCHIVE)

    assert await builds.cancel(order, build) is True
    assert await builds.cancel(order, build) is False
    assert await builds.cancel(order, "00000000-0000-0000-0000-000000000000") is False
    with pytest.raises(OperationError, match="it was cancelled"):
        await followed(builds, order, build)


async def test_a_build_that_never_ends_is_given_up_with_how_to_cancel_it(
    google: Google, world: GoogleWorld, order: BuildOrder
) -> None:
    world.faults.add("cloudbuild.builds.create", "operation never ends")
    builds = Builds(google)
    order = replace(order, timeout_s=30)
    build = await builds.start(order, ARCHIVE)
    with pytest.raises(UnavailableError, match=f"gcloud builds cancel {build}"):
        async for _ in builds.follow(order, build, every_s=60):
            pass


async def test_following_survives_a_bad_minute(
    world: GoogleWorld, google: Google, order: BuildOrder
) -> None:
    builds = Builds(google)
    build = await builds.start(order, ARCHIVE)
    world.faults.add("cloudbuild.builds.get", "unavailable", times=6, skip=1)
    assert (await followed(builds, order, build))[-1].digest


async def test_who_may_not_build_is_told_so(
    world: GoogleWorld, google: Google, order: BuildOrder
) -> None:
    world.faults.add("cloudbuild.builds.create", "permission")
    with pytest.raises(DeniedError, match="building us-central1-docker"):
        await Builds(google).start(order, ARCHIVE)
    assert not world.builds.builds


async def test_a_missing_source_bucket_is_no_build(world: GoogleWorld, google: Google) -> None:
    with pytest.raises(NotFoundError, match="uploading gs://nowhere/"):
        await Builds(google).start(replace(ORDER, bucket="nowhere"), ARCHIVE)
    assert not world.builds.builds


async def test_cancelling_the_waiting_leaves_the_build_to_be_cancelled(
    google: Google, order: BuildOrder
) -> None:
    builds = Builds(google)
    build = await builds.start(order, ARCHIVE)
    waiting = asyncio.create_task(followed(builds, order, build))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await builds.cancel(order, build) is True


def test_a_build_says_what_it_needs_and_for_how_long_at_most() -> None:
    arguments = {"BASE_IMAGE": "python:3.11", "WORDS": "costs $5 ${HOME}"}
    body = build_request(replace(ORDER, arguments=arguments), "p")

    assert body["source"] == {"storageSource": {"bucket": "bucket", "object": "gpubench/r1.tar.gz"}}
    (step,) = body["steps"]
    assert step["args"] == [
        *("build", "--tag", ORDER.image),
        *("--build-arg", "BASE_IMAGE=python:3.11"),
        # A single dollar would begin a substitution.
        *("--build-arg", "WORDS=costs $$5 $${HOME}"),
        ".",
    ]
    assert body["images"] == [ORDER.image]
    assert body["tags"] == ["r1"]
    assert body["timeout"] == "1800s"
    assert body["logsBucket"] == "gs://bucket"
    assert "serviceAccount" not in body


def test_a_build_may_have_an_account_of_its_own() -> None:
    body = build_request(replace(ORDER, service_account="a@p.iam.gserviceaccount.com"), "p")
    assert body["serviceAccount"] == "projects/p/serviceAccounts/a@p.iam.gserviceaccount.com"


@pytest.mark.parametrize("key", ["", "a b", 'x" OR tags="y', "x" * 129])
async def test_a_key_that_cannot_be_a_tag_is_refused_before_anything_is_sent(
    tmp_path: Path, key: str
) -> None:
    async with RestSide(tmp_path) as side:
        with pytest.raises(InvalidError, match="cannot be the tag of a build"):
            await Builds(side.google).start(replace(ORDER, key=key), ARCHIVE)
        assert side.requests == []


def build(status: str, **fields: Any) -> Mapping[str, Any]:
    return {"id": "b1", "status": status, **fields}


async def ended(tmp_path: Path, last: Mapping[str, Any], log: bytes = b"") -> list[BuildSeen]:
    async with RestSide(tmp_path) as side:
        side.answer("GET", f"{BUILDS}/b1", build("WORKING"), last)
        if log:
            side.answer("GET", LOG, {"size": str(len(log))}, log, {"size": str(len(log))})
        return await followed(Builds(side.google), ORDER, "b1")


@pytest.mark.parametrize(
    ("last", "sentence", "remedy"),
    [
        (build("TIMEOUT"), "it took too long", "gcloud builds log b1"),
        (build("EXPIRED"), "waited too long", "gcloud builds log b1"),
        (build("INTERNAL_ERROR", statusDetail="Bang."), "Bang", "gcloud builds log b1"),
        (build("SOMETHING_NEW"), "it ended as SOMETHING_NEW", "gcloud builds log b1"),
        (build(""), "it ended as nothing that is known", "gcloud builds log b1"),
        (build("SUCCESS"), "names no image that it pushed", "gcloud builds log b1"),
        (
            build("FAILURE", failureInfo={"type": "PUSH_NOT_AUTHORIZED", "detail": "denied"}),
            "denied",
            "roles/artifactregistry.writer",
        ),
        (
            build("FAILURE", failureInfo={"type": "FETCH_SOURCE_FAILED"}, logUrl="https://log"),
            "a step failed",
            "roles/storage.objectViewer. Its log: https://log",
        ),
    ],
)
async def test_every_bad_end_has_its_sentence_and_remedy(
    tmp_path: Path, last: Mapping[str, Any], sentence: str, remedy: str
) -> None:
    with pytest.raises(OperationError) as caught:
        await ended(tmp_path, last)
    assert caught.value.sentence.startswith(f"Cloud Build did not build {ORDER.image}: ")
    assert sentence in caught.value.sentence
    assert remedy in caught.value.remedy


async def test_the_last_words_of_a_failed_build_are_told_and_steer_no_terminal(
    tmp_path: Path,
) -> None:
    log = b"one\ntwo\n\x1b[31mpip: no such thing\xff\nERROR: exit 1"
    with pytest.raises(OperationError) as caught:
        await ended(tmp_path, build("FAILURE"), log)
    assert "Its last words: two / " in caught.value.sentence
    assert caught.value.sentence.endswith(" / ERROR: exit 1")
    assert caught.value.sentence.isprintable()


async def test_a_log_that_may_not_be_read_does_not_stop_the_build(tmp_path: Path) -> None:
    image = {"name": ORDER.image, "digest": DIGEST}
    async with RestSide(tmp_path) as side:
        done = build("SUCCESS", results={"images": [image]})
        side.answer("GET", f"{BUILDS}/b1", build("WORKING"), build("WORKING"), done)
        side.answer("GET", LOG, Refused(403, "PERMISSION_DENIED"))
        seen = await followed(Builds(side.google), ORDER, "b1")

        assert seen[-1].digest == DIGEST
        assert [line for each in seen for line in each.lines] == [seen[0].lines[0]]
        assert seen[0].lines[0].startswith("The log cannot be read: ")


async def test_a_digest_that_is_none_is_no_success(tmp_path: Path) -> None:
    image = {"name": ORDER.image, "digest": "sha256:; rm -rf /"}
    with pytest.raises(OperationError, match="names no image"):
        await ended(tmp_path, build("SUCCESS", results={"images": [image]}))


async def test_an_answer_without_a_build_is_no_build(tmp_path: Path) -> None:
    async with RestSide(tmp_path) as side:
        side.answer("GET", BUILDS, {})
        side.answer("POST", f"/upload/storage/v1/b/{ORDER.bucket}/o", {})
        side.answer("POST", BUILDS, {})
        with pytest.raises(OperationError, match="did not say as which build"):
            await Builds(side.google).start(ORDER, ARCHIVE)
        assert len(side.asked("POST", BUILDS)) == 1


async def test_when_nothing_helps_the_last_refusal_is_told(tmp_path: Path) -> None:
    async with RestSide(tmp_path) as side:
        side.answer("GET", BUILDS, {})
        side.answer("POST", f"/upload/storage/v1/b/{ORDER.bucket}/o", {})
        side.answer("POST", BUILDS, Cut())
        with pytest.raises(UnavailableError, match="building us-central1-docker"):
            await Builds(side.google).start(ORDER, ARCHIVE)
        assert 2 <= len(side.asked("POST", BUILDS)) <= 10
