"""The image comes about beside the cluster: by the engine here, else by Cloud Build."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.errors import ProblemError
from core.image.context import BuildContext, ContextFile
from core.image.credentials import CredentialSource
from core.image.errors import EngineError
from core.run.events import (
    PartChanged,
    ResourceCreated,
    ResourceDeleted,
    ResourceIntended,
    Stage,
    StageChecked,
)
from core.run.pipeline import StageContext
from core.targets.gke.deployment import GkeDeployment
from core.targets.gke.image import Image
from tests.core.targets.gke_run import QUICK, GkeRun
from tests.core.targets.gke_scene import RUN, SPEED, calls
from tests.google.child import IMAGE
from tests.google.sped_up import SpedUpPolicy
from tests.google.world import PROJECT, GoogleWorld


@pytest.fixture
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return SpedUpPolicy(SPEED)


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with GoogleWorld(speed=SPEED, durations=QUICK) as stand_in:
        yield stand_in


@dataclass
class Ships:
    """In the engine's place: it finds what is in the registry, or there is none to build."""

    has_it: Callable[[], bool]
    stage: Stage = Stage.IMAGE
    needs: frozenset[Stage] = frozenset()
    credentials: list[CredentialSource] = field(default_factory=list)
    asked: int = 0

    def __call__(
        self, deployment: GkeDeployment, state_dir: Path, credentials: CredentialSource
    ) -> Ships:
        self._deployment = deployment
        self.credentials.append(credentials)
        return self

    async def run(self, _context: StageContext) -> str:
        self.asked += 1
        if not self.has_it():
            raise EngineError("No container engine answers.")
        self._deployment.kube.image = IMAGE
        self._deployment.kube.image_known.set()
        return f"{IMAGE} (there)"


def source() -> BuildContext:
    return BuildContext(
        [ContextFile("Dockerfile", b"ARG BASE_IMAGE=debian\nFROM $BASE_IMAGE\n")], {}
    )


async def build(run: GkeRun, ships: Ships) -> str:
    async with run.deployment as deployment:
        stage = Image(deployment, run.folder, shipping=ships, build_context=source)
        return await stage.run(run.context())


def built(world: GoogleWorld) -> list[str]:
    return [each.status for each in world.builds.builds.values()]


async def test_what_the_engine_can_do_cloud_build_does_not(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    assert await build(run, Ships(lambda: True)) == f"{IMAGE} (there)"
    assert built(world) == []
    # Google's registry has a place for it, which stays.
    (repository,) = world.ledger.standing(apart=True)
    assert (repository.kind, repository.labels["created-by"]) == ("repository", "gpubench-tui")
    assert run.records(StageChecked)[0].name == "repository"


async def test_the_repository_is_created_once(world: GoogleWorld, tmp_path: Path) -> None:
    for _ in range(2):
        await build(GkeRun(world, tmp_path), Ships(lambda: True))
    assert calls(world, "artifactregistry.repositories.create") == 1


@pytest.mark.parametrize(
    "image",
    ["registry.test/benchmark", "us-central1-docker.pkg.dev/anothers-project/theirs/benchmark"],
)
async def test_a_registry_elsewhere_is_left_as_it_is(
    world: GoogleWorld, tmp_path: Path, image: str
) -> None:
    await build(GkeRun(world, tmp_path, {"image": image}), Ships(lambda: True))
    assert world.ledger.standing(apart=True) == []


async def test_without_an_engine_cloud_build_builds_and_leaves_only_the_image(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    ships = Ships(lambda: built(world) == ["SUCCESS"])
    assert await build(run, ships) == f"{IMAGE} (there) by Cloud Build"
    assert ships.asked == 2
    (intended,) = run.records(ResourceIntended)
    (created,) = run.records(ResourceCreated)
    (deleted,) = run.records(ResourceDeleted)
    assert {each.kind for each in (intended, created, deleted)} == {"build"}
    assert intended.name == created.name == deleted.name == RUN
    order = [event.record.event for event in run.told]
    assert order.index("resource_intended") < order.index("resource_created")
    assert intended.delete_command.endswith(
        f"gcloud builds cancel --project {PROJECT} --region global"
    )
    # What all runs share stays, and that is told.
    said = {each.name: each.detail for each in run.records(StageChecked)}
    (bucket,) = world.storage.buckets.values()
    assert said["bucket"].startswith(f"{bucket.name} in us-central1 was created and stays")
    assert bucket.labels == {"created-by": "gpubench-tui"}
    assert [each.name for each in run.records(PartChanged) if each.state == "ready"]
    kinds = [each.kind for each in world.ledger.standing(apart=True)]
    assert "image" in kinds
    assert "object" not in kinds


async def test_an_image_that_was_built_is_good_although_its_source_cannot_be_deleted(
    world: GoogleWorld, tmp_path: Path
) -> None:
    world.faults.add("storage.objects.delete", "permission", times=-1)
    run = GkeRun(world, tmp_path)
    summary = await build(run, Ships(lambda: "SUCCESS" in built(world)))
    assert summary.endswith("by Cloud Build")
    (deleted,) = run.records(ResourceDeleted)
    assert "its source or log stays in gs://" in deleted.proof


async def test_a_build_that_fails_says_what_cloud_build_said(
    world: GoogleWorld, tmp_path: Path
) -> None:
    world.faults.add("cloudbuild.builds.create", "operation fails")
    run = GkeRun(world, tmp_path)
    with pytest.raises(ProblemError, match="non-zero status: 1"):
        await build(run, Ships(lambda: False))
    # It is still in the journal, for the teardown to see that it is over.
    assert [each.kind for each in run.records(ResourceIntended)] == ["build"]
    assert run.records(ResourceDeleted) == []


async def test_without_an_engine_nothing_is_built_for_a_registry_elsewhere(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path, {"image": "registry.test/benchmark"})
    with pytest.raises(EngineError):
        await build(run, Ships(lambda: False))
    assert built(world) == []


@pytest.mark.parametrize("wanted", [False, True])
async def test_the_image_is_removed_at_the_end_only_where_that_is_wanted(
    world: GoogleWorld, tmp_path: Path, wanted: bool
) -> None:
    run = GkeRun(world, tmp_path, {"remove_image": wanted})
    await build(run, Ships(lambda: True))
    written = [(each.kind, each.name) for each in run.records(ResourceIntended)]
    assert written == ([("image", IMAGE)] if wanted else [])


async def test_googles_registry_is_opened_by_the_runs_own_account(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run, ships = GkeRun(world, tmp_path), Ships(lambda: True)
    async with run.deployment as deployment:
        await Image(deployment, run.folder, shipping=ships).run(run.context())
        login = await ships.credentials[0].login("us-central1-docker.pkg.dev")
    assert login is not None
    assert login.user == "oauth2accesstoken"
    assert login.password in world.tokens.granted
    assert PROJECT in deployment.image_repository
