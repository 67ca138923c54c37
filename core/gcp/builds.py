"""Cloud Build makes an image and pushes it, where this machine has no container engine (Cloud Build
API v1, cloud.google.com/build/docs/api/reference/rest/v1/projects.locations.builds).
"""

from __future__ import annotations

import asyncio
import codecs
import gzip
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.gcp import storage
from core.gcp.answers import moment, part, parts, text
from core.gcp.errors import (
    GoogleError,
    InvalidError,
    NotFoundError,
    OperationError,
    UnavailableError,
)
from core.gcp.said import plain

if TYPE_CHECKING:
    from core.gcp.connection import Google

_DOCKER = "gcr.io/cloud-builders/docker"
_UNFINISHED = frozenset({"PENDING", "QUEUED", "WORKING"})
_QUEUE_S = 600
_TRIES = 6
# Cloud Build's API is asked for minutes on end: one bad minute must not lose the build.
_PATIENCE_S = 300.0
# Of each of the tries to begin it.
_BEGIN_PATIENCE_S = 30.0
_TAG = re.compile(r"\w[\w.-]{0,127}")
_LAST_LINES = 3


@dataclass(frozen=True, slots=True)
class BuildOrder:
    """What is to be built from what, and where it goes."""

    key: str
    """Unique to the run: finds its build again. Letters, digits, ``_``, ``.`` and ``-``."""
    image: str
    """``us-central1-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE:TAG``"""
    bucket: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Build arguments."""
    timeout_s: int = 1800
    """After which Cloud Build itself ends it, whatever happens to us."""
    machine: str = "E2_HIGHCPU_8"
    """Empty: Google's default, which is slower and has a free tier."""
    service_account: str = ""
    """E-mail; empty: the project's default for builds."""
    region: str = "global"

    @property
    def source(self) -> str:
        """Name of the source's object in the bucket."""
        return f"{storage.FOLDER}{self.key}.tar.gz"


@dataclass(frozen=True, slots=True)
class BuildSeen:
    """A build, as it is now."""

    id: str
    status: str
    """``QUEUED``, ``WORKING``, ``SUCCESS`` ..."""
    steps: tuple[tuple[str, str], ...]
    """What each does, and its status (empty: not begun)."""
    lines: tuple[str, ...]
    """Of its log, since it was last looked at."""
    digest: str
    """``sha256:...`` of the pushed image, once it has succeeded."""
    log_url: str
    """Where a person reads the log."""


