"""Logs, commands and the ends of pods are alike on the stand-in and on a real API server."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from core.kube.errors import ClusterError, NotFoundError, UnreachableError
from tests.core.kube.sides import Side, pod_body

SAY_TWO = ["sh", "-c", "echo first; echo second; exit 3"]


async def log(side: Side, pod: str, **query: Any) -> str:
    async with side.cluster.stream(f"{side.pods}/{pod}/log", query=query) as content:
        return (await content.read()).decode()


async def executed(side: Side, pod: str, *command: str) -> dict[int, bytes]:
    """Everything that came on each channel."""
    channels: dict[int, bytes] = {}
    async with side.cluster.execute(pod, "main", list(command)) as socket:
        async for message in socket:
            assert message.type is aiohttp.WSMsgType.BINARY
            channel, data = message.data[0], message.data[1:]
            channels[channel] = channels.get(channel, b"") + data
    return channels


async def test_a_log_before_the_start_is_400(side: Side) -> None:
    body = pod_body("waits")
    body["spec"]["containers"][0]["image"] = "no.such.place/nothing:1"
    await side.cluster.request("POST", side.pods, body=body)
    await side.waiting("waits")
    with pytest.raises(ClusterError, match='container "main" in pod "waits" is waiting to start'):
        await log(side, "waits")
    with pytest.raises(ClusterError, match="container other is not valid for pod waits"):
        await log(side, "waits", container="other")


async def test_a_finished_container_keeps_its_log(side: Side) -> None:
    await side.create_pod("said", SAY_TWO)
    await side.said_and_ended("said", ["first", "second"], 3)
    assert await log(side, "said") == "first\nsecond\n"
    assert await log(side, "said", follow=True) == "first\nsecond\n"
    assert await log(side, "said", tailLines=1) == "second\n"
    with pytest.raises(ClusterError, match='previous terminated container "main" in pod "said"'):
        await log(side, "said", previous=True)
    stamped = (await log(side, "said", timestamps=True)).splitlines()
    assert [line.split(" ", 1)[1] for line in stamped] == ["first", "second"]
    times = [line.split(" ", 1)[0] for line in stamped]
    assert all(moment.endswith("Z") and datetime.fromisoformat(moment) for moment in times)
    assert times == sorted(times)


async def test_since_time_counts_whole_seconds(side: Side) -> None:
    await side.create_pod("said", SAY_TWO)
    await side.said_and_ended("said", ["first", "second"], 3)
    last = (await log(side, "said", timestamps=True)).splitlines()[-1].split(" ")[0]
    assert "second\n" in await log(side, "said", sinceTime=last)
    second = f"{last.partition('.')[0]}Z"
    assert await log(side, "said", sinceTime=last) == await log(side, "said", sinceTime=second)
    assert await log(side, "said", sinceTime="2020-01-01T00:00:00Z") == "first\nsecond\n"
    assert await log(side, "said", sinceTime="2099-01-01T00:00:00Z") == ""
    with pytest.raises(ClusterError, match="parsing time"):
        await log(side, "said", sinceTime="yesterday")


async def test_a_log_is_followed_to_the_end_of_the_container(side: Side) -> None:
    command = ["sh", "-c", "echo first; sleep 1; echo second"]
    await side.create_pod("talks", command)
    await side.running("talks", ["first"])
    async with side.cluster.stream(f"{side.pods}/talks/log", query={"follow": True}) as content:
        assert await content.readline() == b"first\n"
        await side.said_and_ended("talks", ["second"], 0, wait=False)
        assert await content.read() == b"second\n"


@pytest.mark.parametrize(
    ("command", "stdout", "stderr", "code"),
    [
        (["sh", "-c", "echo out; echo bad >&2; exit 5"], b"out\n", b"bad\n", "5"),
        (["true"], b"", b"", ""),
        (["sh", "-c", "kill -9 $$"], b"", b"", "137"),
    ],
)
async def test_a_command_ends_with_its_status(
    side: Side, command: list[str], stdout: bytes, stderr: bytes, code: str
) -> None:
    await side.create_pod("works", ["sleep", "600"])
    await side.running("works")
    channels = await executed(side, "works", *command)
    assert channels.get(1, b"") == stdout
    assert channels.get(2, b"") == stderr
    status = json.loads(channels[3])
    if not code:
        assert status["status"] == "Success"
    else:
        assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
        assert status["details"]["causes"] == [{"reason": "ExitCode", "message": code}]


async def test_large_output_of_a_command_arrives_whole(side: Side) -> None:
    await side.create_pod("works", ["sleep", "600"])
    await side.running("works")
    channels = await executed(side, "works", "sh", "-c", "head -c 3000000 /dev/zero")
    assert channels[1] == bytes(3_000_000)
    assert json.loads(channels[3])["status"] == "Success"


async def test_a_command_that_is_not_there_fails_in_the_status(side: Side) -> None:
    await side.create_pod("works", ["sleep", "600"])
    await side.running("works")
    status = json.loads((await executed(side, "works", "no-such-command"))[3])
    assert status["status"] == "Failure"
    assert status["reason"] == "InternalError"
    assert "executable file not found" in status["message"]


async def test_a_command_needs_a_pod_that_is_there(side: Side) -> None:
    with pytest.raises(NotFoundError):
        await executed(side, "nobody", "true")


async def test_a_command_needs_a_running_container(side: Side) -> None:
    await side.create_pod("over", ["true"])
    await side.said_and_ended("over", [], 0)
    with pytest.raises(UnreachableError, match="500"):
        async with side.cluster.execute("over", "main", ["true"], patience_s=0):
            pass
    with pytest.raises(ClusterError) as caught:
        async with side.cluster.execute("over", "other", ["true"]):
            pass
    assert type(caught.value) is ClusterError


async def test_a_pod_without_a_node_has_an_empty_log(side: Side) -> None:
    await side.create_pod("nowhere", ["true"], nodeSelector={"no": "where"})
    assert await log(side, "nowhere") == ""


async def test_a_container_over_its_memory_is_oom_killed(side: Side) -> None:
    body = pod_body("greedy", ["tail", "/dev/zero"])
    body["spec"]["containers"][0]["resources"] = {"limits": {"memory": "16Mi"}}
    await side.cluster.request("POST", side.pods, body=body)
    await side.out_of_memory("greedy")
    status = (await side.cluster.request("GET", f"{side.pods}/greedy"))["status"]
    assert status["phase"] == "Failed"
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


async def test_a_restarted_container_keeps_the_log_of_its_last_start(side: Side) -> None:
    body = pod_body("again", ["sh", "-c", "echo once; exit 4"], restartPolicy="OnFailure")
    await side.cluster.request("POST", side.pods, body=body)
    await side.crashed("again", ["once"], 4)
    status = (await side.cluster.request("GET", f"{side.pods}/again"))["status"]
    container = status["containerStatuses"][0]
    assert status["phase"] == "Running"
    assert container["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert container["lastState"]["terminated"]["exitCode"] == 4
    assert container["restartCount"] == 1
    assert await log(side, "again") == "once\n"
    assert await log(side, "again", previous=True) == "once\n"
