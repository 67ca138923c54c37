"""The image stage: the benchmark image stands in the registry, and its digest is known."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import writing
from core.errors import StageError
from core.image.credentials import CredentialSource
from core.image.shipping import ImageOrder, Part, ship
from core.run.events import PartChanged, Stage
from core.run.pipeline import StageContext
from core.targets.kubernetes.deployment import Deployment
from core.text import duration

_LOOK_EVERY_S = 0.5
_LOOKS_A_NOTE = 120
_LIMIT_S = 2 * 3600.0
_LONGEST_DETAIL = 100


@dataclass(frozen=True)
class Image:
    """Builds and pushes the image unless it is there already."""

    deployment: Deployment
    state_dir: Path
    credentials: CredentialSource
    stage: Stage = Stage.IMAGE
    needs: frozenset[Stage] = frozenset({Stage.PREFLIGHT})
    limit_s: float = _LIMIT_S
    """How long all of it may take, waiting for other runs included."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self, context: StageContext) -> str:
        """See that the image is in its registry.

        Raises:
            StageError: it took longer than ``limit_s``.
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

        async with self._within_limit(), self._alone(context):
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

    @contextlib.asynccontextmanager
    async def _within_limit(self) -> AsyncIterator[None]:
        """End what stalls: other runs may wait for this one."""
        limit = asyncio.timeout(self.limit_s)
        try:
            async with limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise StageError(
                f"The image was not in its registry after {duration(self.limit_s)}.",
                "deployment.log tells how far it came; see that the container engine answers "
                "(docker info) and that no other run is stuck, then try again.",
            ) from error

    @contextlib.asynccontextmanager
    async def _alone(self, context: StageContext) -> AsyncIterator[None]:
        """Let one run at a time build: the others then find the image in the registry."""
        path = self.state_dir / "image.lock"
        with writing(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for looks in itertools.count():
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if looks % _LOOKS_A_NOTE == 0:
                        waited = duration(looks * _LOOK_EVERY_S)
                        context.log(
                            "image",
                            "another run builds an image: waiting for it"
                            + (f", for {waited} now" if looks else ""),
                        )
                    await self.sleep(_LOOK_EVERY_S)
            yield
        finally:
            os.close(handle)


def _short(text: str) -> str:
    # A step of the Dockerfile can be a whole script.
    return text if len(text) <= _LONGEST_DETAIL else f"{text[: _LONGEST_DETAIL - 1]}…"
