"""The image stage on GKE: built by the local engine or else by Cloud Build, while the cluster is
created.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.gcp import artifacts, gcloud, projects, storage
from core.gcp.builds import BuildOrder, Builds, BuildSeen
from core.gcp.errors import GoogleError
from core.gcp.specs import label_value
from core.image.context import BuildContext, load_context
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
from core.run.pipeline import StageContext, StageWork
from core.targets.gke.deployment import GkeDeployment, place_of
from core.targets.kubernetes.image import Image as KubernetesImage

BUILD = "build"
IMAGE = "image"
REPOSITORY = "repository"
BUCKET = "bucket"


class Shipping(Protocol):
    """Makes the stage that builds and pushes with the local engine."""

    def __call__(
        self, deployment: GkeDeployment, state_dir: Path, credentials: CredentialSource
    ) -> StageWork:
        """Return it."""


def local_engine(
    deployment: GkeDeployment, state_dir: Path, credentials: CredentialSource
) -> StageWork:
    """Return the kubernetes target's own stage."""
    return KubernetesImage(deployment.kube, state_dir, credentials)


@dataclass
class Image:
    """Sees that the image is in its registry."""

    deployment: GkeDeployment
    state_dir: Path
    stage: Stage = Stage.IMAGE
    needs: frozenset[Stage] = frozenset({Stage.PREFLIGHT})
    shipping: Shipping = local_engine
    build_context: Callable[[], BuildContext] = load_context

    async def run(self, context: StageContext) -> str:
        """Build and push where it is not there yet.

        Raises:
            GoogleError: repository or Cloud Build could not be used.
            ProblemError: the image could not be built or pushed (core.image.errors).
        """
        google = self.deployment.google()
        await self._repository(context)
        credentials = CredentialSource(os.environ, google_token=google.token)
        ship = self.shipping(self.deployment, self.state_dir, credentials)
        try:
            summary = await ship.run(context)
        except EngineError as problem:
            place = artifacts.image_place(self.deployment.image_repository)
            if place is None:
                raise
            context.log("image", f"{problem.sentence} Cloud Build builds it instead.")
            await self._build_in_cloud(context, place.region)
            # It is in the registry now: this finds its digest.
            summary = f"{await ship.run(context)} by Cloud Build"
        self._intend_removal(context)
        return summary

    async def _repository(self, context: StageContext) -> None:
        """Have Artifact Registry's repository there; it stays, as images are reused."""
        place = artifacts.image_place(self.deployment.image_repository)
        google = self.deployment.google()
        if place is None or place.project != google.project:
            return
        region, name = place.region, place.repository
        if await artifacts.find_repository(google, region, name):
            return
        labels = {"created-by": "gpubench-tui"}
        made = await artifacts.create_repository(google, region, name, labels)
        context.emit(
            StageChecked(
                name=REPOSITORY,
                passed=True,
                detail=f"{name} in {region} was {'created' if made else 'there'} and stays",
            )
        )

    def _intend_removal(self, context: StageContext) -> None:
        if not self.deployment.settings.remove_image:
            return
        reference = self.deployment.kube.image
        context.emit(
            ResourceIntended(
                kind=IMAGE,
                name=reference,
                location=place_of(self.deployment.project, "registry"),
                delete_command=shlex.join(gcloud.delete_image(self.deployment.project, reference)),
            )
        )
        context.emit(ResourceCreated(kind=IMAGE, name=reference, identity=reference))

    async def _build_in_cloud(self, context: StageContext, region: str) -> None:
        google = self.deployment.google()
        source = self.build_context()
        settings = self.deployment.settings
        number = (await projects.project(google)).number
        bucket = await storage.choose_bucket(google, number)
        if not bucket.exists:
            labels = {"created-by": "gpubench-tui"}
            made = await storage.create_bucket(google, bucket.name, region, labels, number)
            context.emit(
                StageChecked(
                    name=BUCKET,
                    passed=True,
                    detail=f"{bucket.name} in {region} was {'created' if made else 'there'} and "
                    "stays; gpubench-tui --no-ui sweep --images removes it",
                )
            )
        order = BuildOrder(
            key=label_value(context.run_id),
            image=f"{self.deployment.image_repository}:{source.tag(settings.base_image)}",
            bucket=bucket.name,
            arguments=source.build_arguments(settings.base_image),
        )
        await self._follow(context, Builds(google), order, source.archive())

    async def _follow(
        self, context: StageContext, builds: Builds, order: BuildOrder, archive: bytes
    ) -> None:
        project = self.deployment.project
        context.emit(
            ResourceIntended(
                kind=BUILD,
                name=order.key,
                location=place_of(project, order.region),
                delete_command=gcloud.cancel_builds(project, order.region, order.key),
            )
        )
        build_id = await builds.start(order, archive)
        context.emit(ResourceCreated(kind=BUILD, name=order.key, identity=build_id))
        async for seen in builds.follow(order, build_id):
            _tell(context, seen)
        rest = "its source and log were deleted"
        try:
            await builds.clear(order, build_id)
        except GoogleError as problem:
            # The image is there, and what stays costs next to nothing.
            context.log("image", problem.sentence)
            rest = f"its source or log stays in gs://{order.bucket}"
        context.emit(
            ResourceDeleted(
                kind=BUILD,
                name=order.key,
                proof=f"Cloud Build says that build {build_id} has succeeded; {rest}",
            )
        )


def _tell(context: StageContext, seen: BuildSeen) -> None:
    for line in seen.lines:
        context.log("image", line)
    for name, status in seen.steps:
        state = {"": "waiting", "SUCCESS": "ready", "FAILURE": "failed"}.get(status, "working")
        context.emit(
            PartChanged.model_validate(
                {"kind": "step", "name": name, "state": state, "detail": status.lower() or "waits"}
            )
        )
