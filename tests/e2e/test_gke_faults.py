"""Runs on GKE while Google fails: refusals, lost answers, no hardware, no quota, nobody to pay. All
other points, hundreds: ``python -m tests.google.fault_matrix``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.run.events import PartChanged, RunState
from tests.google.capacity import gpu_quota
from tests.google.clock import Durations
from tests.google.fault_matrix import judged, wrong_ending, wrong_left
from tests.google.fault_points import (
    GPU,
    SCENES,
    ZONE,
    Point,
    Prepare,
    Scene,
    play,
    sold_out,
    taken_back,
)
from tests.google.killing import SHORT, Session, Zygote, session

_AT_ONCE = 4
_REGION = "us-central1"
_REAL_SHORTAGE = replace(SHORT, stockout_shown=30.0, autoscaler=10.0)
"""Where the time from Google's want of hardware to the next place is measured."""


async def _wrong(folder: Path, points: Sequence[str]) -> list[str]:
    """Return what is wrong with sessions that met these."""
    several = asyncio.Semaphore(_AT_ONCE)

    async with Zygote() as zygote:

        async def one(number: int, text: str) -> list[str]:
            point = Point.of(text)
            build_s = SCENES[point.scene].build_s
            async with several, session(zygote, folder / str(number), build_s=build_s) as played:
                outcome = await judged(played, point)
            return [f"{text}: {each}" for each in outcome.wrong]

        found = await asyncio.gather(*(one(*pair) for pair in enumerate(points)))
    return [each for wrong in found for each in wrong]


@pytest.mark.timeout(600)
async def test_whatever_google_refuses_ends_well_or_in_one_sentence_with_nothing_left(
    tmp_path: Path,
) -> None:
    assert not await _wrong(
        tmp_path,
        [
            "plain/token/unavailable/once",
            "plain/container.CreateCluster/cut after/once",
            "plain/container.CreateCluster/resource exhausted/always",
            "plain/container.CreateCluster/operation fails/always",
            "plain/container.GetNodePool/not found/always",
            "moving/container.CreateNodePool/already exists/always",
            "registry/cloudbuild.builds.create/cut after/once",
            "registry/artifactregistry.repositories.create/operation fails/always",
        ],
    )


@pytest.mark.timeout(600)
async def test_what_cannot_be_removed_is_named_and_goes_with_the_next_teardown(
    tmp_path: Path,
) -> None:
    assert not await _wrong(
        tmp_path,
        [
            "plain/container.DeleteCluster/permission/always",
            "plain/container.DeleteCluster/operation fails/always",
            "plain/compute.disks.aggregatedList/internal/always",
            "leaving/compute.disks.delete/permission/always",
        ],
    )


@dataclass(frozen=True)
class Ended:
    """How a session ended."""

    one: Session
    status: int
    sentence: str
    attempts: tuple[tuple[str, str], ...]
    """Zone and state of each attempt's turns, in order."""
    seconds: tuple[float, ...]
    """Of Google's clock, that each failed attempt took."""

    @property
    def gpu_zones(self) -> list[str]:
        """Where GPU nodes were had."""
        return [each.location for each in self.one.world.ledger.created("instance") if each.gpus]


async def _ended(
    folder: Path, scene: Scene, *, durations: Durations = SHORT, speed: float = 30.0
) -> Ended:
    """Play one session whose end must be right and leave nothing."""
    async with Zygote() as zygote, session(zygote, folder, speed=speed, durations=durations) as one:
        status = await play(one, scene)
        view = one.view()
        assert not wrong_ending(one, view, status)
        assert view.torn_down is None or not wrong_left(one, view.torn_down.left)
        turns = [
            (event.time, event.record)
            for event in one.events()
            if isinstance(event.record, PartChanged) and event.record.kind == "attempt"
        ]
        seconds = []
        for time, turn in turns:
            if turn.state == "working":
                began = time
            elif turn.state == "failed":
                seconds.append((time - began).total_seconds())
        attempts = tuple((turn.name, turn.state) for _time, turn in turns)
        sentence = "" if view.state is RunState.DONE else f"{view.sentence} {view.remedy}"
        if view.torn_down is None or not view.torn_down.left:
            assert one.world.ledger.is_empty()
        return Ended(one, status, sentence, attempts, tuple(seconds))


def _once_created(change: Prepare) -> Prepare:
    """Return what changes the world when the cluster is asked for: preflight could not see it."""

    async def meanwhile(one: Session) -> None:
        while not any(call.name == "container.CreateCluster" for call in one.world.calls):
            await asyncio.sleep(0.01)
        await change(one)

    return meanwhile


