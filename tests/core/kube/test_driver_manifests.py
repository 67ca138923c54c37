"""Only DaemonSets are taken from a manifest, and what cannot be taken is said in a sentence."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.kube.cluster import Access, Cluster, JsonObject
from core.kube.driver_manifests import (
    KNOWN_SOURCES,
    ManifestError,
    ManifestUnreachableError,
    driver_manifest,
    install,
)
from core.kube.errors import DeniedError
from tests.core.kube.stand_in import StandIn

GOOD = """\
# A comment
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: nvidia-driver-installer
  namespace: kube-system
  labels:
    k8s-app: nvidia-driver-installer
spec:
  selector:
    matchLabels:
      k8s-app: nvidia-driver-installer
  template:
    metadata:
      labels:
        k8s-app: nvidia-driver-installer
    spec:
      nodeSelector:
        no-such: node
      containers:
      - image: "registry.example/pause:2.0"
        name: pause
---
"""
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: sneaky\n"


def served(answer: httpx.Response | Exception, asked: list[str] | None = None) -> httpx.AsyncClient:
    def respond(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(str(request.url))
        if isinstance(answer, Exception):
            raise answer
        return answer

    return httpx.AsyncClient(transport=httpx.MockTransport(respond), follow_redirects=True)


async def test_a_file_gives_its_daemonsets(tmp_path: Path) -> None:
    file = tmp_path / "drivers.yaml"
    file.write_text(GOOD + GOOD.replace("nvidia-driver-installer", "second"))
    found = await driver_manifest(str(file))
    assert [each["metadata"]["name"] for each in found] == ["nvidia-driver-installer", "second"]


async def test_a_list_gives_its_daemonsets(tmp_path: Path) -> None:
    item = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "a"}}
    listed = {"apiVersion": "v1", "kind": "List", "items": [{**item, "spec": {"template": {}}}]}
    file = tmp_path / "drivers.json"
    file.write_text(json.dumps(listed))
    assert len(await driver_manifest(str(file))) == 1


@pytest.mark.parametrize("source", sorted(KNOWN_SOURCES))
async def test_known_names_stand_for_googles_manifests(source: str) -> None:
    asked: list[str] = []
    async with served(httpx.Response(200, text=GOOD), asked) as client:
        assert await driver_manifest(source, client)
    [address] = asked
    system = source.removeprefix("gke-")
    assert address == (
        "https://raw.githubusercontent.com/GoogleCloudPlatform/container-engine-accelerators/"
        f"master/nvidia-driver-installer/{system}/daemonset-preloaded.yaml"
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (GOOD + CONFIG_MAP, "holds v1 ConfigMap sneaky; only DaemonSets"),
        (GOOD.replace("apps/v1", "extensions/v1beta1"), "extensions/v1beta1 DaemonSet nvidia-dr"),
        ("kind: [unclosed", "is no YAML (line 1)"),
        ("", "holds no DaemonSet"),
        ("just words", "holds no object"),
        ("apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {}\n", "without a name or a spec"),
        ("a: " + "[" * 2000, "is no YAML"),
        ("a: 2026-99-99", "is no YAML"),
        ("#" * (1024 * 1024 + 1), "larger than 1 MiB"),
        ('apiVersion: v1\nkind: "\\e[2J"\nmetadata: {name: x}', "\\x1b[2J"),
    ],
    ids=[
        "another kind",
        "old version",
        "broken",
        "empty",
        "words",
        "nameless",
        "nested",
        "date",
        "large",
        "hostile",
    ],
)
async def test_what_is_no_daemonset_is_refused_by_name(
    tmp_path: Path, content: str, words: str
) -> None:
    file = tmp_path / "drivers.yaml"
    file.write_text(content)
    with pytest.raises(ManifestError) as raised:
        await driver_manifest(str(file))
    assert words in raised.value.sentence
    async with served(httpx.Response(200, text=content)) as client:
        with pytest.raises(ManifestError):
            await driver_manifest("https://example.org/drivers.yaml", client)


async def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(ManifestError, match=str(path)) as raised:
            await driver_manifest(str(path))
        assert raised.value.exit_code == 2
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="no UTF-8 text"):
        await driver_manifest(str(binary))


async def test_an_address_without_encryption_is_refused() -> None:
    with pytest.raises(ManifestError, match="must come by https"):
        await driver_manifest("http://example.org/drivers.yaml")


async def test_a_redirect_to_an_address_without_encryption_is_refused() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "https":
            return httpx.Response(302, headers={"Location": "http://example.org/x"})
        return httpx.Response(200, text=GOOD)

    transport = httpx.MockTransport(respond)
    async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
        with pytest.raises(ManifestError, match="leads away from https"):
            await driver_manifest("https://example.org/x", client)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (httpx.Response(404), ManifestError, "There is no driver manifest at"),
        (httpx.Response(503), ManifestUnreachableError, "answered 503"),
        (httpx.ConnectError("no route"), ManifestUnreachableError, "cannot be fetched: no route"),
        (httpx.ReadTimeout(""), ManifestUnreachableError, "cannot be fetched: ReadTimeout"),
    ],
)
async def test_a_server_that_does_not_give_it_is_named(
    answer: httpx.Response | Exception, kind: type[Exception], words: str
) -> None:
    async with served(answer) as client:
        with pytest.raises(kind, match=words):
            await driver_manifest("https://example.org/drivers.yaml", client)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
async def test_any_text_is_a_manifest_or_a_sentence(text: str) -> None:
    async with served(httpx.Response(200, text=text)) as client:
        with pytest.raises(ManifestError) as raised:
            await driver_manifest("https://example.org/x", client)
    assert raised.value.sentence.isprintable()


async def _manifest(tmp_path: Path, name: str = "nvidia-driver-installer") -> JsonObject:
    file = tmp_path / "drivers.yaml"
    file.write_text(GOOD.replace("nvidia-driver-installer", name))
    [found] = await driver_manifest(str(file))
    return found


async def test_installing_labels_the_daemonset_and_leaves_its_pods_alone(
    cluster: Cluster, tmp_path: Path
) -> None:
    manifest = await _manifest(tmp_path)
    made = await install(cluster, manifest, {"gpubench-tui/run": "r1"})
    path = "/apis/apps/v1/namespaces/kube-system/daemonsets/nvidia-driver-installer"
    there = await cluster.request("GET", path)
    assert (made.name, made.namespace) == ("nvidia-driver-installer", "kube-system")
    assert (made.uid, made.created) == (there["metadata"]["uid"], True)
    assert there["metadata"]["labels"] == {
        "k8s-app": "nvidia-driver-installer",
        "gpubench-tui/run": "r1",
    }
    assert there["spec"]["template"]["metadata"] == manifest["spec"]["template"]["metadata"]


async def test_somebody_elses_daemonset_is_used_as_it_is(cluster: Cluster, tmp_path: Path) -> None:
    manifest = await _manifest(tmp_path)
    theirs = await install(cluster, manifest, {"owner": "somebody"})
    ours = await install(cluster, manifest, {"gpubench-tui/run": "r1"})
    assert (ours.uid, ours.created) == (theirs.uid, False)


async def test_a_creation_whose_answer_was_lost_is_still_ours(
    cluster: Cluster, tmp_path: Path
) -> None:
    manifest = await _manifest(tmp_path)
    first = await install(cluster, manifest, {"gpubench-tui/run": "r1"})
    again = await install(cluster, manifest, {"gpubench-tui/run": "r1"})
    assert (again.uid, again.created) == (first.uid, True)


async def test_an_installation_under_way_when_it_is_cancelled_is_carried_to_its_end(
    stand_in: StandIn, cluster: Cluster, tmp_path: Path
) -> None:
    arrives = asyncio.Event()
    stand_in.fail(method="POST", until=arrives)
    installing = asyncio.create_task(install(cluster, await _manifest(tmp_path), {}))
    while not stand_in.asked:
        await asyncio.sleep(0)
    installing.cancel()
    assert not (await asyncio.wait({installing}, timeout=0.2))[0]
    arrives.set()
    with pytest.raises(asyncio.CancelledError):
        await installing
    path = "/apis/apps/v1/namespaces/kube-system/daemonsets/nvidia-driver-installer"
    assert (await cluster.request("GET", path))["metadata"]["uid"]


async def test_who_may_not_install_is_denied(
    stand_in: StandIn, cluster: Cluster, tmp_path: Path
) -> None:
    stand_in.fail(403, method="POST")
    with pytest.raises(DeniedError):
        await install(cluster, await _manifest(tmp_path), {})


@pytest.mark.cluster
async def test_a_real_server_takes_it(
    real_cluster_access: Access, real_namespace: str, tmp_path: Path
) -> None:
    manifest = await _manifest(tmp_path)
    manifest["metadata"]["namespace"] = real_namespace
    async with Cluster(real_cluster_access) as cluster:
        made = await install(cluster, manifest, {"gpubench-tui/run": "r1"})
        again = await install(cluster, manifest, {"gpubench-tui/run": "another"})
    assert (made.created, again.created) == (True, False)
    assert made.uid == again.uid
