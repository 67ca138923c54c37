"""Every page as it looks, at the least size that is supported and at a large one.

``pytest tests/tui/test_snapshots.py --snapshot-update`` draws them anew; look at them before.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from core.console_settings import ConsoleSettings
from core.run.events import CostMetered, Stage, StageFailed, StageProgressed
from core.run.journal import Journal
from core.targets.machine import Finding
from tests.tui import gke_run, kubernetes_run
from tests.tui.conftest import NOW, Driver, until_shown
from tests.tui.measured_runs import STEADY, measured_run, slower
from tests.tui.recorded import replay
from tests.tui.test_teardown import with_cluster
from tui.app import Console

SIZES = [(80, 24), (200, 60)]
# Relative, so that no picture holds the name of a test's own folder.
STATE, RESULTS = Path("state"), Path("results")

Prepare = Callable[[], object]
Walk = Callable[[Driver], Awaitable[None]]


def machine(_environment: Any) -> tuple[Finding, ...]:
    return (
        Finding("benchmark", True, "installed: PyTorch, torchvision, LoadGen"),
        Finding("GPU", True, "Tesla T4"),
        Finding("hypervisor", True, "kvm"),
        Finding("container engine", False, "none answers at /var/run/docker.sock"),
        Finding("cluster access", True, "context gke_project_us-central1-a_cluster"),
    )


def nothing() -> None:
    """No run at all."""


def two_legs() -> None:
    replay(STATE, RESULTS, "baseline")
    replay(STATE, RESULTS, "xen")


def two_measured_legs() -> None:
    names = ("offline-b8", "server-b8", "singlestream-b1")
    measured_run(STATE, RESULTS, "baseline", dict.fromkeys(names, STEADY))
    overheads = zip(names, (1.0, 4.5, 9.0), strict=True)
    measured_run(STATE, RESULTS, "xen", {name: slower(each) for name, each in overheads}, later=1)


def under_way() -> None:
    replay(STATE, RESULTS, "baseline")
    replay(STATE, RESULTS, "xen", until="measurement_finished")


def cloud() -> None:
    run = with_cluster(STATE, RESULTS)
    with Journal(STATE) as journal:
        time = journal.events(run.id)[-1].time
        for stage, record in (
            (
                None,
                CostMetered(
                    usd_per_hour=0.64,
                    spent_usd=0.21,
                    projected_usd=0.28,
                    budget_usd=0.25,
                    source="shipped table of 2026-05-01",
                ),
            ),
            (Stage.IMAGE, StageProgressed(done=3, total=8, unit="layers", detail="pushing")),
            (
                Stage.CLUSTER,
                StageFailed(
                    seconds=70,
                    sentence="us-central1-a has no Tesla T4 left.",
                    remedy="Allow another zone with --zones.",
                ),
            ),
        ):
            journal.append(run.id, record, time=time, stage=stage)


def on_a_cluster(moment: Callable[[], list[kubernetes_run.Moment]]) -> Prepare:
    """A run on a Kubernetes cluster that came to a moment."""
    return lambda: kubernetes_run.write_down(STATE, RESULTS, moment)


def on_gke(moment: Callable[[], list[kubernetes_run.Moment]]) -> Prepare:
    """A run on a cluster that it creates, looked at a second after that moment."""

    def prepare() -> datetime:
        kubernetes_run.write_down(STATE, RESULTS, moment, run_id=gke_run.RUN)
        return kubernetes_run.BEGUN + timedelta(seconds=moment()[-1][0] + 1)

    return prepare


def opened(text: str, *keys: str, run: str = kubernetes_run.RUN) -> Walk:
    """Open the newest run, press these keys and wait for what its dashboard says."""

    async def walk(pilot: Driver) -> None:
        await until_shown(pilot, run)
        await pilot.press("enter")
        await until_shown(pilot, "Back")
        await pilot.press(*keys)
        await until_shown(pilot, text)

    return walk


def on_gke_opened(text: str, *keys: str) -> Walk:
    return opened(text, *keys, run=gke_run.RUN)


async def runs(pilot: Driver) -> None:
    await until_shown(pilot, "✓ done")


async def first(pilot: Driver) -> None:
    await until_shown(pilot, "Tesla T4")


async def dashboard(pilot: Driver) -> None:
    await runs(pilot)
    await pilot.press("enter")
    await until_shown(pilot, "preflight", "checks passed")


async def measurement(pilot: Driver) -> None:
    await dashboard(pilot)
    await pilot.press("2")
    await until_shown(pilot, "offline-b1 #1")


async def failed(pilot: Driver) -> None:
    await runs(pilot)
    await pilot.press("enter")
    await until_shown(pilot, "no Tesla T4 left")


async def results(pilot: Driver) -> None:
    await runs(pilot)
    await pilot.press("i")
    await until_shown(pilot, "SingleStream", "not an", "d says why")


async def plots(pilot: Driver) -> None:
    await results(pilot)
    await pilot.press("down", "down", "2")
    await until_shown(pilot, "latency: server-b8", "▲")


async def evidence(pilot: Driver) -> None:
    await results(pilot)
    await pilot.press("3")
    await until_shown(pilot, "Attestation")


async def files(pilot: Driver) -> None:
    await results(pilot)
    await pilot.press("4")
    await until_shown(pilot, "content sha256")


async def diff(pilot: Driver) -> None:
    await runs(pilot)
    await pilot.press("d")
    await until_shown(pilot, "EXCEEDS TARGET", "offline-b8")


async def refused_diff(pilot: Driver) -> None:
    await runs(pilot)
    await pilot.press("d")
    await until_shown(pilot, "REFUSED")


async def form(pilot: Driver) -> None:
    await runs(pilot)
    await pilot.press("r")
    await until_shown(pilot, "nothing is billed")


async def kubernetes_form(pilot: Driver) -> None:
    await form(pilot)
    await pilot.press("shift+tab", "enter", "down", "enter")
    await until_shown(pilot, "namespace", "gpus", "Add --image")


async def gke_form(pilot: Driver) -> None:
    await form(pilot)
    await pilot.press("shift+tab", "enter", "down", "down", "enter")
    await until_shown(pilot, "project", "deadline minutes", "needs a Google Cloud project")
    field = pilot.app.screen.query_one("#field-project", Input)
    field.focus()
    field.value = "example-project"
    await until_shown(pilot, "GPU nodes to zero", "shipped prices")


async def gke_teardown(pilot: Driver) -> None:
    await until_shown(pilot, gke_run.RUN)
    await pilot.press("T")
    await until_shown(pilot, "Removing ...")


async def teardown(pilot: Driver) -> None:
    await runs(pilot)
    await pilot.press("T")
    await until_shown(pilot, "1. node pool")


async def export(pilot: Driver) -> None:
    await results(pilot)
    await pilot.press("E")
    await until_shown(pilot, "Export to which file?")


async def choose(pilot: Driver) -> None:
    await dashboard(pilot)
    await pilot.press("c")
    await until_shown(pilot, "Copy a command")


async def stop(pilot: Driver) -> None:
    await until_shown(pilot, "▶ running")
    await pilot.press("x")
    await until_shown(pilot, "Stop the run?")


async def help_page(pilot: Driver) -> None:
    await first(pilot)
    await pilot.press("question_mark")
    await until_shown(pilot, "Everywhere")


PAGES: list[tuple[str, Prepare, Walk]] = [
    ("first", nothing, first),
    ("runs", two_legs, runs),
    ("dashboard", under_way, dashboard),
    ("measurement", under_way, measurement),
    ("failed", cloud, failed),
    ("results", two_legs, results),
    ("plots", two_legs, plots),
    ("evidence", two_legs, evidence),
    ("files", two_legs, files),
    ("diff", two_measured_legs, diff),
    ("diff-refused", two_legs, refused_diff),
    ("form", two_legs, form),
    ("teardown", cloud, teardown),
    ("export", two_legs, export),
    ("choose", two_legs, choose),
    ("stop", under_way, stop),
    ("help", nothing, help_page),
    ("layers", on_a_cluster(kubernetes_run.image_pushing), opened("2c3d4e5f6071")),
    ("rollout", on_a_cluster(kubernetes_run.drivers_rolling_out), opened("gpu-node-3")),
    ("pending", on_a_cluster(kubernetes_run.pod_pending), opened("Insufficient")),
    ("uncollected", on_a_cluster(kubernetes_run.collection_failed), opened("C collects")),
    ("kubernetes-form", two_legs, kubernetes_form),
    ("gke-form", two_legs, gke_form),
    ("gke-creating", on_gke(gke_run.cluster_creating), on_gke_opened("23/41 steps")),
    ("gke-plan", on_gke(gke_run.shipped_prices), on_gke_opened("shipped prices", "2")),
    ("gke-failover", on_gke(gke_run.failing_over), on_gke_opened("attempt us-central1-c")),
    ("gke-cost", on_gke(gke_run.measuring), on_gke_opened("warned", "3")),
    ("gke-teardown", on_gke(gke_run.tearing_down), gke_teardown),
    ("gke-torn-down", on_gke(gke_run.torn_down), on_gke_opened("planned: 19 min", "2")),
]


def a_console(
    settings: ConsoleSettings,
    environment: dict[str, str],
    now: datetime = NOW - timedelta(hours=1),
) -> Console:
    console = Console(
        settings,
        {"GPUBENCH_STATE_DIR": str(STATE), "GPUBENCH_RESULTS_DIR": str(RESULTS), **environment},
        lambda: now,
        poll_s=0.02,
        look_at_machine=machine,
    )
    console.animation_level = "none"
    return console


async def still(pilot: Driver) -> None:
    """Let nothing blink, and everything that is under way end: what is shown stays as it is."""
    for editor in pilot.app.screen.query(Input):
        editor.cursor_blink = False
    before, unchanged = None, 0
    while unchanged < 8:
        await pilot.pause(0.05)
        shown = pilot.app.screen._compositor.render_strips()
        before, unchanged = shown, unchanged + 1 if shown == before else 0


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the test's own, and nobody's settings."""
    for name in os.environ:
        if name.startswith(("GPUBENCH_", "XDG_", "NO_COLOR")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


PICTURES = [(name, prepare, walk, size) for name, prepare, walk in PAGES for size in SIZES]


def name_of(name: str, size: tuple[int, int]) -> str:
    return f"{name}-{size[0]}x{size[1]}"


@pytest.mark.parametrize(
    ("prepare", "walk", "size"),
    [picture[1:] for picture in PICTURES],
    ids=[name_of(picture[0], picture[3]) for picture in PICTURES],
)
def test_page(snap_compare: Any, prepare: Prepare, walk: Walk, size: tuple[int, int]) -> None:
    # Some runs are looked at in a moment of their own.
    time = prepare()

    async def walked(pilot: Driver) -> None:
        await walk(pilot)
        await still(pilot)

    now = time if isinstance(time, datetime) else NOW - timedelta(hours=1)
    console = a_console(ConsoleSettings(), {"GPUBENCH_WEIGHTS": "random"}, now)
    assert snap_compare(console, terminal_size=size, run_before=walked)


@pytest.mark.parametrize("theme", ["gpubench-light", "gpubench-contrast"])
def test_theme(snap_compare: Any, theme: str) -> None:
    under_way()

    async def walked(pilot: Driver) -> None:
        await dashboard(pilot)
        await still(pilot)

    console = a_console(ConsoleSettings(theme=theme), {})
    assert snap_compare(console, terminal_size=(140, 40), run_before=walked)


def test_every_picture_is_of_a_page_that_there_is() -> None:
    pictures = {file.stem for file in (Path(__file__).parent / "__snapshots__").rglob("*.svg")}
    wanted = {f"test_page[{name_of(name, size)}]" for name, _, _, size in PICTURES}
    wanted |= {"test_theme[gpubench-light]", "test_theme[gpubench-contrast]"}
    assert pictures == wanted
