"""The commands that do the same as each step."""

from __future__ import annotations

import dataclasses

from core.gcp import gcloud
from tests.core.gcp.asked_for import GPU, SPEC

PLACE = ("p", "us-central1-a", "c")
WHERE = ["--project", "p", "--location", "us-central1-a"]


def has(command: gcloud.Command, *options: str) -> bool:
    """Whether these arguments follow each other in the command."""
    return any(command[start : start + len(options)] == options for start in range(len(command)))


def test_a_clusters_command_asks_for_what_the_request_asks_for() -> None:
    command = gcloud.create_cluster("p", SPEC)
    assert command[:5] == ("gcloud", "container", "clusters", "create", "c")
    assert has(command, *WHERE)
    assert has(command, "--workload-pool", "p.svc.id.goog")
    assert has(command, "--labels", "gpubench-owner=o,gpubench-run=r")
    assert has(command, "--release-channel", "regular")
    assert has(command, "--machine-type", "e2-medium", "--num-nodes", "1")
    assert {"--enable-dns-access", "--enable-shielded-nodes", "--shielded-secure-boot"} <= {
        *command
    }
    assert {"--no-enable-legacy-authorization", "--no-issue-client-certificate"} <= {*command}
    assert not {"--accelerator", "--spot", "--enable-autoscaling", "--network"} & {*command}


def test_a_gpu_pools_command_has_gpu_taint_driver_end_and_autoscaling() -> None:
    command = gcloud.create_pool(*PLACE, GPU)
    assert command[:7] == ("gcloud", "container", "node-pools", "create", "gpu", "--cluster", "c")
    accelerator = "type=nvidia-tesla-t4,count=1,gpu-driver-version=default"
    assert has(command, "--accelerator", accelerator)
    assert has(command, "--node-taints", "nvidia.com/gpu=present:NoSchedule")
    assert has(command, "--max-run-duration", "7200s")
    assert has(command, "--enable-autoscaling", "--min-nodes", "0", "--max-nodes", "2")
    assert has(command, "--service-account", "nodes@p.iam.gserviceaccount.com")
    assert has(command, "--node-locations", "us-central1-a")
    assert "--spot" in command


def test_no_empty_argument_is_shown() -> None:
    bare = dataclasses.replace(GPU, labels={}, zones=(), service_account="")
    for command in (gcloud.create_pool(*PLACE, bare), gcloud.create_cluster("p", SPEC)):
        assert "" not in command
    assert "--labels" not in gcloud.create_pool(*PLACE, bare)


def test_every_change_of_a_cluster_says_where_and_asks_nothing_back() -> None:
    commands = {
        "clusters delete c": gcloud.delete_cluster(*PLACE),
        "node-pools delete gpu --cluster c": gcloud.delete_pool(*PLACE, "gpu"),
        "clusters resize c --node-pool gpu --num-nodes 0": gcloud.resize_pool(*PLACE, "gpu", 0),
    }
    for beginning, command in commands.items():
        assert " ".join(command).startswith(f"gcloud container {beginning}")
        assert has(command, *WHERE)
        assert command[-1] == "--quiet"


def test_what_is_there_is_listed_by_label_and_shown_by_name() -> None:
    labels = {"gpubench-run": "r", "gpubench-expires": None}
    terms = "gpubench-expires:* AND {0}.gpubench-run=r"
    assert gcloud.list_clusters("p", labels)[-1] == f"resourceLabels.{terms}".format(
        "resourceLabels"
    )
    assert gcloud.list_compute("disks", "p", labels) == (
        *("gcloud", "compute", "disks", "list", "--project", "p"),
        *("--filter", f"labels.{terms}".format("labels")),
    )
    assert "--filter" not in gcloud.list_clusters("p", {})
    assert gcloud.describe_operation("p", "us-central1-a", "operation-1")[4] == "operation-1"


def test_kubectl_gets_its_context_by_ip_or_by_dns() -> None:
    by_ip = gcloud.get_credentials(*PLACE)
    assert by_ip[:5] == ("gcloud", "container", "clusters", "get-credentials", "c")
    assert gcloud.get_credentials(*PLACE, dns=True) == (*by_ip, "--dns-endpoint")
    assert gcloud.shown(gcloud.kubectl("ns", "get", "pods")) == "kubectl --namespace ns get pods"


def test_what_is_left_is_deleted_where_it_is() -> None:
    shown = [
        gcloud.shown(command)
        for command in (
            gcloud.delete_disk("p", "us-central1-a", "d"),
            gcloud.delete_instance("p", "us-central1-a", "i"),
            gcloud.delete_regional("addresses", "p", "us-central1", "a"),
            gcloud.delete_regional("forwarding-rules", "p", "", "f"),
        )
    ]
    assert shown == [
        "gcloud compute disks delete d --project p --zone us-central1-a --quiet",
        "gcloud compute instances delete i --project p --zone us-central1-a --quiet",
        "gcloud compute addresses delete a --project p --region us-central1 --quiet",
        "gcloud compute forwarding-rules delete f --project p --global --quiet",
    ]


def test_builds_are_cancelled_by_their_tag_as_their_ids_are_known_to_nobody() -> None:
    assert gcloud.cancel_builds("p", "global", "r1") == (
        "gcloud builds list --project p --region global --ongoing --filter tags=r1 "
        "--format 'value(id)' | xargs --no-run-if-empty gcloud builds cancel --project p "
        "--region global"
    )


def test_images_and_apis_have_their_commands() -> None:
    shown = [
        gcloud.shown(command)
        for command in (
            gcloud.create_repository("p", "us-central1", "r"),
            gcloud.delete_repository("p", "us-central1", "r"),
            gcloud.delete_image("p", "us-central1-docker.pkg.dev/p/r/i"),
            gcloud.build_image("p", "my folder", "us-central1-docker.pkg.dev/p/r/i:t"),
            gcloud.delete_bucket("p", "b"),
            gcloud.enable_api("p", "container.googleapis.com"),
        )
    ]
    assert shown == [
        "gcloud artifacts repositories create r --repository-format docker --project p "
        "--location us-central1",
        "gcloud artifacts repositories delete r --project p --location us-central1 --quiet",
        "gcloud artifacts docker images delete us-central1-docker.pkg.dev/p/r/i --delete-tags "
        "--project p --quiet",
        "gcloud builds submit 'my folder' --tag us-central1-docker.pkg.dev/p/r/i:t --project p",
        "gcloud storage rm --recursive gs://b --project p --quiet",
        "gcloud services enable container.googleapis.com --project p",
    ]
