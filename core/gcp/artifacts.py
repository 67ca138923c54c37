"""Repositories of images in Artifact Registry (API v1,
cloud.google.com/artifact-registry/docs/reference/rest/v1/projects.locations.repositories).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from core.gcp.answers import labels, last, moment, text, texts, whole
from core.gcp.errors import ExistsError, NotFoundError, UnavailableError
from core.gcp.rest_operations import wait_long

if TYPE_CHECKING:
    from core.gcp.connection import Google

_SERVICE = "artifactregistry"
_HOST = "-docker.pkg.dev"
# After a lost answer; making a repository takes some seconds.
_PAUSES_S = (10.0, 10.0, 20.0)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository."""

    name: str
    region: str
    format: str
    """``DOCKER`` for images."""
    labels: Mapping[str, str]
    size_bytes: int
    created: datetime | None


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image in a repository."""

    name: str
    """Within the repository."""
    digest: str
    """``sha256:...``"""
    tags: tuple[str, ...]
    size_bytes: int
    uploaded: datetime | None


@dataclass(frozen=True, slots=True)
class ImagePlace:
    """Where an image is in Artifact Registry."""

    region: str
    project: str
    repository: str
    image: str
    """Within the repository."""

    @property
    def name(self) -> str:
        """``HOST/PROJECT/REPOSITORY/IMAGE``, without a tag."""
        # A project of a domain (example.com:project) is two folders there.
        project = self.project.replace(":", "/")
        return f"{self.region}{_HOST}/{project}/{self.repository}/{self.image}"


def image_place(reference: str) -> ImagePlace | None:
    """Return where an image is, whether a tag or digest follows its name or not; None: not in
    Artifact Registry ("Repository and image names",
    cloud.google.com/artifact-registry/docs/docker/names).
    """
    host, *folders = reference.partition("@")[0].split("/")
    if folders and "." in folders[0]:
        folders = [":".join(folders[:2]), *folders[2:]]
    if not host.endswith(_HOST) or len(folders) < 3:
        return None
    project, repository, *rest = folders
    image = "/".join([*rest[:-1], rest[-1].partition(":")[0]])
    return ImagePlace(host.removesuffix(_HOST), project, repository, image)


async def find_repository(google: Google, region: str, name: str) -> Repository | None:
    """Return a repository, or None where there is none of the name.

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    asked = f"reading repository {name}"
    try:
        answer = await google.call(_SERVICE, "GET", _repository(google, region, name), asked=asked)
    except NotFoundError:
        return None
    return _read_repository(region, answer)


async def repositories(google: Google, region: str) -> tuple[Repository, ...]:
    """Return a region's repositories.

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    path = f"/v1/projects/{google.project}/locations/{_segment(region)}/repositories"
    found = await google.pages(
        _SERVICE, path, "repositories", asked=f"listing the repositories of {region}"
    )
    return tuple(_read_repository(region, item) for item in found)


async def create_repository(
    google: Google, region: str, name: str, having: Mapping[str, str]
) -> bool:
    """Create a repository of images with these labels and wait for it; return False where there is
    one of the name with others. Whose that is, its labels say.

    Raises:
        ExistsError: Google says so, and shows none of the name.
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    for pause_s in (*_PAUSES_S, None):
        try:
            operation = await _create(google, region, name, having)
        except ExistsError:
            found = await find_repository(google, region, name)
            if found is None:
                raise
            return found.labels == having
        except UnavailableError:
            if pause_s is None:
                raise
            # Not tried again blindly: an answer that was lost is a repository that is being made.
            await google.sleep(pause_s)
            if (found := await find_repository(google, region, name)) is not None:
                return found.labels == having
        else:
            await wait_long(google, _SERVICE, operation, f"creating repository {name}")
            break
    return True


async def _create(
    google: Google, region: str, name: str, having: Mapping[str, str]
) -> Mapping[str, Any]:
    body = {
        "format": "DOCKER",
        "labels": dict(having),
        "description": "Images of gpubench-tui's benchmark",
    }
    return await google.call(
        _SERVICE,
        "POST",
        f"/v1/projects/{google.project}/locations/{_segment(region)}/repositories",
        query={"repositoryId": name},
        body=body,
        asked=f"creating repository {name}",
        retry=False,
    )


async def delete_repository(google: Google, region: str, name: str) -> bool:
    """Delete a repository with all that is in it and wait for it; return False where there was
    none.

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    path = _repository(google, region, name)
    return await _delete(google, path, {}, f"deleting repository {name}")


async def images(google: Google, region: str, repository: str) -> tuple[StoredImage, ...]:
    """Return the images of a repository; none where there is no such repository.

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    path = f"{_repository(google, region, repository)}/dockerImages"
    asked = f"listing the images of repository {repository}"
    try:
        found = await google.pages(_SERVICE, path, "dockerImages", asked=asked)
    except NotFoundError:
        return ()
    return tuple(_read_image(item) for item in found)


async def delete_image(
    google: Google, region: str, repository: str, image: str, digest: str
) -> bool:
    """Delete an image with its tags and wait for it; return False where it was not there.

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    package = f"{_repository(google, region, repository)}/packages/{_segment(image)}"
    path = f"{package}/versions/{_segment(digest)}"
    # A version that a tag names is not deleted otherwise.
    return await _delete(google, path, {"force": "true"}, f"deleting image {image}@{digest}")


async def _delete(google: Google, path: str, query: Mapping[str, str], asked: str) -> bool:
    try:
        operation = await google.call(_SERVICE, "DELETE", path, query=query, asked=asked)
        await wait_long(google, _SERVICE, operation, asked)
    except NotFoundError:
        return False
    return True


def _repository(google: Google, region: str, name: str) -> str:
    return (
        f"/v1/projects/{google.project}/locations/{_segment(region)}/repositories/{_segment(name)}"
    )


def _segment(name: str) -> str:
    return quote(name, safe="")


def _read_repository(region: str, item: Mapping[str, Any]) -> Repository:
    return Repository(
        last(text(item, "name")),
        region,
        text(item, "format"),
        labels(item),
        whole(item, "sizeBytes"),
        moment(item, "createTime"),
    )


def _read_image(item: Mapping[str, Any]) -> StoredImage:
    # projects/P/locations/R/repositories/N/dockerImages/IMAGE@sha256:..., its slashes as %2F
    named, _, digest = last(text(item, "name")).partition("@")
    return StoredImage(
        named.replace("%2F", "/"),
        digest,
        texts(item, "tags"),
        whole(item, "imageSizeBytes"),
        moment(item, "uploadTime"),
    )
