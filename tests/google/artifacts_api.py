"""Artifact Registry v1: repositories and what is in them (pushing is the registry's own affair)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.google.clock import Durations, GoogleClock, rfc3339
from tests.google.faults import Fate, Gate
from tests.google.ledger import Billed, Ledger
from tests.google.refusals import Refusal
from tests.google.rest import Asked, Json, Route, paged

_L = "/v1/projects/{project}/locations/{location}"


@dataclass
class Image:
    """One version of a package."""

    package: str
    digest: str
    tags: list[str]
    size: int
    uploaded: float
    billed: Billed


@dataclass
class Repository:
    """A docker repository."""

    name: str
    location: str
    labels: dict[str, str]
    created: float
    billed: Billed
    images: dict[tuple[str, str], Image] = field(default_factory=dict)
    """By package and digest."""


@dataclass
class _Operation:
    name: str
    ends: float
    fate: Fate
    answer: Json
    refusal: Json | None = None


class ArtifactsApi:
    """The methods; ``repositories`` is what there is."""

    def __init__(
        self, project: str, clock: GoogleClock, durations: Durations, ledger: Ledger, gate: Gate
    ) -> None:
        self._project = project
        self._clock = clock
        self._durations = durations
        self._ledger = ledger
        self._gate = gate
        self.repositories: dict[tuple[str, str], Repository] = {}
        """By location and name."""
        self._operations: dict[str, _Operation] = {}

    def routes(self) -> list[Route]:
        one = f"{_L}/repositories/{{repository}}"
        api = "artifactregistry"
        package = f"{one}/packages/{{package}}"
        return [
            Route("GET", f"{_L}/repositories", f"{api}.repositories.list", self._list),
            Route("POST", f"{_L}/repositories", f"{api}.repositories.create", self._create),
            Route("GET", one, f"{api}.repositories.get", self._get),
            Route("DELETE", one, f"{api}.repositories.delete", self._delete),
            Route("GET", f"{_L}/operations/{{name}}", f"{api}.operations.get", self._operation),
            Route("GET", f"{one}/dockerImages", f"{api}.dockerImages.list", self._images),
            Route("GET", f"{one}/dockerImages/{{+image}}", f"{api}.dockerImages.get", self._image),
            Route("GET", f"{one}/packages", f"{api}.packages.list", self._packages),
            Route("DELETE", package, f"{api}.packages.delete", self._delete_package),
            Route("GET", f"{package}/versions", f"{api}.versions.list", self._versions),
            Route(
                *("DELETE", f"{package}/versions/{{+version}}"),
                *(f"{api}.versions.delete", self._delete_version),
            ),
        ]

    def push(
        self,
        location: str,
        repository: str,
        package: str,
        digest: str,
        tags: tuple[str, ...] = (),
        size: int = 3_000_000_000,
    ) -> Image:
        """Put an image there, as a push does.

        Raises: Refusal (NOT_FOUND).
        """
        found = self._found(location, repository)
        for (name, _), other in found.images.items():
            if name == package:
                other.tags = [tag for tag in other.tags if tag not in tags]
        if (package, digest) in found.images:
            image = found.images[package, digest]
            image.tags += [tag for tag in tags if tag not in image.tags]
            return image
        billed = self._ledger.opened("image", f"{repository}/{package}@{digest}", location)
        image = Image(package, digest, list(tags), size, self._clock.now(), billed)
        found.images[package, digest] = image
        return image

    def _list(self, asked: Asked) -> Json:
        found = [
            self._told(each)
            for (location, _), each in sorted(self.repositories.items())
            if asked.path["location"] in ("-", location)
        ]
        page, more = paged(found, asked.query, 1000)
        return {**({"repositories": page} if page else {}), **more}

    def _create(self, asked: Asked) -> Json:
        location, name = asked.path["location"], asked.query.get("repositoryId", "")
        if (location, name) in self.repositories:
            raise Refusal("ALREADY_EXISTS", "the repository already exists")
        if asked.body.get("format") != "DOCKER" or not name:
            raise Refusal("INVALID_ARGUMENT", "The stand-in makes repositories of format DOCKER.")
        labels = dict(asked.body.get("labels") or {})

        def act() -> Json:
            billed = self._ledger.opened("repository", name, location, labels=labels)
            made = Repository(name, location, labels, self._clock.now(), billed)
            self.repositories[location, name] = made
            return self._told(made)

        return self._begin(asked, act)

    def _get(self, asked: Asked) -> Json:
        return self._told(self._repository(asked))

    def _delete(self, asked: Asked) -> Json:
        found = self._repository(asked)

        def act() -> Json:
            for image in found.images.values():
                self._ledger.closed(image.billed)
            self._ledger.closed(found.billed)
            self.repositories.pop((found.location, found.name), None)
            return {"@type": "type.googleapis.com/google.protobuf.Empty"}

        return self._begin(asked, act)

    def _images(self, asked: Asked) -> Json:
        found = self._repository(asked)
        told = [self._image_told(found, image) for image in found.images.values()]
        page, more = paged(told, asked.query, 1000)
        return {**({"dockerImages": page} if page else {}), **more}

    def _image(self, asked: Asked) -> Json:
        repository = self._repository(asked)
        return self._image_told(repository, self._image_of(repository, asked.path["image"]))

    def _packages(self, asked: Asked) -> Json:
        repository = self._repository(asked)
        names = sorted({image.package for image in repository.images.values()})
        base = self._told(repository)["name"]
        return {"packages": [{"name": f"{base}/packages/{name}"} for name in names]}

    def _delete_package(self, asked: Asked) -> Json:
        repository, name = self._repository(asked), asked.path["package"]
        images = [image for image in repository.images.values() if image.package == name]
        if not images:
            raise Refusal("NOT_FOUND", f"Package {name} not found.")
        return self._begin(asked, lambda: self._drop(repository, images))

    def _versions(self, asked: Asked) -> Json:
        repository, name = self._repository(asked), asked.path["package"]
        base = f"{self._told(repository)['name']}/packages/{name}"
        return {
            "versions": [
                {"name": f"{base}/versions/{image.digest}"}
                for image in repository.images.values()
                if image.package == name
            ]
        }

    def _delete_version(self, asked: Asked) -> Json:
        repository = self._repository(asked)
        key = (asked.path["package"], asked.path["version"])
        image = repository.images.get(key)
        if image is None:
            raise Refusal("NOT_FOUND", f"Version {key[1]} not found.")
        if image.tags and asked.query.get("force") != "true":
            raise Refusal("FAILED_PRECONDITION", "The version has tags; delete them or use force.")
        return self._begin(asked, lambda: self._drop(repository, [image]))

    def _drop(self, repository: Repository, images: list[Image]) -> Json:
        for image in images:
            self._ledger.closed(image.billed)
            repository.images.pop((image.package, image.digest), None)
        return {"@type": "type.googleapis.com/google.protobuf.Empty"}

    def _begin(self, asked: Asked, act: Callable[[], Json]) -> Json:
        location = asked.path["location"]
        name = f"projects/{self._project}/locations/{location}/operations/{secrets.token_hex(12)}"
        ends = self._clock.now() + self._durations.repository
        operation = _Operation(name, ends, self._gate.fate, {})
        self._operations[name] = operation

        def done() -> None:
            if operation.fate == "fails":
                operation.refusal = {"code": 13, "message": "Internal error encountered."}
            elif not operation.fate:
                operation.answer = act()

        self._clock.later(self._durations.repository, done)
        return self._operation_told(operation)

    def _operation(self, asked: Asked) -> Json:
        location, name = asked.path["location"], asked.path["name"]
        path = f"projects/{self._project}/locations/{location}/operations/{name}"
        if path not in self._operations:
            raise Refusal("NOT_FOUND", f"Operation {path} not found.")
        return self._operation_told(self._operations[path])

    def _operation_told(self, operation: _Operation) -> Json:
        told: dict[str, Any] = {"name": operation.name, "metadata": {}}
        if operation.refusal is not None:
            told |= {"done": True, "error": operation.refusal}
        elif operation.answer:
            told |= {"done": True, "response": operation.answer}
        return told

    def _repository(self, asked: Asked) -> Repository:
        return self._found(asked.path["location"], asked.path["repository"])

    def _found(self, location: str, name: str) -> Repository:
        found = self.repositories.get((location, name))
        if found is None:
            path = f"projects/{self._project}/locations/{location}/repositories/{name}"
            raise Refusal("NOT_FOUND", f'Requested entity was not found: "{path}"')
        return found

    def _image_of(self, repository: Repository, words: str) -> Image:
        package, _, digest = words.partition("@")
        image = repository.images.get((package, digest))
        if image is None:
            raise Refusal("NOT_FOUND", f"Docker image {words} not found.")
        return image

    def _told(self, repository: Repository) -> Json:
        where = f"projects/{self._project}/locations/{repository.location}"
        return {
            "name": f"{where}/repositories/{repository.name}",
            "format": "DOCKER",
            "mode": "STANDARD_REPOSITORY",
            "labels": repository.labels,
            "createTime": rfc3339(repository.created),
            "sizeBytes": str(sum(image.size for image in repository.images.values())),
        }

    def _image_told(self, repository: Repository, image: Image) -> Json:
        base = self._told(repository)["name"]
        host = f"{repository.location}-docker.pkg.dev/{self._project}/{repository.name}"
        return {
            "name": f"{base}/dockerImages/{image.package}@{image.digest}",
            "uri": f"{host}/{image.package}@{image.digest}",
            "tags": image.tags,
            "imageSizeBytes": str(image.size),
            "uploadTime": rfc3339(image.uploaded),
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        }
