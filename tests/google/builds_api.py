"""Cloud Build v1: builds that take their time, say what they do, and leave an image."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.google.artifacts_api import ArtifactsApi
from tests.google.clock import Durations, GoogleClock, rfc3339
from tests.google.faults import Fate, Gate
from tests.google.refusals import Refusal
from tests.google.rest import Asked, Json, Route, paged
from tests.google.storage_api import StorageApi

_P = "/v1/projects/{project}"
_IMAGE = re.compile(r"([\w-]+)-docker\.pkg\.dev/[^/]+/([^/]+)/([^:@]+)(?::([\w.-]+))?")
Hook = Callable[["Build"], Awaitable[str]]
"""Does the work really; returns the image's digest."""


@dataclass
class Build:
    """One build."""

    identity: str
    location: str
    request: Json
    created: float
    fate: Fate
    status: str = "QUEUED"
    detail: str = ""
    ended: float | None = None
    images: list[Json] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.status not in ("QUEUED", "WORKING")


class BuildsApi:
    """The methods; ``builds`` is what there was."""

    def __init__(
        self,
        project: str,
        clock: GoogleClock,
        durations: Durations,
        gate: Gate,
        storage: StorageApi,
        artifacts: ArtifactsApi,
        spawn: Callable[[Awaitable[None]], None],
    ) -> None:
        self._project = project
        self._clock = clock
        self._durations = durations
        self._gate = gate
        self._storage = storage
        self._artifacts = artifacts
        self._spawn = spawn
        self.builds: dict[str, Build] = {}
        self.hook: Hook | None = None

    def routes(self) -> list[Route]:
        routes = []
        for base in (_P, f"{_P}/locations/{{location}}"):
            one = f"{base}/builds/{{build}}"
            routes += [
                Route("POST", f"{base}/builds", "cloudbuild.builds.create", self._create),
                Route("GET", f"{base}/builds", "cloudbuild.builds.list", self._list),
                Route("GET", one, "cloudbuild.builds.get", self._get),
                Route("POST", f"{one}:cancel", "cloudbuild.builds.cancel", self._cancel),
            ]
        return routes

    def _create(self, asked: Asked) -> Json:
        request = asked.body
        if not request.get("steps"):
            raise Refusal("INVALID_ARGUMENT", "invalid build: at least one build step is required")
        source = (request.get("source") or {}).get("storageSource") or {}
        if (
            source
            and self._storage.read(source.get("bucket", ""), source.get("object", "")) is None
        ):
            where = f"gs://{source.get('bucket')}/{source.get('object')}"
            raise Refusal("NOT_FOUND", f"could not resolve source: {where}: object doesn't exist")
        location = asked.path.get("location", "global")
        build = Build(
            *(str(uuid.uuid4()), location, request, self._clock.now(), self._gate.fate),
        )
        self.builds[build.identity] = build
        self._clock.later(3.0, lambda: self._work(build))
        if build.fate != "never ends":
            self._clock.later(self._durations.build, lambda: self._spawn(self._finish(build)))
        return {
            "name": f"operations/build/{self._project}/{build.identity}",
            "metadata": {
                "@type": "type.googleapis.com/google.devtools.cloudbuild.v1.BuildOperationMetadata",
                "build": self._told(build),
            },
        }

    def _work(self, build: Build) -> None:
        if build.is_over:
            return
        build.status = "WORKING"
        self._say(build, f'starting build "{build.identity}"', "", "FETCHSOURCE", "BUILD")
        for number, step in enumerate(build.request["steps"]):
            self._say(build, f"Step #{number}: Pulling image: {step.get('name')}")

    async def _finish(self, build: Build) -> None:
        if build.is_over:
            return
        if build.fate == "fails":
            step = build.request["steps"][0].get("name")
            text = f'build step 0 "{step}" failed: step exited with non-zero status: 1'
            self._say(build, "ERROR", f"ERROR: {text}")
            build.detail = f"Build failed: {text}"
            self._over(build, "FAILURE")
            return
        digest = "sha256:" + hashlib.sha256(build.identity.encode()).hexdigest()
        if self.hook is not None:
            digest = await self.hook(build)
            if build.is_over:
                return
        for name in build.request.get("images") or []:
            if not self._push(build, name, digest):
                return
        self._say(build, "PUSH", "DONE")
        self._over(build, "SUCCESS")

    def _push(self, build: Build, name: str, digest: str) -> bool:
        found = _IMAGE.fullmatch(name)
        if found is not None:
            try:
                tags = (found[4] or "latest",)
                self._artifacts.push(found[1], found[2], found[3], digest, tags)
            except Refusal as refusal:
                self._say(build, f"ERROR: {refusal.message}")
                build.detail = f"Build failed: error pushing image {name}: {refusal.message}"
                self._over(build, "FAILURE")
                return False
        build.images.append({"name": name, "digest": digest})
        self._say(build, f"Pushing {name}", f"{name}: digest: {digest}")
        return True

    def _over(self, build: Build, status: str) -> None:
        build.status = status
        build.ended = self._clock.now()

    def _cancel(self, asked: Asked) -> Json:
        build = self._found(asked)
        if build.is_over:
            raise Refusal("FAILED_PRECONDITION", "cannot cancel a build that is done")
        self._over(build, "CANCELLED")
        return self._told(build)

    def _list(self, asked: Asked) -> Json:
        told = [self._told(build) for build in reversed(self.builds.values())]
        wanted = re.fullmatch(r'tags\s*=\s*"?([^"]*)"?', asked.query.get("filter", ""))
        if wanted is not None:
            told = [each for each in told if wanted[1] in (each.get("tags") or [])]
        page, more = paged(told, asked.query, 100)
        return {**({"builds": page} if page else {}), **more}

    def _get(self, asked: Asked) -> Json:
        return self._told(self._found(asked))

    def _found(self, asked: Asked) -> Build:
        if asked.path["build"] not in self.builds:
            raise Refusal("NOT_FOUND", "Requested entity was not found.")
        return self.builds[asked.path["build"]]

    def _say(self, build: Build, *lines: str) -> None:
        build.lines += lines
        text = "".join(f"{line}\n" for line in build.lines)
        self._storage.write(self._logs_bucket(build), f"log-{build.identity}.txt", text.encode())

    def _logs_bucket(self, build: Build) -> str:
        asked = str(build.request.get("logsBucket") or "").removeprefix("gs://").strip("/")
        return asked or "123456789012.cloudbuild-logs.googleusercontent.com"

    def _told(self, build: Build) -> Json:
        steps = [dict(step) for step in build.request["steps"]]
        if build.status != "QUEUED":
            for step in steps:
                step["status"] = build.status
        where = f"projects/{self._project}/locations/{build.location}"
        told: Json = {
            **{"id": build.identity, "status": build.status, "projectId": self._project},
            "name": f"{where}/builds/{build.identity}",
            "createTime": rfc3339(build.created),
            "steps": steps,
            "source": build.request.get("source") or {},
            "images": build.request.get("images") or [],
            "tags": build.request.get("tags") or [],
            "timeout": build.request.get("timeout", "3600s"),
            "logsBucket": f"gs://{self._logs_bucket(build)}",
            "logUrl": f"https://console.cloud.google.com/cloud-build/builds/{build.identity}",
        }
        if build.status != "QUEUED":
            told["startTime"] = rfc3339(build.created + 3.0)
        if build.ended is not None:
            told["finishTime"] = rfc3339(build.ended)
        if build.detail:
            told["statusDetail"] = build.detail
            told["failureInfo"] = {"type": "USER_BUILD_STEP", "detail": build.detail}
        if build.images:
            told["results"] = {"images": build.images}
        return told
