"""Runs on GKE while Google fails: refusals, lost answers, no hardware, no quota, nobody to pay. All
other points, hundreds: ``python -m tests.google.fault_matrix``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import pytest_asyncio

from core.run.events import PartChanged, RunState
from tests.google.capacity import gpu_quota
from tests.google.clock import Durations
from tests.google.fault_matrix import played, wrong_ending, wrong_left
from tests.google.fault_points import (
    GPU,
    ZONE,
    Point,
    Prepare,
    Scene,
    play,
    sold_out,
    taken_back,
)
from tests.google.killing import SHORT, Session, Zygote, session

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
    # Of tests.google.fault_matrix: CI has half an hour.
    pytest.mark.slow,
]

_AT_ONCE = 4
_SPEED = 25.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def zygote() -> AsyncIterator[Zygote]:
    async with Zygote() as started:
        yield started


async def _wrong(zygote: Zygote, folder: Path, points: Sequence[str]) -> list[str]:
    """Return what is wrong with sessions that met these."""
    several = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int, text: str) -> list[str]:
        async with several:
            outcome = await played(zygote, folder / str(number), Point.of(text), _SPEED)
        return [f"{text}: {each}" for each in outcome.wrong]

    found = await asyncio.gather(*(one(*pair) for pair in enumerate(points)))
    return [each for wrong in found for each in wrong]


async def test_whatever_google_refuses_ends_well_or_in_one_sentence_with_nothing_left(
    zygote: Zygote, tmp_path: Path
) -> None:
    points = [
        "plain/token/unavailable/once",
        "plain/container.CreateCluster/cut after/once",
        "plain/container.CreateCluster/resource exhausted/always",
        "plain/container.CreateCluster/operation fails/always",
        "plain/container.GetCluster/not found/always",
        "moving/container.CreateNodePool/already exists/always",
        "registry/cloudbuild.builds.create/cut after/once",
        "registry/artifactregistry.repositories.create/operation fails/always",
    ]
    assert not await _wrong(zygote, tmp_path, points)


async def test_what_cannot_be_removed_is_named_and_goes_with_the_next_teardown(
    zygote: Zygote, tmp_path: Path
) -> None:
    points = [
        "plain/container.DeleteCluster/permission/always",
        "plain/container.DeleteCluster/operation fails/always",
        "plain/compute.disks.aggregatedList/not found/always",
        "leaving/compute.disks.delete/permission/always",
    ]
    assert not await _wrong(zygote, tmp_path, points)


@dataclass(frozen=True)
class Shortage:
    """A session without a fault that lacks something."""

    scene: Scene
    durations: Durations = SHORT
    speed: float = _SPEED


@dataclass(frozen=True)
class Ended:
    """How it ended."""

    one: Session
    status: int
    sentence: str
    wrong: Sequence[str]
    attempts: list[tuple[str, str]] = field(default_factory=list)
    """Zone and state of each attempt's turns, in order."""
    seconds: list[float] = field(default_factory=list)
    """Of Google's clock, that each failed attempt took."""

    @property
    def gpu_zones(self) -> list[str]:
        """Where GPU nodes were had."""
        return [each.location for each in self.one.world.ledger.created("instance") if each.gpus]


def _once_created(change: Prepare) -> Prepare:
    """Return what changes the world when the cluster is asked for: preflight could not see it."""

    async def meanwhile(one: Session) -> None:
        while not any(call.name == "container.CreateCluster" for call in one.world.calls):
            await asyncio.sleep(0.01)
        await change(one)

    return meanwhile


async def _sold_out_without_a_word(one: Session) -> None:
    one.world.capacity.sold_out(ZONE, GPU)


async def _sold_out_twice(one: Session) -> None:
    for zone in (ZONE, "us-central1-b"):
        one.world.capacity.sold_out(zone, GPU)


async def _regional_quota_used_up(one: Session) -> None:
    one.world.capacity.quotas["us-central1", gpu_quota(GPU, False)] = 0.0


async def _global_quota_used_up(one: Session) -> None:
    one.world.capacity.global_quotas["GPUS_ALL_REGIONS"] = 0.0


async def _nobody_pays(one: Session) -> None:
    one.world.project.billing_enabled = False


