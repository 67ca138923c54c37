"""What to type for each step: the ``gcloud`` commands that do the same, as arguments.

Source: https://cloud.google.com/sdk/gcloud/reference.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from core.gcp.cluster_request import GPU_TAINT
from core.gcp.specs import ClusterSpec, PoolSpec

Command = tuple[str, ...]


def shown(command: Sequence[str]) -> str:
    """Return a command as it is typed in a shell."""
    return shlex.join(command)


def create_cluster(project: str, spec: ClusterSpec) -> Command:
    """Create a cluster with its first pool, which gcloud itself names ``default-pool``; further
    ones are :func:`create_pool`'s affair.
    """
    return (
        *("gcloud", "container", "clusters", "create", spec.name),
        *_where(project, spec.location),
        *("--release-channel", spec.release_channel),
        *("--workload-pool", f"{project}.svc.id.goog"),
        *("--labels", _labels(spec.labels)),
        "--enable-ip-alias",
        "--enable-dns-access",
        "--enable-shielded-nodes",
        "--no-enable-legacy-authorization",
        "--no-issue-client-certificate",
        *_option("--network", spec.network),
        *_option("--subnetwork", spec.subnetwork),
        *_pool_options(spec.pool),
    )


def create_pool(project: str, location: str, cluster: str, spec: PoolSpec) -> Command:
    """Add a pool of nodes."""
    return (
        *("gcloud", "container", "node-pools", "create", spec.name, "--cluster", cluster),
        *_where(project, location),
        *_option("--labels", _labels(spec.labels)),
        *_pool_options(spec),
    )


def resize_pool(project: str, location: str, cluster: str, pool: str, nodes: int) -> Command:
    """Give a pool another number of nodes."""
    return (
        *("gcloud", "container", "clusters", "resize", cluster, "--node-pool", pool),
        *("--num-nodes", str(nodes), *_where(project, location), "--quiet"),
    )


def delete_pool(project: str, location: str, cluster: str, pool: str) -> Command:
    """Delete a pool with its nodes."""
    command = ("gcloud", "container", "node-pools", "delete", pool, "--cluster", cluster)
    return (*command, *_where(project, location), "--quiet")


def delete_cluster(project: str, location: str, cluster: str) -> Command:
    """Delete a cluster with its pools."""
    command = ("gcloud", "container", "clusters", "delete", cluster)
    return (*command, *_where(project, location), "--quiet")


def list_clusters(project: str, labels: Mapping[str, str | None]) -> Command:
    """List the clusters of all locations that have these labels; None stands for any value."""
    return (
        *("gcloud", "container", "clusters", "list", "--project", project),
        *_filter("resourceLabels", labels),
    )


def describe_operation(project: str, location: str, operation: str) -> Command:
    """Show an operation."""
    return (
        *("gcloud", "container", "operations", "describe", operation),
        *_where(project, location),
    )


def get_credentials(project: str, location: str, cluster: str, dns: bool = False) -> Command:
    """Give kubectl a context for the cluster."""
    return (
        *("gcloud", "container", "clusters", "get-credentials", cluster),
        *_where(project, location),
        *(("--dns-endpoint",) if dns else ()),
    )


def list_compute(kind: str, project: str, labels: Mapping[str, str | None]) -> Command:
    """List Compute Engine's ``instances``, ``disks``, ``addresses`` or ``forwarding-rules`` that
    have these labels; None stands for any value.
    """
    return ("gcloud", "compute", kind, "list", "--project", project, *_filter("labels", labels))


def delete_disk(project: str, zone: str, disk: str) -> Command:
    """Delete a disk."""
    command = ("gcloud", "compute", "disks", "delete", disk)
    return (*command, "--project", project, "--zone", zone, "--quiet")


def delete_instance(project: str, zone: str, instance: str) -> Command:
    """Delete an instance."""
    command = ("gcloud", "compute", "instances", "delete", instance)
    return (*command, "--project", project, "--zone", zone, "--quiet")


def delete_regional(kind: str, project: str, region: str, name: str) -> Command:
    """Delete an address or a forwarding rule (``kind``: ``addresses``, ``forwarding-rules``); of an
    empty region: a global one.
    """
    command = ("gcloud", "compute", kind, "delete", name, "--project", project)
    return (*command, *(("--region", region) if region else ("--global",)), "--quiet")


def create_repository(project: str, region: str, name: str) -> Command:
    """Create a repository for images."""
    command = ("gcloud", "artifacts", "repositories", "create", name)
    return (*command, "--repository-format", "docker", *_where(project, region))


def delete_repository(project: str, region: str, name: str) -> Command:
    """Delete a repository with its images."""
    command = ("gcloud", "artifacts", "repositories", "delete", name)
    return (*command, *_where(project, region), "--quiet")


def delete_image(project: str, reference: str) -> Command:
    """Delete an image, whatever tags it has."""
    command = ("gcloud", "artifacts", "docker", "images", "delete", reference)
    return (*command, "--delete-tags", "--project", project, "--quiet")


def build_image(project: str, folder: str, reference: str) -> Command:
    """Have an image built and pushed by Cloud Build."""
    return ("gcloud", "builds", "submit", folder, "--tag", reference, "--project", project)


def cancel_builds(project: str, region: str, tag: str) -> str:
    """Return the line for a shell that ends the builds at work with a tag: their ids are known
    only once they are.
    """
    where = ("--project", project, "--region", region)
    which = ("--ongoing", "--filter", f"tags={tag}", "--format", "value(id)")
    listing = shown(("gcloud", "builds", "list", *where, *which))
    return f"{listing} | xargs --no-run-if-empty {shown(('gcloud', 'builds', 'cancel', *where))}"


def delete_bucket(project: str, bucket: str) -> Command:
    """Delete a bucket with all that is in it."""
    address = f"gs://{bucket}"
    return ("gcloud", "storage", "rm", "--recursive", address, "--project", project, "--quiet")


def enable_api(project: str, service: str) -> Command:
    """Enable an API (``container.googleapis.com``)."""
    return ("gcloud", "services", "enable", service, "--project", project)


def kubectl(namespace: str, *arguments: str) -> Command:
    """A command for the cluster that :func:`get_credentials` has made the current one."""
    return ("kubectl", "--namespace", namespace, *arguments)


def _pool_options(spec: PoolSpec) -> Command:
    options: list[str] = [
        *("--machine-type", spec.machine, "--num-nodes", str(spec.nodes)),
        *("--disk-size", f"{spec.disk_gb}GB", "--disk-type", spec.disk_type),
        *("--image-type", "COS_CONTAINERD"),
        *("--scopes", "storage-ro,logging-write,monitoring"),
        *("--metadata", "disable-legacy-endpoints=true"),
        *("--workload-metadata", "GKE_METADATA"),
        *("--shielded-secure-boot", "--shielded-integrity-monitoring"),
        *("--enable-autoupgrade", "--enable-autorepair"),
        *_option("--node-locations", ",".join(spec.zones)),
        *_option("--service-account", spec.service_account),
        *_autoscaling(spec.most_nodes),
    ]
    if spec.gpu and spec.gpus:
        key, value = GPU_TAINT
        accelerator = f"type={spec.gpu},count={spec.gpus},gpu-driver-version={spec.driver}"
        options += ["--accelerator", accelerator, "--node-taints", f"{key}={value}:NoSchedule"]
    if spec.spot:
        options.append("--spot")
    if spec.longest_s is not None:
        options += ["--max-run-duration", f"{spec.longest_s}s"]
    return tuple(options)


def _autoscaling(most_nodes: int) -> Command:
    if most_nodes <= 0:
        return ()
    most = ("--min-nodes", "0", "--max-nodes", str(most_nodes))
    return ("--enable-autoscaling", *most, "--location-policy", "ANY")


def _where(project: str, location: str) -> Command:
    return ("--project", project, "--location", location)


def _option(name: str, value: str) -> Command:
    return (name, value) if value else ()


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def _filter(field: str, labels: Mapping[str, str | None]) -> Command:
    terms = [
        f"{field}.{name}:*" if value is None else f"{field}.{name}={value}"
        for name, value in sorted(labels.items())
    ]
    return ("--filter", " AND ".join(terms)) if terms else ()
