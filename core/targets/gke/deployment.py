"""One run's part of a Google Cloud project, as its settings say: names, labels, places, limits."""

from __future__ import annotations

import configparser
import getpass
import hashlib
import json
import os
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from core.errors import SettingsError
from core.gcp.access import GoogleAccess, endpoints_of
from core.gcp.artifacts import ImagePlace
from core.gcp.connection import Google
from core.gcp.specs import (
    EXPIRES_LABEL,
    OWNER_LABEL,
    RUN_LABEL,
    ClusterSpec,
    PoolSpec,
    label_value,
)
from core.kube.cluster import Access, Cluster
from core.kube.objects import object_name
from core.money.table import region_of
from core.run.process import Clock
from core.settings import Settings
from core.targets.kubernetes.deployment import Deployment, placement_of

if TYPE_CHECKING:
    from core.gcp.clusters import Endpoint

NAMESPACE = "default"
POOL_LABEL = "cloud.google.com/gke-nodepool"
_SYSTEM_POOL = "system"
_SYSTEM_DISK_GB = 30
# Beyond the run's own deadline: what its teardown may take before anybody else may come.
_EXPIRES_AFTER = timedelta(minutes=30)
_REPOSITORY = "gpubench-tui"


@dataclass(frozen=True, slots=True)
class Rates:
    """What things cost while they stand, in dollars an hour; 0 where that is not known."""

    cluster: float = 0.0
    """With its system node."""
    pool: float = 0.0
    """With one GPU node."""


@dataclass
class GkeDeployment:
    """What the stages of a run share: what one learns, the next one uses.

    An async context manager: it closes the connection that :meth:`google` opened.
    """

    settings: Settings
    run_id: str
    clock: Clock
    access: GoogleAccess
    open_google: Callable[[GoogleAccess], Google] = Google
    created_at: datetime | None = None
    """Of the run; its deadline counts from here."""
    kube: Deployment = field(init=False)
    """The Kubernetes half."""
    rates: Rates = field(default_factory=Rates)
    """Known once preflight has asked for prices."""
    zones: tuple[str, ...] = ()
    """Where GPUs may be asked for, in order; preflight finds them."""
    location: str = ""
    """The cluster's zone, once there is one."""
    gpu_zone: str = ""
    """Where GPU nodes are asked for just now."""
    owns_cluster: bool = True
    """False: it was there before, and stays."""
    must_end: bool = False
    """Budget or deadline: nothing is kept."""
    _google: Google | None = None
    _endpoint: Endpoint | None = None

    def __post_init__(self) -> None:
        self.kube = Deployment(self.settings, self._kube_access(), self._connect)
        self.use(self.settings.zone, self.settings.zone)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._google is not None:
            await self._google.__aexit__(kind, error, trace)
            self._google = None

    @property
    def project(self) -> str:
        """The project that everything happens in."""
        return self.access.project

    @property
    def cluster(self) -> str:
        """The cluster's name."""
        return cluster_name(self.settings)

    @property
    def pool(self) -> str:
        """Name of the pool that GPUs are asked for in just now; unique to the run and the zone."""
        run = hashlib.sha256(self.run_id.encode()).hexdigest()[:12]
        return f"gpu-{run}-{self.gpu_zone[-1:]}".lower()

    @property
    def region(self) -> str:
        """The region of the place that is tried just now."""
        return region_of(self.location)

    @property
    def place(self) -> str:
        """The cluster's place, as the journal has it."""
        return place_of(self.project, self.location)

    @property
    def deadline(self) -> datetime:
        """When everything must be gone."""
        began = self.created_at or self.clock()
        return began + timedelta(minutes=self.settings.deadline_minutes)

    @property
    def image_repository(self) -> str:
        """Where the image is built into, or found: ``REGISTRY/REPOSITORY``."""
        return self.settings.image or default_image(self.project, self.settings.zone)

    def google(self) -> Google:
        """Return the connection that the run's stages share."""
        if self._google is None:
            self._google = self.open_google(self.access)
        return self._google

    def use(self, location: str, gpu_zone: str) -> None:
        """Have everything from here on mean a cluster at ``location`` and GPUs in ``gpu_zone``."""
        if location != self.location:
            self._endpoint = None
            # What was found of another's is not there.
            self.owns_cluster = True
        self.location, self.gpu_zone = location, gpu_zone
        self.kube.access = self._kube_access()
        own = f"{POOL_LABEL}={self.pool}"
        selector = ",".join(filter(None, [self.settings.node_selector, own]))
        self.kube.settings = self.settings.model_copy(
            update={"node_selector": selector, "image": self.image_repository}
        )

    def labels(self) -> dict[str, str]:
        """Return the labels of everything that the run creates at Google."""
        expires = int((self.deadline + _EXPIRES_AFTER).timestamp())
        return {
            RUN_LABEL: label_value(self.run_id),
            EXPIRES_LABEL: str(expires),
            OWNER_LABEL: owner(),
        }

    def pool_spec(self, nodes: int = 0) -> PoolSpec:
        """Return the pool of GPU nodes, empty at first: nodes cost from their creation on."""
        settings = self.settings
        left = (self.deadline + _EXPIRES_AFTER - self.clock()).total_seconds()
        return PoolSpec(
            name=self.pool,
            machine=settings.machine,
            nodes=nodes,
            zones=(self.gpu_zone,),
            most_nodes=settings.most_nodes,
            gpu=settings.gpu,
            gpus=settings.gpus,
            driver=settings.driver,
            spot=settings.spot,
            disk_gb=settings.disk_gb,
            longest_s=max(600, round(left)),
            service_account=settings.node_account or "",
            labels=self.labels(),
        )

    def cluster_spec(self) -> ClusterSpec:
        """Return the cluster with its small pool for the system's own pods."""
        settings = self.settings
        system = PoolSpec(
            name=_SYSTEM_POOL,
            machine=settings.system_machine,
            nodes=1,
            zones=(self.location,),
            disk_gb=_SYSTEM_DISK_GB,
            disk_type="pd-standard",
            service_account=settings.node_account or "",
            labels=self.labels(),
        )
        return ClusterSpec(
            name=self.cluster,
            location=self.location,
            pool=system,
            labels=self.labels(),
            more_pools=(self.pool_spec(),),
            release_channel=settings.release_channel,
            network=settings.network or "",
            subnetwork=settings.subnetwork or "",
        )

    def _kube_access(self) -> Access:
        # The name that gcloud gives the context of the same cluster.
        context = f"gke_{self.project}_{self.location}_{self.cluster}"
        return Access("", context, self.settings.namespace or NAMESPACE)

    def _connect(self, access: Access) -> Cluster:
        return Cluster(access, login=self._log_in)

    async def _log_in(self, configuration: Any) -> None:
        from core.gcp.clusters import Clusters, endpoint_of
        from core.gcp.kube_login import login_for
        from core.kube.errors import KubeconfigError

        google = self.google()
        if self._endpoint is None:
            found = await Clusters(google).get(self.location, self.cluster)
            if found is None:
                raise KubeconfigError(
                    f"There is no cluster {self.cluster} in {self.place}.",
                    "gpubench-tui --no-ui run --target gke creates one.",
                )
            self._endpoint = endpoint_of(found, dns=self.settings.endpoint == "dns")
        await login_for(google, self._endpoint)(configuration)


