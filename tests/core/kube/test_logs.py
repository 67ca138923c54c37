from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.kube.cluster import Access, Cluster, Query
from core.kube.errors import ClusterError, DeniedError, NotFoundError, UnreachableError
from core.kube.log_lines import LONGEST_LINE
from core.kube.logs import LogLine, follow_log
from tests.core.kube import clocks
from tests.core.kube.proxy import Proxy, kubeconfig_through, server_of
from tests.core.kube.sides import pod_body
from tests.core.kube.stand_in import StandIn
from tests.core.kube.stand_in_pods import Pod

START_NS = 1_790_000_000_900_000_000
START = datetime.fromtimestamp(START_NS / 1e9, UTC)


class Clock(clocks.Clock):
    on_pause: Callable[[int], None] = staticmethod(lambda _count: None)
    """Told at each pause how many there were."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.on_pause(len(self.pauses))


@dataclass
class Listener:
    """Follows the log of one pod and remembers what it was told."""

    cluster: Cluster
    pod: str = "measured"
    clock: Clock = field(default_factory=Clock)
    lines: list[LogLine] = field(default_factory=list)
    breaks: list[str] = field(default_factory=list)
    resumes: list[float] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def ended(self) -> bool:
        path = f"/api/v1/namespaces/{self.cluster.namespace}/pods/{self.pod}"
        try:
            document = await self.cluster.request("GET", path)
        except NotFoundError:
            return True
        return document["status"]["phase"] in ("Succeeded", "Failed")

    async def follow(self, **options: Any) -> list[str]:
        async for batch in follow_log(
            self.cluster,
            self.pod,
            "main",
            **{
                "ended": self.ended,
                "on_break": self.breaks.append,
                "on_resume": self.resumes.append,
                "on_gap": self.gaps.append,
                "sleep": self.clock.sleep,
                "monotonic": self.clock.monotonic,
                **options,
            },
        ):
            assert batch
            self.lines += batch
            self.arrived.set()
        return self.texts

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.lines]

    @asynccontextmanager
    async def following(self, **options: Any) -> AsyncIterator[asyncio.Task[list[str]]]:
        task = asyncio.create_task(self.follow(**options))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, text: str) -> None:
        """Wait until a line with this text was delivered."""
        async with asyncio.timeout(20):
            while text not in self.texts:
                self.arrived.clear()
                await self.arrived.wait()


async def started_pod(stand_in: StandIn, cluster: Cluster, *, start: bool = True) -> Pod:
    path = f"/api/v1/namespaces/{cluster.namespace}/pods"
    await cluster.request("POST", path, body=pod_body("measured"))
    pod = stand_in.pod("measured")
    if start:
        pod.start()
    return pod


@pytest.fixture
async def listener(stand_in: StandIn, tmp_path: Path) -> AsyncIterator[Listener]:
    clock = Clock()
    access = stand_in.access(tmp_path)
    async with Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster:
        yield Listener(cluster, clock=clock)


def log_requests(stand_in: StandIn) -> list[Any]:
    return [asked.query for asked in stand_in.asked if asked.path.endswith("/log")]


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


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\n", ""),
        (b"50 %\r100 %\r\n", "50 %\r100 %\r"),
        (b"caf\xc3\xa9 \xff\xfe\n", "café \\xff\\xfe"),
        (b"\x1b[31mred\n", "\x1b[31mred"),
        (b"2026-11-23T02:33:27.107223087Z said the program\n",) * 2,
        (b"the last words, without an end", "the last words, without an end"),
    ],
)
async def test_text_is_what_the_program_wrote(
    stand_in: StandIn, listener: Listener, raw: bytes, text: str | bytes
) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    pod.log(raw)
    pod.finish()
    wanted = text if isinstance(text, str) else text.decode().rstrip("\n")
    assert await listener.follow() == [wanted]


STAMP = b"2026-11-23T02:33:27.107223087Z "


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a" * 16384 + STAMP + b"b" * 16384 + STAMP + b"c\n", "a" * 16384 + "b" * 16384 + "c"),
        (b"a" * 16384 + STAMP + b"\n", "a" * 16384),
        (b"a" * 16383 + STAMP + b"b\n", "a" * 16383 + STAMP.decode() + "b"),
        (b"a" * 40000 + b"\n", "a" * 40000),
        # Not every fragment has one: this server does not do it.
        (b"a" * 32768 + STAMP + b"b\n", "a" * 32768 + STAMP.decode() + "b"),
    ],
    ids=["fragments", "empty fragment", "elsewhere", "newer server", "second fragment only"],
)
async def test_times_inside_long_lines_are_taken_out_where_older_servers_put_them(
    stand_in: StandIn, listener: Listener, raw: bytes, text: str
) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    pod.log(raw)
    pod.finish()
    (found,) = await listener.follow()
    assert found == text


async def test_a_line_without_end_is_cut_with_a_note(stand_in: StandIn, listener: Listener) -> None:
    pod = await started_pod(stand_in, listener.cluster)
    pod.log("x" * (LONGEST_LINE + 1000), "after")
    pod.finish()
    long, after = await listener.follow()
    stamp = len("2026-11-23T02:33:27.107223087Z ")
    assert long == "x" * (LONGEST_LINE - stamp) + f" [{1000 + stamp} more bytes]"
    assert after == "after"


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


REAL_TIME = {"sleep": asyncio.sleep, "monotonic": time.monotonic}
Written = list[tuple[int, bytes]]
# Steps of time: mostly small, sometimes a second, sometimes microseconds back.
STEPS = st.sampled_from([0, 1, 1000, 40_000_000, 600_000_000, 1_000_000_000, -2000])
TEXTS = st.one_of(
    st.sampled_from([b"", b"same", b"\xff\xfe", b"x" * 17_000]),
    st.binary(max_size=30).filter(lambda text: b"\n" not in text),
)


@st.composite
def written_logs(draw: st.DrawFn) -> Written:
    moment, lines = START_NS, []
    for step, text in draw(st.lists(st.tuples(STEPS, TEXTS), min_size=1, max_size=40)):
        moment += step
        lines.append((moment, text))
    return lines


@settings(max_examples=40, deadline=None)
@given(lines=written_logs(), cuts=st.lists(st.integers(0, 3000), max_size=12))
def test_wherever_it_is_cut_the_log_arrives_once_and_in_order(
    lines: Written, cuts: list[int]
) -> None:
    asyncio.run(_cut_anywhere(lines, cuts))


async def _cut_anywhere(lines: Written, cuts: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with StandIn() as stand_in:
            clock = Clock()
            access = stand_in.access(Path(folder))
            async with Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster:
                listener = Listener(cluster, clock=clock)
                pod = await started_pod(stand_in, cluster)
                for size in cuts:
                    stand_in.cut_after(size, path="/log")
                for moment, text in lines:
                    pod.log(text + b"\n", at_ns=moment)
                pod.finish()
                texts = await listener.follow()
    assert texts == [text.decode("utf-8", "backslashreplace") for _, text in lines]
    assert listener.gaps == []


@pytest.mark.cluster
async def test_a_real_log_of_100_000_lines_survives_20_cuts(
    real_cluster_access: Access, real_namespace: str, tmp_path: Path
) -> None:
    count, cuts = 100_000, 20
    # A busy runtime loses what is written in the last instants of a container: nothing is.
    script = f"i=0; while [ $i -lt {count} ]; do echo line $i; i=$((i+1)); done; sleep 5"
    original = Path(real_cluster_access.kubeconfig)
    access = replace(real_cluster_access, namespace=real_namespace)
    async with Cluster(access) as cluster, Proxy(*server_of(original)) as proxy:
        pods = f"/api/v1/namespaces/{real_namespace}/pods"
        body = pod_body("measured", ["sh", "-c", script])
        await cluster.request("POST", pods, body=body)
        await _until_started(cluster, pods)
        through = kubeconfig_through(original, proxy, tmp_path / "through")
        async with Cluster(replace(access, kubeconfig=str(through))) as cut_off:
            listener = Listener(cut_off)
            listener.ended = Listener(cluster).ended  # type: ignore[method-assign]
            async with listener.following(**REAL_TIME) as task:
                for number in range(cuts):
                    goal = count * (number + 1) // (2 * cuts)
                    while len(listener.lines) < goal or len(listener.resumes) < number:
                        await asyncio.sleep(0.005)
                    proxy.cut()
                texts = await task
    assert texts == [f"line {number}" for number in range(count)]
    assert proxy.cuts == len(listener.breaks) == len(listener.resumes) == cuts
    assert listener.gaps == []


async def _until_started(cluster: Cluster, pods: str) -> None:
    query: Query = {"watch": True, "fieldSelector": "metadata.name=measured"}
    async with cluster.stream(pods, query=query) as events:
        while event := await events.readline():
            if json.loads(event)["object"]["status"]["phase"] != "Pending":
                return
