"""Credentials that end while work is under way: logging in again, once, and what if that fails."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from core.kube.cluster import Cluster
from core.kube.errors import DeniedError
from tests.core.kube.clocks import Clock
from tests.core.kube.login_programs import with_token_from
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


async def test_a_refusal_that_comes_after_a_login_is_asked_again(
    stand_in: StandIn, tmp_path: Path, patient: Cluster, clock: Clock
) -> None:
    late = asyncio.Event()
    async with patient as cluster:
        stand_in.fail(401, path="/jobs", until=late)
        slow = asyncio.create_task(cluster.request("GET", JOBS))
        while not stand_in.asked:
            await asyncio.sleep(0)
        stand_in.accounts["fresh"] = stand_in.accounts.pop(ADMIN)
        stand_in.access(tmp_path, "fresh")
        clock.now += 3600
        assert (await cluster.request("GET", PODS))["items"] == []
        late.set()
        assert (await slow)["items"] == []


async def test_several_refusals_at_once_are_one_login(
    stand_in: StandIn, tmp_path: Path, clock: Clock
) -> None:
    token, count = tmp_path / "token", tmp_path / "count"
    token.write_text(ADMIN)
    access = with_token_from(token, stand_in.access(tmp_path), note_in=count)
    async with Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster:
        clock.now += 3600
        stand_in.fail(401, times=5)
        await asyncio.gather(*(cluster.request("GET", PODS) for _ in range(5)))
    assert count.read_text() == "xx"


async def test_a_login_that_fails_later_is_a_failure_of_the_work(
    stand_in: StandIn, tmp_path: Path, clock: Clock
) -> None:
    token = tmp_path / "token"
    token.write_text(ADMIN)
    access = with_token_from(token, stand_in.access(tmp_path))
    async with Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster:
        del stand_in.accounts[ADMIN]
        token.write_text("")
        clock.now += 3600
        with pytest.raises(DeniedError, match="Reauthentication required") as caught:
            await cluster.request("GET", PODS)
    assert (caught.value.exit_code, caught.value.status) == (1, 401)
    assert "Log in again" in caught.value.remedy


async def test_requests_go_on_while_another_logs_in_again(
    stand_in: StandIn, tmp_path: Path, clock: Clock
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    access = with_token_from(pipe, stand_in.access(tmp_path))
    # Opening either end of a pipe waits for the other.
    asyncio.get_running_loop().run_in_executor(None, pipe.write_text, ADMIN)
    async with Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster:
        clock.now += 3600
        stand_in.fail(401, path="/jobs")
        again = asyncio.create_task(cluster.request("GET", JOBS))
        while not stand_in.asked:
            await asyncio.sleep(0)
        # Until the program is there, and waits.
        waiting = await asyncio.to_thread(pipe.open, "w")
        assert (await cluster.request("GET", PODS, patience_s=0))["items"] == []
        assert not again.done()
        with waiting:
            waiting.write(ADMIN)
        assert (await again)["items"] == []


async def test_a_login_program_is_run_and_run_again_when_its_token_ends(
    stand_in: StandIn, tmp_path: Path, clock: Clock
) -> None:
    token = tmp_path / "token"
    token.write_text(ADMIN)
    access = with_token_from(token, stand_in.access(tmp_path))
    async with Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster:
        assert (await cluster.request("GET", PODS))["items"] == []
        stand_in.accounts["fresh"] = stand_in.accounts.pop(ADMIN)
        token.write_text("fresh")
        clock.now += 3600
        assert (await cluster.request("GET", PODS))["items"] == []
