"""Objects in Cloud Storage, as far as a build needs them: its source goes there and its log comes
from there (JSON API v1, cloud.google.com/storage/docs/json_api/v1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from core.gcp.answers import labels as read_labels
from core.gcp.answers import parts, text, whole
from core.gcp.errors import DeniedError, ExistsError, NotFoundError

if TYPE_CHECKING:
    from core.gcp.connection import Google

FOLDER = "gpubench/"
LOGS = "log-"
"""What the names of sources and of Cloud Build's logs begin with."""
_UPLOAD_TIMEOUT_S = 300.0
_LONGEST_READ = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket that this project has, or could have under that name."""

    name: str
    exists: bool


@dataclass(frozen=True, slots=True)
class OwnBucket:
    """A bucket of the project."""

    name: str
    location: str
    """A region, ``us`` or ``eu``."""
    labels: Mapping[str, str]


async def buckets(google: Google) -> tuple[OwnBucket, ...]:
    """Return the project's buckets.

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    query = {"project": google.project, "fields": "nextPageToken,items(name,location,labels)"}
    found = await google.pages(
        "storage", "/storage/v1/b", "items", query=query, asked="listing the buckets"
    )
    return tuple(
        OwnBucket(text(item, "name"), text(item, "location").lower(), read_labels(item))
        for item in found
    )


async def choose_bucket(google: Google, project_number: str) -> Bucket:
    """Return the bucket for builds: gcloud's own where the project has it or may make it, else one
    with the project's number in its name.

    Names of buckets are the world's: a bucket of that name may be somebody else's, who would get
    the source, and whose log would be read. So its owner is checked.

    Raises:
        DeniedError: both names are taken by others, or the account may not look.
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    shorter = google.project.replace(":", "_").replace(".", "_")
    for name in (f"{shorter}_cloudbuild", f"gpubench-build-{project_number}"):
        try:
            answer = await google.call("storage", "GET", _bucket(name), asked=f"reading {name}")
        except NotFoundError:
            return Bucket(name, exists=False)
        except DeniedError as error:
            denied = error
            continue
        if text(answer, "projectNumber") == project_number:
            return Bucket(name, exists=True)
        denied = DeniedError(f"The bucket {name} is not of project {google.project}.")
    raise DeniedError(
        f"There is no bucket for builds that project {google.project} owns and this account may "
        f"use: {denied.sentence}",
        "Have roles/storage.admin granted in the project, or use a local container engine.",
    ) from denied


async def create_bucket(
    google: Google, name: str, location: str, labels: Mapping[str, str], project_number: str
) -> bool:
    """Create a private bucket; return False where the project has it, with other labels.

    Args:
        location: a region, ``US`` or ``EU``.

    Raises:
        ExistsError: another project has the name.
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    body = {
        "name": name,
        "location": location,
        "labels": dict(labels),
        "iamConfiguration": {
            "uniformBucketLevelAccess": {"enabled": True},
            "publicAccessPrevention": "enforced",
        },
        # What is forgotten goes after a day; gcloud's own sources may lie beside it.
        "lifecycle": {
            "rule": [
                {
                    "action": {"type": "Delete"},
                    "condition": {"age": 1, "matchesPrefix": [FOLDER, LOGS]},
                }
            ]
        },
        # Else what is deleted is kept, and billed, for a week.
        "softDeletePolicy": {"retentionDurationSeconds": "0"},
    }
    query = {"project": google.project}
    asked = f"creating bucket {name}"
    try:
        await google.call("storage", "POST", "/storage/v1/b", query=query, body=body, asked=asked)
    except ExistsError:
        # It may be our own: a first try whose answer was lost.
        try:
            answer = await google.call("storage", "GET", _bucket(name), asked=f"reading {name}")
        except DeniedError:
            answer = {}
        if text(answer, "projectNumber") != project_number:
            raise
        return read_labels(answer) == labels
    return True


async def delete_bucket(google: Google, name: str) -> bool:
    """Delete an empty bucket; return False where there was none.

    Raises:
        ExistsError, InvalidError: it is not empty.
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    try:
        await google.call("storage", "DELETE", _bucket(name), asked=f"deleting bucket {name}")
    except NotFoundError:
        return False
    return True


async def bucket_labels(google: Google, name: str) -> Mapping[str, str] | None:
    """Return a bucket's labels; None where there is none of the name.

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    try:
        answer = await google.call("storage", "GET", _bucket(name), asked=f"reading {name}")
    except NotFoundError:
        return None
    return read_labels(answer)


async def objects(google: Google, bucket: str, prefix: str) -> tuple[str, ...]:
    """Return the names of the objects that begin with a prefix; none where there is no bucket.

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    found: list[str] = []
    path = f"{_bucket(bucket)}/o"
    query = {"prefix": prefix, "fields": "nextPageToken,items(name)"}
    try:
        async for page in google.documents(
            "storage", path, query=query, asked=f"listing bucket {bucket}"
        ):
            found += [text(item, "name") for item in parts(page, "items")]
    except NotFoundError:
        return ()
    return tuple(name for name in found if name.startswith(prefix))


async def upload(google: Google, bucket: str, name: str, content: bytes) -> None:
    """Store an object, in place of one of the same name.

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    await google.call(
        "storage",
        "POST",
        f"/upload{_bucket(bucket)}/o",
        query={"uploadType": "media", "name": name},
        content=content,
        content_type="application/gzip",
        asked=f"uploading gs://{bucket}/{name}",
        timeout_s=_UPLOAD_TIMEOUT_S,
    )


async def read_from(google: Google, bucket: str, name: str, offset: int) -> bytes:
    """Return what an object has from a position on, 4 MiB at most; nothing where it is not there.

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    path = f"{_bucket(bucket)}/o/{_segment(name)}"
    asked = f"reading gs://{bucket}/{name}"
    try:
        size = whole(await google.call("storage", "GET", path, asked=asked), "size")
        if size <= offset:
            return b""
        # To the size that was told, and no further: a whole character may have come since.
        until = min(size, offset + _LONGEST_READ) - 1
        return await google.fetch(
            "storage",
            "GET",
            path,
            query={"alt": "media"},
            headers={"Range": f"bytes={offset}-{until}"},
            asked=asked,
        )
    except NotFoundError:
        return b""


async def delete_object(google: Google, bucket: str, name: str) -> bool:
    """Delete an object; return False where it was not there.

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    path = f"{_bucket(bucket)}/o/{_segment(name)}"
    try:
        await google.call("storage", "DELETE", path, asked=f"deleting gs://{bucket}/{name}")
    except NotFoundError:
        return False
    return True


def _bucket(name: str) -> str:
    return f"/storage/v1/b/{_segment(name)}"


def _segment(name: str) -> str:
    return quote(name, safe="")