@pytest.mark.timeout(300)
async def test_no_hardware_is_seen_within_ninety_seconds_and_the_zone_that_google_names_is_next(
    tmp_path: Path,
) -> None:
    ended = await _ended(tmp_path, Scene(prepare=sold_out), durations=_REAL_SHORTAGE, speed=15.0)
    assert ended.status == 0, ended.sentence
    assert ended.gpu_zones == ["us-central1-b"]
    assert [state for _zone, state in ended.attempts] == ["working", "failed", "working", "ready"]
    assert ended.seconds[0] <= 90.0


@pytest.mark.timeout(300)
async def test_the_zones_that_the_user_lists_come_in_their_order(tmp_path: Path) -> None:
    async def prepare(one: Session) -> None:
        one.world.capacity.sold_out(ZONE, GPU)

    ended = await _ended(tmp_path, Scene({"zones": "us-central1-f,us-central1-c"}, prepare))
    assert (ended.status, ended.gpu_zones) == (0, ["us-central1-f"]), ended.sentence


@pytest.mark.timeout(300)
async def test_no_hardware_anywhere_within_the_bounds_is_one_sentence(tmp_path: Path) -> None:
    async def prepare(one: Session) -> None:
        for zone in (ZONE, "us-central1-b"):
            one.world.capacity.sold_out(zone, GPU)

    ended = await _ended(tmp_path, Scene({"zones": "us-central1-b"}, prepare))
    assert ended.status == 1
    assert "No place has 1 x nvidia-tesla-t4 now" in ended.sentence
    assert "us-central1-a: no hardware; us-central1-b: no hardware" in ended.sentence
    assert "--zones" in ended.sentence
    assert ended.gpu_zones == []


@pytest.mark.timeout(300)
async def test_a_regions_quota_leads_to_the_next_region_once_this_one_is_clear(
    tmp_path: Path,
) -> None:
    async def used_up(one: Session) -> None:
        one.world.capacity.quotas[_REGION, gpu_quota(GPU, False)] = 0.0

    ended = await _ended(tmp_path, Scene({"regions": "us-east1"}, meanwhile=_once_created(used_up)))
    assert (ended.status, ended.gpu_zones) == (0, ["us-east1-c"]), ended.sentence
    first, second = ended.one.world.ledger.created("cluster")
    assert first.deleted is not None
    assert first.deleted <= second.created


@pytest.mark.timeout(300)
async def test_a_global_quota_stops_at_once_with_its_mend(tmp_path: Path) -> None:
    async def used_up(one: Session) -> None:
        one.world.capacity.global_quotas["GPUS_ALL_REGIONS"] = 0.0

    ended = await _ended(tmp_path, Scene({"regions": "us-east1"}, meanwhile=_once_created(used_up)))
    assert ended.status == 1
    assert "GPUS_ALL_REGIONS" in ended.sentence
    assert "have it raised" in ended.sentence
    assert ended.attempts == ((ZONE, "working"), (ZONE, "failed"))


@pytest.mark.timeout(300)
async def test_a_billing_account_that_is_closed_creates_nothing(tmp_path: Path) -> None:
    async def closed(one: Session) -> None:
        one.world.project.billing_enabled = False

    ended = await _ended(tmp_path, Scene(prepare=closed))
    assert ended.status == 2
    assert "no open billing account" in ended.sentence
    assert "gcloud billing projects link" in ended.sentence
    assert ended.one.world.ledger.entries == []


@pytest.mark.timeout(300)
async def test_a_spot_node_that_is_taken_away_under_the_job_is_said_and_nothing_stays(
    tmp_path: Path,
) -> None:
    ended = await _ended(
        tmp_path,
        Scene({"spot": True}, meanwhile=taken_back),
        durations=replace(SHORT, preemption_notice=5.0, benchmark=60.0),
    )
    assert ended.status == 1
    assert "was shut down" in ended.sentence
    assert "nodes that are no spot nodes stay" in ended.sentence


@pytest.mark.timeout(300)
async def test_a_node_that_never_gets_its_driver_is_given_up_in_time(tmp_path: Path) -> None:
    durations = replace(SHORT, driver=1e6)
    ended = await _ended(tmp_path, Scene({"start_minutes": 3}), durations=durations)
    assert ended.status == 1
    assert "driver" in ended.sentence
