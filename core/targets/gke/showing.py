"""What a run on GKE would do, before there is one: the commands that do the same, and the Job."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from core.gcp import gcloud
from core.gcp.access import GoogleAccess
from core.gcp.artifacts import image_place
from core.gcp.specs import RUN_LABEL
from core.kube.objects import job_object, to_json, to_yaml
from core.run.process import utc_now
from core.targets.gke.deployment import GkeDeployment

if TYPE_CHECKING:
    from benchmark.plan import Plan
    from core.settings import Settings

_RUN = "the-run-to-be"
_MANIFEST = "job.yaml"


def deployment_to_be(settings: Settings) -> GkeDeployment:
    """Return the deployment of a run with these settings, which are resolved. Nobody is asked."""
    return GkeDeployment(settings, _RUN, utc_now, GoogleAccess(settings.project or ""))


def commands(settings: Settings) -> list[tuple[str, str]]:
    """Return what to type for each step: (what it does, command). The run itself needs none of
    these programs. Settings are resolved.
    """
    deployment = deployment_to_be(settings)
    project, location, name = deployment.project, deployment.location, deployment.cluster
    where = (project, location, name)
    spec = replace(deployment.cluster_spec(), more_pools=())
    image = deployment.image_repository
    place = image_place(image)
    kubectl = deployment.kube.kubectl
    steps = [
        ("create the cluster", gcloud.create_cluster(project, spec)),
        ("add the pool of GPU nodes, empty", gcloud.create_pool(*where, deployment.pool_spec())),
        ("let kubectl in", gcloud.get_credentials(*where, settings.endpoint == "dns")),
    ]
    if place is not None:
        create = gcloud.create_repository(place.project, place.region, place.repository)
        steps.append(("have a registry", create))
    steps += [
        ("build and push the image", ("docker", "build", "--tag", image, ".")),
        ("", ("docker", "push", image)),
        ("", gcloud.build_image(project, ".", image)),
        ("create the Job", kubectl("apply", "--filename", _MANIFEST)),
        ("follow it", kubectl("logs", "--follow", f"job/{deployment.kube.job_name}")),
        ("let the GPU nodes go", gcloud.resize_pool(*where, deployment.pool, 0)),
        ("remove the pool", gcloud.delete_pool(*where, deployment.pool)),
        ("remove the cluster", gcloud.delete_cluster(*where)),
        ("see that nothing is left", gcloud.list_clusters(project, {RUN_LABEL: _RUN})),
        *(
            ("", gcloud.list_compute(kind, project, {RUN_LABEL: _RUN}))
            for kind in ("instances", "disks", "forwarding-rules", "addresses")
        ),
    ]
    return [(what, shlex.join(command)) for what, command in steps]


def manifest(settings: Settings, plan: Plan) -> str:
    """Return the Job as YAML. Settings are resolved."""
    deployment = deployment_to_be(settings)
    kube = deployment.kube
    order = kube.order(_RUN, settings.leg, plan, deployment.image_repository, utc_now())
    return to_yaml(to_json(job_object(order)))
