"""The targets by name: what each makes of the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from benchmark.validation import sentence_of
from core.errors import JournalError
from core.run.events import RunCreated, RunState, Stage
from core.run.journal import Journal, Run
from core.run.pipeline import Pipeline, StageWork
from core.run.process import Unwind, utc_now
from core.run.processes import PROCESS, ProcessHand
from core.run.teardown import Hand
from core.settings import Settings


def _leave(_state: RunState) -> None:
    return None


@dataclass(frozen=True)
class Target:
    """What a run of some settings consists of."""

    pipeline: Pipeline
    unwind: Unwind = _leave
    unwinds: bool = False
    """Its last stage is a teardown."""

    @property
    def order(self) -> tuple[Stage, ...]:
        """Every stage, the teardown among them."""
        return (*self.pipeline.order, *([Stage.TEARDOWN] if self.unwinds else []))


def resolved(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """Return the settings with nothing left to what is current here and now.

    Raises:
        InputError: they cannot be what they are for this target.
    """
    if settings.target == "kubernetes":
        from core.targets.kubernetes.deployment import resolve

        return resolve(settings, environment)
    return settings


def target_of(settings: Settings, journal: Journal, run_id: str = "") -> Target:
    """Return the target of settings that are resolved; ``run_id`` is known once the run is."""
    if settings.target == "kubernetes":
        from core.targets.kubernetes.stages import kubernetes_stages, unwinding

        deployment, stages = kubernetes_stages(settings, utc_now)
        return Target(Pipeline(stages), unwind=unwinding(deployment, run_id), unwinds=True)
    from core.targets.local import local_stages

    stages_here: tuple[StageWork, ...] = local_stages(journal)
    return Target(Pipeline(stages_here))


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
    return hands
