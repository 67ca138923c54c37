"""Several watches are read as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing

import pytest

from core.kube.cluster import JsonObject
from core.kube.errors import DeniedError, UnreachableError
from core.kube.latest import latest


class Told:
    """A watch whose collection the test changes."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[Mapping[str, JsonObject] | Exception | None] = asyncio.Queue()
        self.closed = False

    def say(self, *names: str) -> None:
        self._said.put_nowait({name: {} for name in names})

    def fail(self, error: Exception) -> None:
        self._said.put_nowait(error)

    def end(self) -> None:
        self._said.put_nowait(None)

    async def watch(self) -> AsyncIterator[Mapping[str, JsonObject]]:
        try:
            while (each := await self._said.get()) is not None:
                if isinstance(each, Exception):
                    raise each
                yield each
        finally:
            self.closed = True


def names(snapshot: Mapping[str, Mapping[str, JsonObject]]) -> dict[str, list[str]]:
    return {kind: sorted(found) for kind, found in snapshot.items()}


async def test_nothing_is_given_before_all_have_said_something() -> None:
    pods, events = Told(), Told()
    async with aclosing(latest({"pods": pods.watch(), "events": events.watch()})) as snapshots:
        pods.say("a")
        first = asyncio.ensure_future(anext(snapshots))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not first.done()
        events.say("b")
        assert names(await first) == {"pods": ["a"], "events": ["b"]}
        pods.say("a", "c")
        assert names(await anext(snapshots)) == {"pods": ["a", "c"], "events": ["b"]}
    assert pods.closed
    assert events.closed


async def test_changes_that_come_at_once_are_given_as_one() -> None:
    pods = Told()
    for number in range(100):
        pods.say(str(number))
    pods.end()
    given = [names(each) async for each in latest({"pods": pods.watch()})]
    assert given[-1] == {"pods": ["99"]}
    assert len(given) < 10


async def test_it_ends_when_all_have_ended() -> None:
    pods, events = Told(), Told()
    pods.say("a")
    pods.end()
    events.say("b")
    events.end()
    both = latest({"pods": pods.watch(), "events": events.watch()})
    given = [names(each) async for each in both]
    assert given[-1] == {"pods": ["a"], "events": ["b"]}


async def test_what_may_not_be_read_is_empty_where_it_is_optional() -> None:
    pods, events = Told(), Told()
    pods.say("a")
    events.fail(DeniedError("No."))
    both = latest({"pods": pods.watch(), "events": events.watch()}, optional={"events"})
    async with aclosing(both) as snapshots:
        assert names(await anext(snapshots)) == {"pods": ["a"], "events": []}


@pytest.mark.parametrize("error", [DeniedError("No."), UnreachableError("Away.")])
async def test_any_other_failure_is_raised_and_the_rest_is_stopped(error: Exception) -> None:
    pods, events = Told(), Told()
    pods.fail(error)
    events.say("b")
    both = latest({"pods": pods.watch(), "events": events.watch()}, optional={"events"})
    with pytest.raises(type(error)):
        await anext(both)
    assert events.closed
