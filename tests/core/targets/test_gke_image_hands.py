"""A build at work and an image go at the end of a run, and what may be another's stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from core.errors import WorkError
from core.gcp import artifacts, storage
from core.gcp.builds import BuildOrder, Builds
from core.gcp.connection import Google
from core.run.teardown import Hand
from core.targets.gke.hands import Reach, gke_hands
from tests.core.targets.gke_scene import (
    OTHER,
    RUN,
    SPEED,
    access_to,
    labels_of,
    quick_world,
    remove,
    resource,
    stand_up,
)
from tests.google.sped_up import SpedUpPolicy
from tests.google.world import PROJECT, GoogleWorld

OURS = labels_of(RUN)
THEIRS = labels_of(OTHER)


@pytest.fixture
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return SpedUpPolicy(SPEED)


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with quick_world() as stand_in:
        yield stand_in


@pytest.fixture
def hands(world: GoogleWorld) -> dict[str, Hand]:
    return gke_hands(Reach(access_to(world), RUN, dns=False))


async def start_build(world: GoogleWorld) -> str:
    async with Google(access_to(world)) as google:
        await storage.create_bucket(google, "bucket", "us-central1", {}, "123456789012")
        order = BuildOrder(
            key=RUN,
            image=f"us-central1-docker.pkg.dev/{PROJECT}/gpubench-tui/benchmark:1",
            bucket="bucket",
        )
        return await Builds(google).start(order, b"")


async def test_a_build_at_work_is_cancelled(world: GoogleWorld, hands: dict[str, Hand]) -> None:
    world.faults.add("cloudbuild.builds.create", "operation never ends")
    build_id = await start_build(world)
    for identity in ("", build_id):
        what = resource("build", RUN, f"{PROJECT}/global", identity=identity)
        assert await remove(hands, what) == (
            f"cloudbuild.googleapis.com lists no unfinished build tagged {RUN} in global"
        )
    assert [build.status for build in world.builds.builds.values()] == ["CANCELLED"]


async def push(world: GoogleWorld, **labels: str) -> str:
    """Have an image there, and one of somebody else beside it; return its reference."""
    async with Google(access_to(world)) as google:
        await artifacts.create_repository(google, "us-central1", "gpubench-tui", labels)
    digest = f"sha256:{'a' * 64}"
    world.artifacts.push("us-central1", "gpubench-tui", "benchmark", digest, ("1",))
    world.artifacts.push("us-central1", "gpubench-tui", "benchmark", f"sha256:{'b' * 64}")
    return f"us-central1-docker.pkg.dev/{PROJECT}/gpubench-tui/benchmark@{digest}"


async def test_an_image_goes_and_the_others_of_its_repository_stay(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    reference = await push(world)
    proof = await remove(hands, resource("image", reference, f"{PROJECT}/registry"))
    assert proof == (
        f"artifactregistry.googleapis.com lists no image {reference} in repository gpubench-tui"
    )
    left = [each.name for each in world.ledger.standing(apart=True) if each.kind == "image"]
    assert left == [f"gpubench-tui/benchmark@sha256:{'b' * 64}"]


async def test_an_image_stays_while_another_run_may_be_using_it(
    world: GoogleWorld, hands: dict[str, Hand]
) -> None:
    reference = await push(world)
    what = resource("image", reference, f"{PROJECT}/registry")
    await stand_up(world, OURS)
    await stand_up(world, THEIRS, name="theirs")
    with pytest.raises(WorkError, match=f"may be in use: .* of run {OTHER}") as caught:
        await hands["image"].delete(what)
    assert caught.value.remedy == what.intended.delete_command
    assert await hands["image"].gone(what) is None
    images = [each.name for each in world.ledger.standing(apart=True) if each.kind == "image"]
    assert len(images) == 2


async def test_an_image_in_another_registry_is_refused(hands: dict[str, Hand]) -> None:
    what = resource("image", "ghcr.io/someone/benchmark:1", f"{PROJECT}/registry")
    with pytest.raises(WorkError, match="is not in Artifact Registry"):
        await hands["image"].delete(what)
