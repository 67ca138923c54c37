"""Preflight: what the run needs of the cluster and of this machine, before anything is created."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import StageError
from core.kube.cluster import Cluster
from core.kube.driver_manifests import namespace_of
from core.kube.errors import DeniedError, NotFoundError
from core.kube.objects import OWNER, OWNER_LABEL, RUN_ANNOTATION, RUN_LABEL, label_value
from core.kube.permissions import SYSTEM_NAMESPACE, missing_permissions
from core.kube.reading import name_of, words
from core.run.events import Stage, StageChecked
from core.run.pipeline import StageContext
from core.settings import published_as
from core.targets.kubernetes.deployment import Deployment
from core.targets.local import check_disk, check_latest
from core.text import harmless

_CHECK_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Preflight:
    """Looks at cluster, permissions, names and inputs."""

    deployment: Deployment
    stage: Stage = Stage.PREFLIGHT
    needs: frozenset[Stage] = frozenset()

    async def run(self, context: StageContext) -> str:
        """Emit one check a condition.

        Raises:
            StageError: a required one is not met; nothing was created.
            ManifestError, ManifestUnreachableError: the drivers' manifest cannot be used.
            ClusterError: the cluster cannot be reached, or refuses the credentials.
        """
        checks: list[StageChecked] = []

        def note(*found: StageChecked) -> None:
            for check in found:
                context.emit(check)
                checks.append(check)

        latest = context.results_dir / published_as(
            context.leg, self.deployment.settings.name_suffix
        )
        note(check_disk(context.folder), check_latest(latest), check_inputs(context))
        async with self.deployment.connect(self.deployment.access) as cluster:
            note(await self._check_server(cluster))
            note(*await self._check_permissions(cluster))
            if all(check.passed or not check.required for check in checks):
                note(await _check_namespace(cluster, cluster.namespace))
                note(*await self._check_manifest(cluster))
                note(await self._check_name(cluster, context.run_id))
        failed = [check for check in checks if check.required and not check.passed]
        if failed:
            raise StageError(
                f"Not ready: {'; '.join(f'{check.name}: {check.detail}' for check in failed)}.",
                " ".join(dict.fromkeys(check.remedy for check in failed if check.remedy)),
                exit_code=2,
            )
        warned = [check.detail for check in checks if not check.passed]
        return "; ".join(warned) if warned else f"{len(checks)} checks passed"

    async def _check_server(self, cluster: Cluster) -> StageChecked:
        answer = await cluster.request("GET", "/version", patience_s=_CHECK_PATIENCE_S)
        version = harmless(str(answer.get("gitVersion") or "of unknown version"))
        return StageChecked(
            name="cluster",
            passed=True,
            detail=f"Kubernetes {version} at {cluster.server}, context {cluster.access.context}",
        )

    async def _check_permissions(self, cluster: Cluster) -> list[StageChecked]:
        settings = self.deployment.settings
        missing = await missing_permissions(
            cluster, gpus=settings.gpus > 0, install_drivers=settings.install_drivers is not None
        )
        if not missing:
            return [StageChecked(name="permissions", passed=True, detail="all that are needed")]
        return [
            StageChecked(
                name="permission",
                passed=False,
                detail=f"may not {each.sentence}",
                remedy="gpubench-tui --no-ui permissions prints the Role that is needed; ask "
                "whoever runs the cluster to apply it."
                if each.required
                else "",
                required=each.required,
            )
            for each in missing
        ]

    async def _check_manifest(self, cluster: Cluster) -> list[StageChecked]:
        """Read the drivers' manifest, which may be wrong, and look where it leads."""
        found = await self.deployment.driver_daemonsets() if self.deployment.settings.gpus else []
        if not found:
            return []
        names = ", ".join(f"{namespace_of(each)}/{name_of(each)}" for each in found)
        checks = [
            StageChecked(name="driver manifest", passed=True, detail=harmless(f"DaemonSet {names}"))
        ]
        for namespace in dict.fromkeys(map(namespace_of, found)):
            if namespace == SYSTEM_NAMESPACE:
                continue
            checks += [
                await _check_namespace(cluster, namespace),
                StageChecked(
                    name="permission",
                    passed=False,
                    detail=f"the drivers' manifest leads to namespace {harmless(namespace)}; only "
                    f"for {SYSTEM_NAMESPACE} was it asked whether DaemonSets may be created",
                    required=False,
                ),
            ]
        return checks

    async def _check_name(self, cluster: Cluster, run_id: str) -> StageChecked:
        name = self.deployment.job_name
        path = f"/apis/batch/v1/namespaces/{cluster.namespace}/jobs/{name}"
        try:
            job = await cluster.request("GET", path)
        except NotFoundError:
            return StageChecked(name="Job's name", passed=True, detail=f"{name} is free")
        if words(job, "metadata", "labels", RUN_LABEL) == label_value(run_id):
            # Of this very run, whose process was killed.
            return StageChecked(name="Job's name", passed=True, detail=f"{name} is this run's")
        ours = words(job, "metadata", "labels", OWNER_LABEL) == OWNER
        run = harmless(
            words(job, "metadata", "annotations", RUN_ANNOTATION)
            or words(job, "metadata", "labels", RUN_LABEL)
        )
        return StageChecked(
            name="Job's name",
            passed=False,
            detail=f"Job {name} is there already"
            + (f", of run {run}" if ours else ", and none of ours"),
            remedy=f"gpubench-tui --no-ui teardown {run} removes it; --name-suffix makes room "
            "beside it."
            if ours
            else "Use --name-suffix or another namespace.",
        )


async def _check_namespace(cluster: Cluster, name: str) -> StageChecked:
    told = harmless(name)
    try:
        await cluster.request("GET", f"/api/v1/namespaces/{name}")
    except NotFoundError:
        return StageChecked(
            name="namespace",
            passed=False,
            detail=f"there is no namespace {told}",
            remedy=f"Create it (kubectl create namespace {told}) or name another.",
        )
    except DeniedError:
        # Who may only work inside it need not see it from outside.
        return StageChecked(name="namespace", passed=True, detail=f"{told} (may not be looked at)")
    return StageChecked(name="namespace", passed=True, detail=f"{told} is there")


def check_inputs(context: StageContext) -> StageChecked:
    """Return whether the plan needs nothing of this machine, which the pod cannot read."""
    plan = context.plan
    local = [
        f"{what} {value}"
        for what, value, known in (
            ("weights", plan.weights, ("auto", "pretrained", "random")),
            ("dataset", plan.dataset, ("synthetic",)),
        )
        if value not in known
    ]
    return StageChecked(
        name="inputs",
        passed=not local,
        detail=f"on this machine, where the pod cannot read them: {', '.join(local)}"
        if local
        else "weights and samples are made in the pod",
        remedy="Use --weights random or pretrained, and --dataset synthetic." if local else "",
    )
