"""Whatever runs have left is found by its labels alone, and only what nobody needs goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from core.errors import ProblemError
from core.gcp import artifacts, storage
from core.gcp.connection import Google
from core.gcp.errors import GoogleError, UnavailableError
from core.gcp.specs import EXPIRES_LABEL, label_value
from core.run.events import ResourceCreated, ResourceIntended
from core.run.journal import Journal
from core.run.process import utc_now
from core.run.view import RunView
from core.targets.gke.surveying import Found
from core.targets.gke.sweeping import Choice, Outcome, Sweep, is_of_run, judge
from tests.core.runs import named_run
from tests.core.targets.gke_scene import (
    CLUSTER,
    HOUR,
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

OVERDUE = labels_of(RUN, -HOUR)
NEEDED = labels_of(OTHER, 24 * HOUR)
THE_OVERDUE = Choice()
EVERYTHING = Choice(every=True)


@pytest.fixture
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return SpedUpPolicy(SPEED)


@pytest.fixture
async def world() -> AsyncIterator[GoogleWorld]:
    async with quick_world() as stand_in:
        yield stand_in


DOTTED = "20261123-060000-gke-xen-4.17-ab12"


@pytest.mark.parametrize(
    ("label", "run", "is_its"),
    [
        (label_value(DOTTED), DOTTED, True),
        (label_value(DOTTED), DOTTED[:26], True),
        ("20261123-060000-gke-xen-ab12", "20261123-", True),
        ("20261123-060000-gke-xen-ab12", "20261123-06000-", False),
    ],
)
def test_a_run_is_known_by_its_beginning(label: str, run: str, is_its: bool) -> None:
    assert is_of_run(label, run) is is_its


@pytest.fixture
def sweep(world: GoogleWorld) -> Sweep:
    return Sweep(access_to(world), utc_now)


async def going(sweep: Sweep, choice: Choice, *alive: str) -> list[Found]:
    verdicts = judge(await sweep.look(), choice, alive, utc_now())
    return [verdict.found for verdict in verdicts if verdict.goes]


async def swept(sweep: Sweep, choice: Choice = THE_OVERDUE) -> tuple[Outcome, ...]:
    told: list[Outcome] = []
    outcomes = await sweep.remove(await going(sweep, choice), told.append)
    assert sorted(map(str, told)) == sorted(map(str, outcomes))
    return outcomes


def names(found: list[Found]) -> list[str]:
    return [f"{each.kind} {each.name}" for each in found]


async def test_a_cluster_is_shown_with_whose_it_is_and_what_it_costs(
    world: GoogleWorld, sweep: Sweep
) -> None:
    await stand_up(world, OVERDUE)
    await add_pool(world, OVERDUE)
    (found,) = await sweep.look()
    assert (found.kind, found.name, found.location) == ("cluster", CLUSTER, f"{PROJECT}/{ZONE}")
    assert (found.run, found.owner, found.is_kept) == (RUN, "ann-laptop", False)
    assert found.expires == datetime.fromtimestamp(int(OVERDUE[EXPIRES_LABEL]), UTC)
    assert found.usd_per_hour is not None
    in_ledger = sum(each.usd_per_hour for each in world.ledger.standing())
    assert found.usd_per_hour == pytest.approx(in_ledger, rel=0.001)
    assert found.delete_command == (
        f"gcloud container clusters delete {CLUSTER} --project {PROJECT} --location {ZONE} --quiet"
    )


async def test_what_is_overdue_goes_and_the_rest_stays(world: GoogleWorld, sweep: Sweep) -> None:
    await stand_up(world, OVERDUE)
    await stand_up(world, NEEDED, location="us-central1-b")
    await stand_up(world, {}, name="somebodys")
    world.fleet.add_disk("orphan", ZONE, "pd-balanced", 10, OVERDUE)
    world.fleet.add_load_balancer("balancer", "us-central1", OVERDUE)
    world.fleet.add_address("address", "us-central1", OVERDUE)
    world.fleet.add_disk("needed", ZONE, "pd-balanced", 10, NEEDED)
    world.fleet.add_disk("unlabelled", ZONE, "pd-balanced", 10, {})
    outcomes = await swept(sweep)
    assert {outcome.found.kind for outcome in outcomes} == {
        *("cluster", "disk", "forwarding rule", "address")
    }
    assert all(outcome.proof for outcome in outcomes)
    assert standing(world, RUN) == []
    left = standing(world)
    assert "cluster somebodys" in left
    assert f"cluster {CLUSTER}" in left
    assert {"disk needed", "disk unlabelled"} <= set(left)


async def test_a_little_overdue_is_not_overdue(world: GoogleWorld, sweep: Sweep) -> None:
    world.fleet.add_disk("nearly", ZONE, "pd-balanced", 10, labels_of(RUN, -200))
    assert await going(sweep, THE_OVERDUE) == []
    assert names(await going(sweep, EVERYTHING)) == ["disk nearly"]


async def test_what_does_not_say_until_when_is_taken_only_with_all(
    world: GoogleWorld, sweep: Sweep
) -> None:
    for number, text in enumerate(("", "soon", "9" * 30, "\u0665")):
        labels = {"gpubench-run": RUN, "gpubench-expires": text}
        world.fleet.add_disk(f"disk-{number}", ZONE, "pd-balanced", 10, labels)
    assert await going(sweep, THE_OVERDUE) == []
    assert len(await going(sweep, EVERYTHING)) == 4


async def test_a_run_that_is_alive_here_is_taken_only_by_name(
    world: GoogleWorld, sweep: Sweep
) -> None:
    world.fleet.add_disk("orphan", ZONE, "pd-balanced", 10, OVERDUE)
    assert await going(sweep, THE_OVERDUE, RUN) == []
    assert await going(sweep, EVERYTHING, RUN) == []
    assert names(await going(sweep, Choice(run=RUN), RUN)) == ["disk orphan"]


async def test_one_run_is_chosen_by_the_beginning_of_its_id(
    world: GoogleWorld, sweep: Sweep
) -> None:
    world.fleet.add_disk("ours", ZONE, "pd-balanced", 10, labels_of(RUN))
    world.fleet.add_disk("theirs", ZONE, "pd-balanced", 10, NEEDED)
    assert names(await going(sweep, Choice(run=RUN[:15]))) == ["disk ours"]


async def test_a_pool_in_somebody_elses_cluster_goes_alone(
    world: GoogleWorld, sweep: Sweep
) -> None:
    await stand_up(world, {}, name="somebodys")
    before = standing(world)
    await add_pool(world, OVERDUE, cluster="somebodys")
    (found,) = await going(sweep, THE_OVERDUE)
    assert (found.kind, found.name) == ("node pool", f"somebodys/{POOL}")
    assert found.usd_per_hour is not None
    assert found.usd_per_hour > 0.5
    (outcome,) = await swept(sweep)
    assert outcome.proof
    assert standing(world) == before


async def test_an_overdue_cluster_stays_while_a_guest_needs_it(
    world: GoogleWorld, sweep: Sweep
) -> None:
    await stand_up(world, OVERDUE)
    await add_pool(world, NEEDED, "gpu-cd34-a")
    assert await going(sweep, THE_OVERDUE) == []


async def test_a_cluster_and_its_guest_go_together(world: GoogleWorld, sweep: Sweep) -> None:
    await stand_up(world, OVERDUE)
    await add_pool(world, NEEDED, "gpu-cd34-a")
    outcomes = await swept(sweep, EVERYTHING)
    assert [bool(outcome.proof) for outcome in outcomes] == [True, True]
    assert standing(world) == []


async def test_an_instance_that_lost_its_cluster_goes_with_its_disk(
    world: GoogleWorld, sweep: Sweep
) -> None:
    cluster = await stand_up(world, OVERDUE)
    # As after a deletion that failed half-way.
    world.gke.clusters.pop((ZONE, CLUSTER))
    world.ledger.closed(cluster.billed)
    for pool in cluster.pools.values():
        world.ledger.closed(pool.billed)
        for group in pool.groups:
            group.alive = False
    (outcome,) = await swept(sweep)
    assert outcome.found.kind == "instance"
    assert outcome.found.usd_per_hour is not None
    assert standing(world) == []


async def test_what_stays_is_told_with_the_reason_and_keeps_nothing_else(
    world: GoogleWorld, sweep: Sweep
) -> None:
    await stand_up(world, OVERDUE)
    world.fleet.add_disk("orphan", ZONE, "pd-balanced", 10, labels_of(OTHER, -HOUR))
    world.faults.add("container.DeleteCluster", "permission", times=-1)
    outcomes = await swept(sweep)
    by_kind = {outcome.found.kind: outcome for outcome in outcomes}
    assert f"deleting cluster {CLUSTER}" in by_kind["cluster"].reason
    assert by_kind["cluster"].proof == ""
    assert by_kind["disk"].proof
    assert standing(world, OTHER) == []


async def test_a_list_that_is_not_whole_is_no_list(world: GoogleWorld, sweep: Sweep) -> None:
    world.faults.add("compute.instances.aggregatedList", "unavailable", times=-1)
    with pytest.raises(UnavailableError):
        await sweep.look()


async def test_what_was_found_goes_though_a_zone_could_not_be_asked(
    world: GoogleWorld, sweep: Sweep
) -> None:
    await stand_up(world, OVERDUE)
    await stand_up(world, OVERDUE, location="us-central1-b")
    world.gke.unlisted.add("us-central1-b")
    with pytest.raises(UnavailableError, match="leaves out us-central1-b"):
        await sweep.look()
    missed: list[GoogleError] = []
    found = await sweep.look(missed.append)
    # Its machines are of a cluster that is not known: they are no things of their own.
    assert names(list(found)) == [f"cluster {CLUSTER}"]
    assert found[0].location.endswith(ZONE)
    assert [each.sentence for each in missed] == [
        "Google's list of clusters leaves out us-central1-b."
    ]
    (outcome,) = await sweep.remove(found, lambda _outcome: None)
    assert outcome.proof


@pytest.mark.parametrize(
    ("call", "left"),
    [
        ("compute.instances.aggregatedList", ["cluster", "disk"]),
        ("container.ListClusters", ["disk"]),
        ("compute.disks.aggregatedList", ["cluster"]),
    ],
)
async def test_one_list_that_fails_hides_nothing_of_the_others(
    world: GoogleWorld, sweep: Sweep, call: str, left: list[str]
) -> None:
    await stand_up(world, OVERDUE)
    world.fleet.add_disk("orphan", ZONE, "pd-balanced", 10, OVERDUE)
    world.faults.add(call, "permission", times=-1)
    missed: list[GoogleError] = []
    assert [each.kind for each in await sweep.look(missed.append)] == left
    assert len(missed) == 1


async def test_a_disk_whose_instance_could_not_be_asked_for_is_no_thing_of_its_own(
    world: GoogleWorld, sweep: Sweep
) -> None:
    await stand_up(world, OVERDUE)
    world.gke.clusters.pop((ZONE, CLUSTER))
    world.faults.add("compute.instances.aggregatedList", "permission", times=-1)
    assert await sweep.look(lambda _problem: None) == ()


async def test_where_no_list_can_be_had_it_is_an_error(world: GoogleWorld, sweep: Sweep) -> None:
    for service in ("compute", "container"):
        world.faults.add(f"{service}.*", "permission", times=-1)
    with pytest.raises(GoogleError):
        await sweep.look(lambda _problem: None)


async def test_a_beginning_that_ends_between_two_words_is_one(
    world: GoogleWorld, sweep: Sweep
) -> None:
    world.fleet.add_disk("ours", ZONE, "pd-balanced", 10, labels_of(RUN))
    assert names(await going(sweep, Choice(run=RUN[:16]))) == ["disk ours"]
    assert RUN[:16].endswith("-")


async def test_repositories_are_listed_and_stay_unless_asked_for(
    world: GoogleWorld, sweep: Sweep
) -> None:
    async with Google(access_to(world)) as google:
        ours = {"created-by": "gpubench-tui"}
        await artifacts.create_repository(google, "us-central1", "gpubench-tui", ours)
        await artifacts.create_repository(google, "us-central1", "somebodys", {})
    (found,) = await sweep.look()
    assert (found.kind, found.name) == ("repository", "gpubench-tui")
    assert await going(sweep, EVERYTHING) == []
    (outcome,) = await swept(sweep, Choice(images=True))
    assert outcome.proof == (
        "artifactregistry.googleapis.com has no repository gpubench-tui in us-central1"
    )
    assert list(world.artifacts.repositories) == [("us-central1", "somebodys")]


async def test_the_bucket_of_builds_stays_unless_asked_for(
    world: GoogleWorld, sweep: Sweep
) -> None:
    async with Google(access_to(world)) as google:
        ours = {"created-by": "gpubench-tui"}
        await storage.create_bucket(google, "ours", "us-central1", ours, "123456789012")
        await storage.create_bucket(google, "somebodys", "us-central1", {}, "123456789012")
        for name in ("gpubench/r1.tar.gz", "log-1.txt"):
            await storage.upload(google, "ours", name, b"x")
    (found,) = await sweep.look()
    assert (found.kind, found.name, found.location) == ("bucket", "ours", f"{PROJECT}/us-central1")
    assert found.delete_command.startswith("gcloud storage rm --recursive gs://ours")
    assert await going(sweep, EVERYTHING) == []
    (outcome,) = await swept(sweep, Choice(images=True))
    assert outcome.proof == "storage.googleapis.com has no bucket ours"
    assert list(world.storage.buckets) == ["somebodys"]


async def test_a_bucket_that_others_use_too_stays_with_what_is_theirs(
    world: GoogleWorld, sweep: Sweep
) -> None:
    async with Google(access_to(world)) as google:
        ours = {"created-by": "gpubench-tui"}
        await storage.create_bucket(google, "shared", "us-central1", ours, "123456789012")
        for name in ("gpubench/r1.tar.gz", "source/theirs.tgz"):
            await storage.upload(google, "shared", name, b"x")
    (outcome,) = await swept(sweep, Choice(images=True))
    assert outcome.proof == ""
    assert "not empty" in outcome.reason
    assert list(world.storage.buckets["shared"].objects) == ["source/theirs.tgz"]


async def test_repositories_that_cannot_be_asked_for_keep_nothing_from_being_found(
    world: GoogleWorld, sweep: Sweep
) -> None:
    world.project.services.discard("artifactregistry.googleapis.com")
    world.faults.add("artifactregistry.repositories.list", "permission", times=-1)
    world.faults.add("storage.buckets.list", "permission", times=-1)
    world.fleet.add_disk("orphan", ZONE, "pd-balanced", 10, OVERDUE)
    assert names(await going(sweep, THE_OVERDUE)) == ["disk orphan"]


async def test_the_journal_learns_what_is_gone(
    world: GoogleWorld, sweep: Sweep, journal: Journal
) -> None:
    await stand_up(world, OVERDUE)
    run = named_run(journal, RUN, target="gke")
    place = f"context gke_{PROJECT}_{ZONE}_{CLUSTER}, namespace default"
    for kind, name, location in (
        ("cluster", CLUSTER, f"{PROJECT}/{ZONE}"),
        ("job", "gpu-benchmark-baseline", place),
        ("process", "1234", "this test"),
    ):
        intended = ResourceIntended(kind=kind, name=name, location=location, delete_command="x")
        journal.append(run.id, intended, time=utc_now())
        created = ResourceCreated(kind=kind, name=name, identity=name)
        journal.append(run.id, created, time=utc_now())
    await sweep.note(journal, run)
    assert all(each.exists for each in RunView.of(journal.events(run.id)).resources.values())
    await swept(sweep)
    await sweep.note(journal, run)
    view = RunView.of(journal.events(run.id))
    assert [name for name, each in view.resources.items() if each.exists] == [("process", "1234")]
    await sweep.note(journal, run)
    assert len(RunView.of(journal.events(run.id)).proofs) == 2


async def test_nothing_at_all_is_found_in_an_empty_project(sweep: Sweep) -> None:
    assert await sweep.look() == ()


async def test_credentials_that_google_does_not_take_are_an_error(
    world: GoogleWorld, sweep: Sweep
) -> None:
    world.tokens.refuse = True
    with pytest.raises(ProblemError):
        await sweep.look()
