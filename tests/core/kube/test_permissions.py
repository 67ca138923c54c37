"""Every missing permission is named before anything is created, and the Role grants them all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.kube.cluster import Access, Cluster, JsonObject
from core.kube.errors import ConflictError, DeniedError
from core.kube.permissions import NEEDS, Missing, missing_permissions, role_yaml
from tests.core.kube.sides import RealSide
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_access import ADMIN, VIEWER, Account, Action


def allow(stand_in: StandIn, *rules: tuple[str, str, str]) -> None:
    """Let the stand-in allow only these: verb, resource (``jobs.batch``), namespace."""

    def policy(action: Action) -> bool:
        what = f"{action.resource}.{action.group}" if action.group else action.resource
        return (action.verb, what, action.namespace) in rules

    stand_in.accounts[ADMIN] = Account("somebody", policy)


def granted(text: str) -> list[tuple[str, str, str]]:
    """What the documents of ``role_yaml`` allow."""
    return [
        (verb, f"{resource}.{group}" if group else resource, role["metadata"].get("namespace", ""))
        for role in yaml.safe_load_all(text)
        if role["kind"] in ("Role", "ClusterRole")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def sentences(missing: list[Missing]) -> set[str]:
    return {each.sentence for each in missing}


async def test_who_may_do_everything_misses_nothing(cluster: Cluster) -> None:
    assert await missing_permissions(cluster, gpus=True, install_drivers=True) == []


@pytest.mark.parametrize("install_drivers", [True, False])
async def test_the_role_grants_all_that_is_needed(
    stand_in: StandIn, cluster: Cluster, install_drivers: bool
) -> None:
    allow(stand_in, *granted(role_yaml("default", install_drivers=install_drivers, subject=None)))
    missing = await missing_permissions(cluster, gpus=True, install_drivers=install_drivers)
    assert missing == []


async def test_the_role_grants_nothing_that_is_not_needed(
    stand_in: StandIn, cluster: Cluster
) -> None:
    """Whatever single right is taken out of the Role, it is missed."""
    stand_in.version["minor"] = "35+"
    rules = granted(role_yaml("default", install_drivers=True, subject=None))
    assert len(rules) == len(set(rules))
    for rule in rules:
        allow(stand_in, *(each for each in rules if each != rule))
        missing = await missing_permissions(cluster, gpus=True, install_drivers=True)
        verb, what, namespace = rule
        place = f"in namespace {namespace}" if namespace else "of the cluster"
        assert missing
        assert all(each.sentence.startswith(f"{verb} {what} {place}: ") for each in missing)


async def test_who_may_do_nothing_misses_every_need(stand_in: StandIn, cluster: Cluster) -> None:
    allow(stand_in)
    stand_in.version["minor"] = "35"
    missing = await missing_permissions(cluster, gpus=True, install_drivers=True)
    assert [each.need for each in missing] == list(NEEDS)
    assert "create, get, list, watch and delete jobs.batch in namespace default: the Job" in (
        sentences(missing)
    )
    assert "get, list and watch nodes of the cluster: nodes and their GPUs" in sentences(missing)


async def test_without_gpus_the_system_is_not_asked_about(
    stand_in: StandIn, cluster: Cluster
) -> None:
    allow(stand_in)
    missing = await missing_permissions(cluster, gpus=False, install_drivers=False)
    assert {each.namespace for each in missing} == {"default", ""}
    assert not any("tries the GPU" in each.sentence for each in missing)


async def test_what_only_says_less_is_not_required(stand_in: StandIn, cluster: Cluster) -> None:
    allow(stand_in)
    missing = await missing_permissions(cluster, gpus=True, install_drivers=False)
    optional = {each.sentence.partition(":")[0] for each in missing if not each.required}
    assert optional == {
        "get, list and watch nodes of the cluster",
        "get, list and watch daemonsets.apps in namespace kube-system",
        "list and watch pods in namespace kube-system",
        "get pods/log in namespace kube-system",
        "list and watch events in namespace kube-system",
    }


@pytest.mark.parametrize(
    ("minor", "asked"), [("20", False), ("34+", False), ("35", True), ("", True)]
)
async def test_a_websocket_needs_create_from_1_35_on(
    stand_in: StandIn, cluster: Cluster, minor: str, asked: bool
) -> None:
    rules = granted(role_yaml("default", install_drivers=False, subject=None))
    allow(stand_in, *(rule for rule in rules if rule[:2] != ("create", "pods/exec")))
    stand_in.version["minor"] = minor
    missing = await missing_permissions(cluster, gpus=True, install_drivers=False)
    expected = {"create pods/exec in namespace default: fetching the results"}
    assert sentences(missing) == (expected if asked else set())


async def test_asking_creates_nothing(stand_in: StandIn, cluster: Cluster) -> None:
    version = stand_in.store.version
    await missing_permissions(cluster, gpus=True, install_drivers=True)
    assert stand_in.store.version == version
    assert {each.path.rpartition("/")[2] for each in stand_in.asked} == {
        "selfsubjectaccessreviews",
        "version",
    }


async def test_the_namespace_of_the_connection_is_asked_about(
    stand_in: StandIn, tmp_path: Path
) -> None:
    allow(stand_in, *granted(role_yaml("team-a", install_drivers=False, subject=None)))
    access = stand_in.access(tmp_path, namespace="team-a")
    async with Cluster(access) as cluster:
        assert await missing_permissions(cluster, gpus=True, install_drivers=False) == []
    async with Cluster(replace(access, namespace="team-b")) as cluster:
        missing = await missing_permissions(cluster, gpus=True, install_drivers=False)
        assert {each.namespace for each in missing} == {"team-b"}


@pytest.mark.parametrize(
    ("subject", "bound"),
    [
        (
            "alice@example.com",
            {
                "kind": "User",
                "apiGroup": "rbac.authorization.k8s.io",
                "name": "alice@example.com",
            },
        ),
        ("team:runner", {"kind": "ServiceAccount", "namespace": "team", "name": "runner"}),
        (
            "system:serviceaccount:team:runner",
            {"kind": "ServiceAccount", "namespace": "team", "name": "runner"},
        ),
    ],
)
def test_the_roles_are_bound_to_the_subject(subject: str, bound: dict[str, str]) -> None:
    documents = list(yaml.safe_load_all(role_yaml("team", install_drivers=False, subject=subject)))
    bindings = [each for each in documents if each["kind"].endswith("Binding")]
    roles = [each for each in documents if not each["kind"].endswith("Binding")]
    assert len(bindings) == len(roles) == 3
    for role, binding in zip(roles, bindings, strict=True):
        assert binding["subjects"] == [bound]
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        assert binding["roleRef"]["kind"] == role["kind"]
        assert binding["metadata"].get("namespace") == role["metadata"].get("namespace")


def test_bindings_of_two_subjects_do_not_replace_each_other() -> None:
    def names(subject: str, install: bool) -> set[tuple[str, str]]:
        text = role_yaml("team", install_drivers=install, subject=subject)
        return {
            (each["kind"], each["metadata"]["name"])
            for each in yaml.safe_load_all(text)
            if each["kind"].endswith("Binding")
        }

    assert names("alice", False).isdisjoint(names("bob", False))


def test_without_a_subject_nobody_is_bound_and_it_is_said() -> None:
    text = role_yaml("team", install_drivers=False, subject=None)
    assert text.startswith("# Nobody has these rights")
    kinds = [each["kind"] for each in yaml.safe_load_all(text)]
    assert kinds == ["Role", "Role", "ClusterRole"]


@pytest.fixture
async def bound_account(
    real_cluster_access: Access, real_namespace: str, tmp_path: Path
) -> AsyncIterator[Access]:
    """A fresh ServiceAccount, with what ``role_yaml`` says for it and nothing else."""
    subject = f"{real_namespace}:runner"
    documents = list(
        yaml.safe_load_all(role_yaml(real_namespace, install_drivers=True, subject=subject))
    )
    async with Cluster(real_cluster_access) as admin:
        created = []
        accounts = f"/api/v1/namespaces/{real_namespace}/serviceaccounts"
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "runner"}}
        await admin.request("POST", accounts, body=body)
        try:
            for document in documents:
                path = _rbac_path(document)
                try:
                    await admin.request("POST", path, body=document)
                except ConflictError:
                    continue
                created.append(f"{path}/{document['metadata']['name']}")
            asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
            answer = await admin.request("POST", f"{accounts}/runner/token", body=asked)
            token = str(answer["status"]["token"])
            yield _with_token(real_cluster_access, token, real_namespace, tmp_path)
        finally:
            for path in created:
                await admin.request("DELETE", path)
            await admin.request("DELETE", f"{accounts}/runner")


@pytest.mark.cluster
async def test_a_real_account_with_the_role_misses_nothing_and_can_work(
    bound_account: Access,
) -> None:
    async with Cluster(bound_account) as cluster:
        async with asyncio.timeout(60):
            # The authorizer learns of a new binding a moment after it was stored.
            while await missing_permissions(cluster, gpus=True, install_drivers=True):
                await asyncio.sleep(0.05)
        side = RealSide(cluster)
        await side.create_job("works", command=["sleep", "600"])
        [event] = await side.events(side.pods, 1, labelSelector="job-name=works")
        pod = event["object"]["metadata"]["name"]
        await side.running(pod)
        async with cluster.execute(pod, "main", ["echo", "hi"]) as socket:
            assert b"\x01hi\n" in [message.data async for message in socket]
        async with cluster.stream(f"{side.pods}/{pod}/log") as content:
            assert await content.read() == b""
        assert (await cluster.request("GET", "/api/v1/nodes"))["items"]
        await cluster.request("GET", f"{side.core}/events")
        for verb, path in (
            ("GET", f"{side.core}/secrets"),
            ("GET", "/api/v1/pods"),
            ("DELETE", "/api/v1/namespaces/kube-system/pods/x"),
            ("DELETE", "/api/v1/nodes/x"),
        ):
            with pytest.raises(DeniedError):
                await cluster.request(verb, path)
        policy = {"propagationPolicy": "Background"}
        await cluster.request("DELETE", f"{side.jobs}/works", query=policy)


@pytest.mark.cluster
async def test_a_real_viewer_misses_exactly_the_writes_and_the_nodes(
    real_viewer_access: Access,
) -> None:
    async with Cluster(real_viewer_access) as cluster:
        missing = await missing_permissions(cluster, gpus=True, install_drivers=True)
    assert [each.sentence for each in missing if each.required] == [
        "create and delete jobs.batch in namespace default: the Job",
        "delete pods in namespace default: ending a pod so that its results stay",
        "create pods in namespace default: the pod that tries the GPU",
        "get pods/exec in namespace default: fetching the results",
        "create and delete daemonsets.apps in namespace kube-system: installing the drivers",
    ]
    assert [each.sentence for each in missing if not each.required] == [
        "get, list and watch nodes of the cluster: nodes and their GPUs"
    ]


async def test_the_stand_ins_viewer_is_the_real_one(stand_in: StandIn, tmp_path: Path) -> None:
    async with Cluster(stand_in.access(tmp_path, VIEWER)) as cluster:
        missing = await missing_permissions(cluster, gpus=True, install_drivers=True)
    assert [each.verbs for each in missing] == [
        ("create", "delete"),
        ("delete",),
        ("create",),
        ("get",),
        ("get", "list", "watch"),
        ("create", "delete"),
    ]


def _rbac_path(document: JsonObject) -> str:
    plural = {
        **{"Role": "roles", "RoleBinding": "rolebindings"},
        **{"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"},
    }[document["kind"]]
    namespace = document["metadata"].get("namespace")
    where = f"namespaces/{namespace}/" if namespace else ""
    return f"/apis/rbac.authorization.k8s.io/v1/{where}{plural}"


def _with_token(access: Access, token: str, namespace: str, folder: Path) -> Access:
    document: dict[str, Any] = yaml.safe_load(Path(access.kubeconfig).read_text())
    [context] = [each for each in document["contexts"] if each["name"] == access.context]
    context["context"]["user"] = "runner"
    document["users"] = [{"name": "runner", "user": {"token": token}}]
    path = folder / "runner.kubeconfig"
    path.write_text(json.dumps(document))
    return replace(access, kubeconfig=str(path), namespace=namespace)
