"""What is made of the bytes of a log: every line's text as the program wrote it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.kube.cluster import Cluster
from core.kube.log_lines import LONGEST_LINE
from tests.core.kube.log_listener import Clock, Listener, started_pod
from tests.core.kube.stand_in import StandIn


@pytest.fixture
async def listener(stand_in: StandIn, tmp_path: Path) -> AsyncIterator[Listener]:
    clock = Clock()
    access = stand_in.access(tmp_path)
    async with Cluster(access, sleep=clock.sleep, monotonic=clock.monotonic) as cluster:
        yield Listener(cluster, clock=clock)


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
