"""The stand-in and a real API server answer alike. The unit tests of core.kube rest on this."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from core.kube.cluster import JsonObject
from core.kube.errors import ClusterError, ConflictError, NotFoundError
from tests.core.kube.sides import Side, job_body, pod_body


async def pods_of(side: Side, job: str) -> list[JsonObject]:
    listed = await side.cluster.request(
        "GET", side.pods, query={"labelSelector": f"job-name={job}"}
    )
    items: list[JsonObject] = listed["items"]
    return items


async def the_pod_of(side: Side, job: str) -> JsonObject:
    """The pod that the controller makes a moment after the Job."""
    [event] = await side.events(side.pods, 1, labelSelector=f"job-name={job}")
    pod: JsonObject = event["object"]
    return pod


async def test_a_new_object_has_identity_and_version(side: Side) -> None:
    created = await side.create_pod("one", ["true"])
    metadata = created["metadata"]
    assert (created["kind"], created["apiVersion"]) == ("Pod", "v1")
    assert metadata["namespace"] == side.cluster.namespace
    assert len(metadata["uid"]) == 36
    assert int(metadata["resourceVersion"]) > 0
    assert datetime.fromisoformat(metadata["creationTimestamp"]).tzinfo is not None
    assert created["status"]["phase"] == "Pending"
    read = await side.cluster.request("GET", f"{side.pods}/one")
    assert read["metadata"]["uid"] == metadata["uid"]


async def test_a_generated_name_continues_the_prefix(side: Side) -> None:
    body = pod_body("x")
    body["metadata"] = {"generateName": "made-"}
    created = await side.cluster.request("POST", side.pods, body=body)
    assert created["metadata"]["name"].startswith("made-")
    assert len(created["metadata"]["name"]) == len("made-") + 5


async def test_a_job_gets_a_pod_that_it_owns(side: Side) -> None:
    job = await side.create_job("owner")
    uid = job["metadata"]["uid"]
    labels = {"job-name": "owner", "controller-uid": uid, "side": "job"}
    assert job["spec"]["selector"] == {"matchLabels": {"controller-uid": uid}}
    assert job["spec"]["template"]["metadata"]["labels"] == labels
    pod = await the_pod_of(side, "owner")
    metadata = pod["metadata"]
    assert metadata["name"].startswith("owner-")
    assert metadata["labels"] == labels
    [owner] = metadata["ownerReferences"]
    assert owner == {
        **{"apiVersion": "batch/v1", "kind": "Job", "name": "owner", "uid": uid},
        **{"controller": True, "blockOwnerDeletion": True},
    }


@pytest.mark.parametrize(
    ("exit_code", "kind", "reason"),
    [(0, "Complete", None), (3, "Failed", "BackoffLimitExceeded")],
)
async def test_a_job_ends_as_its_pod_does(
    side: Side, exit_code: int, kind: str, reason: str | None
) -> None:
    await side.create_job("ending", command=["sh", "-c", f"exit {exit_code}"])
    pod = (await the_pod_of(side, "ending"))["metadata"]["name"]
    await side.said_and_ended(pod, [], exit_code)
    job: JsonObject = {}
    async with asyncio.timeout(60), side.watching(side.jobs) as events:
        async for event in events:
            job = event["object"]
            if job.get("status", {}).get("conditions"):
                break
    [condition] = job["status"]["conditions"]
    assert (condition["type"], condition["status"]) == (kind, "True")
    assert condition.get("reason") == reason
    assert job["status"].get("active") is None
    counts = (job["status"].get("succeeded"), job["status"].get("failed"))
    assert counts == ((1, None) if exit_code == 0 else (None, 1))
    state = (await side.cluster.request("GET", f"{side.pods}/{pod}"))["status"]
    ended = state["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == exit_code
    assert ended["reason"] == ("Completed" if exit_code == 0 else "Error")


async def test_a_job_over_its_deadline_fails_and_its_pod_goes(side: Side) -> None:
    await side.create_job("late", activeDeadlineSeconds=1)
    pod = (await the_pod_of(side, "late"))["metadata"]["name"]
    await side.over_deadline("late")
    async with asyncio.timeout(60):
        await _gone(side, f"{side.pods}/{pod}")
    job = await side.cluster.request("GET", f"{side.jobs}/late")
    [condition] = job["status"]["conditions"]
    assert (condition["type"], condition["reason"]) == ("Failed", "DeadlineExceeded")
    assert condition["message"] == "Job was active longer than specified deadline"


async def test_lists_are_selected_by_labels_and_fields(side: Side) -> None:
    for name in ("a", "b"):
        await side.create_job(name)

    async def names(path: str, **query: str) -> list[str]:
        listed = await side.cluster.request("GET", path, query=query)
        assert int(listed["metadata"]["resourceVersion"]) > 0
        return [each["metadata"]["name"] for each in listed["items"]]

    assert await names(side.jobs) == ["a", "b"]
    assert await names(side.jobs, labelSelector="name=a") == ["a"]
    assert await names(side.jobs, labelSelector="name!=a,kind=test") == ["b"]
    assert await names(side.jobs, labelSelector="name in (b,c),!absent") == ["b"]
    assert await names(side.jobs, labelSelector="name notin (a),kind") == ["b"]
    assert await names(side.jobs, labelSelector="kind=other") == []
    assert await names(side.jobs, fieldSelector="metadata.name=b") == ["b"]
    pod = (await the_pod_of(side, "a"))["metadata"]["name"]
    assert await names(side.pods, fieldSelector="spec.nodeName=no-such-node") == []
    assert await names(side.pods, fieldSelector=f"metadata.name={pod}") == [pod]


async def test_items_of_a_list_do_not_repeat_their_kind(side: Side) -> None:
    await side.create_job("one")
    listed = await side.cluster.request("GET", side.jobs)
    assert (listed["kind"], listed["apiVersion"]) == ("JobList", "batch/v1")
    assert {"kind", "apiVersion"}.isdisjoint(listed["items"][0])


async def test_events_are_found_by_the_object_they_are_about(side: Side) -> None:
    uid = (await side.create_job("told"))["metadata"]["uid"]
    query = {"fieldSelector": f"involvedObject.uid={uid},involvedObject.name=told"}
    [event] = await side.events(f"{side.core}/events", 1, **query)
    said = event["object"]
    assert (said["reason"], said["type"]) == ("SuccessfulCreate", "Normal")
    assert said["message"].startswith("Created pod: told-")
    assert (said["involvedObject"]["kind"], said["involvedObject"]["uid"]) == ("Job", uid)
    assert said["count"] == 1


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"fieldSelector": "spec.nonsense=1"}, "field label not supported: spec.nonsense"),
        ({"labelSelector": "(("}, "api/v1/namespaces"),
    ],
)
async def test_a_selector_that_means_nothing_is_refused(
    side: Side, query: dict[str, str], said: str
) -> None:
    with pytest.raises(ClusterError, match=said) as caught:
        await side.cluster.request("GET", side.pods, query=query)
    assert type(caught.value) is ClusterError


async def test_what_is_not_there_is_404(side: Side) -> None:
    with pytest.raises(NotFoundError, match=r'jobs\.batch "nobody" not found'):
        await side.cluster.request("GET", f"{side.jobs}/nobody")
    with pytest.raises(NotFoundError, match='pods "nobody" not found'):
        await side.cluster.request("DELETE", f"{side.pods}/nobody")
    with pytest.raises(NotFoundError, match='pods "nobody" not found'):
        await side.cluster.request("GET", f"{side.pods}/nobody/log")
    with pytest.raises(NotFoundError, match="404 page not found"):
        await side.cluster.request("GET", "/apis/nothing.example/v1/things")
    elsewhere = "/apis/batch/v1/namespaces/nowhere-at-all/jobs"
    with pytest.raises(NotFoundError, match='namespaces "nowhere-at-all" not found'):
        await side.cluster.request("POST", elsewhere, body=job_body("x"))
    assert (await side.cluster.request("GET", elsewhere))["items"] == []


async def test_the_same_name_twice_is_a_conflict(side: Side) -> None:
    await side.create_job("twice")
    with pytest.raises(ConflictError, match=r'jobs\.batch "twice" already exists'):
        await side.create_job("twice")


async def test_invalid_objects_are_refused_with_the_field(side: Side) -> None:
    async def refused(path: str, body: JsonObject) -> str:
        with pytest.raises(ClusterError) as caught:
            await side.cluster.request("POST", path, body=body)
        assert type(caught.value) is ClusterError
        return caught.value.sentence

    assert 'Job.batch "Big_Name" is invalid: metadata.name' in await refused(
        side.jobs, job_body("Big_Name")
    )
    assert "must be no more than 63 characters" in await refused(side.jobs, job_body("x" * 64))
    labelled = job_body("labelled")
    labelled["metadata"]["labels"] = {"a": "no spaces"}
    assert "metadata.labels: Invalid value" in await refused(side.jobs, labelled)
    always = job_body("always")
    always["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    assert "spec.template.spec.restartPolicy" in await refused(side.jobs, always)
    empty = pod_body("empty")
    empty["spec"]["containers"] = []
    assert "spec.containers: Required value" in await refused(side.pods, empty)
    assert "cannot be handled as a Pod" in await refused(side.pods, job_body("not-a-pod"))


async def test_a_dry_run_changes_nothing(side: Side) -> None:
    query = {"dryRun": "All"}
    tried = await side.cluster.request("POST", side.jobs, query=query, body=job_body("maybe"))
    assert tried["metadata"]["name"] == "maybe"
    with pytest.raises(NotFoundError):
        await side.cluster.request("GET", f"{side.jobs}/maybe")


async def test_a_patch_merges_and_a_stale_replacement_conflicts(side: Side) -> None:
    before = await side.create_pod("patched", ["true"], nodeSelector={"no": "where"})
    after = await side.cluster.request(
        *("PATCH", f"{side.pods}/patched"),
        body={"metadata": {"labels": {"new": "label"}}},
        content_type="application/merge-patch+json",
    )
    assert after["metadata"]["labels"] == {"new": "label"}
    assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
    with pytest.raises(ConflictError, match="the object has been modified"):
        await side.cluster.request("PUT", f"{side.pods}/patched", body=before)


async def test_a_watch_goes_on_from_a_version(side: Side) -> None:
    listed = await side.cluster.request("GET", side.jobs)
    version = listed["metadata"]["resourceVersion"]
    await side.create_job("later")
    options = {"propagationPolicy": "Background"}
    await side.cluster.request("DELETE", f"{side.jobs}/later", body=options)
    seen = []
    async with asyncio.timeout(60), side.watching(side.jobs, resourceVersion=version) as events:
        async for event in events:
            seen.append(event["type"])
            assert event["object"]["metadata"]["name"] == "later"
            assert event["object"]["kind"] == "Job"
            if event["type"] == "DELETED":
                break
    assert seen[0] == "ADDED"
    assert set(seen[1:-1]) <= {"MODIFIED"}


async def test_a_watch_without_a_version_begins_with_what_is_there(side: Side) -> None:
    for name in ("a", "b"):
        await side.create_job(name)
    seen = await side.events(side.jobs, 2)
    assert {(each["type"], each["object"]["metadata"]["name"]) for each in seen} == {
        ("ADDED", "a"),
        ("ADDED", "b"),
    }


async def test_an_object_that_leaves_the_selection_is_deleted_for_the_watch(side: Side) -> None:
    await side.create_pod("moving", ["true"], nodeSelector={"no": "where"})

    async def label(value: str | None) -> None:
        await side.cluster.request(
            *("PATCH", f"{side.pods}/moving"),
            body={"metadata": {"labels": {"in": value}}},
            content_type="application/merge-patch+json",
        )

    version = (await side.cluster.request("GET", side.pods))["metadata"]["resourceVersion"]
    await label("yes")
    await label(None)
    seen: list[str] = []
    query = {"labelSelector": "in=yes", "resourceVersion": version}
    async with side.watching(side.pods, **query) as events:
        while "DELETED" not in seen:
            seen.append((await anext(events))["type"])
    # A scheduler may have its say in between.
    assert seen[0] == "ADDED"
    assert set(seen[1:-1]) <= {"MODIFIED"}


async def test_a_watch_ends_by_itself_and_leaves_a_bookmark(side: Side) -> None:
    listed = await side.cluster.request("GET", side.pods)
    query = {"resourceVersion": listed["metadata"]["resourceVersion"], "timeoutSeconds": 3}
    async with side.watching(side.pods, allowWatchBookmarks=True, **query) as events:
        seen = [event async for event in events]
    assert {event["type"] for event in seen} <= {"BOOKMARK"}
    for event in seen:
        assert int(event["object"]["metadata"]["resourceVersion"]) > 0


async def test_a_forgotten_version_is_said_in_the_watch(side: Side) -> None:
    side.forget_history()
    [event] = await side.events("/api/v1/pods", 1, resourceVersion="2")
    if event["type"] != "ERROR":
        pytest.skip("this server is young and still knows its whole history")
    status = event["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert status["message"].startswith("too old resource version: 2 (")


async def test_a_running_pod_ends_within_its_grace_period_or_at_once(side: Side) -> None:
    for name in ("patient", "hasty"):
        await side.create_pod(name, ["sleep", "600"], terminationGracePeriodSeconds=30)
        await side.running(name)
    side.end_slowly()
    gone = await side.cluster.request("DELETE", f"{side.pods}/patient")
    assert gone["metadata"]["deletionGracePeriodSeconds"] == 30
    still = (await side.cluster.request("GET", f"{side.pods}/patient"))["metadata"]
    assert still["deletionTimestamp"] == gone["metadata"]["deletionTimestamp"]
    at_once = {"gracePeriodSeconds": 0}
    for name in ("patient", "hasty"):
        await side.cluster.request("DELETE", f"{side.pods}/{name}", body=at_once)
        with pytest.raises(NotFoundError):
            await side.cluster.request("GET", f"{side.pods}/{name}")


async def test_a_delete_for_another_uid_is_a_conflict(side: Side) -> None:
    created = await side.create_job("mine")
    uid = created["metadata"]["uid"]
    with pytest.raises(ConflictError, match="the UID in the precondition"):
        await side.cluster.request(
            "DELETE", f"{side.jobs}/mine", body={"preconditions": {"uid": "another"}}
        )
    answer = await side.cluster.request(
        *("DELETE", f"{side.jobs}/mine"),
        body={"preconditions": {"uid": uid}, "propagationPolicy": "Background"},
    )
    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    assert answer["details"] == {"name": "mine", "group": "batch", "kind": "jobs", "uid": uid}


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
async def test_deleting_a_job_takes_its_pods_along(side: Side, policy: str) -> None:
    await side.create_job("family")
    pod = (await the_pod_of(side, "family"))["metadata"]["name"]
    await side.cluster.request("DELETE", f"{side.jobs}/family", query={"propagationPolicy": policy})
    async with asyncio.timeout(60):
        await _gone(side, f"{side.pods}/{pod}")
        await _gone(side, f"{side.jobs}/family")


async def test_deleting_a_job_without_a_policy_orphans_its_pods(side: Side) -> None:
    await side.create_job("parent")
    pod = (await the_pod_of(side, "parent"))["metadata"]["name"]
    await side.cluster.request("DELETE", f"{side.jobs}/parent")
    async with asyncio.timeout(60):
        await _gone(side, f"{side.jobs}/parent")
        while (await side.cluster.request("GET", f"{side.pods}/{pod}"))["metadata"].get(
            "ownerReferences"
        ):
            await asyncio.sleep(0.05)
    [orphan] = await pods_of(side, "parent")
    assert "deletionTimestamp" not in orphan["metadata"]


async def test_a_collection_is_deleted_by_its_labels(side: Side) -> None:
    for name in ("a", "b"):
        await side.create_job(name)
    query = {"labelSelector": "name=a", "propagationPolicy": "Background"}
    await side.cluster.request("DELETE", side.jobs, query=query)
    async with asyncio.timeout(60):
        await _gone(side, f"{side.jobs}/a")
    assert (await side.cluster.request("GET", f"{side.jobs}/b"))["metadata"]["name"] == "b"


async def test_an_access_review_says_what_is_allowed(side: Side) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    attributes = {
        **{"verb": "create", "group": "batch", "resource": "jobs"},
        "namespace": side.cluster.namespace,
    }
    body = {
        **{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"},
        "spec": {"resourceAttributes": attributes},
    }
    answer = await side.cluster.request("POST", path, body=body)
    assert answer["kind"] == "SelfSubjectAccessReview"
    assert answer["spec"]["resourceAttributes"] == attributes
    assert answer["status"]["allowed"] is True


async def _gone(side: Side, path: str) -> None:
    while True:
        try:
            await side.cluster.request("GET", path)
        except NotFoundError:
            return
        await asyncio.sleep(0.05)
