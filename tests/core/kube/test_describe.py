"""What a run has in a cluster is described in few lines, and as data."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.kube.cluster import Access, Cluster
from core.kube.describe import Description, describe_json, describe_text, gather
from core.kube.errors import DeniedError
from tests.core.kube.objects_for_tests import OBSERVED, damaged, event, node, observed, pod
from tests.core.kube.sides import job_body
from tests.core.kube.stand_in import StandIn

NOW = datetime(2026, 11, 23, 2, 40, tzinfo=UTC)


def description(situation: str) -> Description:
    a_job, a_pod, events = observed(situation)
    return Description(
        "reasons",
        [a_job] if a_job else [],
        [a_pod] if a_pod else [],
        [
            node(
                gpus=1,
                taints=[{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
            )
        ],
        events,
    )


def test_the_job_its_pod_the_node_and_the_events_are_told() -> None:
    lines = describe_text(description("oom"), NOW).splitlines()
    assert lines[:20] == [
        "Job oom",
        "  Age        8 min 20 s",
        "  Pods       0 active, 0 succeeded, 1 failed",
        "  Condition  Failed True: Job has reached the specified backoff limit",
        "",
        "Pod oom-rh5g9",
        "  Phase                Failed",
        "  Age                  8 min 20 s",
        "  Node                 gpu-node-1",
        "  Container benchmark  terminated (OOMKilled, exit code 137)",
        "    image              127.0.0.1:5000/busybox:1",
        "  Container benchmark of pod oom-rh5g9 was killed because it needed more memory than its "
        "limit of 16Mi.",
        "  Allow more with --memory, or use smaller batches.",
        "",
        "Node gpu-node-1",
        "  GPUs       nvidia.com/gpu: 1",
        "  Condition  Ready True: KubeletReady",
        "  Taint      nvidia.com/gpu=present:NoSchedule",
        "  Label      cloud.google.com/gke-accelerator=nvidia-tesla-t4",
        "",
    ]
    events = lines[20:]
    assert events[0] == "Events"
    assert "Successfully assigned reasons/oom-rh5g9 to gpu-node-1" in events[1]
    assert "BackoffLimitExceeded" in events[-1]


@pytest.mark.parametrize(
    ("situation", "words"),
    [
        ("no-gpu", "No node takes pod no-gpu-vhjhm: the only node has too little nvidia.com/gpu"),
        ("quota", "Job quota gets no pod: quota gpus is used up"),
        ("image-missing", "waiting (ErrImagePull): rpc error: code = NotFound"),
        ("evicted", "Phase  Failed (Evicted)"),
        ("deadline", "Job deadline was ended by the cluster at its deadline of 4 s."),
        ("deadline", "Deadline   4 s"),
        ("crash-loop", "terminated (Error, exit code 4), restarted 2 times"),
        ("deleted", "being deleted"),
        ("exit-3", "Warning  BackoffLimitExceeded  Job exit-3"),
        ("root-image", "(2 times)"),
    ],
)
def test_each_situation_is_recognisable(situation: str, words: str) -> None:
    assert words in describe_text(description(situation), NOW)


def test_events_come_newest_last_with_their_age() -> None:
    events = [event("Second", at=60), event("First", at=1)]
    found = Description("n", [], [pod()], [], events[::-1])
    lines = describe_text(found, datetime(2026, 3, 1, 10, 2, tzinfo=UTC)).splitlines()
    assert [line.split()[:3] for line in lines if "Warning" in line] == [
        ["1", "min", "59"],
        ["1", "min", "00"],
    ]


def test_nothing_found_is_said() -> None:
    assert "Namespace n has nothing of this run." in describe_text(Description("n"), NOW)


def test_text_from_outside_cannot_steer_the_terminal() -> None:
    hostile = pod(message="\x1b[2J\u202e", phase="Failed")
    found = Description("n", [], [hostile], [], [event("\x1b]0;x\x07", "\x1b[31m\nnext")])
    text = describe_text(found, NOW)
    assert all(line.isprintable() for line in text.splitlines())
    assert "\\x1b[2J" in text


def test_as_data_the_objects_are_whole_and_the_reasons_beside_them() -> None:
    found = description("oom")
    found.pods[0]["metadata"]["managedFields"] = [{"manager": "kubelet"}]
    document = json.loads(json.dumps(describe_json(found)))
    assert document["pods"][0]["status"] == found.pods[0]["status"]
    assert "managedFields" not in document["pods"][0]["metadata"]
    assert document["reasons"]["oom-rh5g9"]["kind"] == "out of memory"
    assert json.loads(json.dumps(describe_json(description("quota"))))["reasons"]["quota"][
        "hopeless"
    ]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_shape_of_what_the_api_says_breaks_it(data: st.DataObject) -> None:
    names = sorted(path.stem for path in OBSERVED.glob("*.json"))
    a_job, a_pod, events = observed(data.draw(st.sampled_from(names)))
    found = Description(
        "n",
        [data.draw(damaged(a_job))] if a_job else [],
        [data.draw(damaged(a_pod))] if a_pod else [],
        [data.draw(damaged(node()))],
        [data.draw(damaged(each)) for each in events[-3:]],
    )
    assert all(line.isprintable() for line in describe_text(found, NOW).splitlines())
    json.dumps(describe_json(found))


async def test_what_the_selector_matches_is_gathered(stand_in: StandIn, cluster: Cluster) -> None:
    stand_in.add_node("gpu-node-1", gpus=1)
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    await cluster.request("POST", jobs, body=job_body("ours"))
    other = job_body("other")
    other["metadata"]["labels"] = {"kind": "another"}
    await cluster.request("POST", jobs, body=other)
    stand_in.pod_of("ours").schedule()
    by_name = await gather(cluster, "job-name=ours")
    assert [each["metadata"]["name"].rpartition("-")[0] for each in by_name.pods] == ["ours"]
    assert [each["metadata"]["name"] for each in by_name.nodes] == ["gpu-node-1"]
    by_label = await gather(cluster, "kind=test")
    assert [each["metadata"]["name"] for each in by_label.jobs] == ["ours"]
    assert {each["reason"] for each in by_label.events} == {"SuccessfulCreate"}


async def test_nodes_and_events_that_may_not_be_read_are_said(
    stand_in: StandIn, cluster: Cluster
) -> None:
    stand_in.add_node("gpu-node-1", gpus=1)
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    await cluster.request("POST", jobs, body=job_body("ours"))
    stand_in.pod_of("ours").schedule()
    stand_in.fail(403, path="/api/v1/nodes", times=10)
    stand_in.fail(403, path="/events", times=10)
    text = describe_text(await gather(cluster, "job-name=ours"), NOW)
    assert "Pod ours-" in text
    assert "Nodes are not shown. Context stand-in may not do this" in text
    assert "Events are not shown." in text


async def test_a_node_that_is_gone_is_said(stand_in: StandIn, cluster: Cluster) -> None:
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    await cluster.request("POST", jobs, body=job_body("ours"))
    stand_in.pod_of("ours").schedule("gone-node")
    text = describe_text(await gather(cluster, "job-name=ours"), NOW)
    assert "Node gone-node is gone." in text


async def test_who_may_not_list_pods_is_denied(stand_in: StandIn, cluster: Cluster) -> None:
    stand_in.fail(403, path="/pods", times=10)
    with pytest.raises(DeniedError):
        await gather(cluster, "job-name=ours")


@pytest.mark.cluster
async def test_a_job_on_a_real_cluster_is_described(
    real_cluster_access: Access, real_namespace: str
) -> None:
    access = replace(real_cluster_access, namespace=real_namespace)
    async with Cluster(access) as cluster:
        jobs = f"/apis/batch/v1/namespaces/{real_namespace}/jobs"
        await cluster.request("POST", jobs, body=job_body("described"))
        found = await gather(cluster, "kind=test")
        while not (found.pods and found.events):
            found = await gather(cluster, "job-name=described")
    text = describe_text(found, datetime.now(UTC))
    assert "Pod described-" in text
    assert "Events" in text
