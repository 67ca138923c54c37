"""The stages of the ``gke`` target, what watches over them, and what undoes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from core.run.events import Event, RunState, Stage
from core.run.pipeline import Pipeline
from core.run.process import Clock, Unwind
from core.run.teardown import Hand
from core.run.view import RunView
from core.settings import Settings
from core.targets.gke.cluster import Cluster
from core.targets.gke.creating import CLUSTER, POOL
from core.targets.gke.deployment import GkeDeployment, access_of, parse_place
from core.targets.gke.drivers import Drivers
from core.targets.gke.forecasting import Prospect
from core.targets.gke.hands import hands_of
from core.targets.gke.image import Image, Shipping, local_engine
from core.targets.gke.keeping import Kept
from core.targets.gke.preflight import Preflight
from core.targets.gke.results import Results, let_go
from core.targets.gke.watching import CostWatch
from core.targets.kubernetes.job import Job
from core.targets.stored import left_of
from core.targets.target import Target


def deployment_of(
    settings: Settings,
    run_id: str,
    clock: Clock,
    environment: Mapping[str, str],
    *,
    created_at: datetime | None = None,
    view: RunView | None = None,
) -> GkeDeployment:
    """Return a run's deployment, pointing where the run is by its ``view``.

    Raises:
        InputError: an endpoint's variable is wrong.
    """
    deployment = GkeDeployment(
        settings, run_id, clock, access_of(settings, environment), created_at=created_at
    )
    for resource in view.resources.values() if view is not None else ():
        intended = resource.intended
        if not resource.exists or intended.kind not in (CLUSTER, POOL):
            continue
        _project, location = parse_place(intended.location)
        zone = location
        if intended.kind == POOL:
            zone = f"{location.rpartition('-')[0]}-{intended.name[-1]}"
        deployment.use(location, zone)
    return deployment


def gke_target(
    deployment: GkeDeployment,
    history: Mapping[Stage, list[float]],
    before: Sequence[Event],
    *,
    shipping: Shipping = local_engine,
) -> Target:
    """Return what the run consists of: the image is built while the cluster is created, GPU nodes
    are asked for only when both are there, and what it costs is watched until all is gone.

    ``history`` holds what stages took in earlier runs, ``before`` what this run did in a process
    that was killed.
    """
    prospect = Prospect(deployment, history)
    stages = (
        Preflight(prospect),
        Cluster(deployment),
        Image(deployment, deployment.settings.state_dir, shipping=shipping),
        Kept(Drivers(deployment), deployment),
        Kept(Job(deployment.kube, deployment.clock), deployment),
        Kept(Results(deployment), deployment),
    )
    return Target(
        Pipeline(left_of(stages, before, lambda context: let_go(deployment, context))),
        unwind=unwinding(deployment),
        watch=CostWatch(prospect, before),
        unwinds=True,
    )


def unwinding(deployment: GkeDeployment) -> Unwind:
    """Return what decides, at the run's end, whether what it created goes."""

    def unwind(state: RunState) -> Mapping[str, Hand] | None:
        keep = deployment.settings.keep
        wanted = keep == "everything" or (keep == "failed" and state is RunState.FAILED)
        if wanted and state is not RunState.INTERRUPTED and not deployment.must_end:
            return None
        return hands_of(deployment)

    return unwind