_SHORTAGES: Mapping[str, Shortage] = {
    # As slow as Google is to say it, by a clock that leaves this program its own time.
    "no hardware": Shortage(
        Scene(prepare=sold_out), replace(SHORT, stockout_shown=30.0, autoscaler=10.0), 15.0
    ),
    "zones": Shortage(
        Scene({"zones": "us-central1-f,us-central1-c"}, prepare=_sold_out_without_a_word)
    ),
    "nowhere": Shortage(Scene({"zones": "us-central1-b"}, prepare=_sold_out_twice)),
    "regional quota": Shortage(
        Scene({"regions": "us-east1"}, meanwhile=_once_created(_regional_quota_used_up))
    ),
    "global quota": Shortage(
        Scene({"regions": "us-east1"}, meanwhile=_once_created(_global_quota_used_up))
    ),
    "billing": Shortage(Scene(prepare=_nobody_pays)),
    "spot": Shortage(
        Scene({"spot": True}, meanwhile=taken_back),
        replace(SHORT, preemption_notice=5.0, benchmark=60.0),
    ),
    "driver": Shortage(Scene({"start_minutes": 3}), replace(SHORT, driver=1e6)),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def all_ended(
    zygote: Zygote, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Ended]:
    """Every shortage, several at once."""
    several = asyncio.Semaphore(_AT_ONCE)

    async def one(shortage: Shortage) -> Ended:
        async with several:
            return await _ended(zygote, tmp_path_factory.mktemp("shortage"), shortage)

    found = await asyncio.gather(*map(one, _SHORTAGES.values()))
    return dict(zip(_SHORTAGES, found, strict=True))


async def _ended(zygote: Zygote, folder: Path, shortage: Shortage) -> Ended:
    async with session(zygote, folder, speed=shortage.speed, durations=shortage.durations) as one:
        status = await play(one, shortage.scene)
        view = one.view()
        wrong = wrong_ending(one, view, status)
        wrong += wrong_left(one, ())
        sentence = "" if view.state is RunState.DONE else f"{view.sentence} {view.remedy}"
        ended = Ended(one, status, sentence, wrong)
        for event in one.events():
            turn = event.record
            if not isinstance(turn, PartChanged) or turn.kind != "attempt":
                continue
            ended.attempts.append((turn.name, turn.state))
            if turn.state == "working":
                began = event.time
            elif turn.state == "failed":
                ended.seconds.append((event.time - began).total_seconds())
        return ended


async def test_no_hardware_is_seen_within_ninety_seconds_and_the_zone_that_google_names_is_next(
    all_ended: Mapping[str, Ended],
) -> None:
    ended = all_ended["no hardware"]
    assert (ended.status, ended.wrong) == (0, []), ended.sentence
    assert ended.gpu_zones == ["us-central1-b"]
    assert [state for _zone, state in ended.attempts] == ["working", "failed", "working", "ready"]
    assert ended.seconds[0] <= 90.0


async def test_the_zones_that_the_user_lists_come_in_their_order(
    all_ended: Mapping[str, Ended],
) -> None:
    ended = all_ended["zones"]
    assert (ended.status, ended.wrong) == (0, []), ended.sentence
    assert ended.gpu_zones == ["us-central1-f"]


async def test_no_hardware_anywhere_within_the_bounds_is_one_sentence(
    all_ended: Mapping[str, Ended],
) -> None:
    ended = all_ended["nowhere"]
    assert (ended.status, ended.wrong) == (1, [])
    assert "No place has 1 x nvidia-tesla-t4 now" in ended.sentence
    assert "us-central1-a: no hardware; us-central1-b: no hardware" in ended.sentence
    assert "--zones" in ended.sentence
    assert ended.gpu_zones == []


async def test_a_regions_quota_leads_to_the_next_region_once_this_one_is_clear(
    all_ended: Mapping[str, Ended],
) -> None:
    ended = all_ended["regional quota"]
    assert (ended.status, ended.wrong) == (0, []), ended.sentence
    assert ended.gpu_zones == ["us-east1-c"]
    first, second = ended.one.world.ledger.created("cluster")
    assert first.deleted is not None
    assert first.deleted <= second.created


async def test_a_global_quota_stops_at_once_with_its_mend(all_ended: Mapping[str, Ended]) -> None:
    ended = all_ended["global quota"]
    assert (ended.status, ended.wrong) == (1, [])
    assert "GPUS_ALL_REGIONS" in ended.sentence
    assert "have it raised" in ended.sentence
    assert ended.attempts == [(ZONE, "working"), (ZONE, "failed")]


async def test_a_billing_account_that_is_closed_creates_nothing(
    all_ended: Mapping[str, Ended],
) -> None:
    ended = all_ended["billing"]
    assert (ended.status, ended.wrong) == (2, [])
    assert "no open billing account" in ended.sentence
    assert "gcloud billing projects link" in ended.sentence
    assert ended.one.world.ledger.entries == []


async def test_a_spot_node_that_is_taken_back_under_the_job_is_said_and_nothing_stays(
    all_ended: Mapping[str, Ended],
) -> None:
    ended = all_ended["spot"]
    assert (ended.status, ended.wrong) == (1, [])
    assert "was shut down" in ended.sentence
    assert "nodes that are no spot nodes stay" in ended.sentence


async def test_a_node_that_never_gets_its_driver_is_given_up_in_time(
    all_ended: Mapping[str, Ended],
) -> None:
    ended = all_ended["driver"]
    assert (ended.status, ended.wrong) == (1, [])
    assert "driver" in ended.sentence
