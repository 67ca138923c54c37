"""The targets by name: what each makes of the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from benchmark.validation import sentence_of
from core.errors import InputError, JournalError
from core.run.events import RunCreated
from core.run.journal import Journal, Run
from core.run.pipeline import Pipeline, StageWork
from core.run.process import Clock, utc_now
from core.run.processes import PROCESS, ProcessHand
from core.run.teardown import Hand
from core.run.view import RunView
from core.settings import Settings
from core.targets.stored import left_of
from core.targets.target import Target

if TYPE_CHECKING:
    from core.targets.gke.deployment import GkeDeployment
    from core.targets.kubernetes.deployment import Deployment


def resolved(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """Return the settings with nothing left to what is current here and now.

    Raises:
        InputError: they cannot be what they are for this target.
    """
    if settings.target == "kubernetes":
        from core.targets.kubernetes.deployment import resolve

        return resolve(settings, environment)
    if settings.target == "gke":
        from core.targets.gke.deployment import resolve as resolve_gke

        return resolve_gke(settings, environment)
    return settings


def target_of(
    settings: Settings, journal: Journal, run_id: str = "", clock: Clock = utc_now
) -> Target:
    """Return the target of settings that are resolved; ``run_id`` is known once the run is."""
    if settings.target == "kubernetes":
        from core.targets.kubernetes.results import let_go
        from core.targets.kubernetes.stages import kubernetes_stages, unwinding

        deployment, stages = kubernetes_stages(settings, clock)
        left = left_of(
            stages,
            journal.events(run_id) if run_id else [],
            lambda context: let_go(deployment, context.run_id),
        )
        return Target(Pipeline(left), unwind=unwinding(deployment, run_id), unwinds=True)
    if settings.target == "gke":
        return _gke_target(settings, journal, run_id, clock)
    from core.targets.local import local_stages

    stages_here: tuple[StageWork, ...] = local_stages(journal)
    return Target(Pipeline(stages_here))


def _gke_target(settings: Settings, journal: Journal, run_id: str, clock: Clock) -> Target:
    from core.targets.gke.stages import deployment_of, gke_target

    if not run_id:
        return gke_target(deployment_of(settings, "", clock, os.environ), {}, [])
    run = journal.run(run_id)
    deployment = _gke_deployment(settings, journal, run, clock)
    return gke_target(deployment, journal.stage_seconds(run), journal.events(run_id))


def _gke_deployment(
    settings: Settings, journal: Journal, run: Run, clock: Clock = utc_now
) -> GkeDeployment:
    from core.targets.gke.stages import deployment_of

    view = RunView.of(journal.events(run.id))
    return deployment_of(settings, run.id, clock, os.environ, created_at=run.created_at, view=view)


def resumable(run: Run) -> bool:
    """Return whether what a killed run had begun is where another process finds it."""
    return run.target in ("kubernetes", "gke")


@dataclass(frozen=True)
class Workplace:
    """Where a run's Job is. An async context manager: it closes what its cluster was found with."""

    deployment: Deployment
    holder: AbstractAsyncContextManager[Any] = field(default_factory=nullcontext)

    async def __aenter__(self) -> Deployment:
        await self.holder.__aenter__()
        return self.deployment

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.holder.__aexit__(kind, error, trace)


def workplace_of(journal: Journal, run: Run) -> Workplace:
    """Return where a run's Job is, to look at it or to fetch from it.

    Raises:
        InputError: the run has nothing on a cluster.
        JournalError: its settings are of another version.
        KubeconfigError: the cluster's address cannot be found.
    """
    from core.targets.kubernetes.deployment import Deployment, access_of

    settings = settings_of_run(journal, run)
    if run.target == "kubernetes":
        return Workplace(Deployment(settings, access_of(settings, os.environ)))
    if run.target == "gke":
        deployment = _gke_deployment(settings, journal, run)
        return Workplace(deployment.kube, deployment)
    raise InputError(
        f"Run {run.id} is one of target {run.target}: no cluster knows of it.",
        "show, logs and machine tell about it; its results are in its folder.",
    )


def settings_of_run(journal: Journal, run: Run) -> Settings:
    """Return the settings with which a run was created; of runs from before they were stored, or
    that were killed before they could be, what is known of them.

    Raises:
        JournalError: another version of this program stored them, and this one cannot read them.
    """
    first = next((event.record for _line, event in journal.stream(run.id, most=1)), None)
    stored = first.settings if isinstance(first, RunCreated) else {}
    known = {name: value for name, value in stored.items() if name in Settings.model_fields}
    try:
        return Settings.model_validate({"target": run.target, "leg": run.leg, **known})
    except ValidationError as error:
        raise JournalError(
            f"The settings of run {run.id} are of another version: {sentence_of(error)}.",
            "Use the version of gpubench-tui that started the run.",
        ) from error


def hands_of(journal: Journal, run: Run) -> Mapping[str, Hand]:
    """Return the hands that this version has for a run's resources, by kind."""
    hands: dict[str, Hand] = {PROCESS: ProcessHand(run.id)}
    if run.target == "kubernetes":
        from core.targets.kubernetes.deployment import access_of
        from core.targets.kubernetes.stages import kubernetes_hands

        access = access_of(settings_of_run(journal, run), os.environ)
        hands.update(kubernetes_hands(access, run.id))
    if run.target == "gke":
        from core.targets.gke.hands import hands_of as gke_hands

        settings = settings_of_run(journal, run)
        hands.update(gke_hands(_gke_deployment(settings, journal, run)))
    return hands
