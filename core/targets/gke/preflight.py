"""Preflight: what the run needs of Google and of this machine, in seconds, before anything is
created.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.errors import ProblemError, StageError
from core.gcp.artifacts import image_place
from core.gcp.clusters import Clusters, left_out
from core.gcp.errors import ApiDisabledError, BillingDisabledError
from core.gcp.specs import EXPIRES_LABEL, KEEP_LABEL, OWNER_LABEL, RUN_LABEL
from core.image.engine import open_engine
from core.image.errors import CredentialsError, EngineError
from core.image.reference import parse_reference
from core.run.events import RunStarted, Stage, StageChecked
from core.run.pipeline import StageContext
from core.settings import published_as
from core.targets.gke.allowing import (
    Means,
    check_apis,
    check_billing,
    check_cloud_build,
    check_credentials,
    check_node_account,
    check_permissions,
    check_project,
    check_repository,
    unasked,
)
from core.targets.gke.creating import why_not_reused
from core.targets.gke.deployment import GkeDeployment, owner
from core.targets.gke.forecasting import Outlook, Prospect
from core.targets.gke.placing import check_places, check_quotas
from core.targets.gke.watching import EVERY_S
from core.targets.kubernetes.preflight import check_inputs
from core.targets.local import check_disk, check_latest
from core.text import duration, harmless

if TYPE_CHECKING:
    from google.cloud import container_v1

_ENGINE_S = 10.0

Question = Coroutine[Any, Any, list[StageChecked]]


@dataclass
class Preflight:
    """Looks at project, account, place, prices, limits and inputs; learns the zones that may be
    tried and what the run will cost.
    """

    prospect: Prospect
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    """Where the container engine is found."""
    stage: Stage = Stage.PREFLIGHT
    needs: frozenset[Stage] = frozenset()
    _is_ours: bool = False
    """The run's own cluster is there: a process before this one was killed."""

    @property
    def deployment(self) -> GkeDeployment:
        """The run's part of Google Cloud."""
        return self.prospect.deployment

    async def run(self, context: StageContext) -> str:
        """Emit one check a condition, and the plan.

        Raises:
            StageError: a required condition is not met; nothing was created.
        """
        checks: list[StageChecked] = []

        def note(*found: StageChecked) -> None:
            for check in found:
                context.emit(check)
                checks.append(check)

        settings = self.deployment.settings
        latest = context.results_dir / published_as(context.leg, settings.name_suffix)
        note(check_disk(context.folder), check_latest(latest), check_inputs(context))
        note(await check_credentials(self.deployment))
        if checks[-1].passed:
            found, number = await check_project(self.deployment)
            note(found)
            if found.passed or not found.required:
                note(*await self._ask(number))
                outlook = await self._look_ahead(context)
                note(*self._check_limits(outlook, resumed=_is_resumed(context)))
        _raise_unless_ready(checks)
        context.emit(outlook.record(self.deployment.settings.budget, self._deadline_s()))
        warned = [check.detail for check in checks if not check.passed]
        return "; ".join(warned) if warned else f"{len(checks)} checks passed"

    async def _ask(self, number: str) -> list[StageChecked]:
        """Ask everything that does not depend on another answer side by side."""
        deployment = self.deployment
        means, engine = await self._means()
        questions: list[tuple[str, Question]] = [
            ("billing", check_billing(deployment)),
            ("APIs", check_apis(deployment, means)),
            ("permissions", check_permissions(deployment, means)),
            ("clusters", self._check_clusters()),
            ("zone", check_places(deployment)),
        ]
        if means.registry is not None:
            questions.append(("repository", check_repository(deployment, means.registry)))
        if means.in_cloud:
            questions.append(("Cloud Build", check_cloud_build(deployment, number)))
        if deployment.settings.node_account:
            questions.append(("node account", check_node_account(deployment)))
        _prices, answers = await asyncio.gather(
            self.prospect.book.prices(),
            asyncio.gather(*(_answer(name, question) for name, question in questions)),
        )
        quotas = check_quotas(deployment, self.prospect.book, fresh=not self._is_ours)
        answers.append(await _answer("quotas", quotas))
        checks = [engine, *(check for found, _problem in answers for check in found)]
        # What is off is said once, with its remedy, and not by everything that needs it.
        said = {check.name for check in checks if not check.passed}
        for found, problem in answers:
            told = (isinstance(problem, ApiDisabledError) and "API" in said) or (
                isinstance(problem, BillingDisabledError) and "billing" in said
            )
            if told:
                checks = [check for check in checks if check not in found]
        return checks

    async def _means(self) -> tuple[Means, StageChecked]:
        """Return how the image comes about, with the check of the container engine."""
        image = self.deployment.image_repository
        registry = image_place(image)
        name = "container engine"
        if parse_reference(image).is_pinned:
            detail = "not needed: the image was named with its tag or digest"
            return Means(False, registry), StageChecked(name=name, passed=True, detail=detail)
        try:
            async with open_engine(self.environment, timeout_s=_ENGINE_S) as engine:
                detail = f"answers at {harmless(engine.address)}"
                return Means(False, registry), StageChecked(name=name, passed=True, detail=detail)
        except (EngineError, CredentialsError) as problem:
            detail = problem.sentence.rstrip(".")
            if registry is not None and isinstance(problem, EngineError):
                check = StageChecked(
                    name=name,
                    passed=False,
                    detail=f"{detail}: Cloud Build builds the image",
                    required=False,
                )
                return Means(True, registry), check
            remedy = (
                f"{problem.remedy} Or name an image that is there, with its tag or digest: Cloud "
                "Build pushes to Artifact Registry only."
            )
            check = StageChecked(name=name, passed=False, detail=detail, remedy=remedy)
            return Means(False, registry), check

    async def _check_clusters(self) -> list[StageChecked]:
        """Look whether the cluster's name is free or may be shared, and what else stands of us."""
        deployment = self.deployment
        clusters = Clusters(deployment.google())
        found, ours = await asyncio.gather(
            clusters.get(deployment.location, deployment.cluster),
            clusters.listed({RUN_LABEL: None}),
        )
        if deployment.location in ours.missing:
            raise left_out(ours.missing, "clusters")
        labels = deployment.labels()
        checks = [
            StageChecked(
                name="labels",
                passed=True,
                detail=f"{RUN_LABEL}={labels[RUN_LABEL]}, {OWNER_LABEL}={labels[OWNER_LABEL]}",
            ),
            self._check_name(found),
        ]
        if ours.missing:
            checks.append(unasked("other clusters", left_out(ours.missing, "clusters")))
        own = labels[RUN_LABEL]
        others = [each for each in ours.clusters if each.resource_labels[RUN_LABEL] != own]
        return [*checks, *(self._told(each) for each in others if self._matters(each))]

    def _check_name(self, found: container_v1.Cluster | None) -> StageChecked:
        deployment = self.deployment
        name = "cluster's name"
        where = f"{deployment.cluster} in {deployment.location}"
        if found is None:
            return StageChecked(name=name, passed=True, detail=f"{where} is free")
        if found.resource_labels.get(RUN_LABEL) == deployment.labels()[RUN_LABEL]:
            self._is_ours = True
            return StageChecked(name=name, passed=True, detail=f"{where} is this run's own")
        now = deployment.clock().timestamp()
        if objection := why_not_reused(found, deployment.settings.reuse, now):
            sentence, remedy = objection
            return StageChecked(name=name, passed=False, detail=sentence.rstrip("."), remedy=remedy)
        deployment.owns_cluster = False
        return StageChecked(
            name=name, passed=True, detail=f"{where} is there already and is used; it stays"
        )

    def _matters(self, cluster: container_v1.Cluster) -> bool:
        labels = cluster.resource_labels
        return labels.get(OWNER_LABEL) == owner() and (
            labels.get(KEEP_LABEL) == "yes" or self._is_overdue(cluster)
        )

    def _told(self, cluster: container_v1.Cluster) -> StageChecked:
        where = f"{harmless(cluster.name)} in {harmless(cluster.location)}"
        run = harmless(cluster.resource_labels[RUN_LABEL])
        if self._is_overdue(cluster):
            return StageChecked(
                name="overdue cluster",
                passed=False,
                detail=f"{where} of run {run} is overdue and costs money",
                remedy=f"gpubench-tui --no-ui sweep --project {self.deployment.project} "
                "--yes removes it.",
                required=False,
            )
        return StageChecked(
            name="kept cluster",
            passed=True,
            detail=f"{where} was kept by run {run} and costs money",
            # Wherever its journal is.
            remedy=f"gpubench-tui --no-ui sweep --project {self.deployment.project} --run {run} "
            "--yes removes it.",
        )

    def _is_overdue(self, cluster: container_v1.Cluster) -> bool:
        expires = cluster.resource_labels.get(EXPIRES_LABEL, "")
        return expires.isdigit() and int(expires) < self.deployment.clock().timestamp()

    async def _look_ahead(self, context: StageContext) -> Outlook:
        deployment = self.deployment
        outlook = await self.prospect.look_ahead(context.plan, owns_cluster=deployment.owns_cluster)
        deployment.rates = outlook.prices.rates()
        return outlook

    def _check_limits(self, outlook: Outlook, *, resumed: bool) -> list[StageChecked]:
        """Look whether the run, with its teardown, fits into its budget and its deadline. One that
        was begun before is not refused: the watch over its costs ends it in time.
        """
        deployment = self.deployment
        budget = deployment.settings.budget
        needed = outlook.needed_usd(EVERY_S)
        unknown = ", ".join(outlook.unknown)
        seconds = outlook.forecast.seconds
        prices = StageChecked(
            name="prices", passed=not unknown, detail=outlook.source, required=False
        )
        if needed is None or outlook.forecast.usd is None:
            money = StageChecked(
                name="budget",
                passed=False,
                detail=f"no price is known of: {unknown}; the budget is not watched over for it, "
                f"only the deadline of {duration(self._deadline_s())}",
                remedy="See that the Cloud Billing Catalog can be read (--prices live).",
                required=False,
            )
        else:
            money = StageChecked(
                name="budget",
                passed=needed <= budget,
                detail=f"${outlook.forecast.usd:.2f} expected; ${needed:.2f} with what is held "
                f"back for the teardown, of ${budget:.2f}",
                remedy=""
                if needed <= budget
                else f"--budget {_cents_up(needed)} is enough by what is expected.",
                required=not resumed,
            )
        left = (deployment.deadline - deployment.clock()).total_seconds()
        needed_s = outlook.needed_s(EVERY_S)
        time = StageChecked(
            name="deadline",
            passed=needed_s <= left,
            detail=f"{duration(seconds)} expected; {duration(needed_s)} with what is held back for "
            f"the teardown, of {duration(max(0.0, left))}",
            remedy=""
            if needed_s <= left
            else f"--deadline-minutes {int(needed_s // 60) + 1} is enough by what is expected.",
            required=not resumed,
        )
        return [prices, money, time]

    def _deadline_s(self) -> float:
        return self.deployment.settings.deadline_minutes * 60.0


def _is_resumed(context: StageContext) -> bool:
    return any(isinstance(event.record, RunStarted) for event in context.before)


async def _answer(name: str, question: Question) -> tuple[list[StageChecked], ProblemError | None]:
    """Return what a question found; one that failed must not hide the others."""
    try:
        return await question, None
    except ProblemError as problem:
        check = StageChecked(
            name=name,
            passed=False,
            detail=problem.sentence.rstrip("."),
            remedy=problem.remedy,
        )
        return [check], problem


def _raise_unless_ready(checks: list[StageChecked]) -> None:
    failed = [check for check in checks if check.required and not check.passed]
    if failed:
        raise StageError(
            f"Not ready: {'; '.join(f'{check.name}: {check.detail}' for check in failed)}.",
            " ".join(dict.fromkeys(check.remedy for check in failed if check.remedy)),
            exit_code=2,
        )


def _cents_up(usd: float) -> str:
    return f"{int(usd * 100) / 100 + 0.01:.2f}"
