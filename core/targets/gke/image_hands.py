"""Removes what a run's image stage left at Google: a build at work, and the image if asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from core.errors import WorkError
from core.gcp import artifacts, inventory, projects, storage
from core.gcp.access import GoogleAccess
from core.gcp.artifacts import ImagePlace, StoredImage
from core.gcp.builds import BuildOrder, Builds
from core.gcp.clusters import Clusters
from core.gcp.connection import Google
from core.gcp.errors import GoogleError
from core.gcp.specs import RUN_LABEL
from core.image.reference import ImageReference, parse_reference
from core.targets.gke.deployment import parse_place
from core.text import harmless

if TYPE_CHECKING:
    from core.run.view import ResourceView

CREATED_BY = ("created-by", "gpubench-tui")
"""Label of what all runs share."""
_ARRIVES_WITHIN_S = 10.0
_LOOKS = 12
_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class BuildHand:
    """Ends a build of Cloud Build and deletes its source. ``name`` is the build's key."""

    access: GoogleAccess
    open_google: Callable[[GoogleAccess], Google] = Google
    _awaited: set[str] = field(default_factory=set)

    async def delete(self, resource: ResourceView) -> None:
        """Cancel it, and wait until it has ended. Raises ProblemError."""
        project, region = parse_place(resource.intended.location)
        key = resource.intended.name
        async with self.open_google(replace(self.access, project=project)) as google:
            await self._let_arrive(google, resource)
            builds = Builds(google)
            order = BuildOrder(key=key, image="", bucket="", region=region)
            for _ in range(_LOOKS):
                running = await builds.unfinished(key, region)
                if not running:
                    break
                for build_id in running:
                    await builds.cancel(order, build_id)
                await asyncio.sleep(_EVERY_S)
            # It costs next to nothing: no teardown is incomplete for its sake.
            with contextlib.suppress(GoogleError):
                number = (await projects.project(google)).number
                bucket = await storage.choose_bucket(google, number)
                if bucket.exists:
                    stored = replace(order, bucket=bucket.name)
                    await builds.clear(stored, resource.identity)

    async def gone(self, resource: ResourceView) -> str | None:
        """Return the proof. Raises ProblemError."""
        project, region = parse_place(resource.intended.location)
        key = resource.intended.name
        async with self.open_google(replace(self.access, project=project)) as google:
            await self._let_arrive(google, resource)
            if await Builds(google).unfinished(key, region):
                return None
            return f"cloudbuild.googleapis.com lists no unfinished build tagged {key} in {region}"

    async def _let_arrive(self, google: Google, resource: ResourceView) -> None:
        """Give a build that may have been asked for, its answer lost, time to appear."""
        key = resource.intended.name
        if resource.identity or key in self._awaited:
            return
        _project, region = parse_place(resource.intended.location)
        if not await Builds(google).unfinished(key, region):
            await asyncio.sleep(_ARRIVES_WITHIN_S)
        self._awaited.add(key)


@dataclass(frozen=True, slots=True)
class ImageHand:
    """Removes an image, with all its tags, from Artifact Registry, unless another run may be using
    it. ``name`` is its reference.
    """

    access: GoogleAccess
    run: str
    """Value of the run's label."""
    open_google: Callable[[GoogleAccess], Google] = Google

    async def delete(self, resource: ResourceView) -> None:
        """Delete it and wait. Raises ProblemError."""
        place, reference = _place(resource)
        async with self.open_google(self.access) as google:
            await self._demand_no_other(google, resource)
        async with self.open_google(replace(self.access, project=place.project)) as google:
            for stored in await _stored(google, place, reference):
                await artifacts.delete_image(
                    google, place.region, place.repository, place.image, stored.digest
                )

    async def _demand_no_other(self, google: Google, resource: ResourceView) -> None:
        clusters = await Clusters(google).find({RUN_LABEL: None})
        others = {each.resource_labels[RUN_LABEL] for each in clusters} - {self.run}
        # A pool may be in a cluster that is nobody's run's.
        nodes = await inventory.instances(google, {RUN_LABEL: None})
        others |= {each.labels[RUN_LABEL] for each in nodes} - {self.run}
        if others:
            raise WorkError(
                f"Image {resource.intended.name} stays, as it may be in use: there are clusters or "
                f"nodes of run {' and '.join(map(harmless, sorted(others)))}.",
                resource.intended.delete_command,
            )

    async def gone(self, resource: ResourceView) -> str | None:
        """Return the proof. Raises ProblemError."""
        place, reference = _place(resource)
        async with self.open_google(replace(self.access, project=place.project)) as google:
            if await _stored(google, place, reference):
                return None
            return (
                f"artifactregistry.googleapis.com lists no image {resource.intended.name} in "
                f"repository {place.repository}"
            )


