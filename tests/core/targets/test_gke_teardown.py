"""A run's teardown with GKE's hands, from the journal alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.run.events import ResourceCreated, ResourceIntended, RunState
from core.run.journal import Journal, Run
from core.run.process import utc_now
from core.run.teardown import Teardown
from core.run.view import RunView
from core.targets.gke.hands import Reach, gke_hands
from tests.core.runs import named_run
from tests.core.targets.gke_scene import (
    CLUSTER,
    OTHER,
    POOL,
    RUN,
    SPEED,
    ZONE,
    access_to,
    add_pool,
    labels_of,
    quick_world,
    stand_up,
    standing,
)
from tests.google.sped_up import SpedUpPolicy
from tests.google.world import PROJECT, GoogleWorld

OURS = labels_of(RUN)
PLACE = f"{PROJECT}/{ZONE}"
RESOURCES = (
    ("cluster", CLUSTER, PLACE),
    ("node pool", f"{CLUSTER}/{POOL}", PLACE),
    (
        *("job", "gpu-benchmark-baseline"),
        f"context gke_{PROJECT}_{ZONE}_{CLUSTER}, namespace default",
    ),
)


@pytest.fixture
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return SpedUpPolicy(SPEED)


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with quick_world() as stand_in:
        yield stand_in


@pytest.fixture
def run(journal: Journal, tmp_path: Path) -> Run:
    """A run that wrote down what it created, and died."""
    made = named_run(journal, RUN, target="gke", folder=tmp_path, state=RunState.FAILED)
    for kind, name, location in RESOURCES:
        command = f"remove {kind}"
        intended = ResourceIntended(kind=kind, name=name, location=location, delete_command=command)
        journal.append(made.id, intended, time=utc_now())
        created = ResourceCreated(kind=kind, name=name, identity=name)
        journal.append(made.id, created, time=utc_now())
    return made


def teardown_of(world: GoogleWorld, journal: Journal, run: Run) -> Teardown:
    hands = gke_hands(Reach(access_to(world), run.id, dns=False))
    return Teardown(journal, run, utc_now, hands=hands)


async def test_everything_goes_each_with_its_proof(
    world: GoogleWorld, journal: Journal, run: Run
) -> None:
    await stand_up(world, labels_of(OTHER), name="theirs")
    before = standing(world)
    await stand_up(world, OURS)
    await add_pool(world, OURS)
    finished = await teardown_of(world, journal, run).execute()
    assert finished.left == ()
    resources = RunView.of(journal.events(run.id)).resources.values()
    assert [bool(resource.proof) for resource in resources] == [True] * 3
    assert standing(world) == before


async def test_what_cannot_be_removed_is_left_with_its_command_and_the_next_teardown_ends_it(
    world: GoogleWorld, journal: Journal, run: Run
) -> None:
    await stand_up(world, OURS)
    await add_pool(world, OURS)
    world.faults.add("container.DeleteCluster", "permission", times=-1)
    finished = await teardown_of(world, journal, run).execute()
    (left,) = finished.left
    assert (left.kind, left.name, left.delete_command) == ("cluster", CLUSTER, "remove cluster")
    assert f"deleting cluster {CLUSTER}" in left.reason
    world.faults.clear()
    assert (await teardown_of(world, journal, run).execute()).left == ()
    assert standing(world) == []


@pytest.mark.parametrize("fault", ["unavailable", "cut after", "resource exhausted", "deadline"])
@pytest.mark.parametrize(
    "call",
    [
        *("container.GetCluster", "container.GetNodePool", "container.DeleteNodePool"),
        *("container.GetOperation", "compute.instances.aggregatedList", "token"),
    ],
)
async def test_one_bad_answer_at_any_call_keeps_nothing(
    world: GoogleWorld, journal: Journal, run: Run, call: str, fault: Any
) -> None:
    await stand_up(world, OURS)
    await add_pool(world, OURS)
    met = world.faults.add(call, fault, seconds=40)
    assert (await teardown_of(world, journal, run).execute()).left == ()
    assert met.met == 1
    assert standing(world) == []


async def test_a_teardown_that_is_killed_is_taken_up_by_the_next(
    world: GoogleWorld, journal: Journal, run: Run
) -> None:
    await stand_up(world, OURS)
    await add_pool(world, OURS)
    first = asyncio.create_task(teardown_of(world, journal, run).execute())
    while not any(each.name == "container.DeleteCluster" for each in world.calls):
        await asyncio.sleep(1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (await teardown_of(world, journal, run).execute()).left == ()
    assert standing(world) == []