def cluster_name(settings: Settings) -> str:
    """Return the cluster's name of a run with these settings: at most 40 characters."""
    name = object_name(settings.cluster_name, *filter(None, [settings.name_suffix]))
    if len(name) <= 40:
        return name
    return f"{name[:31].strip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def place_of(project: str, location: str) -> str:
    """Return a place as the journal has it; :func:`parse_place` reads it."""
    return f"{project}/{location}"


def parse_place(place: str) -> tuple[str, str]:
    """Return project and zone, region or whatever else of a place."""
    project, _, location = place.partition("/")
    return project, location


def default_image(project: str, zone: str) -> str:
    """Return where the image goes when nobody says so: Artifact Registry, beside the cluster."""
    return ImagePlace(region_of(zone), project, _REPOSITORY, "benchmark").name


def owner() -> str:
    """Return who runs this, as a label's value: user and host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    text = re.sub(r"[^a-z0-9_-]+", "-", f"{user}-{platform.node()}".lower())
    return text.strip("-_")[:63] or "unknown"


def access_of(settings: Settings, environment: Mapping[str, str]) -> GoogleAccess:
    """Return the access of settings that are resolved.

    Raises:
        InputError: an endpoint's variable is wrong.
    """
    return GoogleAccess(
        project=settings.project or "",
        credentials_file=settings.credentials or "",
        impersonate=settings.impersonate or "",
        endpoints=endpoints_of(environment),
    )


def resolve(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """Return the settings with project and credentials made explicit, checked as far as it can be
    without asking Google.

    Raises:
        SettingsError: no project, or a machine that cannot have such GPUs.
        InputError: an endpoint's variable is wrong.
    """
    from core.gcp.offers import misfit

    placement_of(settings)
    endpoints_of(environment)
    if settings.gpus < 1:
        raise SettingsError("Target gke needs a GPU, and --gpus is 0.", "Leave --gpus out.")
    if objection := misfit(settings.machine, settings.gpu, settings.gpus, spot=settings.spot):
        raise SettingsError(objection.sentence, objection.remedy)
    if settings.driver == "disabled" and settings.install_drivers is None:
        raise SettingsError(
            "With --driver disabled nobody installs the NVIDIA driver.",
            "Add --install-drivers gke-cos, or leave --driver out.",
        )
    credentials = settings.credentials or environment.get("GOOGLE_APPLICATION_CREDENTIALS")
    if credentials:
        credentials = str(Path(os.path.expanduser(credentials)).absolute())
    project = settings.project or _project_of(credentials, environment)
    if not project:
        raise SettingsError(
            "Target gke needs a Google Cloud project, and none is known.",
            "Add --project PROJECT (gcloud projects list shows yours).",
        )
    return settings.model_copy(update={"project": project, "credentials": credentials})


def _project_of(credentials: str | None, environment: Mapping[str, str]) -> str:
    """Find the project where gcloud and Google's libraries look for it."""
    for name in ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"):
        if value := environment.get(name):
            return value
    if credentials:
        try:
            document = json.loads(Path(credentials).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            document = {}
        known = document.get("project_id") if isinstance(document, dict) else None
        if isinstance(known, str):
            return known
    home = environment.get("HOME") or "~"
    folder = environment.get("CLOUDSDK_CONFIG") or os.path.join(home, ".config", "gcloud")
    active = environment.get("CLOUDSDK_ACTIVE_CONFIG_NAME") or "default"
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(os.path.join(folder, "configurations", f"config_{active}"), encoding="utf-8")
        return parser.get("core", "project", fallback="")
    except (configparser.Error, UnicodeDecodeError):
        return ""