@dataclass(frozen=True, slots=True)
class RepositoryHand:
    """Removes a repository with all its images, if this program created it."""

    access: GoogleAccess
    open_google: Callable[[GoogleAccess], Google] = Google

    async def delete(self, resource: ResourceView) -> None:
        """Delete it and wait. Raises ProblemError."""
        project, region = parse_place(resource.intended.location)
        name = resource.intended.name
        async with self.open_google(replace(self.access, project=project)) as google:
            found = await artifacts.find_repository(google, region, name)
            if found is not None and is_ours(found.labels):
                await artifacts.delete_repository(google, region, name)

    async def gone(self, resource: ResourceView) -> str | None:
        """Return the proof. Raises ProblemError."""
        project, region = parse_place(resource.intended.location)
        name = resource.intended.name
        async with self.open_google(replace(self.access, project=project)) as google:
            if await artifacts.find_repository(google, region, name) is not None:
                return None
            return f"artifactregistry.googleapis.com has no repository {name} in {region}"


@dataclass(frozen=True, slots=True)
class BucketHand:
    """Removes the bucket that builds had their sources and logs in, if this program created it and
    nobody else has put anything into it.
    """

    access: GoogleAccess
    open_google: Callable[[GoogleAccess], Google] = Google

    async def delete(self, resource: ResourceView) -> None:
        """Empty it of what builds have left, and delete it. Raises ProblemError."""
        name = resource.intended.name
        async with self.open_google(self._access(resource)) as google:
            labels = await storage.bucket_labels(google, name)
            if labels is None or not is_ours(labels):
                return
            for prefix in (storage.FOLDER, storage.LOGS):
                for each in await storage.objects(google, name, prefix):
                    await storage.delete_object(google, name, each)
            await storage.delete_bucket(google, name)

    async def gone(self, resource: ResourceView) -> str | None:
        """Return the proof. Raises ProblemError."""
        name = resource.intended.name
        async with self.open_google(self._access(resource)) as google:
            if await storage.bucket_labels(google, name) is not None:
                return None
            return f"storage.googleapis.com has no bucket {name}"

    def _access(self, resource: ResourceView) -> GoogleAccess:
        return replace(self.access, project=parse_place(resource.intended.location)[0])


def is_ours(labels: Mapping[str, str]) -> bool:
    """Return whether this program created what has these labels."""
    name, value = CREATED_BY
    return labels.get(name) == value


def _place(resource: ResourceView) -> tuple[ImagePlace, ImageReference]:
    reference = parse_reference(resource.intended.name)
    place = artifacts.image_place(resource.intended.name)
    if place is None or not reference.is_pinned:
        raise WorkError(
            f"{resource.intended.name} is not in Artifact Registry, and images elsewhere are not "
            "removed by this program.",
            resource.intended.delete_command,
        )
    return place, reference


async def _stored(
    google: Google, place: ImagePlace, reference: ImageReference
) -> list[StoredImage]:
    return [
        stored
        for stored in await artifacts.images(google, place.region, place.repository)
        if stored.name == place.image
        and (
            stored.digest == reference.digest
            if reference.digest is not None
            else reference.tag in stored.tags
        )
    ]
