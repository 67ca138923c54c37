"""The image stage: the benchmark image stands in the registry, and its digest is known."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import writing
from core.image.credentials import CredentialSource
from core.image.shipping import ImageOrder, Part, ship
from core.run.events import PartChanged, Stage
from core.run.pipeline import StageContext
from core.targets.kubernetes.deployment import Deployment

_LOOK_EVERY_S = 0.5
_LONGEST_DETAIL = 100


@dataclass(frozen=True)
class Image:
    """Builds and pushes the image unless it is there already."""

    deployment: Deployment
    state_dir: Path
    credentials: CredentialSource
    stage: Stage = Stage.IMAGE
    needs: frozenset[Stage] = frozenset({Stage.PREFLIGHT})

    async def run(self, context: StageContext) -> str:
        """See that the image is in its registry.

        Raises:
            ProblemError: it could not be built or pushed, or is not there (core.image.errors).
        """
        settings = self.deployment.settings
        assert settings.image is not None

        def report(part: Part) -> None:
            # "step 3/15", "layer 0a1b2c3d4e5f"
            kind, _, name = part.name.rpartition(" ")
            context.emit(
                PartChanged(
                    kind=kind or "image",
                    name=name,
                    state=part.state,
                    detail=_short(part.detail),
                    done=part.done,
                    total=part.total,
                    unit="bytes" if part.done is not None else "",
                )
            )

        async with _alone(self.state_dir, context):
            shipped = await ship(
                ImageOrder(settings.image, settings.base_image),
                credentials=self.credentials,
                report=report,
                log=lambda line: context.log("image", line),
            )
        self.deployment.image = shipped.reference
        self.deployment.image_known.set()
        what = "built and pushed" if shipped.built else "pushed" if shipped.pushed else "there"
        return f"{shipped.reference} ({shipped.size_bytes / 1e6:.0f} MB, {what})"


def _short(text: str) -> str:
    # A step of the Dockerfile can be a whole script.
    return text if len(text) <= _LONGEST_DETAIL else f"{text[: _LONGEST_DETAIL - 1]}…"


@contextlib.asynccontextmanager
async def _alone(state_dir: Path, context: StageContext) -> AsyncIterator[None]:
    """Let one run at a time build: the others then find the image in the registry."""
    path = state_dir / "image.lock"
    with writing(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    context.log("image", "another run builds an image: waiting for it")
                    told = True
                await asyncio.sleep(_LOOK_EVERY_S)
        yield
    finally:
        os.close(handle)
