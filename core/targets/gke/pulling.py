"""Has the new GPU node pull the image while it installs its driver: both take minutes, and the node
is billed meanwhile.
"""

from __future__ import annotations

import shlex

from core.errors import ProblemError
from core.kube.objects import RUN_ANNOTATION, object_name
from core.kube.pulling import pull, pull_pod
from core.run.events import PartChanged, ResourceDeleted, ResourceIntended
from core.run.pipeline import StageContext
from core.run.view import ResourceView
from core.targets.gke.deployment import GkeDeployment
from core.targets.kubernetes.hands import POD, WorkloadHand


async def pull_early(deployment: GkeDeployment, context: StageContext) -> None:
    """Return when the image is on the node. What prevents it is only noted: the pods that follow
    pull it as well.
    """
    kube = deployment.kube
    name = object_name(kube.job_name, "pull")
    intended = ResourceIntended(
        kind=POD,
        name=name,
        location=kube.location,
        delete_command=shlex.join(kube.kubectl("delete", "pod", name)),
    )
    context.emit(intended)
    pod = pull_pod(
        name,
        kube.access.namespace,
        kube.image,
        labels=kube.labels(context.run_id, context.leg, context.plan, deployment.clock()),
        annotations={RUN_ANNOTATION: context.run_id},
        placement=kube.placement,
        deadline_s=kube.start_s,
    )
    try:
        async with kube.connect(kube.access) as cluster:
            pulled = await pull(cluster, pod)
        proof = await WorkloadHand(kube.access, context.run_id, kube.connect).gone(
            ResourceView(intended)
        )
    except ProblemError as problem:
        context.log("drivers", f"the image is not pulled ahead: {problem.sentence}")
        return
    if proof is not None:
        context.emit(ResourceDeleted(kind=POD, name=name, proof=proof))
    if pulled:
        context.emit(
            PartChanged(kind=POD, name=name, state="gone", detail="the image is on the node")
        )
