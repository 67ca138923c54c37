from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.kube.cluster import Access, Cluster
from core.kube.errors import ClusterError, DeniedError, NotFoundError, UnreachableError
from tests.core.kube.log_listener import Clock, Listener, started_pod
from tests.core.kube.proxy import Proxy, kubeconfig_through, server_of
from tests.core.kube.stand_in import StandIn

START_NS = 1_790_000_000_900_000_000
START = datetime.fromtimestamp(START_NS / 1e9, UTC)


@pytest.fixture
async def listener(stand_in: StandIn, tmp_path: Path) -> AsyncIterator[Listener]:
    clock = Clock()
    access = stand_in.access(tmp_path)
    async with Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster:
        yield Listener(cluster, clock=clock)


def log_requests(stand_in: StandIn) -> list[Any]:
    return [asked.query for asked in stand_in.asked if asked.path.endswith("/log")]


def answers(words: list[bool]) -> Callable[[], Awaitable[bool]]:
    """Whether the container has ended: these answers, then the last one again."""

    async def ended() -> bool:
        return words.pop(0) if len(words) > 1 else words[0]

    return ended


async def test_lines_come_in_order_with_the_time_they_were_written(
    stand_in: StandIn, listener: Listener
) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    for number in range(3):
        pod.log(f"line {number}", at_ns=START_NS + number * 250_000_000)
    pod.finish()
    assert await listener.follow() == ["line 0", "line 1", "line 2"]
    assert [line.time for line in listener.lines] == [
        START + timedelta(milliseconds=250 * number) for number in range(3)
    ]
    assert (listener.breaks, listener.resumes, listener.gaps) == ([], [], [])


async def test_a_line_is_delivered_while_the_container_runs(
    stand_in: StandIn, listener: Listener
) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    async with listener.following() as task:
        for text in ("first", "second"):
            pod.log(text)
            await listener.until(text)
        pod.finish()
        assert await task == ["first", "second"]


async def test_a_break_and_its_end_are_told(stand_in: StandIn, listener: Listener) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    async with listener.following() as task:
        pod.log("before")
        await listener.until("before")
        stand_in.fail(503, path="/log", times=4)
        stand_in.streams.cut()
        pod.log("after")
        await listener.until("after")
        pod.finish()
        assert await task == ["before", "after"]
    assert listener.breaks == ["the connection was lost"]
    (seconds,) = listener.resumes
    assert 0.3 < seconds < 10
    assert listener.gaps == []


async def test_a_refusing_server_is_asked_until_patience_ends(
    stand_in: StandIn, listener: Listener
) -> None:
    await started_pod(stand_in, listener.cluster)
    stand_in.fail(path="/log", times=10_000, drop=True)
    began = listener.clock.now
    with pytest.raises(UnreachableError, match="could not be read for 60 s"):
        await listener.follow(patience_s=60.0)
    assert 60 <= listener.clock.now - began < 180
    assert len(listener.breaks) == 1
    assert listener.resumes == []


async def test_a_stream_that_always_breaks_before_news_ends_with_patience(
    stand_in: StandIn, listener: Listener
) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    pod.log("x" * 1000)
    stand_in.cut_after(100, path="/log", times=10_000)
    with pytest.raises(UnreachableError):
        await listener.follow(patience_s=30.0)
    assert listener.texts == []


async def test_an_end_by_the_server_is_a_break_while_the_container_runs(
    stand_in: StandIn, listener: Listener
) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    async with listener.following() as task:
        pod.log("before")
        await listener.until("before")
        stand_in.streams.end()
        async with asyncio.timeout(20):
            while len(log_requests(stand_in)) < 2:
                await asyncio.sleep(0.01)
        pod.log("at once")
        await listener.until("at once")
        assert listener.breaks == []
        listener.clock.now += 30
        pod.log("later")
        await listener.until("later")
        assert listener.breaks == ["the server ended the stream"]
        assert len(listener.resumes) == 1
        pod.finish()
        assert await task == ["before", "at once", "later"]


