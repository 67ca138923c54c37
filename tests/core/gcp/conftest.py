"""Connections to a Google that answers as it is told, and to a stand-in of all of it; time passes
only by sleeping.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.gcp.access import GoogleAccess, endpoints_of
from core.gcp.connection import Google
from tests.core.gcp.scripted import Scripted
from tests.core.kube.clocks import Clock
from tests.google.world import GoogleWorld


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    async with Scripted() as scripted:
        yield scripted


@pytest.fixture
async def google(server: Scripted, tmp_path: Path, clock: Clock) -> AsyncIterator[Google]:
    """A connection to ``server`` in project ``p`` that lives by ``clock``."""
    access = server.access(tmp_path)
    async with Google(access, sleep=clock.sleep, monotonic=clock.monotonic) as connection:
        yield connection


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    """All of Google Cloud; its time passes only where it is waited for."""
    async with GoogleWorld(speed=0) as stand_in:
        yield stand_in


@pytest.fixture
async def cloud(world: GoogleWorld) -> AsyncIterator[Google]:
    """A connection to ``world`` that lives by its clock."""
    access = GoogleAccess(
        world.project.name,
        str(world.credentials_file),
        endpoints=endpoints_of(world.environment()),
    )
    clock = world.clock
    async with Google(access, sleep=clock.advance, monotonic=clock.now) as connection:
        yield connection
