"""What a run costs is told as it grows, and ends it in time; the stand-in's ledger is the judge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.progress import Remarked
from core.run.cost_events import BillingEnded, BillingStarted, CostMetered, CostWarned
from core.run.events import Stage
from core.targets.gke.deployment import Rates
from tests.core.targets.gke_run import QUICK, GkeRun, ended, until
from tests.core.targets.gke_scene import (
    CLUSTER,
    OTHER,
    SPEED,
    ZONE,
    add_pool,
    labels_of,
    stand_up,
)
from tests.google.doings import Doings
from tests.google.sped_up import SpedUpPolicy
from tests.google.world import GoogleWorld


@pytest.fixture
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return SpedUpPolicy(SPEED)


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with GoogleWorld(speed=SPEED, durations=QUICK) as stand_in:
        yield stand_in


def total(run: GkeRun) -> CostMetered:
    return run.records(CostMetered)[-1]


def names(run: GkeRun, kind: Any) -> list[str]:
    return sorted(record.kind for record in run.records(kind))


async def test_the_total_is_what_google_bills(world: GoogleWorld, tmp_path: Path) -> None:
    run = GkeRun(world, tmp_path)
    watch = run.watch()
    await run.stand_up(gpus=True)
    await asyncio.sleep(500)
    await run.take_down()
    await ended(watch)
    billed = world.ledger.usd()
    assert billed > 0.08
    assert total(run).spent_usd == pytest.approx(billed, rel=0.01)
    assert total(run).usd_per_hour == 0
    assert total(run).projected_usd == pytest.approx(total(run).spent_usd)
    assert total(run).source == f"live prices of {world.clock.datetime():%Y-%m-%d}"
    # Each thing once: a cluster, a small node and one with a GPU, each with its disk.
    kinds = ["cluster", "disk", "disk", "node", "node"]
    assert names(run, BillingStarted) == kinds
    assert names(run, BillingEnded) == kinds
    parents = {record.parent for record in run.records(BillingStarted)}
    assert parents == {f"cluster {CLUSTER}", f"node pool {CLUSTER}/{run.deployment.pool}"}


async def test_it_begins_when_google_says_it_began(world: GoogleWorld, tmp_path: Path) -> None:
    run = GkeRun(world, tmp_path)
    await run.stand_up()
    await asyncio.sleep(100)
    watch = run.watch()
    await until(lambda: len(run.records(BillingStarted)) == 3)
    await ended(watch)
    assert total(run).spent_usd == pytest.approx(world.ledger.usd(), rel=0.02)


async def test_the_budget_ends_the_run_before_it_is_passed(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path, {"budget": 0.15})
    watch = run.watch()
    await run.stand_up(gpus=True)
    await until(lambda: run.stops)
    assert run.deployment.must_end
    await run.take_down()
    await ended(watch)
    (problem,) = run.stops
    assert problem.sentence.startswith("The budget of $0.15 is reached: $0.")
    assert "--budget" in problem.remedy
    assert 0.05 < world.ledger.usd() <= 0.15
    assert [record.share for record in run.records(CostWarned)] == [0.5, 0.8, 0.95]


async def test_the_deadline_ends_the_run_also_while_google_is_away(
    world: GoogleWorld, tmp_path: Path
) -> None:
    world.faults.add("*", "unavailable", times=-1)
    run = GkeRun(world, tmp_path, {"deadline_minutes": 10})
    watch = run.watch()
    await until(lambda: run.stops)
    await ended(watch)
    assert run.stops[0].sentence.startswith("The deadline ")
    left = (run.deployment.deadline - world.clock.datetime()).total_seconds()
    # Held back for the teardown: five minutes, and half of that more.
    assert 300 < left < 460


async def test_without_google_it_goes_on_counting_and_says_so_once(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    watch = run.watch()
    await run.stand_up()
    await until(lambda: len(run.records(BillingStarted)) == 3)
    fault = world.faults.add("*", "unavailable", times=-1)
    await until(lambda: run.records(Remarked))
    before = total(run).spent_usd
    await asyncio.sleep(300)
    assert total(run).spent_usd > before
    assert "Google cannot be asked since" in total(run).source
    fault.times = 0
    await until(lambda: len(run.records(Remarked)) == 2)
    await ended(watch)
    first, second = run.records(Remarked)
    assert first.message.startswith("What is billed cannot be seen just now")
    assert second.message == "Google tells again what is billed."
    assert total(run).spent_usd == pytest.approx(world.ledger.usd(), rel=0.02)


async def test_what_was_asked_for_and_never_seen_counts_against_the_limits(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path, {"budget": 0.12})
    run.deployment.rates = Rates(cluster=0.2, pool=0.6)
    fault = world.faults.add("compute.*", "permission", times=-1)
    watch = run.watch()
    await run.stand_up(gpus=True)
    await until(lambda: run.stops)
    assert run.stops[0].sentence.startswith("The budget of $0.12 is reached")
    # The cluster's own fee was seen.
    assert "up to $0.70/h unseen count against the limits" in total(run).source
    assert total(run).usd_per_hour == pytest.approx(0.1)
    assert world.ledger.usd() <= 0.12
    fault.times = 0
    await until(lambda: len(run.records(BillingStarted)) == 5)
    await until(lambda: "unseen" not in total(run).source)
    await ended(watch)


async def test_a_list_that_fails_once_counts_nothing_unseen(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    run.deployment.rates = Rates(cluster=0.2, pool=0.6)
    world.faults.add("compute.*", "permission", times=2)
    watch = run.watch()
    await run.stand_up()
    await until(lambda: len(run.records(BillingStarted)) == 3)
    await ended(watch)
    assert all("unseen" not in record.source for record in run.records(CostMetered))


async def test_what_cannot_be_watched_over_does_not_go_on(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path)
    # Damage that nobody reckons with.
    run.prospect.history = {Stage.CLUSTER: ["nonsense"]}  # type: ignore[dict-item]
    watch = run.watch()
    await until(lambda: run.stops)
    assert run.stops[0].sentence.startswith("The costs cannot be watched over any longer: ")
    assert run.deployment.must_end
    (outcome,) = await asyncio.gather(watch, return_exceptions=True)
    assert isinstance(outcome, ExceptionGroup)


async def test_one_list_that_fails_hides_nothing_of_the_others(
    world: GoogleWorld, tmp_path: Path
) -> None:
    world.faults.add("compute.disks.aggregatedList", "permission", times=-1)
    run = GkeRun(world, tmp_path)
    watch = run.watch()
    await run.stand_up()
    await until(lambda: names(run, BillingStarted) == ["cluster", "node"])
    await ended(watch)
    assert "disks" in run.records(Remarked)[0].message


async def test_a_run_that_is_taken_up_again_tells_nothing_twice(
    world: GoogleWorld, tmp_path: Path
) -> None:
    first = GkeRun(world, tmp_path, {"budget": 0.06})
    watch = first.watch()
    await first.stand_up()
    await until(lambda: len(first.records(BillingStarted)) == 3)
    await until(lambda: first.records(CostWarned))
    await ended(watch)
    await asyncio.sleep(120)
    second = GkeRun(world, tmp_path, {"budget": 0.06})
    second.deployment.created_at = first.deployment.created_at
    watch = second.watch(first.told)
    await until(lambda: len(second.records(CostMetered)) > 3)
    Doings(world.gke).delete_cluster(ZONE, CLUSTER)
    await until(lambda: len(second.records(BillingEnded)) == 3)
    await ended(watch)
    assert second.records(BillingStarted) == []
    shares = [record.share for run in (first, second) for record in run.records(CostWarned)]
    assert shares == sorted(set(shares))
    assert total(second).spent_usd == pytest.approx(world.ledger.usd(), rel=0.02)


async def test_what_ended_while_no_process_ran_is_billed_no_longer(
    world: GoogleWorld, tmp_path: Path
) -> None:
    first = GkeRun(world, tmp_path)
    watch = first.watch()
    await first.stand_up()
    await until(lambda: len(first.records(BillingStarted)) == 3)
    await ended(watch)
    Doings(world.gke).delete_cluster(ZONE, CLUSTER)
    await until(lambda: not world.gke.clusters)
    second = GkeRun(world, tmp_path)
    watch = second.watch(first.told)
    await until(lambda: len(second.records(BillingEnded)) == 3)
    await ended(watch)
    assert total(second).usd_per_hour == 0
    # Nobody saw when it ended: never less than what Google bills.
    assert total(second).spent_usd >= world.ledger.usd()


async def test_of_a_cluster_that_is_not_ours_only_our_nodes_count(
    world: GoogleWorld, tmp_path: Path
) -> None:
    await stand_up(world, labels_of(OTHER))
    run = GkeRun(world, tmp_path)
    watch = run.watch()
    await add_pool(world, run.deployment.labels())
    await until(lambda: len(run.records(BillingStarted)) == 2)
    await asyncio.sleep(30)
    await ended(watch)
    assert names(run, BillingStarted) == ["disk", "node"]


async def test_what_has_no_known_price_is_named_and_never_free(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path, {"prices": "shipped", "zone": "asia-east1-a"})
    await run.stand_up()
    watch = run.watch()
    await until(lambda: len(run.records(BillingStarted)) == 3)
    await asyncio.sleep(30)
    await ended(watch)
    (node,) = world.fleet.instances
    unpriced = [record for record in run.records(BillingStarted) if not record.items]
    assert {record.kind for record in unpriced} == {"node", "disk"}
    assert f"not counted, no price is known: disk {node}" in total(run).source
    assert total(run).projected_usd is None


async def test_a_spot_node_that_google_took_away_is_followed_by_the_next_one(
    world: GoogleWorld, tmp_path: Path
) -> None:
    run = GkeRun(world, tmp_path, {"spot": True})
    watch = run.watch()
    await run.stand_up(gpus=True)
    await until(lambda: len(run.records(BillingStarted)) == 5)
    taken = next(name for name, each in world.fleet.instances.items() if each.shape.gpu)
    world.fleet.preempt(taken)
    await until(lambda: len(run.records(BillingStarted)) == 7)
    await ended(watch)
    node = next(each for each in run.records(BillingStarted) if each.name == taken)
    assert {item.what for item in node.items} >= {"1 x nvidia-tesla-t4, spot"}
    assert sorted(each.name for each in run.records(BillingEnded)) == [taken, taken]
    assert total(run).spent_usd == pytest.approx(world.ledger.usd(), rel=0.02)