class Builds:
    """Cloud Build in one project."""

    def __init__(self, google: Google) -> None:
        self._google = google

    async def start(self, order: BuildOrder, archive: bytes) -> str:
        """Upload the source and have it built; return the build's id. Where a build of the same key
        is at work or has succeeded, that one is taken: nothing is built twice.

        Args:
            archive: the build context as a tar archive.

        Raises:
            CredentialsError, GoogleError: see core.gcp.errors.
        """
        body = build_request(order, self._google.project)
        if found := await self._found(order):
            return found
        packed = await asyncio.to_thread(gzip.compress, archive, mtime=0)
        await storage.upload(self._google, order.bucket, order.source, packed)
        attempt = 0
        while True:
            try:
                # Not tried again blindly: an answer that was lost is a build that runs.
                operation = await self._call(
                    *("POST", order.region, "", f"building {order.image}"),
                    body=body,
                    retry=False,
                    patience_s=_BEGIN_PATIENCE_S,
                )
            except UnavailableError:
                await self._google.sleep(2**attempt)
                if found := await self._found(order):
                    return found
                attempt += 1
                if attempt == _TRIES:
                    raise
            else:
                return await self._named(order, operation)

    async def _named(self, order: BuildOrder, operation: Mapping[str, Any]) -> str:
        """Return the id of the build that was just begun."""
        build = text(part(part(operation, "metadata"), "build"), "id") or await self._found(order)
        if not build:
            raise OperationError(
                f"Cloud Build took {order.image} on and did not say as which build.",
                "Look at the project's builds before trying again.",
            )
        return build

    async def follow(
        self, order: BuildOrder, build_id: str, *, every_s: float = 3.0
    ) -> AsyncGenerator[BuildSeen, None]:
        """Yield what a build does until it has succeeded; the last one has the image's digest.

        Raises:
            OperationError: it failed, was cancelled or took too long.
            UnavailableError: Cloud Build is not to be reached, or does not end the build.
            CredentialsError, GoogleError: see core.gcp.errors.
        """
        log = _Log(self._google, order.bucket, log_name(build_id))
        longest_s = order.timeout_s + _QUEUE_S + 2 * _PATIENCE_S
        waited_s = 0.0
        while True:
            build = await self._call(
                "GET", order.region, f"/{build_id}", f"following build {build_id}"
            )
            has_ended = text(build, "status") not in _UNFINISHED
            lines = await log.lines(has_ended)
            seen = _seen(build_id, build, lines)
            yield seen
            if has_ended:
                _check(order, build, seen, log.last)
                return
            if waited_s > longest_s:
                raise UnavailableError(
                    f"Cloud Build does not end build {build_id} of {order.image}.",
                    f"Cancel it with gcloud builds cancel {build_id} --region {order.region}.",
                )
            await self._google.sleep(every_s)
            waited_s += every_s

    async def cancel(self, order: BuildOrder, build_id: str) -> bool:
        """End a build; return False where it is not there or has ended already.

        Raises:
            CredentialsError, GoogleError: see core.gcp.errors.
        """
        asked = f"cancelling build {build_id}"
        try:
            await self._call("POST", order.region, f"/{build_id}:cancel", asked, body={})
        except (NotFoundError, InvalidError):
            return False
        return True

    async def unfinished(self, key: str, region: str = "global") -> tuple[str, ...]:
        """Return the ids of the builds with this key that are at work, to be cancelled.

        Raises:
            CredentialsError, GoogleError: see core.gcp.errors.
        """
        return tuple(
            text(build, "id")
            for build in await self._with_key(key, region)
            if text(build, "status") in _UNFINISHED
        )

    async def clear(self, order: BuildOrder, build_id: str = "") -> None:
        """Delete the source, and the log where the build is named.

        Raises:
            CredentialsError, GoogleError: see core.gcp.errors.
        """
        await storage.delete_object(self._google, order.bucket, order.source)
        if build_id:
            await storage.delete_object(self._google, order.bucket, log_name(build_id))

    async def _found(self, order: BuildOrder) -> str:
        """Return the id of the build with this key that may still be, or is, what is wanted."""
        for build in await self._with_key(order.key, order.region):
            wanted = build.get("images") == [order.image]
            if wanted and text(build, "status") in {*_UNFINISHED, "SUCCESS"}:
                return text(build, "id")
        return ""

    async def _with_key(self, key: str, region: str) -> list[Mapping[str, Any]]:
        """Return the builds with this key, the latest first."""
        builds = await self._google.pages(
            "cloudbuild",
            self._path(region, ""),
            "builds",
            query={"filter": f'tags="{_checked(key)}"'},
            asked="listing builds",
        )
        ours = [build for build in builds if key in (build.get("tags") or ())]
        return sorted(ours, key=lambda build: str(moment(build, "createTime")), reverse=True)

    async def _call(
        self,
        method: str,
        region: str,
        rest: str,
        asked: str,
        *,
        body: dict[str, Any] | None = None,
        retry: bool = True,
        patience_s: float = _PATIENCE_S,
    ) -> dict[str, Any]:
        path = self._path(region, rest)
        return await self._google.call(
            "cloudbuild",
            method,
            path,
            body=body,
            asked=asked,
            retry=retry,
            patience_s=patience_s,
        )

    def _path(self, region: str, rest: str) -> str:
        return f"/v1/projects/{self._google.project}/locations/{region}/builds{rest}"


class _Log:
    """A build's log, read as it grows."""

    def __init__(self, google: Google, bucket: str, name: str) -> None:
        self._google = google
        self._bucket = bucket
        self._name = name
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""
        self._is_lost = False
        self.last: list[str] = []
        """The latest lines that say something."""

    async def lines(self, has_ended: bool) -> tuple[str, ...]:
        """Return the whole lines that have come; all of it where no more will come. A log that
        cannot be read says so once: the build goes on without.
        """
        if self._is_lost:
            return ()
        try:
            found = await self._read(has_ended)
        except GoogleError as error:
            self._is_lost = True
            return (plain(f"The log cannot be read: {error.sentence}"),)
        shown = tuple(plain(line) for line in found)
        self.last = [*self.last, *(line for line in shown if line)][-_LAST_LINES:]
        return shown

    async def _read(self, has_ended: bool) -> list[str]:
        found: list[str] = []
        while chunk := await storage.read_from(
            self._google, self._bucket, self._name, self._offset
        ):
            self._offset += len(chunk)
            *whole, self._begun = (self._begun + self._decoder.decode(chunk)).split("\n")
            found += whole
            if not has_ended:
                break
        if has_ended and self._begun:
            found.append(self._begun)
            self._begun = ""
        return found


