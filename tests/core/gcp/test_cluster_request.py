"""What is asked of GKE: the settings that a careful administrator picks."""

from __future__ import annotations

import dataclasses

import pytest
from google.cloud import container_v1 as gke

from core.gcp.cluster_request import autoscaling, cluster_request, pool_message, pool_request
from core.gcp.specs import DriverVersion
from tests.core.gcp.asked_for import GPU, SPEC, SYSTEM


def test_a_cluster_is_made_with_a_careful_admins_settings() -> None:
    request = cluster_request("p", SPEC)
    cluster = request.cluster
    assert request.parent == "projects/p/locations/us-central1-a"
    assert dict(cluster.resource_labels) == {"gpubench-run": "r", "gpubench-owner": "o"}
    assert cluster.workload_identity_config.workload_pool == "p.svc.id.goog"
    assert cluster.shielded_nodes.enabled
    assert not cluster.legacy_abac.enabled
    assert not cluster.master_auth.client_certificate_config.issue_client_certificate
    assert not cluster.master_auth.username
    assert cluster.release_channel.channel == gke.ReleaseChannel.Channel.REGULAR
    assert cluster.ip_allocation_policy.use_ip_aliases
    endpoints = cluster.control_plane_endpoints_config
    assert endpoints.dns_endpoint_config.allow_external_traffic
    assert endpoints.ip_endpoints_config.enabled
    assert endpoints.ip_endpoints_config.enable_public_endpoint
    # Google's own choice.
    assert "maintenance_policy" not in cluster
    assert "network_config" not in cluster
    # Refused beside node_pools.
    assert cluster.initial_node_count == 0
    assert [pool.name for pool in cluster.node_pools] == ["system"]


def test_further_pools_are_created_with_the_cluster() -> None:
    request = cluster_request("p", dataclasses.replace(SPEC, more_pools=(GPU,)))
    assert list(request.cluster.node_pools) == [pool_message(SYSTEM), pool_message(GPU)]


def test_a_regional_cluster_keeps_its_nodes_in_the_zones_that_were_asked_for() -> None:
    request = cluster_request("p", dataclasses.replace(SPEC, location="us-central1"))
    assert list(request.cluster.locations) == ["us-central1-a"]
    assert list(cluster_request("p", SPEC).cluster.locations) == []


@pytest.mark.parametrize("channel", ["rapid", "regular", "stable"])
def test_the_release_channel_is_the_one_asked_for(channel: str) -> None:
    spec = dataclasses.replace(SPEC, release_channel=channel)  # type: ignore[arg-type]
    assert cluster_request("p", spec).cluster.release_channel.channel.name == channel.upper()


def test_every_node_has_the_least_it_needs() -> None:
    for spec in (SYSTEM, GPU):
        config = pool_message(spec).config
        assert config.shielded_instance_config.enable_secure_boot
        assert config.shielded_instance_config.enable_integrity_monitoring
        assert config.metadata["disable-legacy-endpoints"] == "true"
        assert config.workload_metadata_config.mode.name == "GKE_METADATA"
        assert sorted(scope.rsplit("/", 1)[1] for scope in config.oauth_scopes) == [
            "devstorage.read_only",
            "logging.write",
            "monitoring",
        ]
        assert dict(config.resource_labels) == {"gpubench-run": "r"}
        management = pool_message(spec).management
        assert management.auto_upgrade
        assert management.auto_repair


def test_a_gpu_pool_has_its_gpu_its_taint_and_an_end() -> None:
    request = pool_request("p", "us-central1-a", "c", GPU)
    assert request.parent == "projects/p/locations/us-central1-a/clusters/c"
    pool = request.node_pool
    (accelerator,) = pool.config.accelerators
    assert (accelerator.accelerator_type, accelerator.accelerator_count) == ("nvidia-tesla-t4", 1)
    (taint,) = pool.config.taints
    assert (taint.key, taint.value, taint.effect.name) == (
        "nvidia.com/gpu",
        "present",
        "NO_SCHEDULE",
    )
    assert pool.config.spot
    assert pool.config.max_run_duration.total_seconds() == 7200
    assert pool.config.service_account == "nodes@p.iam.gserviceaccount.com"
    assert pool.autoscaling.enabled
    assert (pool.autoscaling.min_node_count, pool.autoscaling.max_node_count) == (0, 2)
    assert pool.initial_node_count == 1
    assert list(pool.locations) == ["us-central1-a"]


@pytest.mark.parametrize(
    ("driver", "asked"),
    [("default", "DEFAULT"), ("latest", "LATEST"), ("disabled", "INSTALLATION_DISABLED")],
)
def test_the_drivers_version_is_always_said(driver: DriverVersion, asked: str) -> None:
    (accelerator,) = pool_message(dataclasses.replace(GPU, driver=driver)).config.accelerators
    assert accelerator.gpu_driver_installation_config.gpu_driver_version.name == asked


def test_a_pool_without_gpu_has_no_taint_no_end_and_no_autoscaling() -> None:
    pool = pool_message(SYSTEM)
    assert not pool.config.accelerators
    assert not pool.config.taints
    assert "max_run_duration" not in pool.config
    assert "autoscaling" not in pool


def test_no_node_at_most_turns_the_autoscaler_off() -> None:
    assert not autoscaling(0).enabled
    assert autoscaling(3).max_node_count == 3
