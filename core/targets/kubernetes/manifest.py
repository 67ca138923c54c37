"""What a run would put on the cluster, as YAML, before there is a run."""

from __future__ import annotations

import os

from benchmark.plan import Plan
from core.kube.objects import job_object, to_json, to_yaml
from core.run.process import utc_now
from core.settings import Settings
from core.targets.kubernetes.deployment import Deployment, access_of

_RUN = "the-run-to-be"


def manifest(settings: Settings, plan: Plan) -> str:
    """Return the Job of a run with these settings. The run's id, the expiry and the image's digest
    are known only once it is started.
    """
    deployment = Deployment(settings, access_of(settings, os.environ))
    image = settings.image or ""
    order = deployment.order(_RUN, settings.leg, plan, image, utc_now())
    notes = (
        "# gpubench-tui/run and gpubench-tui/expires are filled in when the run is created;\n"
        "# the image then names its digest.\n"
    )
    return f"---\n{notes}{to_yaml(to_json(job_object(order)))}"
