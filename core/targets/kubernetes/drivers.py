"""The drivers stage: a GPU is allocatable, and a container on its node can use it."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from core.errors import StageError
from core.kube.cluster import Cluster
from core.kube.driver_manifests import install, namespace_of
from core.kube.drivers import NodeDriver, Rollout, follow_rollout
from core.kube.errors import ClusterError, DeniedError, NotFoundError
from core.kube.objects import RUN_ANNOTATION, RUN_LABEL, label_value, object_name
from core.kube.reading import name_of, words
from core.kube.reason import Reason
from core.kube.smoke import DriverFound, run_smoke, smoke_pod
from core.run.events import (
    PartChanged,
    ResourceCreated,
    ResourceDeleted,
    ResourceIntended,
    Stage,
    StageChecked,
    StageFinished,
    StageProgressed,
)
from core.run.pipeline import StageContext
from core.run.process import Clock
from core.run.view import ResourceView
from core.targets.kubernetes.deployment import Deployment, location_of
from core.targets.kubernetes.hands import DAEMONSET, POD, WorkloadHand


@dataclass
class Drivers:
    """Follows the rollout of the driver, starts it where that was asked for, and proves it."""

    deployment: Deployment
    clock: Clock
    stage: Stage = Stage.DRIVERS
    needs: frozenset[Stage] = frozenset({Stage.PREFLIGHT})

    async def run(self, context: StageContext) -> str:
        """Wait until a node offers the GPUs, then run nvidia-smi in a pod.

        Raises:
            StageError: no GPU within the deadline; with the likely cause.
            SmokeError: a container cannot use the GPU.
            ClusterError: the cluster could not be used.
        """
        if not self.deployment.placement.gpus:
            return "no GPU is asked for: measured on the node's CPU"
        if known := await self.proved_before(context):
            return known
        async with self.deployment.connect(self.deployment.access) as cluster:
            await self._install(context, cluster)
            told = _Told(context)
            needs_a_node = await self._wait_for_gpu(context, cluster, told)
            # The image is built meanwhile; if that fails the pipeline ends this stage too.
            await self.deployment.image_known.wait()
            async with self._following(cluster, told) if needs_a_node else contextlib.nullcontext():
                found = await self._smoke(context, cluster)
        summary = f"{', '.join(found.gpus)}, driver {found.driver}, CUDA {found.cuda}"
        context.emit(StageChecked(name="nvidia-smi in a pod", passed=True, detail=summary))
        return summary

    async def proved_before(self, context: StageContext) -> str:
        """Return what a process of this run that was killed found out, if the run's Job is there;
        else an empty string. The Job has the GPU: a pod that asks for one again would wait for its
        end, or have an autoscaler add a node for nothing.

        Raises:
            ClusterError: the cluster could not be used.
        """
        proved = [
            event.record.summary
            for event in context.before
            if event.stage is Stage.DRIVERS and isinstance(event.record, StageFinished)
        ]
        if not proved:
            return ""
        deployment = self.deployment
        async with deployment.connect(deployment.access) as cluster:
            path = f"/apis/batch/v1/namespaces/{cluster.namespace}/jobs/{deployment.job_name}"
            try:
                job = await cluster.request("GET", path)
            except NotFoundError:
                return ""
        is_ours = words(job, "metadata", "labels", RUN_LABEL) == label_value(context.run_id)
        return proved[-1] if is_ours else ""

    async def _install(self, context: StageContext, cluster: Cluster) -> None:
        access = self.deployment.access
        # A driver serves longer than the run; its own expiry is the run's all the same.
        labels = self._labels(context)
        for daemonset in await self.deployment.driver_daemonsets():
            namespace, own = namespace_of(daemonset), name_of(daemonset)
            name = f"{namespace}/{own}"
            if await _is_there(cluster, namespace, own):
                context.log("drivers", f"DaemonSet {name} is there already and is used as it is")
                continue
            context.emit(
                ResourceIntended(
                    kind=DAEMONSET,
                    name=name,
                    location=location_of(access, namespace),
                    delete_command=shlex.join(
                        self.deployment.kubectl("delete", "daemonset", own, namespace=namespace)
                    ),
                )
            )
            installed = await install(cluster, daemonset, labels)
            if installed.created:
                context.emit(ResourceCreated(kind=DAEMONSET, name=name, identity=installed.uid))
                continue
            context.emit(
                ResourceDeleted(
                    kind=DAEMONSET,
                    name=name,
                    proof=f"{cluster.server} refused it: somebody else created one meanwhile, "
                    "which is used as it is and stays",
                )
            )

    def _labels(self, context: StageContext) -> dict[str, str]:
        return self.deployment.labels(context.run_id, context.leg, context.plan, self.clock())

    @contextlib.asynccontextmanager
    async def _following(self, cluster: Cluster, told: _Told) -> AsyncIterator[None]:
        """Tell of nodes that an autoscaler adds while the smoke pod waits for one."""

        async def follow() -> None:
            with contextlib.suppress(ClusterError):
                async with contextlib.aclosing(self._rollouts(cluster)) as rollouts:
                    async for rollout in rollouts:
                        told.tell(rollout)

        following = asyncio.create_task(follow())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    def _rollouts(self, cluster: Cluster) -> AsyncGenerator[Rollout, None]:
        placement = self.deployment.placement
        return follow_rollout(cluster, selector=placement.node_selector, needed=placement.gpus)

    async def _wait_for_gpu(self, context: StageContext, cluster: Cluster, told: _Told) -> bool:
        """Return when a node offers the GPUs, or True when only a pod can bring one."""
        minutes = self.deployment.settings.start_minutes
        placement = self.deployment.placement
        try:
            async with asyncio.timeout(minutes * 60):
                async with contextlib.aclosing(self._rollouts(cluster)) as rollouts:
                    async for rollout in rollouts:
                        told.tell(rollout)
                        # An autoscaler adds a node only for a pod: the smoke pod asks for one, and
                        # is told why it waits.
                        if rollout.ready or rollout.needs_a_node:
                            return not rollout.ready
                        if rollout.reason is not None and rollout.reason.hopeless:
                            raise StageError(rollout.reason.sentence, rollout.reason.remedy)
        except DeniedError:
            context.emit(
                StageChecked(
                    name="nodes",
                    passed=False,
                    detail="may not be looked at; the pod itself will show whether there is a GPU",
                    required=False,
                )
            )
        except TimeoutError:
            reason = told.reason
            raise StageError(
                f"No node offers {placement.gpus} GPU(s) after {minutes} minutes. "
                + (reason.sentence if reason else "No node that fits has any."),
                reason.remedy
                if reason
                else "--install-drivers installs the driver; --start-minutes waits longer.",
            ) from None
        return False

    async def _smoke(self, context: StageContext, cluster: Cluster) -> DriverFound:
        placement = self.deployment.placement
        deadline_s = self.deployment.start_s
        name = object_name(self.deployment.job_name, "nvidia-smi")
        pod = smoke_pod(
            name,
            cluster.namespace,
            self.deployment.image,
            labels=self._labels(context),
            placement=placement,
            deadline_s=deadline_s,
            annotations={RUN_ANNOTATION: context.run_id},
        )
        intended = ResourceIntended(
            kind=POD,
            name=name,
            location=self.deployment.location,
            delete_command=shlex.join(self.deployment.kubectl("delete", "pod", name)),
        )
        context.emit(intended)

        def tell(reason: Reason) -> None:
            context.emit(
                PartChanged(
                    kind="pod",
                    name=name,
                    state="waiting",
                    detail=reason.sentence.removeprefix(f"Pod {name} "),
                )
            )

        context.emit(PartChanged(kind="pod", name=name, state="working", detail="runs nvidia-smi"))
        found = await run_smoke(cluster, pod, on_reason=tell, deadline_s=deadline_s)
        hand = WorkloadHand(self.deployment.access, context.run_id, self.deployment.connect)
        if proof := await hand.gone(ResourceView(intended)):
            context.emit(ResourceDeleted(kind=POD, name=name, proof=proof))
            context.emit(PartChanged(kind="pod", name=name, state="gone", detail="done"))
        return found


async def _is_there(cluster: Cluster, namespace: str, name: str) -> bool:
    try:
        await cluster.request("GET", f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}")
    except NotFoundError:
        return False
    return True


class _Told:
    """Says what changed between two looks at the rollout, and nothing twice."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._nodes: dict[str, NodeDriver] = {}
        self.reason: Reason | None = None

    def tell(self, rollout: Rollout) -> None:
        """Emit what is new in it."""
        self.reason = rollout.reason
        for node in rollout.nodes:
            if self._nodes.get(node.node) == node:
                continue
            self._nodes[node.node] = node
            self._context.emit(
                PartChanged(kind="node", name=node.node, state=node.state, detail=node.detail)
            )
        ready = sum(node.state == "ready" for node in rollout.nodes)
        self._context.emit(
            StageProgressed(
                done=ready,
                total=len(rollout.nodes),
                unit="nodes",
                detail=rollout.reason.sentence if rollout.reason else "ready",
            )
        )
