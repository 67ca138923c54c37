"""The rollout of drivers is told node by node, with what is under way and what went wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.kube.cluster import JsonObject
from core.kube.driver_pods import Log
from core.kube.drivers import NodeDriver, Rollout, rollout
from tests.core.kube.objects_for_tests import (
    ANYTHING,
    OF_GKE,
    condition,
    container,
    daemonset,
    damaged,
    event,
    installer,
    node,
    pod,
)

PLUGIN = {"k8s-app": "nvidia-gpu-device-plugin"}
GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def plugin(**status: Any) -> JsonObject:
    found = pod("nvidia-gpu-device-plugin-small-cos-x", labels=PLUGIN, restart="Always", **status)
    found["metadata"]["namespace"] = "kube-system"
    return found


def told(
    nodes: list[JsonObject],
    pods: list[JsonObject] | None = None,
    daemonsets: list[JsonObject] | None = None,
    events: list[JsonObject] | None = None,
    **more: Any,
) -> Rollout:
    return rollout(nodes, pods or [], daemonsets or [], events or [], **{"selector": {}, **more})


def only(found: Rollout) -> NodeDriver:
    [single] = found.nodes
    return single


def kind(found: Rollout) -> str:
    assert found.reason is not None
    return found.reason.kind


def test_a_node_that_offers_gpus_is_ready() -> None:
    found = told([node(gpus=2)], needed=2)
    assert found == Rollout((NodeDriver("gpu-node-1", "ready", "offers 2 GPUs", 2),), True, None)


def test_fewer_gpus_than_are_needed_are_not_enough() -> None:
    found = told([node(gpus=1)], needed=2)
    assert (found.ready, kind(found)) == (False, "no gpu")
    assert found.reason is not None
    # Another pool may have larger nodes, and an autoscaler adds one for a pod.
    assert (found.needs_a_node, found.reason.hopeless) == (True, False)


def test_one_ready_node_of_several_is_enough() -> None:
    found = told([node("a"), node("b", gpus=1)])
    assert found.ready
    assert [each.state for each in found.nodes] == ["waiting", "ready"]


def test_a_node_that_takes_no_pods_is_not_ready_whatever_it_offers() -> None:
    away = node("a", gpus=1, ready=False, message="container runtime network not ready")
    found = told([away, node("b", gpus=1, cordoned=True)])
    assert not found.ready
    assert [each.detail for each in found.nodes] == [
        "the node is not ready: container runtime network not ready",
        "the node is cordoned",
    ]


def test_only_gpu_nodes_that_the_selector_matches_count() -> None:
    nodes = [
        node("a", labels={"pool": "gpu", "nvidia.com/gpu.present": "true"}),
        node("b", labels={"pool": "gpu"}),
        node("c", labels={"pool": "other", "accelerator": "t4"}),
        node("d", labels={"pool": "gpu"}, taints=[GPU_TAINT]),
    ]
    found = told(nodes, selector={"pool": "gpu"})
    assert [each.node for each in found.nodes] == ["a", "d"]


def test_where_nothing_says_gpu_all_matching_nodes_count() -> None:
    assert [each.node for each in told([node("a", labels={}), node("b", labels={})]).nodes] == [
        "a",
        "b",
    ]


def test_where_no_node_is_one_with_a_gpu_another_is_needed() -> None:
    cpu_nodes = [node("a", labels={}), node("b", labels={})]
    assert told(cpu_nodes).needs_a_node
    assert told(cpu_nodes, daemonsets=[daemonset(template=OF_GKE)]).needs_a_node
    assert told([*cpu_nodes, node("c", labels={}, ready=False)]).needs_a_node


def test_a_gpu_node_whose_driver_is_to_come_is_waited_for() -> None:
    gpu_node = node("b", labels={"accelerator": "t4"})
    assert not told([node("a", labels={}), gpu_node]).needs_a_node
    small = node("c", labels={"accelerator": "t4"}, gpus=1)
    assert not told([gpu_node, small], needed=2).needs_a_node
    assert not told([small]).needs_a_node


def test_a_node_that_something_installs_a_driver_on_is_one_with_a_gpu() -> None:
    assert not told([node("a", labels={})], daemonsets=[daemonset()]).needs_a_node


def test_no_matching_node_is_said() -> None:
    found = told([node()], selector={"pool": "l4"})
    assert (found.nodes, kind(found), found.needs_a_node) == ((), "no nodes", True)
    assert found.reason is not None
    assert "pool=l4" in found.reason.sentence


def test_a_node_that_nothing_installs_a_driver_on_is_said() -> None:
    found = told([node()])
    assert kind(found) == "no driver"
    assert found.reason is not None
    assert "--install-drivers" in found.reason.remedy


def test_gkes_own_installation_needs_no_installer_pods() -> None:
    labels = {
        "cloud.google.com/gke-accelerator": "nvidia-tesla-t4",
        "cloud.google.com/gke-gpu-driver-version": "latest",
    }
    found = told([node(labels=labels)], daemonsets=[daemonset(template=OF_GKE)])
    assert (only(found).state, only(found).detail) == (
        "working",
        "GKE installs the driver itself (version latest)",
    )


def test_an_installers_steps_are_followed() -> None:
    running = installer(
        initContainerStatuses=[
            container({"terminated": {"exitCode": 0}}, name="nvidia-driver-installer"),
            container({"running": {}}, name="partition-gpus"),
        ],
        containerStatuses=[container({"waiting": {"reason": "PodInitializing"}}, name="pause")],
    )
    detail = only(told([node()], [running])).detail
    assert detail == "the driver installer runs (step 2 of 2: partition-gpus)"


def test_an_installer_that_tries_again_still_tells_why_it_failed() -> None:
    again = installer(
        initContainerStatuses=[
            container({"running": {}}, restarts=2, last={"terminated": {"exitCode": 1}})
        ]
    )
    logs = {("kube-system", "nvidia-driver-installer-abc"): Log("x", "status 403: Forbidden")}
    found = told([node()], [again], logs=logs)
    assert (only(found).state, kind(found)) == ("working", "driver download")
    assert "failed 2 times" in only(found).detail
    assert only(found).detail.endswith("it is at it again")


def test_a_version_that_looks_like_a_status_is_none() -> None:
    state = {"terminated": {"exitCode": 1, "message": "driver 550.403.02 on build 404.1 broke"}}
    found = told([node()], [installer(initContainerStatuses=[container(state)])])
    assert kind(found) == "installer failed"


def test_after_the_installer_comes_the_device_plugin() -> None:
    done = installer(
        phase="Running",
        initContainerStatuses=[container({"terminated": {"exitCode": 0}})],
        containerStatuses=[container({"running": {}}, name="pause")],
    )
    assert "no device plugin" in only(told([node()], [done])).detail
    running = plugin(phase="Running", containerStatuses=[container({"running": {}})])
    found = only(told([node()], [done, running]))
    assert (found.state, found.detail) == (
        "working",
        "the device plugin runs and has reported no GPU yet",
    )


def test_pods_of_other_nodes_say_nothing_about_this_one() -> None:
    elsewhere = installer(initContainerStatuses=[container({"running": {}})])
    elsewhere["spec"]["nodeName"] = "another"
    assert only(told([node()], [elsewhere])).state == "waiting"


def test_a_daemonsets_pod_that_has_no_place_yet_belongs_to_its_node() -> None:
    unplaced = installer(
        conditions=[
            condition(
                "PodScheduled", False, "Unschedulable", "0/1 nodes are available: 1 Too many pods."
            )
        ]
    )
    del unplaced["spec"]["nodeName"]
    terms = [{"matchFields": [{"key": "metadata.name", "values": ["gpu-node-1"]}]}]
    unplaced["spec"]["affinity"] = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}
        }
    }
    found = only(told([node()], [unplaced]))
    assert found.state == "waiting"
    assert "no room for another pod" in found.detail


@pytest.mark.parametrize(
    ("log", "cause", "words"),
    [
        # container-engine-accelerators#356
        (
            "I0312 Downloading https://storage.googleapis.com/nvidia-drivers-us-public/tesla/"
            "535.129.03/NVIDIA-Linux-x86_64-535.129.03.run\nE0312 failed to download: HTTP 403",
            "driver download",
            "the driver's download was refused (403), last: E0312 failed to download: HTTP 403",
        ),
        # container-engine-accelerators#382
        (
            "2024-05-31 ERROR 404: Not Found.\nThe requested driver does not exist. Please check",
            "driver download",
            "no such driver for this node's system (404)",
        ),
        (
            "No NVIDIA GPU devices found; no supported GPU",
            "unsupported gpu",
            "does not support this GPU",
        ),
        (
            "modprobe: FATAL: Module nvidia not found",
            "kernel module",
            "could not be built or loaded",
        ),
        ("cp: write error: No space left on device", "no space", "the node's disk is full"),
        (
            "curl: (6) Could not resolve host: storage.googleapis.com",
            "driver download",
            "no network",
        ),
        (
            "it broke in a new way",
            "installer failed",
            "failed 6 times with exit code 1 (container nvidia-driver-installer), last: it broke",
        ),
        ("", "installer failed", "failed 6 times with exit code 1"),
    ],
)
def test_a_failed_installer_names_the_likely_cause(log: str, cause: str, words: str) -> None:
    crashed = installer(
        initContainerStatuses=[
            container(
                {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
                name="nvidia-driver-installer",
                restarts=5,
                last={"terminated": {"exitCode": 1, "reason": "Error"}},
            )
        ]
    )
    logs = {("kube-system", "nvidia-driver-installer-abc"): Log("x", log)}
    found = told([node()], [crashed], logs=logs)
    assert (only(found).state, kind(found)) == ("failed", cause)
    assert words in only(found).detail


def test_a_termination_message_does_where_there_is_no_log() -> None:
    state = {"terminated": {"exitCode": 2, "message": "download: 403 Forbidden"}}
    found = told([node()], [installer(initContainerStatuses=[container(state)])])
    assert "refused (403)" in only(found).detail


@pytest.mark.parametrize(
    ("reason", "message", "words"),
    [
        (
            "ErrImageNeverPull",
            'Container image "cos-nvidia-installer:fixed" is not present with pull policy of Never',
            "is not on node gpu-node-1",
        ),
        ("ImagePullBackOff", "x: dial tcp: i/o timeout", "does not reach"),
    ],
)
def test_an_installer_without_its_image_has_failed(reason: str, message: str, words: str) -> None:
    stuck = installer(
        initContainerStatuses=[container({"waiting": {"reason": reason, "message": message}})]
    )
    found = told([node()], [stuck])
    assert (only(found).state, kind(found)) == ("failed", "image pull")
    assert words in only(found).detail


def test_a_device_plugin_without_its_runtime_has_failed() -> None:
    # NVIDIA/gpu-operator#730
    creating = plugin(containerStatuses=[container({"waiting": {"reason": "ContainerCreating"}})])
    said = event(
        "FailedCreatePodSandBox",
        'failed to get sandbox runtime: no runtime for "nvidia" is configured',
        name="nvidia-gpu-device-plugin-small-cos-x",
    )
    found = told([node()], [creating], events=[said])
    assert (only(found).state, kind(found)) == ("failed", "runtime class")


def test_a_taint_that_the_installer_does_not_tolerate_is_named() -> None:
    deaf = daemonset(template={"tolerations": [{"key": "other", "operator": "Exists"}]})
    found = told([node(taints=[GPU_TAINT])], daemonsets=[deaf])
    assert (only(found).state, kind(found)) == ("failed", "taint")
    assert "does not tolerate the node's taint nvidia.com/gpu=present:NoSchedule" in (
        only(found).detail
    )


@pytest.mark.parametrize(
    "toleration",
    [
        {"operator": "Exists"},
        {"key": "nvidia.com/gpu", "operator": "Exists"},
        {"key": "nvidia.com/gpu", "operator": "Equal", "value": "present"},
        {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"},
    ],
)
def test_a_taint_that_is_tolerated_keeps_nobody_off(toleration: JsonObject) -> None:
    hearing = daemonset(template={"tolerations": [toleration]})
    found = only(told([node(taints=[GPU_TAINT])], daemonsets=[hearing]))
    assert (found.state, found.detail) == (
        "working",
        "DaemonSet nvidia-driver-installer puts its pod here next",
    )


@pytest.mark.parametrize(
    ("labels", "selected"),
    [
        ({"accelerator": "t4"}, False),
        ({"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"}, True),
    ],
)
def test_an_installer_that_does_not_select_the_node_is_named(
    labels: dict[str, str], selected: bool
) -> None:
    found = only(told([node(labels=labels)], daemonsets=[daemonset(template=OF_GKE)]))
    assert ("does not select this node" in found.detail) == (not selected)


def test_a_missing_label_is_named() -> None:
    choosy = daemonset(template={"nodeSelector": {"nvidia.com/gpu.deploy.driver": "true"}})
    assert "(nvidia.com/gpu.deploy.driver=true)" in only(told([node()], daemonsets=[choosy])).detail


def test_what_failed_is_told_before_what_is_under_way() -> None:
    state = {"terminated": {"exitCode": 7}}
    crashed = installer(initContainerStatuses=[container(state)])
    crashed["spec"]["nodeName"] = "c"
    found = told([node("a"), node("b", ready=False), node("c")], [crashed])
    assert [each.state for each in found.nodes] == ["waiting", "waiting", "failed"]
    assert found.reason is not None
    assert found.reason.sentence.startswith("Node c: the driver installer failed with exit code 7")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_shape_of_what_the_api_says_breaks_it(data: st.DataObject) -> None:
    crashed = installer(
        initContainerStatuses=[
            container({"terminated": {"exitCode": 1, "message": "x"}}, restarts=2)
        ]
    )
    found = rollout(
        [data.draw(damaged(node(taints=[GPU_TAINT], gpus=1)))],
        [data.draw(damaged(crashed)), data.draw(damaged(plugin()))],
        [data.draw(damaged(daemonset(template=OF_GKE)))],
        [data.draw(damaged(event("FailedMount", name="nvidia-driver-installer-abc")))],
        selector={},
    )
    assert all(each.detail.isprintable() for each in found.nodes)
    assert found.ready or found.reason is not None


@settings(max_examples=50, deadline=None)
@given(st.lists(ANYTHING, max_size=2), st.lists(ANYTHING, max_size=2))
def test_nothing_at_all_like_an_object_breaks_it(some: list[Any], more: list[Any]) -> None:
    rollout(some, more, some, more, selector={})
