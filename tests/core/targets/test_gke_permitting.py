"""What the account may do is looked at before anything is created, and a permission that is missing
is named with its role.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.gcp.artifacts import image_place
from core.gcp.roles import role_with
from core.targets.gke.deployment import default_image
from core.targets.gke.permitting import wanted
from tests.core.targets.gke_preflight import PINNED, check, refused
from tests.core.targets.gke_run import GkeRun
from tests.core.targets.gke_scene import ZONE
from tests.google.projects_api import permission_of
from tests.google.world import PROJECT, GoogleWorld


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with GoogleWorld() as stand_in:
        yield stand_in


@pytest.mark.parametrize(
    ("permission", "role"),
    [
        ("container.pods.list", "container.developer"),
        ("container.events.list", "container.developer"),
        ("container.clusters.connect", "container.developer"),
        ("cloudbuild.builds.update", "cloudbuild.builds.editor"),
        ("storage.buckets.get", "storage.admin"),
    ],
)
async def test_each_permission_that_a_call_needs_is_asked_for(
    world: GoogleWorld, tmp_path: Path, permission: str, role: str
) -> None:
    world.project.missing_permissions.add(permission)
    (failed,) = await refused(GkeRun(world, tmp_path))
    assert f"lacks {permission} in project" in failed.detail
    assert f"--role roles/{role}" in failed.remedy


async def test_a_permission_for_what_may_never_be_stops_nothing(
    world: GoogleWorld, tmp_path: Path
) -> None:
    for each in ("compute.instances.delete", "container.clusters.connect", "storage.buckets.get"):
        world.project.missing_permissions.add(each)
    checks = await check(GkeRun(world, tmp_path, {**PINNED, "endpoint": "ip"}))
    lacking = checks["permission"]
    assert not lacking.required
    assert "compute.instances.delete" in lacking.detail
    assert lacking.detail.endswith("what a cluster leaves behind might not be removed")


async def test_every_call_of_a_permission_that_the_stand_in_knows_is_among_them(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    await check(run)
    place = image_place(run.deployment.image_repository)
    asked = wanted(run.deployment.settings, PROJECT, place, in_cloud=True, counted_on="")
    known = {*asked.needed, *asked.useful}
    called = {permission_of(each.name) for each in world.calls}
    used = {each for each in called if each.startswith(("container.", "compute.", "storage."))}
    assert len(used) > 7
    assert used <= known


def test_the_guide_names_every_role(tmp_path: Path, world: GoogleWorld) -> None:
    settings = GkeRun(world, tmp_path, {"remove_image": True}).deployment.settings
    place = image_place(default_image(PROJECT, ZONE))
    asked = wanted(settings, PROJECT, place, in_cloud=True, counted_on=PROJECT)
    guide = (Path(__file__).parents[3] / "docs" / "gke.md").read_text()
    roles = {role_with(each) for each in (*asked.needed, *asked.useful)}
    # Written together with another's beginning.
    roles -= {"roles/artifactregistry.reader"}
    assert [role for role in sorted(roles) if f"`{role}`" not in guide] == []


async def test_a_persons_requests_need_a_permission_of_their_own(
    world: GoogleWorld, tmp_path: Path
) -> None:
    world.project.missing_permissions.add("serviceusage.services.use")
    # A service account's do not.
    await check(GkeRun(world, tmp_path, PINNED))
    person = tmp_path / "person.json"
    key = json.loads(world.credentials_file.read_text())
    document = {
        "type": "external_account_authorized_user",
        "audience": "//iam.googleapis.com/locations/global/workforcePools/w/providers/q",
        "client_id": "c",
        "client_secret": "s",
        "refresh_token": "stand-in-refresh-token",
        "token_url": key["token_uri"],
        "token_info_url": key["token_uri"],
    }
    person.write_text(json.dumps(document))
    run = GkeRun(world, tmp_path, PINNED)
    run.deployment.access = dataclasses.replace(run.deployment.access, credentials_file=str(person))
    (failed,) = await refused(run)
    assert "lacks serviceusage.services.use" in failed.detail
    assert "--role roles/serviceusage.serviceUsageConsumer" in failed.remedy
