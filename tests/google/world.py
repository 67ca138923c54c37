"""All of Google Cloud that a run needs, on loopback, with a clock and a ledger of its own."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from tests.google.artifacts_api import ArtifactsApi
from tests.google.builds_api import BuildsApi
from tests.google.capacity import Capacity
from tests.google.certificates import bundle
from tests.google.clock import Durations, GoogleClock
from tests.google.clusters import Gke, GkeCluster
from tests.google.compute_api import ComputeApi
from tests.google.container_service import ContainerService
from tests.google.faults import Call, Faults, Gate, Hook
from tests.google.kubelet import Kubelet
from tests.google.kubernetes import ApiServer, ClusterKube
from tests.google.ledger import Ledger
from tests.google.machines import Fleet
from tests.google.projects_api import Project, ProjectsApi
from tests.google.real_cluster import RealCluster, RealKube
from tests.google.relay import Relay
from tests.google.rest import RestServer
from tests.google.storage_api import StorageApi
from tests.google.tokens import Tokens

PROJECT = "stand-in-project"
_REST = (
    *("COMPUTE", "CLOUDBILLING", "ARTIFACTREGISTRY", "CLOUDBUILD", "CLOUDRESOURCEMANAGER"),
    *("SERVICEUSAGE", "STORAGE", "IAM", "IAMCREDENTIALS"),
)


class GoogleWorld:
    """An async context manager; see the parts for what a test can turn."""

    def __init__(
        self,
        *,
        speed: float = 1.0,
        project: str = PROJECT,
        durations: Durations | None = None,
        folder: Path | None = None,
        real: RealCluster | None = None,
    ) -> None:
        """``speed`` 0: time passes only in ``clock.advance``. ``real``: clusters hand this one
        out instead of a stand-in of Kubernetes."""
        self.clock = GoogleClock(speed)
        self.durations = durations or Durations()
        self.project = Project(project)
        account = f"runner@{project}.iam.gserviceaccount.com"
        self.project.accounts.add(account)
        self.project.accounts.add(f"{self.project.number}-compute@developer.gserviceaccount.com")
        self.tokens = Tokens(project, account, static=real.token if real else "")
        self.gate = Gate(self.clock)
        self.ledger = Ledger(self.clock)
        self.capacity = Capacity()
        self.fleet = Fleet(self.clock, self.durations, self.capacity, self.ledger)
        self.gke = Gke(
            *(project, self.clock, self.durations, self.capacity, self.ledger, self.fleet),
            *(self.gate, self._start_kube),
        )
        self.storage = StorageApi(project, self.clock, self.ledger)
        self.artifacts = ArtifactsApi(project, self.clock, self.durations, self.ledger, self.gate)
        self.builds = BuildsApi(
            *(project, self.clock, self.durations, self.gate, self.storage, self.artifacts),
            self._spawn,
        )
        self.compute = ComputeApi(
            *(project, self.clock, self.durations, self.capacity, self.fleet, self.gate)
        )
        self.projects = ProjectsApi(self.project, self.tokens)
        self.folder = folder
        self._own_folder = folder is None
        self._real = real
        self._kubes: list[ClusterKube] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.kubelet_options: dict[str, Any] = {}
        """Given to each cluster's Kubelet."""
        self.grpc_url = ""

    @property
    def calls(self) -> list[Call]:
        """Every call that arrived, in order."""
        return self.gate.calls

    @property
    def faults(self) -> Faults:
        """What the test ordered to go wrong."""
        return self.gate.faults

    @property
    def on_call(self) -> Hook | None:
        """Awaited before and after every call."""
        return self.gate.on_call

    @on_call.setter
    def on_call(self, hook: Hook | None) -> None:
        self.gate.on_call = hook

    @property
    def url(self) -> str:
        """Of the REST APIs."""
        return self.rest.url

    async def __aenter__(self) -> Self:
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="google-stand-in-"))
        apis = (self.projects, self.compute, self.storage, self.artifacts, self.builds)
        routes = [route for api in apis for route in api.routes()]
        self.rest = RestServer(routes, self.gate, self.tokens, self._admit)
        await self.rest.start()
        self._server: Any = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        service = ContainerService(self.gke, self._serve_grpc, lambda peer: self._relay.cut(peer))
        self._server.add_generic_rpc_handlers((service.handler(),))
        self._relay = Relay(self._server.add_insecure_port("127.0.0.1:0"))
        await self._server.start()
        await self._relay.start()
        self.grpc_url = f"http://127.0.0.1:{self._relay.port}"
        self.credentials_file = self.tokens.write_credentials(
            self.folder / "credentials.json", self.rest.token_uri
        )
        another = self._real.ca_pem if self._real else ""
        self.ca_bundle = bundle(self.folder / "ca.pem", another)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clock.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        closed = await asyncio.gather(
            *(kube.closed() for kube in self._kubes), return_exceptions=True
        )
        await self._relay.stop()
        await self._server.stop(None)
        await self.rest.stop()
        if self._own_folder and self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        broken = next((each for each in closed if each is not None), None)
        if broken is not None and error is None:
            raise broken

    def environment(self) -> dict[str, str]:
        """What a process must have in its environment to take this for Google."""
        prefix = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"
        return {
            f"{prefix}CONTAINER": self.grpc_url,
            **{f"{prefix}{name}": self.url for name in _REST},
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.credentials_file),
            "GOOGLE_CLOUD_PROJECT": self.project.name,
            # For clusters' DNS endpoints, which have public certificates at Google's.
            "SSL_CERT_FILE": str(self.ca_bundle),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def kube_of(self, name: str, location: str = "us-central1-a") -> ApiServer:
        """The API server of a cluster that has one."""
        kube = self.gke.find(location, name).kube
        assert isinstance(kube, ClusterKube)
        return kube.server

    def summary(self) -> dict[str, Any]:
        """The ledger as JSON."""
        now = self.clock.now()
        return {
            "now": now,
            "usd": self.ledger.usd(),
            "gpu_seconds": self.ledger.gpu_seconds(),
            "standing": [str(entry) for entry in self.ledger.standing()],
            "apart": [str(entry) for entry in self.ledger.standing(apart=True)],
            "doubles": self.ledger.doubles(),
            "entries": [asdict(entry) for entry in self.ledger.entries],
            "calls": [[each.time, each.name, each.about, each.answer] for each in self.calls],
        }

    def _admit(self, call: str, authorization: str) -> str:
        account = self.tokens.account_of(authorization)
        self.project.admit(call)
        return account

    async def _serve_grpc(
        self, call: str, about: str, request: Any, authorization: str, act: Callable[[], Any]
    ) -> Any:
        return await self.gate.serve(
            *(call, about, request, lambda: self._admit(call, authorization), act)
        )

    def _start_kube(self, cluster: GkeCluster) -> Any:
        if self._real is not None:
            return RealKube(self._real)
        assert self.folder is not None
        options = {"folder": self.folder / cluster.message.id, **self.kubelet_options}

        async def serve(server: ApiServer) -> None:
            await Kubelet(
                server, kube, cluster, self.clock, self.durations, self.fleet, **options
            ).run()

        kube = ClusterKube(self.clock, self.durations, self.tokens.is_good, serve)
        self._kubes.append(kube)
        return kube

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
