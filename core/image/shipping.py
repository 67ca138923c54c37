"""From a wish to an image in a registry, doing only what is not done yet."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from core.image.context import BuildContext, load_context
from core.image.credentials import CredentialSource
from core.image.docker_config import proxy_arguments
from core.image.engine import Engine, open_engine
from core.image.progress import Message, Part, Progress
from core.image.reference import ImageReference, parse_reference
from core.image.refusals import build_problem, pull_problem, push_problem
from core.image.registry import Registry

if TYPE_CHECKING:
    import httpx

__all__ = ["ImageOrder", "Part", "ShippedImage", "Surroundings", "ship"]


@dataclass(frozen=True, slots=True)
class ImageOrder:
    """What is wanted."""

    image: str
    """REGISTRY/REPOSITORY to build into; with a tag or a digest an image that is there already."""
    base_image: str | None = None
    """What to build on; None: the Dockerfile's own."""


@dataclass(frozen=True, slots=True)
class ShippedImage:
    """What there is now."""

    reference: str
    """REGISTRY/REPOSITORY@sha256:..., which names this image and no other; of one that was only
    built, the tag in the engine."""
    tag: str
    """Empty where a digest was asked for."""
    size_bytes: int
    """As it is transferred, compressed; of one that was only built, the engine's, uncompressed."""
    built: bool
    pushed: bool


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What shipping takes from the world."""

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    """DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH lead to the engine."""
    context: Callable[[], BuildContext] = load_context
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    transport: httpx.AsyncBaseTransport | None = None
    """How registries are reached; None: the network."""


async def ship(
    order: ImageOrder,
    *,
    credentials: CredentialSource,
    report: Callable[[Part], None],
    log: Callable[[str], None],
    push: bool = True,
    surroundings: Surroundings | None = None,
) -> ShippedImage:
    """Return the image that ``order`` wants, built and pushed where it is not there yet.

    Cancelling ends the engine's build or push at once. ``push`` False only builds.

    Raises:
        ImageNameError: the image's or the base image's name is none.
        SourceError: what the image is built from is not there.
        CredentialsError: the Docker config or its helper cannot be used.
        ImageError: see its classes.
    """
    shipment = _Shipment(order, credentials, report, log, surroundings or Surroundings())
    if shipment.reference.is_pinned:
        return await shipment.resolve()
    return await (shipment.push() if push else shipment.build())


class _Shipment:
    """One order under way."""

    def __init__(
        self,
        order: ImageOrder,
        credentials: CredentialSource,
        report: Callable[[Part], None],
        log: Callable[[str], None],
        world: Surroundings,
    ) -> None:
        self.reference = parse_reference(order.image)
        self._base = parse_reference(order.base_image) if order.base_image else None
        self._base_image = order.base_image
        self._credentials = credentials
        self._report = report
        self._log = log
        self._world = world

    async def resolve(self) -> ShippedImage:
        """Find out the digest of an image that is there already."""
        async with self._registry() as registry:
            stored = await registry.get(self.reference)
        return self._shipped(self.reference, stored.digest, stored.size_bytes, False, False)

    async def build(self) -> ShippedImage:
        """Have the engine hold the image."""
        reference, context = self._wanted()
        async with open_engine(self._world.environment) as engine:
            built = await self._ensure_built(engine, reference, context)
            size = await engine.image_size(str(reference))
        return ShippedImage(str(reference), reference.tag or "", size or 0, built, False)

    async def push(self) -> ShippedImage:
        """Have the registry hold the image."""
        reference, context = self._wanted()
        async with self._registry() as registry:
            if (stored := await registry.find(reference)) is not None:
                self._log(f"{reference} is in the registry already: neither built nor pushed")
                return self._shipped(reference, stored.digest, stored.size_bytes, False, False)
            # Before minutes are spent on building what could not be pushed.
            await registry.check_push(reference)
            async with open_engine(self._world.environment) as engine:
                built = await self._ensure_built(engine, reference, context)
                digest = await self._push(engine, reference)
            pushed = replace(reference, digest=digest)
            stored = await registry.get(pushed)
        return self._shipped(reference, stored.digest, stored.size_bytes, built, True)

    def _wanted(self) -> tuple[ImageReference, BuildContext]:
        context = self._world.context()
        return replace(self.reference, tag=context.tag(self._base_image)), context

    async def _ensure_built(
        self, engine: Engine, reference: ImageReference, context: BuildContext
    ) -> bool:
        """Build where the engine lacks the image; return whether that was needed."""
        name = str(reference)
        if await engine.image_size(name) is not None:
            self._log(f"{name} is in the container engine already: not built")
            return False
        await self._ensure_base(engine, context)
        progress = self._progress("build")
        arguments = context.build_arguments(self._base_image)
        proxies = proxy_arguments(self._world.environment, engine.address)
        await _follow(engine.build(context.archive(), name, {**proxies, **arguments}), progress)
        if progress.error or await engine.image_size(name) is None:
            raise build_problem(progress, arguments.get("BASE_IMAGE"))
        return True

    async def _ensure_base(self, engine: Engine, context: BuildContext) -> None:
        """Pull the base image by itself: its layers show, and its registry gets its own login."""
        name = self._base_image or context.default_base
        if name is None or await engine.image_size(name) is not None:
            return
        base = self._base or parse_reference(name)
        progress = self._progress("base layer")
        login = await self._credentials.login(base.domain)
        await _follow(engine.pull(base, login), progress)
        if progress.error:
            raise pull_problem(progress.error, name)

    async def _push(self, engine: Engine, reference: ImageReference) -> str | None:
        login = await self._credentials.login(reference.domain)
        progress = self._progress("layer")
        await _follow(engine.push(reference, login), progress)
        if progress.error:
            raise push_problem(progress.error, reference)
        return progress.digest

    def _progress(self, kind: str) -> Progress:
        return Progress(self._report, self._log, kind=kind, monotonic=self._world.monotonic)

    def _registry(self) -> Registry:
        return Registry(
            self.reference.domain,
            self._credentials,
            sleep=self._world.sleep,
            transport=self._world.transport,
        )

    def _shipped(
        self, reference: ImageReference, digest: str, size: int, built: bool, pushed: bool
    ) -> ShippedImage:
        return ShippedImage(
            f"{reference.name}@{digest}", reference.tag or "", size, built=built, pushed=pushed
        )


async def _follow(messages: AsyncGenerator[Message, None], progress: Progress) -> None:
    async with aclosing(messages):
        async for message in messages:
            progress.take(message)
    progress.end()
