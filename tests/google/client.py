"""Google's own client libraries, connected to the stand-in: for tests of the stand-in itself."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
from google.auth.transport.requests import Request
from google.cloud import container_v1
from google.cloud.container_v1.services.cluster_manager.transports import (
    ClusterManagerGrpcAsyncIOTransport,
)
from google.oauth2 import service_account

from tests.google.world import GoogleWorld

ZONE = "us-central1-a"
SYSTEM_POOL = {
    "name": "system",
    "initial_node_count": 1,
    "config": {"machine_type": "e2-standard-2", "disk_size_gb": 30},
}
GPU_POOL: dict[str, Any] = {
    "name": "gpu",
    "initial_node_count": 1,
    "config": {
        "machine_type": "n1-standard-4",
        "disk_size_gb": 50,
        "accelerators": [
            {
                "accelerator_count": 1,
                "accelerator_type": "nvidia-tesla-t4",
                "gpu_driver_installation_config": {"gpu_driver_version": 2},
            }
        ],
        "taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": 1}],
    },
}


class Client:
    """A user of the stand-in."""

    def __init__(
        self, world: GoogleWorld, token: str, clusters: Any, rest: httpx.AsyncClient
    ) -> None:
        self._world = world
        self.token = token
        self._clusters = clusters
        self.rest = rest
        self.parent = f"projects/{world.project.name}/locations/{ZONE}"

    async def ask(self, method: str, *, timeout: float = 30.0, **fields: Any) -> Any:
        """Call a method of the cluster manager: ``ask("get_cluster", name=…)``."""
        metadata = (("authorization", f"Bearer {self.token}"),)
        call = getattr(self._clusters, method)
        return await call(request=fields, timeout=timeout, metadata=metadata, retry=None)

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.rest.get(path, params=query)

    async def create_cluster(self, name: str = "one", **fields: Any) -> Any:
        """Return the operation."""
        cluster = {"name": name, "node_pools": [SYSTEM_POOL], **fields}
        return await self.ask("create_cluster", parent=self.parent, cluster=cluster)

    async def create_pool(self, cluster: str = "one", **fields: Any) -> Any:
        """Return the operation."""
        pool = {**GPU_POOL, **fields}
        parent = f"{self.parent}/clusters/{cluster}"
        return await self.ask("create_node_pool", parent=parent, node_pool=pool)

    async def delete_cluster(self, name: str = "one") -> Any:
        return await self.ask("delete_cluster", name=f"{self.parent}/clusters/{name}")

    async def cluster(self, name: str = "one") -> Any:
        return await self.ask("get_cluster", name=f"{self.parent}/clusters/{name}")

    async def operation(self, operation: Any) -> Any:
        """The same operation, as it is now."""
        return await self.ask("get_operation", name=f"{self.parent}/operations/{operation.name}")

    async def ready(self, name: str = "one") -> None:
        """Have a cluster with its system nodes."""
        operation = await self.create_cluster(name)
        await self._world.clock.advance(361)
        assert (await self.operation(operation)).status.name == "DONE"

    @asynccontextmanager
    async def kubernetes(self, name: str = "one") -> AsyncIterator[httpx.AsyncClient]:
        """The cluster's API server, trusted by the cluster's own CA."""
        cluster = await self.cluster(name)
        ca_pem = base64.b64decode(cluster.master_auth.cluster_ca_certificate).decode()
        context = ssl.create_default_context(cadata=ca_pem)
        async with httpx.AsyncClient(
            base_url=f"https://{cluster.endpoint}",
            headers={"Authorization": f"Bearer {self.token}"},
            verify=context,
        ) as connection:
            yield connection


@asynccontextmanager
async def client_of(world: GoogleWorld) -> AsyncIterator[Client]:
    """Log in with the stand-in's service account."""
    credentials = service_account.Credentials.from_service_account_file(
        str(world.credentials_file), scopes=["https://www.googleapis.com/auth/cloud-platform"]
    )
    await asyncio.to_thread(credentials.refresh, Request())
    token = str(credentials.token)
    # Else two clients of one process share their connection.
    own = [("grpc.use_local_subchannel_pool", 1)]
    channel = grpc.aio.insecure_channel(world.grpc_url.removeprefix("http://"), options=own)
    transport = ClusterManagerGrpcAsyncIOTransport(channel=channel)
    clusters = container_v1.ClusterManagerAsyncClient(transport=transport)
    headers = {"Authorization": f"Bearer {token}"}
    async with channel, httpx.AsyncClient(base_url=world.url, headers=headers) as rest:
        yield Client(world, token, clusters, rest)