def log_name(build_id: str) -> str:
    """Return the name of a build's log in the bucket, as Cloud Build chooses it."""
    return f"{storage.LOGS}{build_id}.txt"


def build_request(order: BuildOrder, project: str) -> dict[str, Any]:
    """Return the body of ``builds.create``.

    Raises:
        InvalidError: the key cannot be a tag.
    """
    arguments = [
        word
        for name, value in sorted(order.arguments.items())
        for word in ("--build-arg", f"{name}={value}")
    ]
    # "$" would begin one of Cloud Build's substitutions.
    words = [word.replace("$", "$$") for word in ("build", "--tag", order.image, *arguments, ".")]
    options = {"logging": "GCS_ONLY"} | ({"machineType": order.machine} if order.machine else {})
    body: dict[str, Any] = {
        "source": {"storageSource": {"bucket": order.bucket, "object": order.source}},
        "steps": [{"id": "build", "name": _DOCKER, "args": words}],
        # Pushed by Cloud Build itself after the steps, which also tells the digest.
        "images": [order.image],
        "tags": [_checked(order.key)],
        "timeout": f"{order.timeout_s}s",
        "queueTtl": f"{_QUEUE_S}s",
        "logsBucket": f"gs://{order.bucket}",
        "options": options,
    }
    if order.service_account:
        account = order.service_account
        body["serviceAccount"] = f"projects/{project}/serviceAccounts/{account}"
    return body


def _checked(key: str) -> str:
    if not _TAG.fullmatch(key):
        raise InvalidError(
            f"{plain(key)!r} cannot be the tag of a build.",
            "Use letters, digits, underscores, dots and hyphens, 128 at most.",
        )
    return key


def _seen(build_id: str, build: Mapping[str, Any], lines: tuple[str, ...]) -> BuildSeen:
    steps = [
        (plain(text(step, "id") or text(step, "name")), plain(text(step, "status")))
        for step in parts(build, "steps")
    ]
    pushed = parts(part(build, "results"), "images")
    digest = text(pushed[0], "digest") if pushed else ""
    return BuildSeen(
        build_id,
        plain(text(build, "status")),
        tuple(steps),
        lines,
        digest if re.fullmatch(r"sha256:[0-9a-f]{64}", digest) else "",
        plain(text(build, "logUrl")),
    )


_WHY = {
    "TIMEOUT": "it took too long",
    "CANCELLED": "it was cancelled",
    "EXPIRED": "it waited too long for a machine",
    "INTERNAL_ERROR": "Cloud Build itself failed",
    "FAILURE": "a step failed",
}
_REMEDIES = {
    "PUSH_NOT_AUTHORIZED": "Grant the build's service account roles/artifactregistry.writer.",
    "PUSH_FAILED": "See that the repository exists in that region and takes this image.",
    "FETCH_SOURCE_FAILED": "Grant the build's service account roles/storage.objectViewer.",
    "LOGGING_FAILURE": "Grant the build's service account roles/storage.objectAdmin on the bucket.",
}


def _check(order: BuildOrder, build: Mapping[str, Any], seen: BuildSeen, last: list[str]) -> None:
    """Raise the error of a build that has not ended well."""
    if seen.status == "SUCCESS" and seen.digest:
        return
    failure = part(build, "failureInfo")
    said = plain(text(failure, "detail") or text(build, "statusDetail"))
    if seen.status == "SUCCESS":
        said = "it succeeded and names no image that it pushed"
    why = said or _WHY.get(seen.status, f"it ended as {seen.status or 'nothing that is known'}")
    words = f" Its last words: {' / '.join(last)}" if last and seen.status == "FAILURE" else ""
    remedy = _REMEDIES.get(text(failure, "type"), "")
    raise OperationError(
        f"Cloud Build did not build {order.image}: {why}.{words}",
        f"{remedy} Its log: {seen.log_url or f'gcloud builds log {seen.id}'}".strip(),
    )
