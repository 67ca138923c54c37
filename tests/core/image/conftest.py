"""Stand-ins for the outside of shipping, and an order's bookkeeping."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.image.context import BuildContext, ContextFile
from core.image.credentials import CredentialSource, Login
from core.image.shipping import ImageOrder, Part, ShippedImage, Surroundings, ship
from tests.core.image.stand_in_engine import StandInEngine
from tests.core.image.stand_in_registry import StandInRegistry, manifest

REPOSITORY = "team/gpubench"
BASE = "gpubench-base:1"
CONTEXT = BuildContext(
    [
        ContextFile("Dockerfile", f"ARG BASE_IMAGE={BASE}\nFROM ${{BASE_IMAGE}}\n".encode()),
        ContextFile("benchmark/__init__.py", b""),
    ]
)
TAG = CONTEXT.tag(None)


@dataclass
class Yard:
    """A registry, an engine, and the one who ships."""

    registry: StandInRegistry
    engine: StandInEngine
    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    logins: dict[str, Login] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    @property
    def image(self) -> str:
        return f"{self.registry.domain}/{REPOSITORY}"

    def configure(self, **config: object) -> None:
        """Write the Docker config."""
        (self.home / "config.json").write_text(json.dumps(config))

    def credentials(self) -> CredentialSource:
        return CredentialSource(self._environment(), self.logins)

    async def ship(
        self, image: str | None = None, base_image: str | None = None, *, push: bool = True
    ) -> ShippedImage:
        """Ship the test's small context."""
        return await ship(
            ImageOrder(image or self.image, base_image),
            credentials=self.credentials(),
            report=self.parts.append,
            log=self.lines.append,
            push=push,
            surroundings=Surroundings(
                environment=self._environment(), context=lambda: CONTEXT, sleep=self.sleep
            ),
        )

    async def sleep(self, seconds: float) -> None:
        """A pause that is noted and not taken."""
        self.pauses.append(seconds)

    def everything_said(self) -> str:
        """All that a person or a file could have seen."""
        return "\n".join([*self.lines, *map(repr, self.parts)])

    def _environment(self) -> dict[str, str]:
        return {
            "DOCKER_HOST": self.engine.address,
            "DOCKER_CONFIG": str(self.home),
            "HOME": str(self.home),
            **self.environment,
        }


@pytest.fixture
def registry() -> Iterator[StandInRegistry]:
    """A registry that holds nothing and lets anybody in."""
    with StandInRegistry().serve() as registry:
        yield registry


@pytest.fixture
def yard(registry: StandInRegistry, tmp_path: Path) -> Iterator[Yard]:
    """An engine that has the base image, and pushes what it builds."""

    def receive(name: str, tag: str) -> None:
        path = re.sub(r"^[^/]+/", "", name)
        registry.hold(path, tag, manifest(10, 300, 4000))

    with StandInEngine(images={BASE: 99}, on_push=receive).serve() as engine:
        yield Yard(registry, engine, tmp_path)
