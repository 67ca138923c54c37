"""Getting in: kubeconfigs, tokens, login programs and certificates."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from core.kube.cluster import Access, Cluster
from core.kube.errors import (
    DeniedError,
    KubeconfigError,
    UnreachableError,
)
from core.kube.login import log_in
from tests.core.kube.clocks import Clock
from tests.core.kube.login_programs import with_program
from tests.core.kube.stand_in import StandIn

PODS = "/api/v1/namespaces/default/pods"


async def test_the_server_s_name_of_the_kubeconfig_holds_for_commands_too(
    tmp_path: Path, clock: Clock
) -> None:
    made = _self_signed(tmp_path, "DNS:kubernetes.test")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made / "server.crt", made / "server.key")

    async def serve(request: web.Request) -> web.StreamResponse:
        answer = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await answer.prepare(request)
        await answer.send_bytes(b"\x01done")
        return answer

    runner = web.AppRunner(_application(serve), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    server = StandIn()
    server.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    access = server.access(tmp_path)
    path = Path(access.kubeconfig)
    document = json.loads(path.read_text())
    document["clusters"][0]["cluster"] |= {
        "certificate-authority": str(made / "server.crt"),
        "tls-server-name": "kubernetes.test",
    }
    path.write_text(json.dumps(document))
    try:
        async with (
            Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster,
            cluster.execute("works", "main", ["x"]) as channel,
        ):
            assert (await channel.receive_bytes()) == b"\x01done"
    finally:
        await runner.cleanup()


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
    access = with_program(stand_in.access(tmp_path), *command)
    error = await _cannot_enter(access)
    assert "\n" not in error.sentence
    assert access.kubeconfig in error.sentence
    assert said in error.sentence
    assert "kubectl --context stand-in" in error.remedy


async def test_a_login_program_that_does_not_end_is_one_sentence(
    stand_in: StandIn, tmp_path: Path
) -> None:
    access = with_program(stand_in.access(tmp_path), "sleep", "600")
    configuration = SimpleNamespace(host="", api_key={})
    with pytest.raises(KubeconfigError, match=r"did not end within 0\.2 s") as caught:
        await log_in(access.kubeconfig, access.context, configuration, limit_s=0.2)
    assert "kubectl --context stand-in" in caught.value.remedy


async def test_a_login_program_that_nobody_waits_for_is_ended(
    stand_in: StandIn, tmp_path: Path
) -> None:
    noted = tmp_path / "pid"
    command = f"echo $$ > '{noted}.part'; mv '{noted}.part' '{noted}'; exec sleep 600"
    access = with_program(stand_in.access(tmp_path), "sh", "-c", command)
    entering = asyncio.create_task(Cluster(access).__aenter__())
    async with asyncio.timeout(20):
        while not noted.exists():
            await asyncio.sleep(0.005)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    with pytest.raises(ProcessLookupError):
        os.kill(int(noted.read_text()), 0)


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


def _self_signed(folder: Path, name_of_server: str = "IP:127.0.0.1") -> Path:
    """Make two certificates for this machine, ``server`` and ``other``."""
    for name in ("server", "other"):
        command = [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", "/CN=127.0.0.1"),
            *("-addext", f"subjectAltName={name_of_server}"),
        ]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("openssl makes the certificates of this test and is not here")
    return folder
