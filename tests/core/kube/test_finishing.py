"""What must not be left half done is carried to its end, and the cancellation goes on after it."""

from __future__ import annotations

import asyncio

import pytest

from core.kube.finishing import to_its_end


async def test_what_is_not_disturbed_answers() -> None:
    async def work() -> int:
        return 7

    async def fail() -> None:
        raise ValueError("no")

    assert await to_its_end(work()) == 7
    with pytest.raises(ValueError, match="no"):
        await to_its_end(fail())


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancellation_waits_for_the_end_however_often_it_comes(fails: bool) -> None:
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await may_end.wait()
        ended.set()
        if fails:
            raise ValueError("no")

    waiting = asyncio.create_task(to_its_end(work()))
    await begun.wait()
    for _ in range(3):
        waiting.cancel()
        await asyncio.sleep(0)
    assert not waiting.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()


async def test_a_time_limit_around_it_is_kept_after_the_end() -> None:
    ended = False

    async def work() -> None:
        nonlocal ended
        for _ in range(20):
            await asyncio.sleep(0)
        ended = True

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await to_its_end(work())
    assert ended
