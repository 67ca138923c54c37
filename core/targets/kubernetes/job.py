"""The job stage: the Job is created, waited for with reasons, heard to its end, and judged."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from dataclasses import dataclass

from core.errors import StageError
from core.kube.cluster import Cluster
from core.kube.errors import ConflictError
from core.kube.finishing import to_its_end
from core.kube.objects import (
    RUN_LABEL,
    job_object,
    label_value,
    run_selector,
    to_json,
    to_yaml,
)
from core.kube.observing import observing
from core.run.events import ResourceCreated, ResourceIntended, Stage
from core.run.pipeline import StageContext
from core.run.process import Clock
from core.targets.kubernetes.attempt import Attempt
from core.targets.kubernetes.deployment import Deployment
from core.targets.kubernetes.hands import JOB

MANIFEST_FILE = "job.yaml"
_CREATE_PATIENCE_S = 20.0


@dataclass
class Job:
    """Runs the benchmark as a Job."""

    deployment: Deployment
    clock: Clock
    stage: Stage = Stage.JOB
    needs: frozenset[Stage] = frozenset({Stage.DRIVERS, Stage.IMAGE})

    async def run(self, context: StageContext) -> str:
        """Create the Job, wait for its pod, pass on what the benchmark says, and conclude.

        Raises:
            StageError: it could not start or failed, with the reason.
            ClusterError: the cluster could not be used.
        """
        async with self.deployment.connect(self.deployment.access) as cluster:
            await self._create(context, cluster)
            selector = run_selector(context.run_id)
            async with observing(cluster, self.deployment.job_name, selector) as observations:
                attempt = Attempt(self.deployment, context, cluster, observations)
                try:
                    await attempt.wait_for_start()
                    return await attempt.hear_to_the_end()
                except asyncio.CancelledError:
                    await attempt.salvage(stopped=True)
                    raise
                except Exception:
                    await attempt.salvage(stopped=False)
                    raise

    async def _create(self, context: StageContext, cluster: Cluster) -> None:
        deployment = self.deployment
        order = deployment.order(
            context.run_id, context.leg, context.plan, deployment.image, self.clock()
        )
        document = to_json(job_object(order))
        with contextlib.suppress(OSError):
            (context.folder / MANIFEST_FILE).write_text(to_yaml(document), encoding="utf-8")
        context.emit(
            ResourceIntended(
                kind=JOB,
                name=order.name,
                location=deployment.location,
                delete_command=shlex.join(deployment.kubectl("delete", "job", order.name)),
            )
        )
        path = f"/apis/batch/v1/namespaces/{order.namespace}/jobs"
        try:
            # Stopped meanwhile, it may still arrive: what removes it must come after it.
            made = await to_its_end(
                cluster.request("POST", path, body=document, patience_s=_CREATE_PATIENCE_S)
            )
        except ConflictError:
            # Our own first try may have arrived although its answer did not.
            made = await cluster.request("GET", f"{path}/{order.name}")
            labels = (made.get("metadata") or {}).get("labels") or {}
            if labels.get(RUN_LABEL) != label_value(context.run_id):
                raise StageError(
                    f"Job {order.name} in namespace {order.namespace} was created by somebody "
                    "else meanwhile.",
                    "Use --name-suffix to stand beside it.",
                ) from None
        identity = str((made.get("metadata") or {}).get("uid") or "")
        context.emit(ResourceCreated(kind=JOB, name=order.name, identity=identity))
