"""The stand-in with a real Kubernetes behind its clusters."""

from __future__ import annotations

import pytest

from core.kube.cluster import Access
from tests.cluster_kit import kit, real_cluster_access
from tests.google.client import client_of
from tests.google.real_cluster import real_cluster
from tests.google.world import GoogleWorld

__all__ = ["real_cluster_access"]


@pytest.mark.cluster
async def test_its_tokens_open_the_real_cluster(real_cluster_access: Access) -> None:
    kubeconfig = kit().kubeconfig("token")
    if not kubeconfig.is_file():
        pytest.skip("only the cluster kit has a kubeconfig with a token")
    real = real_cluster(kubeconfig)
    async with GoogleWorld(speed=0, real=real) as world, client_of(world) as client:
        await client.ready()
        async with client.kubernetes() as kube:
            nodes = (await kube.get("/api/v1/nodes")).json()["items"]
    assert nodes
    assert not world.ledger.is_empty()
