"""Teardown from the keyboard: of what is real here, and of what an operator's journal may hold."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Button

from core.run.events import (
    Left,
    ResourceCreated,
    ResourceDeleted,
    ResourceIntended,
    Stage,
    TeardownFinished,
    TeardownStarted,
)
from core.run.journal import Journal, Run
from tests.core.runs import NOON, start_stand_in
from tests.tui.conftest import Driver, OpenConsole, screen_text, until, until_shown
from tests.tui.recorded import replay

CLUSTER = ResourceIntended(
    kind="cluster",
    name="gpu-benchmark-cluster",
    location="us-central1-a",
    usd_per_hour=0.10,
    delete_command="gcloud container clusters delete gpu-benchmark-cluster --zone us-central1-a",
)
POOL = ResourceIntended(
    kind="node pool",
    name="gpu-pool",
    location="us-central1-a",
    usd_per_hour=0.54,
    delete_command="gcloud container node-pools delete gpu-pool",
)


def with_cluster(state: Path, results: Path) -> Run:
    """A run that left a cluster and its pool of GPU nodes."""
    run = replay(state, results, "baseline")
    with Journal(state) as journal:
        for intended in (CLUSTER, POOL):
            journal.append(run.id, intended, time=NOON, stage=Stage.CLUSTER)
            journal.append(
                run.id,
                ResourceCreated(kind=intended.kind, name=intended.name, identity="id-1"),
                time=NOON,
                stage=Stage.CLUSTER,
            )
    return run


def focused_id(pilot: Driver) -> str | None:
    focused = pilot.app.focused
    return focused.id if focused is not None else None


async def test_it_shows_what_exists_its_cost_and_the_order(
    open_console: OpenConsole, state: Path, results: Path
) -> None:
    with_cluster(state, results)
    async with open_console() as pilot:
        await until_shown(pilot, "✓ done")
        await pilot.press("T")
        await until_shown(pilot, "1. node pool gpu-pool", "2. cluster gpu-benchmark-cluster")
        assert "$0.54/h" in screen_text(pilot)
        assert "together $0.64 per hour" in screen_text(pilot)


async def test_the_focus_is_on_what_changes_nothing(
    open_console: OpenConsole, state: Path, results: Path
) -> None:
    with_cluster(state, results)
    async with open_console() as pilot:
        await until_shown(pilot, "✓ done")
        await pilot.press("T")
        await until_shown(pilot, "Type gpu-benchmark-cluster to confirm")
        assert focused_id(pilot) == "close"
        await pilot.press("enter")
        await until(pilot, lambda: "to confirm" not in screen_text(pilot))


async def test_nothing_is_torn_down_before_the_clusters_name_is_typed(
    open_console: OpenConsole, state: Path, results: Path
) -> None:
    run = with_cluster(state, results)
    async with open_console() as pilot:
        await until_shown(pilot, "✓ done")
        await pilot.press("T")
        await until_shown(pilot, "Type gpu-benchmark-cluster to confirm")
        do = pilot.app.screen.query_one("#do", Button)
        assert do.disabled
        pilot.app.screen.query_one("#confirmation").focus()
        await pilot.press(*"gpu-benchmark-cluste", "enter")
        assert do.disabled
        with Journal(state) as journal:
            names = [event.record.event for event in journal.events(run.id)]
        assert "teardown_started" not in names
        await pilot.press("r")
        await until(pilot, lambda: not do.disabled)


async def test_what_this_version_cannot_remove_is_listed_with_its_command(
    open_console: OpenConsole, state: Path, results: Path
) -> None:
    with_cluster(state, results)
    async with open_console(size=(140, 50)) as pilot:
        await until_shown(pilot, "✓ done")
        await pilot.press("T")
        await until_shown(pilot, "Type gpu-benchmark-cluster to confirm")
        pilot.app.screen.query_one("#confirmation").focus()
        await pilot.press(*"gpu-benchmark-cluster", "enter")
        await until_shown(
            pilot, "This could not be proved gone", "cannot remove a cluster", "gcloud container"
        )
        await pilot.press("c")
        assert CLUSTER.delete_command in pilot.app.clipboard
        assert POOL.delete_command in pilot.app.clipboard


async def test_a_run_under_way_is_ended_with_the_proof(
    open_console: OpenConsole, state: Path, results: Path
) -> None:
    process, run_id = start_stand_in(state, results, "forever")
    try:
        async with open_console() as pilot:
            await until_shown(pilot, run_id, "▶ running")
            await pilot.press("T")
            await until_shown(pilot, "1. process run", "None of it costs money")
            await pilot.press("tab", "enter")
            await until_shown(pilot, "Nothing is left", "/proc has no process")
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.wait()


async def test_a_teardown_of_somebody_else_is_seen_live(
    open_console: OpenConsole, state: Path, results: Path
) -> None:
    run = with_cluster(state, results)
    async with open_console() as pilot:
        await until_shown(pilot, "✓ done")
        await pilot.press("T")
        await until_shown(pilot, "1. node pool gpu-pool", "2. cluster")
        with Journal(state) as journal:
            for record in (
                TeardownStarted(resources=("node pool gpu-pool",)),
                ResourceDeleted(kind="node pool", name="gpu-pool", proof="GKE: not found"),
                TeardownFinished(
                    left=(
                        Left(
                            kind="cluster",
                            name=CLUSTER.name,
                            reason="still there",
                            delete_command=CLUSTER.delete_command,
                        ),
                    ),
                    seconds=1,
                ),
            ):
                journal.append(run.id, record, time=NOON, stage=Stage.TEARDOWN)
        await until_shown(pilot, "1. cluster gpu-benchmark-cluster")
        await until(pilot, lambda: "node pool gpu-pool" not in screen_text(pilot))


async def test_closing_the_page_does_not_stop_a_teardown(
    open_console: OpenConsole, state: Path, results: Path
) -> None:
    process, run_id = start_stand_in(state, results, "forever")
    try:
        async with open_console() as pilot:
            await until_shown(pilot, run_id, "▶ running")
            await pilot.press("T")
            await until_shown(pilot, "1. process run")
            await pilot.press("tab", "enter", "escape")
            await until_shown(pilot, "■ interrupted")
    finally:
        process.kill()
        process.wait()
