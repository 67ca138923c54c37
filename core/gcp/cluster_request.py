"""What GKE is asked to create: the settings that a careful administrator picks.

Source of each: Google's "Harden your cluster's security"
(https://cloud.google.com/kubernetes-engine/docs/how-to/hardening-your-cluster) and the comments of
google.container.v1's messages.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from core.gcp.specs import ClusterSpec, PoolSpec

if TYPE_CHECKING:
    from google.cloud import container_v1

GPU_TAINT = ("nvidia.com/gpu", "present")
"""Key and value of the taint on GPU nodes. GKE sets it by itself only where another pool exists
already when the pool is made, so it is always asked for."""
# What a node needs to pull images and to write logs and metrics; what pods may do is Workload
# Identity's affair.
_SCOPES = (
    "https://www.googleapis.com/auth/devstorage.read_only",
    "https://www.googleapis.com/auth/logging.write",
    "https://www.googleapis.com/auth/monitoring",
)


def cluster_request(project: str, spec: ClusterSpec) -> container_v1.CreateClusterRequest:
    """Return the request that creates the cluster with its pools: Workload Identity, shielded
    nodes, RBAC only, no client certificate, no password, VPC-native, a release channel, both the
    DNS and the IP endpoint. Dataplane and maintenance stay Google's own choice.
    """
    from google.cloud import container_v1 as gke

    dns = gke.ControlPlaneEndpointsConfig.DNSEndpointConfig(allow_external_traffic=True)
    ip = gke.ControlPlaneEndpointsConfig.IPEndpointsConfig(
        enabled=True, enable_public_endpoint=True
    )
    of_name = gke.ReleaseChannel.Channel
    channels = {"rapid": of_name.RAPID, "regular": of_name.REGULAR, "stable": of_name.STABLE}
    regional = len(spec.location.split("-")) == 2
    cluster = gke.Cluster(
        name=spec.name,
        resource_labels=dict(spec.labels),
        network=spec.network,
        subnetwork=spec.subnetwork,
        # Of a zonal cluster this is the zone itself.
        locations=list(spec.pool.zones) if regional else [],
        node_pools=[pool_message(each) for each in (spec.pool, *spec.more_pools)],
        workload_identity_config=gke.WorkloadIdentityConfig(workload_pool=f"{project}.svc.id.goog"),
        shielded_nodes=gke.ShieldedNodes(enabled=True),
        legacy_abac=gke.LegacyAbac(enabled=False),
        master_auth=gke.MasterAuth(
            client_certificate_config=gke.ClientCertificateConfig(issue_client_certificate=False)
        ),
        release_channel=gke.ReleaseChannel(channel=channels[spec.release_channel]),
        ip_allocation_policy=gke.IPAllocationPolicy(use_ip_aliases=True),
        control_plane_endpoints_config=gke.ControlPlaneEndpointsConfig(
            dns_endpoint_config=dns, ip_endpoints_config=ip
        ),
    )
    return gke.CreateClusterRequest(
        parent=f"projects/{project}/locations/{spec.location}", cluster=cluster
    )


def pool_request(
    project: str, location: str, cluster: str, spec: PoolSpec
) -> container_v1.CreateNodePoolRequest:
    """Return the request that adds a pool to a cluster."""
    from google.cloud import container_v1 as gke

    return gke.CreateNodePoolRequest(
        parent=f"projects/{project}/locations/{location}/clusters/{cluster}",
        node_pool=pool_message(spec),
    )


def pool_message(spec: PoolSpec) -> container_v1.NodePool:
    """Return a pool as GKE takes it. Repair and upgrade stay on: a release channel demands both."""
    from google.cloud import container_v1 as gke

    pool = gke.NodePool(
        name=spec.name,
        initial_node_count=spec.nodes,
        locations=list(spec.zones),
        config=_node_config(spec),
        management=gke.NodeManagement(auto_upgrade=True, auto_repair=True),
    )
    if spec.most_nodes > 0:
        pool.autoscaling = autoscaling(spec.most_nodes)
    return pool


def autoscaling(most_nodes: int) -> container_v1.NodePoolAutoscaling:
    """Return the setting between no node and ``most_nodes`` of each zone; 0 turns it off. Where
    there is a choice of zones the one that has hardware is taken.
    """
    from google.cloud import container_v1 as gke

    if most_nodes <= 0:
        return gke.NodePoolAutoscaling(enabled=False)
    return gke.NodePoolAutoscaling(
        enabled=True,
        min_node_count=0,
        max_node_count=most_nodes,
        location_policy=gke.NodePoolAutoscaling.LocationPolicy.ANY,
    )


def _node_config(spec: PoolSpec) -> container_v1.NodeConfig:
    from google.cloud import container_v1 as gke

    config = gke.NodeConfig(
        machine_type=spec.machine,
        disk_size_gb=spec.disk_gb,
        disk_type=spec.disk_type,
        image_type="COS_CONTAINERD",
        oauth_scopes=list(_SCOPES),
        service_account=spec.service_account,
        metadata={"disable-legacy-endpoints": "true"},
        resource_labels=dict(spec.labels),
        spot=spec.spot,
        workload_metadata_config=gke.WorkloadMetadataConfig(
            mode=gke.WorkloadMetadataConfig.Mode.GKE_METADATA
        ),
        shielded_instance_config=gke.ShieldedInstanceConfig(
            # It loads signed modules only: on Google's own image the GPU drivers are.
            enable_secure_boot=True,
            enable_integrity_monitoring=True,
        ),
    )
    if spec.longest_s is not None:
        config.max_run_duration = datetime.timedelta(seconds=spec.longest_s)
    if spec.gpu and spec.gpus:
        config.accelerators = [_accelerator(spec)]
        key, value = GPU_TAINT
        config.taints = [
            gke.NodeTaint(key=key, value=value, effect=gke.NodeTaint.Effect.NO_SCHEDULE)
        ]
    return config


def _accelerator(spec: PoolSpec) -> container_v1.AcceleratorConfig:
    from google.cloud import container_v1 as gke

    version = gke.GPUDriverInstallationConfig.GPUDriverVersion
    versions = {
        "default": version.DEFAULT,
        "latest": version.LATEST,
        "disabled": version.INSTALLATION_DISABLED,
    }
    return gke.AcceleratorConfig(
        accelerator_count=spec.gpus,
        accelerator_type=spec.gpu,
        # Left out, older versions of GKE install none and newer ones the default.
        gpu_driver_installation_config=gke.GPUDriverInstallationConfig(
            gpu_driver_version=versions[spec.driver]
        ),
    )
