"""A run on GKE whose process is killed at the places that matter. All the others, hundreds:
``python -m tests.google.everywhere kills``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.google.everywhere import Point, judged
from tests.google.killing import Zygote, session

_AT_ONCE = 6
# So that no call takes too long only because all clocks go too fast for a busy machine.
_SPEED = 10.0


async def _play(folder: Path, points: Sequence[str]) -> list[str]:
    """Return what is wrong after sessions that were killed there."""
    several = asyncio.Semaphore(_AT_ONCE)

    async with Zygote() as zygote:

        async def one(number: int, text: str) -> list[str]:
            async with several, session(zygote, folder / str(number), speed=_SPEED) as played:
                outcome = await judged(played, Point.of(text))
            missed = [] if outcome.was_reached else ["it was never there"]
            return [f"{text}: {each}" for each in (*outcome.wrong, *missed)]

        found = await asyncio.gather(*(one(*pair) for pair in enumerate(points)))
    return [each for wrong in found for each in wrong]


@pytest.mark.timeout(600)
async def test_a_killed_run_is_resumed_without_creating_or_measuring_anything_twice(
    tmp_path: Path,
) -> None:
    assert not await _play(
        tmp_path,
        [
            "journal:cluster resource_intended:1:after,resume",
            "google:container.CreateCluster:1:after,resume,journal:cluster part_changed:2:after",
            "journal:drivers resource_intended:2:after,resume",
            "kube:POST jobs:1:after,resume",
            "journal:job measurement_finished:2:after,resume",
            "journal:results results_stored:1:before,resume",
            "journal:results results_stored:1:after,resume",
            # The first finds the pool at work: its nodes are just going.
            "google:container.DeleteNodePool:2:after,resume",
        ],
    )


@pytest.mark.timeout(600)
async def test_a_killed_run_is_torn_down_and_swept_to_the_last_thing(tmp_path: Path) -> None:
    assert not await _play(
        tmp_path,
        [
            "google:container.CreateCluster:1:late,teardown",
            "google:container.CreateCluster:1:after,sweep",
            "journal:drivers part_changed:4:after,teardown",
            "journal:job measurement_finished:1:after,sweep",
            "google:container.DeleteCluster:1:before,teardown",
        ],
    )
