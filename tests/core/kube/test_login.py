"""Getting in: kubeconfigs, tokens, login programs and certificates."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from core.kube.cluster import Access, Cluster
from core.kube.errors import (
    DeniedError,
    KubeconfigError,
    UnreachableError,
)
from tests.core.kube.clocks import Clock
from tests.core.kube.sides import pod_body
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_access import ADMIN, VIEWER
from tests.core.kube.stand_in_pods import answering

PODS = "/api/v1/namespaces/default/pods"
JOBS = "/apis/batch/v1/namespaces/default/jobs"


async def test_after_a_token_has_expired_the_kubeconfig_is_read_once_more(
    stand_in: StandIn, tmp_path: Path, patient: Cluster, clock: Clock
) -> None:
    async with patient as cluster:
        await cluster.request("GET", PODS)
        stand_in.accounts["fresh"] = stand_in.accounts.pop(ADMIN)
        stand_in.access(tmp_path, "fresh")
        clock.now += 3600
        assert (await cluster.request("GET", PODS))["items"] == []
        async with cluster.stream(PODS) as content:
            assert await content.read()
    assert clock.pauses == []


async def test_a_token_that_stays_expired_is_one_sentence(
    stand_in: StandIn, patient: Cluster, clock: Clock
) -> None:
    async with patient as cluster:
        del stand_in.accounts[ADMIN]
        clock.now += 3600
        with pytest.raises(DeniedError) as caught:
            await cluster.request("GET", PODS)
    assert caught.value.status == 401
    assert "context stand-in" in caught.value.sentence
    assert ADMIN not in str(caught.value)
    assert len(stand_in.asked) == 2


async def test_a_stream_and_a_command_log_in_again_too(
    stand_in: StandIn, tmp_path: Path, patient: Cluster, clock: Clock
) -> None:
    async with patient as cluster:
        await cluster.request("POST", PODS, body=pod_body("works"))
        stand_in.pod("works").start()
        stand_in.pod("works").executor = answering(b"done")
        for token in ("second", "third"):
            [name] = [each for each in stand_in.accounts if each != VIEWER]
            stand_in.accounts[token] = stand_in.accounts.pop(name)
            stand_in.access(tmp_path, token)
            clock.now += 3600
            if token == "second":
                async with cluster.stream(PODS) as content:
                    assert await content.read()
            else:
                async with cluster.execute("works", "main", ["x"]) as channel:
                    assert b"\x01done" in [message.data async for message in channel]


async def test_a_certificate_of_a_stranger_is_one_sentence_at_once(
    tmp_path: Path, clock: Clock
) -> None:
    made = _self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made / "server.crt", made / "server.key")

    async def serve(_request: web.Request) -> web.Response:
        return web.json_response({"kind": "PodList", "items": []})

    runner = web.AppRunner(_application(serve), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    server = StandIn()
    server.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    access = server.access(tmp_path)
    path = Path(access.kubeconfig)
    document = json.loads(path.read_text())
    try:
        for authority, accepted in (("server.crt", True), ("other.crt", False), (None, False)):
            if authority:
                document["clusters"][0]["cluster"]["certificate-authority"] = str(made / authority)
            else:
                del document["clusters"][0]["cluster"]["certificate-authority"]
            path.write_text(json.dumps(document))
            async with Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster:
                if accepted:
                    assert (await cluster.request("GET", PODS))["items"] == []
                    continue
                with pytest.raises(UnreachableError, match="certificate verify failed"):
                    await cluster.request("GET", PODS)
        assert clock.pauses == []
    finally:
        await runner.cleanup()


def _no_change(_document: dict[str, Any]) -> None:
    pass


def _lose_server(document: dict[str, Any]) -> None:
    del document["clusters"][0]["cluster"]["server"]


def _forget_file(document: dict[str, Any]) -> None:
    document["clusters"][0]["cluster"] |= {
        "server": "https://127.0.0.1:1",
        "certificate-authority": "/nowhere/at-all.crt",
    }


@pytest.mark.parametrize(
    ("spoil", "context"),
    [(_no_change, "another"), (_lose_server, "stand-in"), (_forget_file, "stand-in")],
)
async def test_a_kubeconfig_without_what_is_asked_is_wrong_input(
    stand_in: StandIn, tmp_path: Path, spoil: Callable[[dict[str, Any]], None], context: str
) -> None:
    access = replace(stand_in.access(tmp_path), context=context)
    document = json.loads(Path(access.kubeconfig).read_text())
    spoil(document)
    Path(access.kubeconfig).write_text(json.dumps(document))
    error = await _cannot_enter(access)
    assert context in error.sentence
    assert access.kubeconfig in error.sentence
    assert "--context" in error.remedy


async def test_a_context_whose_user_is_missing_is_not_let_in(
    stand_in: StandIn, tmp_path: Path
) -> None:
    access = stand_in.access(tmp_path)
    document = json.loads(Path(access.kubeconfig).read_text())
    document["users"] = []
    Path(access.kubeconfig).write_text(json.dumps(document))
    async with Cluster(access) as cluster:
        with pytest.raises(DeniedError, match="credentials of context stand-in"):
            await cluster.request("GET", PODS)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "just words", "{", "a: [b", "\x00\x01\x02", "apiVersion: v1\nkind: Config\n"],
    ids=["empty", "list", "words", "brace", "unclosed", "binary", "nothing-in-it"],
)
async def test_a_kubeconfig_that_is_none_is_wrong_input(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    error = await _cannot_enter(Access(str(path), "any", "default"))
    assert str(path) in error.sentence
    assert "\n" not in error.sentence
    assert "\x00" not in error.sentence


async def test_a_kubeconfig_that_is_not_there_is_wrong_input(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    error = await _cannot_enter(Access(str(missing), "any", "default"))
    assert str(missing) in error.sentence
    folder = await _cannot_enter(Access(str(tmp_path), "any", "default"))
    assert str(tmp_path) in folder.sentence


async def test_a_login_program_is_run_and_run_again_when_its_token_ends(
    stand_in: StandIn, tmp_path: Path, clock: Clock
) -> None:
    program = tmp_path / "login.py"
    token = tmp_path / "token"
    token.write_text(ADMIN)
    program.write_text(
        "import json, pathlib\n"
        f"token = pathlib.Path({str(token)!r}).read_text()\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1beta1',"
        " 'kind': 'ExecCredential', 'status': {'token': token}}))\n"
    )
    access = _with_program(stand_in.access(tmp_path), sys.executable, str(program))
    async with Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster:
        assert (await cluster.request("GET", PODS))["items"] == []
        stand_in.accounts["fresh"] = stand_in.accounts.pop(ADMIN)
        token.write_text("fresh")
        clock.now += 3600
        assert (await cluster.request("GET", PODS))["items"] == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/nowhere/gke-gcloud-auth-plugin"], "/nowhere/gke-gcloud-auth-plugin"),
        ([sys.executable, "-c", "exit('Reauthentication required.')"], "Reauthentication required"),
        ([sys.executable, "-c", "print('no JSON')"], "failed to decode"),
        ([sys.executable, "-c", "print('{}')"], "malformed response"),
    ],
    ids=["missing", "fails", "garbage", "empty"],
)
async def test_a_login_program_that_fails_is_one_sentence(
    stand_in: StandIn,
    tmp_path: Path,
    command: list[str],
    said: str,
) -> None:
    access = _with_program(stand_in.access(tmp_path), *command)
    error = await _cannot_enter(access)
    assert "\n" not in error.sentence
    assert access.kubeconfig in error.sentence
    assert said in error.sentence
    assert "kubectl --context stand-in" in error.remedy


def _application(serve: Callable[[web.Request], Any]) -> web.Application:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", serve)
    return application


async def _cannot_enter(access: Access) -> KubeconfigError:
    with pytest.raises(KubeconfigError) as caught:
        async with Cluster(access):
            pass
    assert caught.value.exit_code == 2
    return caught.value


def _with_program(access: Access, command: str, *arguments: str) -> Access:
    path = Path(access.kubeconfig)
    document = yaml.safe_load(path.read_text())
    document["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": command,
            "args": list(arguments),
            "interactiveMode": "Never",
        }
    }
    path.write_text(json.dumps(document))
    return access


def _self_signed(folder: Path) -> Path:
    """Make two certificates for this machine, ``server`` and ``other``."""
    for name in ("server", "other"):
        command = [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("openssl makes the certificates of this test and is not here")
    return folder