async def test_a_status_that_comes_after_the_log_s_end_is_no_break(
    stand_in: StandIn, listener: Listener
) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    pod.log("all")
    pod.logs["main"][-1].end()
    listener.clock.on_pause = lambda count: pod.finish() if count == 6 else None
    assert await listener.follow() == ["all"]
    assert listener.breaks == []
    assert max(listener.clock.pauses) <= 0.5


async def test_the_log_is_read_again_after_the_end_was_seen(
    stand_in: StandIn, listener: Listener
) -> None:
    """Older servers end a followed log before its last lines."""
    pod = await started_pod(stand_in, listener.cluster)
    pod.log("most")

    async def ended() -> bool:
        if listener.texts == ["most"] and not pod.logs["main"][-1].ended:
            stand_in.streams.end()
            pod.log("the rest")
            pod.finish()
        return pod.logs["main"][-1].ended

    async with listener.following(ended=ended) as task:
        await listener.until("most")
        stand_in.streams.end()
        assert await task == ["most", "the rest"]
    assert log_requests(stand_in)[-1]["follow"] == "false"


async def test_a_silent_stream_is_opened_again_without_a_word(
    stand_in: StandIn, listener: Listener
) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    async with listener.following(quiet_s=0.05) as task:
        pod.log("before")
        async with asyncio.timeout(20):
            while len(log_requests(stand_in)) < 3:
                await asyncio.sleep(0.01)
        pod.log("after")
        await listener.until("after")
        pod.finish()
        assert await task == ["before", "after"]
    assert listener.breaks == []


async def test_a_dead_connection_is_noticed(
    stand_in: StandIn, listener: Listener, tmp_path: Path
) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    async with Proxy(*server_of(stand_in.kubeconfig(tmp_path / "direct"))) as proxy:
        through = kubeconfig_through(tmp_path / "direct", proxy, tmp_path / "through")
        access = Access(str(through), "stand-in", "default")
        async with Cluster(access) as cluster:
            deaf = Listener(cluster)
            deaf.ended = listener.ended  # type: ignore[method-assign]
            async with deaf.following(quiet_s=0.3) as task:
                pod.log("before")
                await deaf.until("before")
                proxy.silent = True
                pod.log("lost")
                async with asyncio.timeout(20):
                    while not deaf.breaks:
                        await asyncio.sleep(0.01)
                proxy.silent = False
                await deaf.until("lost")
                pod.finish()
                assert await task == ["before", "lost"]
    assert "no answer" in deaf.breaks[0]


async def test_a_container_on_its_way_is_waited_for(stand_in: StandIn, listener: Listener) -> None:
    pod = await started_pod(stand_in, listener.cluster, start=False)
    pod.schedule()

    def start(count: int) -> None:
        if count == 4:
            pod.start()
            pod.log("started")
            pod.finish()

    listener.clock.on_pause = start
    assert await listener.follow() == ["started"]
    assert listener.breaks == []


async def test_a_container_that_does_not_start_is_given_up(
    stand_in: StandIn, listener: Listener
) -> None:
    pod = await started_pod(stand_in, listener.cluster, start=False)
    pod.schedule()
    with pytest.raises(ClusterError, match="waiting to start"):
        await listener.follow(start_patience_s=5.0)


async def test_a_pod_that_is_gone_is_told(stand_in: StandIn, listener: Listener) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    async with listener.following() as task:
        pod.log("only")
        await listener.until("only")
        pod.gone()
        with pytest.raises(NotFoundError):
            await task
    assert listener.texts == ["only"]


async def test_refused_credentials_are_told(stand_in: StandIn, listener: Listener) -> None:
    await started_pod(stand_in, listener.cluster)
    stand_in.fail(401, path="/log", times=10)
    with pytest.raises(DeniedError):
        await listener.follow()


