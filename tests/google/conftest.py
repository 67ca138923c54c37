"""A world whose time passes at the test's word, and somebody logged in to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.google.client import Client, client_of
from tests.google.world import GoogleWorld


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with GoogleWorld(speed=0) as started:
        yield started


@pytest.fixture
async def client(world: GoogleWorld) -> AsyncIterator[Client]:
    async with client_of(world) as connected:
        yield connected
