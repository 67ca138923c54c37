"""Reaching the Kubernetes of a cluster that Google has shown, with no kubeconfig."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from core.gcp.clusters import endpoint_of
from core.gcp.kube_login import login_for
from core.kube.cluster import Access, Cluster

if TYPE_CHECKING:
    from google.cloud import container_v1

    from core.gcp.connection import Google

_PATIENCE_S = 10.0


def cluster_at(
    google: Google,
    found: container_v1.Cluster,
    *,
    namespace: str = "default",
    dns: bool | None = None,
) -> Cluster:
    """Return a cluster to open, for cleaning up: with little patience, as what cannot be reached is
    deleted from outside. ``dns``: by which address; None: by the DNS name where that is open.

    Raises:
        GoogleError: it has no such address (yet).
    """
    if dns is None:
        config = found.control_plane_endpoints_config.dns_endpoint_config
        dns = bool(config.endpoint and config.allow_external_traffic)
    context = f"gke_{google.project}_{found.location}_{found.name}"
    return Cluster(
        Access("", context, namespace),
        login=login_for(google, endpoint_of(found, dns=dns)),
        patience_s=_PATIENCE_S,
        monotonic=asyncio.get_running_loop().time,
    )