async def test_a_log_that_was_rotated_in_a_break_is_not_believed_whole(
    stand_in: StandIn, listener: Listener
) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    async with listener.following() as task:
        pod.log("delivered", at_ns=START_NS)
        await listener.until("delivered")
        pod.logs["main"][-1].lines.clear()
        stand_in.streams.cut()
        pod.log("after the rotation", at_ns=START_NS + 10**9)
        await listener.until("after the rotation")
        pod.finish()
        assert await task == ["delivered", "after the rotation"]
    (gap,) = listener.gaps
    assert "main" in gap
    assert "may be missing" in gap


async def test_a_rotation_at_the_end_is_told_too(stand_in: StandIn, listener: Listener) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    async with listener.following() as task:
        pod.log("delivered", at_ns=START_NS)
        await listener.until("delivered")
        pod.logs["main"][-1].lines.clear()
        pod.finish()
        await task
    (gap,) = listener.gaps
    assert "at the end" in gap


async def test_a_rotation_that_left_the_last_delivered_line_is_no_gap(
    stand_in: StandIn, listener: Listener
) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    async with listener.following() as task:
        pod.log("rotated away", "kept", at_ns=START_NS)
        await listener.until("kept")
        del pod.logs["main"][-1].lines[0]
        stand_in.streams.cut()
        pod.log("new", at_ns=START_NS + 10**9)
        pod.finish()
        assert await task == ["rotated away", "kept", "new"]
    assert listener.gaps == []


async def test_a_restarted_container_s_log_is_not_believed_whole(
    stand_in: StandIn, listener: Listener
) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    async with listener.following() as task:
        pod.log("first life", at_ns=START_NS)
        await listener.until("first life")
        pod.start()
        pod.log("second life", at_ns=START_NS + 5 * 10**9)
        await listener.until("second life")
        pod.finish()
        await task
    assert len(listener.gaps) == 1


async def test_a_line_that_is_said_twice_is_delivered_twice(
    stand_in: StandIn, listener: Listener
) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    async with listener.following() as task:
        pod.log("same", at_ns=START_NS)
        await listener.until("same")
        pod.log("same", at_ns=START_NS)
        stand_in.streams.cut()
        pod.finish()
        assert await task == ["same", "same"]


async def test_what_is_out_of_order_over_a_second_s_turn_is_asked_for(
    stand_in: StandIn, listener: Listener
) -> None:
    """stdout and stderr meet in the log with microseconds' disorder."""
    pod = await started_pod(stand_in, listener.cluster)
    pod.log("first", at_ns=1_790_000_001_000_000_500)
    pod.finish()
    await listener.follow(ended=answers([False, True]))
    asked = log_requests(stand_in)[-1]["sinceTime"]
    assert datetime.fromisoformat(asked).timestamp() == 1_790_000_000


async def test_the_tail_of_a_long_line_is_not_delivered_again(
    stand_in: StandIn, listener: Listener
) -> None:
    """A repetition may begin in the middle of a line that was written over the second's turn."""
    pod = await started_pod(stand_in, listener.cluster)
    long = "begin" + "x" * 30_000 + "end"
    async with listener.following() as task:
        pod.log(long, at_ns=START_NS)
        pod.log("last", at_ns=START_NS + 10**9)
        await listener.until("last")
        pod.logs["main"][-1].lines[0] = (START_NS + 10**9 - 1, f"{long[16384:]}\n".encode())
        stand_in.streams.cut()
        pod.log("new", at_ns=START_NS + 2 * 10**9)
        pod.finish()
        assert await task == [long, "last", "new"]
    assert listener.gaps == []


async def test_what_the_node_says_in_place_of_lines_is_told_and_no_line(
    stand_in: StandIn, listener: Listener
) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    pod.log(b"line\nunable to retrieve container logs for containerd://\x1b1f\n")
    pod.finish()
    assert await listener.follow() == ["line"]
    (gap,) = listener.gaps
    assert "unable to retrieve container logs for containerd://\\x1b1f" in gap


async def test_leaving_early_closes_the_stream(stand_in: StandIn, listener: Listener) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    pod.log("one")
    async with listener.following():
        await listener.until("one")
        assert len(stand_in.streams) == 1
    async with asyncio.timeout(20):
        while len(stand_in.streams):
            await asyncio.sleep(0.01)
