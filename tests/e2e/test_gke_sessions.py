"""Whole sessions on GKE's stand-in: how quick and how cheap, many at once, within limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from core.gcp.specs import RUN_LABEL
from core.run.cost_events import CostWarned
from core.run.events import RunFinished, RunState, Stage
from tests.google.clock import Durations
from tests.google.killing import Kill, Session, Zygote, session
from tests.google.ledger import Billed
from tests.google.reference import (
    both,
    longest_path_s,
    measured,
    needed_gpu_seconds,
)
from tests.google.world import GoogleWorld

pytestmark = pytest.mark.asyncio(loop_scope="module")

# A fifth of Google's own (see Durations): CI waits half a minute. What this program itself takes is
# no shorter than ever, ten times as long by that clock, and much longer on a busy machine: the
# bounds here are those of CI, and `python -m tests.performance gke` asks for the real ones.
_A_FIFTH = Durations(
    control_plane=60,
    system_nodes=12,
    pool_accepted=2,
    node_boot=10,
    driver=26,
    pool_create=14,
    pool_delete=24,
    cluster_delete=36,
    resize=8,
    settings_change=1,
    autoscaler=2,
    autoscaler_idle=120,
    repository=1,
    zone_operation=1,
    build=48,
    pull=6,
    benchmark=84,
    smoke=0.6,
)
_SPEED = 10.0
_CI_OWN_S = 10.0
"""Of our own clock: what the program may take until the Job starts."""
_CI_GPU = 1.6
_CI_TOTAL = 0.06

# The start is short and the benchmark does not end by itself. The deletions are somewhat shorter
# than Google's: what this program itself takes for a teardown counts 36 times here.
_LONG_BENCHMARK = Durations(
    control_plane=60,
    system_nodes=12,
    node_boot=10,
    driver=26,
    build=48,
    benchmark=3000,
    pool_delete=60,
    cluster_delete=100,
)

_QUICK = Durations(
    control_plane=14,
    system_nodes=4,
    pool_accepted=2,
    node_boot=4,
    driver=6,
    pool_create=5,
    pool_delete=6,
    cluster_delete=8,
    resize=5,
    settings_change=2,
    autoscaler=4,
    repository=2,
    zone_operation=2,
    build=10,
    pull=3,
    benchmark=8,
    smoke=2,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def zygote() -> AsyncIterator[Zygote]:
    async with Zygote() as started:
        yield started


def _is_of(entry: Billed, run: str) -> bool:
    return entry.labels.get(RUN_LABEL) == run


def _span(one: Session, stage: Stage) -> tuple[float, float]:
    view = one.view().stages[stage]
    assert view.started_at is not None
    assert view.seconds is not None
    begins = view.started_at.timestamp()
    return begins, begins + view.seconds


def standing(world: GoogleWorld, run: str) -> list[str]:
    return [str(each) for each in world.ledger.standing() if each.labels.get(RUN_LABEL) == run]


def finished(one: Session) -> RunFinished:
    (record,) = (e.record for e in one.events() if isinstance(e.record, RunFinished))
    return record


def beside(first: Session, count: int) -> list[Session]:
    """Runs of other machines, against the same project."""
    others = []
    for number in range(count):
        folder = first.folder.with_name(f"machine-{number}")
        folder.mkdir()
        others.append(Session(first.world, first.zygote, folder, build_s=first.build_s))
    return others


def room_for_many(world: GoogleWorld) -> None:
    quotas: dict[tuple[str, str], Any] = world.capacity.quotas
    for metric in ("NVIDIA_T4_GPUS", "CPUS", "SSD_TOTAL_GB", "DISKS_TOTAL_GB", "IN_USE_ADDRESSES"):
        quotas["us-central1", metric] = 10_000.0
    world.capacity.global_quotas["GPUS_ALL_REGIONS"] = 100.0


async def test_the_session_is_quicker_and_cheaper_than_one_step_after_the_other(
    zygote: Zygote, tmp_path: Path
) -> None:
    times = _A_FIFTH
    async with session(
        zygote, tmp_path / "one", speed=_SPEED, durations=times, build_s=times.build
    ) as one:
        one.create(prices="live")
        code, plain = await both(one.world, tmp_path, times.build, one.do("run"))
        assert code == 0, one.last_words(tmp_path / "one" / "run.out")
        ours = measured(one.world, one.run_id, one.events())
        own = _CI_OWN_S * _SPEED
        assert ours.job_started_s <= longest_path_s(times, times.build) + own
        assert ours.gpu_seconds <= _CI_GPU * needed_gpu_seconds(times, ours.collection_s)
        assert ours.gpu_seconds < plain.gpu_seconds
        assert ours.usd < plain.usd
        cost = one.view().cost
        assert cost is not None
        assert cost.spent_usd == pytest.approx(ours.usd, rel=_CI_TOTAL)
        assert one.world.ledger.is_empty()
        assert one.world.ledger.doubles() == []
        # What makes it so, on whatever machine: the build beside the creation, a GPU only once
        # both are over, and gone before all else.
        cluster, image = (_span(one, stage) for stage in (Stage.CLUSTER, Stage.IMAGE))
        assert image[0] < cluster[1]
        (node,) = (e for e in one.world.ledger.entries if e.gpus and _is_of(e, one.run_id))
        (fee,) = (e for e in one.world.ledger.created("cluster") if _is_of(e, one.run_id))
        assert node.created > max(image[1], cluster[1])
        assert node.deleted is not None
        assert fee.deleted is not None
        assert node.deleted < fee.deleted - times.cluster_delete


@pytest.mark.slow
async def test_of_ten_runs_at_once_each_gets_its_own_cluster_or_a_clear_refusal(
    zygote: Zygote, tmp_path: Path
) -> None:
    async with session(zygote, tmp_path / "one", speed=8, durations=_QUICK) as first:
        world = first.world
        room_for_many(world)
        runs = [first, *beside(first, 9)]
        same, own = runs[:5], runs[5:]
        for run in same:
            run.create()
        for number, run in enumerate(own):
            run.create(name_suffix=f"n{number}")
        victim = own[0]
        # It dies with its cluster and its GPU node there.
        killed = asyncio.create_task(victim.do("run", Kill("kube", 3, "after")))
        others = [asyncio.create_task(run.do("run")) for run in runs if run is not victim]
        assert await killed == -9
        assert standing(world, victim.run_id)
        before = {run.run_id for run in runs if run is not victim and standing(world, run.run_id)}
        assert await victim.do("teardown") == 0
        assert standing(world, victim.run_id) == []
        codes = dict(
            zip(
                [run.run_id for run in runs if run is not victim],
                await asyncio.gather(*others),
                strict=True,
            )
        )
        assert before
        assert all(codes[run.run_id] == 0 for run in own[1:])
        winners = [run for run in same if codes[run.run_id] == 0]
        assert len(winners) == 1
        for run in same:
            if run not in winners:
                assert codes[run.run_id] == 2
                assert f"of run {winners[0].run_id}" in finished(run).sentence
                assert "--name-suffix" in finished(run).remedy
        assert world.ledger.doubles() == []
        assert world.ledger.is_empty()
        clusters = {entry.name for entry in world.ledger.created("cluster")}
        assert len(clusters) == len(world.ledger.created("cluster")) == 6


async def test_budget_and_deadline_hold_with_the_teardown_and_with_nobody_there(
    zygote: Zygote, tmp_path: Path
) -> None:
    async with session(
        zygote, tmp_path / "one", speed=36, durations=_LONG_BENCHMARK, build_s=48
    ) as first:
        world = first.world
        (second,) = beside(first, 1)
        first.create(budget=0.17)
        second.create(name_suffix="second", deadline_minutes=20)
        codes = await asyncio.gather(first.do("run"), second.do("run"))
        assert list(codes) == [1, 1]
        assert world.ledger.is_empty()
        end = finished(first)
        assert end.state is RunState.FAILED
        assert end.sentence.startswith("The budget of $0.17 is reached: ")
        assert 0.07 < world.ledger.usd(label=(RUN_LABEL, first.run_id)) <= 0.17
        warned = [e.record.share for e in first.events() if isinstance(e.record, CostWarned)]
        assert warned == [0.5, 0.8, 0.95]
        late = finished(second)
        assert late.sentence.startswith("The deadline ")
        gone = max(
            entry.deleted or float("inf")
            for entry in world.ledger.entries
            if entry.labels.get(RUN_LABEL) == second.run_id
        )
        deadline = second.events()[0].time.timestamp() + 20 * 60
        assert datetime.fromtimestamp(gone, UTC) <= datetime.fromtimestamp(deadline, UTC)
