"""The stand-in of the API, a connection to it, and both sides of the contract."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.kube.cluster import Access, Cluster
from tests.cluster_kit import real_cluster_access, real_namespace, real_viewer_access
from tests.core.kube.clocks import Clock
from tests.core.kube.sides import RealSide, Side, StandInSide
from tests.core.kube.stand_in import StandIn

__all__ = ["real_cluster_access", "real_namespace", "real_viewer_access"]


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with StandIn() as server:
        yield server


@pytest.fixture
async def cluster(stand_in: StandIn, tmp_path: Path) -> AsyncIterator[Cluster]:
    """A connection to the stand-in, in namespace ``default``, with all rights."""
    async with Cluster(stand_in.access(tmp_path)) as connection:
        yield connection


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def patient(stand_in: StandIn, tmp_path: Path, clock: Clock) -> Cluster:
    """A connection whose pauses take no time; not yet entered."""
    return Cluster(stand_in.access(tmp_path), sleep=clock.sleep, monotonic=clock.monotonic)


@pytest.fixture(params=["stand-in", pytest.param("real", marks=pytest.mark.cluster)])
def server(request: pytest.FixtureRequest) -> StandIn | Access:
    """The stand-in, or access to a namespace of a real server."""
    if request.param == "stand-in":
        stand_in: StandIn = request.getfixturevalue("stand_in")
        return stand_in
    if os.environ.get("GPUBENCH_E2E_NAMESPACE"):
        pytest.skip("the contract is tried in namespaces of its own")
    access: Access = request.getfixturevalue("real_cluster_access")
    return replace(access, namespace=request.getfixturevalue("real_namespace"))


@pytest.fixture
async def side(server: StandIn | Access, tmp_path: Path) -> AsyncIterator[Side]:
    """The same questions go to the stand-in and to a real server."""
    if isinstance(server, StandIn):
        async with Cluster(server.access(tmp_path)) as connection:
            yield StandInSide(connection, server)
    else:
        async with Cluster(server) as connection:
            yield RealSide(connection)
