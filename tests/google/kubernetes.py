"""What a GKE cluster hands out: the contract-tested API server over TLS, and its nodes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

from aiohttp import web
from google.cloud.container_v1 import types

from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_access import Account
from tests.core.kube.stand_in_store import RESOURCES, Object, Refused, Resource
from tests.google.certificates import certificates
from tests.google.clock import Durations, GoogleClock
from tests.google.clusters import Pool
from tests.google.machines import Instance

RESOURCES.setdefault(("", "services"), Resource("", "v1", "services", "Service"))
GPU = "nvidia.com/gpu"
_NODE_INFO = {
    "architecture": "amd64",
    "bootID": "00000000-0000-4000-8000-000000000000",
    "containerRuntimeVersion": "containerd://1.7.24",
    "kernelVersion": "6.6.72+",
    "kubeProxyVersion": "v1.31.5-gke.1233000",
    "kubeletVersion": "v1.31.5-gke.1233000",
    "machineID": "0123456789abcdef0123456789abcdef",
    "operatingSystem": "linux",
    "osImage": "Container-Optimized OS from Google",
}
_EFFECTS = {1: "NoSchedule", 2: "PreferNoSchedule", 3: "NoExecute"}
_DISABLED = types.GPUDriverInstallationConfig.GPUDriverVersion.INSTALLATION_DISABLED


class ApiServer(StandIn):
    """The stand-in with TLS; whoever bears a good token is its administrator."""

    def __init__(self, now_ns: Callable[[], int], is_good: Callable[[str], bool]) -> None:
        super().__init__(now_ns)
        self._is_good = is_good
        self.controllers.hold_deletions = True
        self.version = {"major": "1", "minor": "31", "gitVersion": "v1.31.5-gke.1233000"}
        # Before the server runs: what connects meanwhile waits.
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"https://{self.address}"

    async def start(self, context: ssl.SSLContext) -> None:
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(
            application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None
        )
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket, ssl_context=context).start()

    async def stop(self) -> None:
        self.streams.cut()
        await self._runner.cleanup()
        self._socket.close()

    def _account(self, request: web.Request) -> Account:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not self._is_good(token):
            raise Refused(401, "Unauthorized", "Unauthorized")
        return Account("stand-in@project.iam.gserviceaccount.com", lambda _: True)


def installs_driver(pool: Pool) -> bool:
    """Whether GKE itself brings the GPUs' driver."""
    config = pool.message.config.accelerators
    driver = config[0].gpu_driver_installation_config.gpu_driver_version if config else _DISABLED
    return driver not in (0, _DISABLED)


def node_document(name: str, zone: str, pool: Pool, has_others: bool) -> Object:
    """A fresh node of a pool, its GPU not allocatable yet."""
    shape = pool.shape
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "cloud.google.com/gke-nodepool": pool.name,
        "cloud.google.com/machine-family": shape.machine.split("-")[0],
        "node.kubernetes.io/instance-type": shape.machine,
        "topology.kubernetes.io/zone": zone,
        "topology.kubernetes.io/region": zone.rsplit("-", 1)[0],
        **dict(pool.message.config.labels),
    }
    taints = [
        {
            "key": each.key,
            "value": each.value,
            "effect": _EFFECTS.get(int(each.effect), "NoSchedule"),
        }
        for each in pool.message.config.taints
    ]
    if shape.gpu:
        labels["cloud.google.com/gke-accelerator"] = shape.gpu
        # GKE itself taints GPU nodes as soon as there are others.
        if has_others and not any(each["key"] == GPU for each in taints):
            taints.append({"key": GPU, "value": "present", "effect": "NoSchedule"})
        if installs_driver(pool):
            labels["cloud.google.com/gke-gpu-driver-version"] = "default"
    if shape.spot:
        labels["cloud.google.com/gke-spot"] = "true"
    memory = f"{int(shape.memory_gb * 0.9)}Gi"
    amounts = {"cpu": str(shape.vcpus), "memory": memory, "pods": "110"}
    spec = {"providerID": f"gce://project/{zone}/{name}", **({"taints": taints} if taints else {})}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "nodeInfo": _NODE_INFO | {"systemUUID": name},
        },
    }


class ClusterKube:
    """One cluster's Kubernetes."""

    def __init__(
        self,
        clock: GoogleClock,
        durations: Durations,
        is_good: Callable[[str], bool],
        serve: Callable[[ApiServer], Any],
    ) -> None:
        """``serve``: a coroutine that does the kubelets' work until it is cancelled."""
        self._clock = clock
        self._durations = durations
        self.server = ApiServer(clock.now_ns, is_good)
        self.endpoint = self.server.address
        self.ca_pem = certificates().ca_pem
        self.instances: dict[str, Instance] = {}
        """By node."""
        self._task = asyncio.create_task(self._run(serve))

    async def _run(self, serve: Callable[[ApiServer], Any]) -> None:
        await self.server.start(certificates().context)
        try:
            await serve(self.server)
        finally:
            await self.server.stop()

    def node_joined(self, instance: Instance, pool: Pool) -> None:
        """A node is Ready; its GPU follows when the driver is there."""
        self.instances[instance.name] = instance
        document = node_document(instance.name, instance.zone, pool, len(self.instances) > 1)
        self.server.put(RESOURCES["", "nodes"], document)
        if instance.shape.gpu and installs_driver(pool):
            self.install_driver(instance)

    def install_driver(self, instance: Instance) -> None:
        """The GPU is allocatable when the driver's installation is over."""
        count = str(instance.shape.gpus)

        def installed() -> None:
            if self.instances.get(instance.name) is instance:
                amounts = {"capacity": {GPU: count}, "allocatable": {GPU: count}}
                self.server.change("nodes", instance.name, {"status": amounts})

        self._clock.later(self._durations.driver, installed)

    def node_left(self, instance: Instance) -> None:
        """The node vanishes, and its pods with it."""
        if self.instances.pop(instance.name, None) is None:
            return
        for pod in list(self.server.controllers.pods.values()):
            if pod.document["spec"].get("nodeName") == instance.name:
                with contextlib.suppress(Refused, KeyError):
                    pod.gone()
        with contextlib.suppress(Refused):
            self.server.store.remove(RESOURCES["", "nodes"], "", instance.name)

    def close(self) -> None:
        """The control plane is gone."""
        self._task.cancel()

    async def closed(self) -> None:
        """Raises: whatever broke the kubelets' work."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
