"""A connection to the stand-in of Google Cloud."""

from __future__ import annotations

from core.gcp.access import GoogleAccess, endpoints_of
from core.gcp.connection import Google
from tests.google.world import GoogleWorld


def connection(world: GoogleWorld) -> Google:
    """Return one that waits by the stand-in's clock, and whose patience only waiting uses up: the
    stand-in's seconds are too short for a busy machine.
    """
    access = GoogleAccess(
        world.project.name, str(world.credentials_file), endpoints=endpoints_of(world.environment())
    )
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await world.clock.sleep(seconds)

    return Google(access, sleep=sleep, monotonic=lambda: sum(waits))
