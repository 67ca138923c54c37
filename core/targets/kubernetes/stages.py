"""The stages of the ``kubernetes`` target, and the hands that undo them."""

from __future__ import annotations

import os

from core.image.credentials import CredentialSource
from core.kube.cluster import Access
from core.run.events import RunState
from core.run.pipeline import StageWork
from core.run.process import Clock, Unwind
from core.run.teardown import Hand
from core.settings import Settings
from core.targets.kubernetes.deployment import Deployment, access_of
from core.targets.kubernetes.drivers import Drivers
from core.targets.kubernetes.hands import DAEMONSET, JOB, POD, DaemonSetHand, WorkloadHand
from core.targets.kubernetes.image import Image
from core.targets.kubernetes.job import Job
from core.targets.kubernetes.preflight import Preflight
from core.targets.kubernetes.results import Results


def kubernetes_stages(settings: Settings, clock: Clock) -> tuple[Deployment, tuple[StageWork, ...]]:
    """Return a run's deployment and its stages, which share it."""
    deployment = Deployment(settings, access_of(settings, os.environ))
    return deployment, (
        Preflight(deployment),
        Image(deployment, settings.state_dir, CredentialSource()),
        Drivers(deployment, clock),
        Job(deployment, clock),
        Results(deployment, clock),
    )


def kubernetes_hands(access: Access, run_id: str) -> dict[str, Hand]:
    """Return the hands by kind of resource."""
    workloads = WorkloadHand(access, run_id)
    return {JOB: workloads, POD: workloads, DAEMONSET: DaemonSetHand(access, run_id)}


def unwinding(deployment: Deployment, run_id: str) -> Unwind:
    """Return what decides, at the run's end, whether what it created goes."""

    def unwind(state: RunState) -> dict[str, Hand] | None:
        keep = deployment.settings.keep
        by_itself = state is not RunState.INTERRUPTED
        wanted = keep == "everything" or (keep == "failed" and state is RunState.FAILED)
        if (by_itself and wanted) or deployment.holding:
            return None
        return kubernetes_hands(deployment.access, run_id)

    return unwind
